/* Those parts of the control channel that are about an IOMMU (control.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "proto/control.h"
#include "schema/control.pb-c.h"

/* wire -> judged. 0 or -EPROTO. The first wants the type in *ret. */
int control_iommu_check_endpoints(const Bulkhead__Control__Configure *wire, struct control_configure *ret);
int control_iommu_check_map(const Bulkhead__Control__IommuMap *wire, struct control_iommu *ret);
int control_iommu_check_unmap(const Bulkhead__Control__IommuUnmap *wire, struct control_iommu *ret);
int control_iommu_check_answer(const Bulkhead__Control__IommuAnswer *wire, struct control_to_worker *ret);
int control_iommu_check_fault(const Bulkhead__Control__IommuFault *wire, struct control_to_worker *ret);

/* struct -> wire. */
ssize_t control_iommu_make_map(const struct control_iommu *message, uint8_t *buf, size_t size);
ssize_t control_iommu_make_unmap(const struct control_iommu *message, uint8_t *buf, size_t size);
ssize_t control_iommu_make_answer(const struct control_to_worker *message, uint8_t *buf, size_t size);
ssize_t control_iommu_make_fault(const struct control_to_worker *message, uint8_t *buf, size_t size);
