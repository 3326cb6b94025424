/* Those parts of the control channel that are about shared memory regions (control.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "proto/control.h"
#include "schema/control.pb-c.h"

/* Configure's columns: the struct has rows. */
struct control_regions_wire {
        uint32_t id[LIMIT_SHMEM_REGIONS], source[LIMIT_SHMEM_REGIONS];
        uint64_t len[LIMIT_SHMEM_REGIONS];
};

/* wire -> judged. 0 or -EPROTO. */
int control_shmem_check_regions(const Bulkhead__Control__Configure *wire, struct control_configure *ret);
int control_shmem_check_map(const Bulkhead__Control__ShmemMap *wire, struct control_shmem *ret);
int control_shmem_check_unmap(const Bulkhead__Control__ShmemUnmap *wire, struct control_shmem *ret);
int control_shmem_check_answer(const Bulkhead__Control__ShmemAnswer *wire, struct control_to_worker *ret);

/* struct -> wire. `columns` lives as long as the message. */
void control_shmem_fill_regions(const struct control_configure *message, struct control_regions_wire *columns,
                                Bulkhead__Control__Configure *ret);
ssize_t control_shmem_make_map(const struct control_shmem *message, uint8_t *buf, size_t size);
ssize_t control_shmem_make_unmap(const struct control_shmem *message, uint8_t *buf, size_t size);
ssize_t control_shmem_make_answer(const struct control_to_worker *message, uint8_t *buf, size_t size);
