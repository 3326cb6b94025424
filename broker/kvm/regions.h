/* Where the shared memory regions of a VM's devices lie in its guest-physical addresses: in the range that layout.h has for all
 * of them, in the order of the configuration. Pure, and known before any worker lives.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/kvm/layout.h"
#include "proto/vm_config.h"

#define KVM_REGION_ALIGN     (2ull << 20) /* of each: the second of the page sizes that both architectures have */
#define KVM_REGION_ALIGN_BIG KVM_SHMEM_ALIGN /* ... and the third, of those that are so long */

struct kvm_region {
        unsigned device; /* by its place in the configuration */
        uint8_t shmid;
        uint64_t start, len; /* guest-physical; len as the device has it */
};

struct kvm_regions {
        unsigned n;
        struct kvm_region
            at[LIMIT_DEVICES * LIMIT_SHMEM_REGIONS]; /* ascending, apart from each other or adjacent */
};

/* How many bytes they take with what lies between them, in whole KVM_REGION_ALIGN: kvm_layout_make's shmem_len. 0: there are
 * none. The configuration is judged, as below. */
uint64_t kvm_regions_len(const struct vm_config *config);

/* ... and where each is, in a layout that was made for so many. */
void kvm_regions_place(const struct vm_config *config, const struct kvm_layout *layout,
                       struct kvm_regions *ret_regions);
