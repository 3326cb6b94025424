/* What the author of a loader works with: the RAM of a VM that has never run, by the number of a range and an offset in it.
 * No call fails because of the broker: when it is gone the process ends.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/boot.h"
#include "workers/runtime/link.h"
#include "workers/runtime/outbox.h"

struct boot_memory {
        struct outbox *outbox; /* its space is BOOT */
        struct link *control;
};

/* Both are the caller's and outlive it. */
void boot_memory_init(struct boot_memory *memory, struct outbox *outbox, struct link *control);

/* `len` bytes, at least one, to [offset, offset + len). */
void boot_memory_write(struct boot_memory *memory, uint32_t range, uint32_t offset, const void *bytes,
                       uint32_t len);

/* Bytes [file_offset, file_offset + len) of a file to [offset, offset + len), which ends at 4 GiB or before. The run policy
 * needs rows for sendfile and pread. 0, or negative errno of the file (-EIO: it ends before). */
int boot_memory_write_file(struct boot_memory *memory, uint32_t range, uint32_t offset, uint64_t len, int fd,
                           uint64_t file_offset);

/* The last word, one of these, once: everything has been written, or why it cannot be (fewer than LIMIT_BOOT_REASON bytes). */
void boot_memory_booted(struct boot_memory *memory, const struct boot_done *done);
void boot_memory_failed(struct boot_memory *memory, const char *reason);
