/* How devices reach the guest's memory (`memory:` of a device). Used by vm_config_judge.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/vm_config.h"

/* 0, or -EINVAL with one sentence. */
int vm_config_judge_memory(const struct vm_config *config, const struct device_config *device, char *why,
                           size_t why_size);
