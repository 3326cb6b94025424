/* The cached config space: a worker pushes fields and widths, every read is answered here.
 * virtio 1.3, 2.5: always little endian.
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

/* Takes the fields of a judged Hello. */
void config_space_init(struct config_space *space, const struct control_hello *hello);

/* New values for all fields, in order. *ret_changed says whether any differs. -EPROTO: count or a value's
 * width is wrong; nothing is then changed. */
int config_space_update(struct config_space *space, const uint64_t *values, size_t n, bool *ret_changed);

/* Bytes between fields and behind the last read as zero. -EINVAL: outside LIMIT_CONFIG_BYTES. */
int config_space_read(const struct config_space *space, uint32_t offset, uint32_t len, uint8_t *ret_bytes);

/* Which writable field is exactly [offset, offset + len), and which value do the bytes give it? -EINVAL:
 * none. */
int config_space_judge_write(const struct config_space *space, uint32_t offset, uint32_t len,
                             const uint8_t *bytes, uint32_t *ret_field, uint64_t *ret_value);

void config_space_set(struct config_space *space, uint32_t field, uint64_t value);
