/* Where the shared memory regions of a VM's devices lie.
 * Owns nothing: numbers in, numbers out. Called before there is a VM, by the front end and by `doctor`.
 * TRUST: lengths follow from the configuration (the admin's); nothing of a guest's or a worker's is seen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/regions.h"

#include <assert.h>

#include "proto/base/checked.h"
#include "proto/device_region.h"

_Static_assert(LIMIT_DEVICES *(uint64_t)LIMIT_SHMEM_REGIONS <=
                   (1ull << KVM_ADDRESS_BITS) / (LIMIT_SHMEM_LEN + KVM_REGION_ALIGN_BIG),
               "all together are no more than a layout may be asked for, so no sum wraps");
_Static_assert(LIMIT_SHMEM_LEN <= KVM_SLOT_MAX, "a mapping fits into one memory slot");

static uint64_t align_up(uint64_t at, uint64_t align)
{
        return (at + align - 1) & ~(align - 1);
}

static uint64_t region_align(uint64_t len)
{
        return len >= KVM_REGION_ALIGN_BIG ? KVM_REGION_ALIGN_BIG : KVM_REGION_ALIGN;
}

/* From `start` on, which is aligned as the whole is; ret_regions may be NULL. Returns where they end. */
static uint64_t regions_lay(const struct vm_config *config, uint64_t start, struct kvm_regions *ret_regions)
{
        struct device_region own[LIMIT_SHMEM_REGIONS];
        uint64_t at = start;
        unsigned n_all = 0,
                 n_devices = (unsigned)MIN(config->n_devices, (size_t)LIMIT_DEVICES); /* more are refused */

        for (unsigned device = 0; device < n_devices; device++) {
                unsigned n = device_regions(&config->devices[device], own);

                for (unsigned i = 0; i < n; i++, n_all++) {
                        at = align_up(at, region_align(own[i].len));
                        if (ret_regions)
                                ret_regions->at[n_all] = (struct kvm_region){
                                    .device = device, .shmid = own[i].shmid, .start = at, .len = own[i].len};
                        at += own[i].len;
                }
        }
        if (ret_regions)
                ret_regions->n = n_all;
        return align_up(at, KVM_REGION_ALIGN);
}

uint64_t kvm_regions_len(const struct vm_config *config)
{
        return regions_lay(config, 0, NULL);
}

void kvm_regions_place(const struct vm_config *config, const struct kvm_layout *layout,
                       struct kvm_regions *ret_regions)
{
        uint64_t end = regions_lay(config, layout->shmem.start, ret_regions);

        assert(end - layout->shmem.start == layout->shmem.len);
        (void)end;
}
