/* What may not lie in a shared folder: what the spawner opens again for each worker. Used by vm_config_judge.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/vm_config.h"

/* No file, socket or folder of any device, nor the kernel, below a folder that a guest may write. 0, or -EINVAL with one sentence. */
int vm_config_judge_shares(const struct vm_config *config, char *why, size_t why_size);
