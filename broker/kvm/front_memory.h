/* Guest memory of a VM of our own as its devices see it, and the shared memory regions in it: what their devices show to the guest
 * is a memory slot each, and, for the walks of all devices, a region of guest memory.
 *
 * Every device sees the range of all regions, so that a buffer there is its request's business (guest_memory_with_shmem). What is
 * mapped there it sees, too, unless the region's device refuses others.
 *
 * Used by the main thread alone, but for the bus, by which vCPUs come to holes.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/kvm/bus.h"
#include "broker/kvm/calls.h"
#include "broker/kvm/ending.h"
#include "broker/kvm/regions.h"
#include "broker/kvm/virtio_mmio.h"
#include "broker/kvm/vm.h"

struct front_memory;

/* What it stands in; all outlive it. */
struct front_memory_place {
        uv_loop_t *loop;
        struct kvm_vm *vm;
        struct kvm_bus *bus;
        struct kvm_calls *calls;
        struct kvm_ending *ending;
        const struct kvm_layout *layout;
        const struct kvm_regions *regions;
        void *context;
        /* So often while files are shown that may become shorter. May be NULL. */
        void (*looked)(void *context);
        /* A vCPU's thread: KVM has emulated an access to a page that is shown, and says that it is not there. True: it was so, and
         * something is in its place now, or will be. May be NULL. */
        bool (*missing)(void *context, uint64_t gpa);
};

/* Before the first vCPU runs: a range of the bus is for the holes. 0 or negative errno. */
int front_memory_new(const struct front_memory_place *place, struct front_memory **ret_memory);

/* Every device has left. The memory goes with the loop's next turn. Accepts NULL, returns NULL. */
struct front_memory *front_memory_free(struct front_memory *memory);

/* Device `index` of the configuration, and whether it refuses buffers of others in its regions. From now on device_set_memory is
 * called with each change; the first time is the caller's, with what front_memory_of says. And: not any more. */
void front_memory_join(struct front_memory *memory, unsigned index, struct device *device, bool refuses);
void front_memory_leave(struct front_memory *memory, unsigned index);

/* What a device that has joined sees now. Borrowed until the next change. */
struct guest_memory *front_memory_of(const struct front_memory *memory, unsigned index);

/* Its regions, as its guest finds them. Returns how many. */
unsigned front_memory_regions(const struct front_memory *memory, unsigned index,
                              struct virtio_mmio_shm ret_shm[static LIMIT_SHMEM_REGIONS]);

/* A mapping of this device's appears to the guest, and to all devices that may see it; mapping->front is set. 0; -E2BIG: memory slots
 * have run out, or regions of guest memory; -EINVAL: not whole pages of this host; -ENOENT: the device has no such
 * region; -EEXIST: shown; or what KVM said; then nothing has changed. */
int front_memory_show(struct front_memory *memory, unsigned index, struct shmem_mapping *mapping);

/* It is gone from both when this returns. Nothing happens to one that is not shown. A slot that KVM does not give back ends the VM:
 * its guest would go on to see whatever comes to lie there. */
void front_memory_hide(struct front_memory *memory, struct shmem_mapping *mapping);

/* KVM_RUN has failed with EFAULT. Puts zeros where files have been cut short, and tells the devices that they have failed
 * (device_shmem_failed). False: there is nothing that could have been. *ret_cut: some file had been, and was not mended before. */
bool front_memory_mend(struct front_memory *memory, bool *ret_cut);

/* A page of the host's that is shown, for whoever must see whether it can be had: not for the main thread, which must not wait for a
 * medium. By then it may be shown no more, and something else or nothing be in its place. */
struct front_page {
        uint32_t slot;
        uint64_t shown;  /* which one it is of all that this slot has ever shown */
        uint64_t offset; /* in it */
        uint64_t len;    /* of this page, or more pages: front_memory_next's */
        uint8_t *host;
        bool writable;
};

/* Where a guest address is shown, of a file that may end as much as there is now. False: it is not, or in zeros of ours. */
bool front_memory_page(struct front_memory *memory, uint64_t gpa, struct front_page *ret_page);

/* All that is a file's in the first slot from `slot` on that shows anything. */
bool front_memory_next(const struct front_memory *memory, uint32_t slot, struct front_page *ret_pages);

/* The page cannot be had: zeros take its place if it is still shown, and its device is told; behind the end of a file that may end
 * only when somebody touches them. */
void front_memory_lost(struct front_memory *memory, const struct front_page *page);

/* A vCPU has come to what is not there. True: a file that may end does so before the guest, which may be about to shorten it: in a
 * moment the access is to be made again. For LIMIT_SHMEM_PATIENCE_MS in a row. */
bool front_memory_patient(struct front_memory *memory);

/* Zeros behind all those ends: nobody knows at which of them it is. */
void front_memory_fill(struct front_memory *memory);

/* Accesses of the guest to holes so far, and writes to what it may only read; any thread. */
uint64_t front_memory_holes(const struct front_memory *memory);

/* Mappings that are shown now. */
unsigned front_memory_n_shown(const struct front_memory *memory);
