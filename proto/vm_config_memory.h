/* How devices reach the guest's memory (`memory:` of a device). Used by vm_config_judge.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/vm_config.h"

/* 0, or -EINVAL with one sentence. */
int vm_config_judge_memory(const struct device_config *device, char *why, size_t why_size);

/* Of all devices: is there an IOMMU where one is needed, and no other? Likewise. */
int vm_config_judge_iommu(const struct vm_config *config, char *why, size_t why_size);

/* Of a judged configuration: 0: its VM has no IOMMU; or the number of the device that is one, and 1. Bit i of *ret_endpoints: device i
 * is behind it, with i as its endpoint ID. */
uint32_t vm_config_iommu(const struct vm_config *config, uint64_t *ret_endpoints);
