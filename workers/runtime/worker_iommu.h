/* What an IOMMU's worker says of the devices behind it, by endpoint ID: what each may reach from now on, and what not any more. The
 * answer comes to device_ops.iommu_answered with the same id: then it is so. Not before Hello; LIMIT_IOMMU_PENDING may be
 * unanswered. Answers come in the order of what was said.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "workers/runtime/link.h"

/* Both of whole LIMIT_IOTLB_PAGE. Of the first len > 0, and neither end wraps; `rights`: some of CONTROL_IOMMU_READ and
 * CONTROL_IOMMU_WRITE (control.h). */
void worker_iommu_map(uint32_t id, uint32_t endpoint, uint64_t iova, uint64_t len, uint64_t gpa,
                      unsigned rights);
void worker_iommu_unmap(uint32_t id, uint32_t endpoint, uint64_t iova, uint64_t len); /* both 0: everything */

/* ---- for worker.c ---- */

void worker_iommu_init(struct link *control); /* borrowed for good */
