/* The judgement of what only a VM of the broker's own has: vCPUs, memory, kernel. A part of vm_config_judge.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "proto/vm_config.h"

/* May this device have the interface that it is to have (`legacy:`)? Likewise. */
int vm_config_judge_legacy(const struct vm_config *config, const struct device_config *device, char *why,
                           size_t why_size);

/* 0, or -EINVAL with one sentence as vm_config_judge gives it. Refuses these values with another front end. */
int vm_config_judge_kvm(const struct vm_config *config, char *why, size_t why_size);
