/* What a file asks of those who go past the page cache.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Offsets, lengths and memory must be multiples of *ret_bytes. `fd` is a file or block device that was opened with
 * O_DIRECT, and may be read. 0; -EOPNOTSUPP: this file cannot be read so; or negative errno. */
int direct_io_alignment(int fd, uint32_t *ret_bytes);
