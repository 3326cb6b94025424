/* Memory of the broker's own that others map too: a file without a name whose size nobody can change any more.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* `len` bytes of zeros, a multiple of 4096, > 0. Can neither shrink nor grow, and no seal can be added; where the kernel knows
 * how, it can never be executed either. Close-on-exec. The name is for /proc alone. 0, -EINVAL, or what memfd_create, ftruncate
 * or fcntl said. */
int sealed_memory_open(const char *name, uint64_t len, int *ret_fd);
