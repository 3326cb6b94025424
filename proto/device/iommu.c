/* What an IOMMU counts.
 * Owns nothing; read by the table of types. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/iommu.h"

const char *const iommu_counter_names[IOMMU_COUNTER_COUNT_] = {
    [IOMMU_COUNTER_REFUSED] = "requests refused",
    [IOMMU_COUNTER_FAULTS] = "faults told",
    [IOMMU_COUNTER_DROPPED] = "faults not told: the guest had posted no buffer",
};
