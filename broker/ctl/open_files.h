/* Open files that a VM's processes may need, and whether they may have as many.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/vm_config.h"

/* Are `limit` files at once enough for this VM? NULL: for the smallest there is. 0, or -EMFILE with one sentence and its
 * remedy in `why`. */
int open_files_judge(uint64_t limit, const struct vm_config *config, char *why, size_t why_size);

/* Raises our own soft limit as far as this VM needs it, for those that we become. 0; -EMFILE, where the hard limit is
 * too small, with `why`; other negative errno likewise. */
int open_files_raise(const struct vm_config *config, char *why, size_t why_size);
