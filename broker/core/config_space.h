/* The cached config space: a worker pushes fields and widths, every read is answered here, in the order of bytes that the driver's
 * interface has: little endian (virtio 1.3, 2.5.1), or the guest's (2.5.4, the legacy interface). A worker knows nothing of it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/control.h"

struct config_space {
        uint32_t n_fields;
        uint32_t size; /* end of the last field */
        struct control_field fields[LIMIT_CONFIG_FIELDS];
};

/* How a driver's interface has it. */
struct config_order {
        bool big_endian;
        bool parts; /* legacy drivers write a field byte by byte: each is a write of the whole field */
};

/* Takes the fields of a judged Hello. */
void config_space_init(struct config_space *space, const struct control_hello *hello);

/* New values for all fields, in order. *ret_changed says whether any differs. -EPROTO: count or a value's
 * width is wrong; nothing is then changed. */
int config_space_update(struct config_space *space, const uint64_t *values, size_t n, bool *ret_changed);

/* Bytes between fields and behind the last read as zero. -EINVAL: outside LIMIT_CONFIG_BYTES. */
int config_space_read(const struct config_space *space, bool big_endian, uint32_t offset, uint32_t len,
                      uint8_t *ret_bytes);

/* Which writable field is exactly [offset, offset + len), or, in parts, holds it; and which value do the bytes give it, together with
 * those that it has? -EINVAL: none. */
int config_space_judge_write(const struct config_space *space, const struct config_order *order,
                             uint32_t offset, uint32_t len, const uint8_t *bytes, uint32_t *ret_field,
                             uint64_t *ret_value);

void config_space_set(struct config_space *space, uint32_t field, uint64_t value);
