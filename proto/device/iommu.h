/* What is known of an IOMMU (virtio 1.3, 5.13) by those who are no part of its worker. It has no options.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What its workers count, for `bulkhead ps`. */
enum iommu_counter {
        IOMMU_COUNTER_REFUSED = 0, /* requests of its driver that were answered with another status than OK */
        IOMMU_COUNTER_FAULTS,      /* that its driver was told of, ... */
        IOMMU_COUNTER_DROPPED,     /* ... or not, because it had posted no buffer for them */
        IOMMU_COUNTER_COUNT_,
};
extern const char *const iommu_counter_names[IOMMU_COUNTER_COUNT_];
