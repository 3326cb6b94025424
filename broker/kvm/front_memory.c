/* Guest memory of a VM of our own as its devices see it.
 * Owns the snapshots that devices are given, and the memory slots of mappings. Called by front_device.c and kvm_front.c, on the main
 * thread. It is an edge. TRUST: mappings are judged (shmem.h); what is behind them can be cut short at any moment.
 *
 * How it works: one snapshot is for all devices: RAM, and what is mapped in regions of those that refuse nobody. A device that
 * refuses others has one of its own, with its own regions more. A change makes all new snapshots first, which can fail, and hands
 * them out then, which cannot. At a hide all devices have left the old snapshots before the slot goes, and the slot has gone before
 * the owner takes the bytes away: nobody ever looks through a slot or a snapshot at what was put there later.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kvm/front_memory_state.h"
#include "proto/base/log.h"

/* New snapshots; NULL: it stays as it is. */
struct change {
        struct guest_memory *shared, *own[LIMIT_DEVICES];
};

static void change_done(struct change *change)
{
        change->shared = guest_memory_unref(change->shared);
        for (unsigned i = 0; i < LIMIT_DEVICES; i++)
                change->own[i] = guest_memory_unref(change->own[i]);
}

/* ---- changes ---- */

struct guest_memory *front_memory_of(const struct front_memory *memory, unsigned index)
{
        const struct member *member = &memory->members[index];

        return member->own ? member->own : memory->shared;
}

/* The region is more, or less, in a snapshot. It may be missing where a change has failed before (memory_forget). */
static int snapshot_change(const struct guest_memory *from, const struct guest_region *region, bool more,
                           struct guest_memory **ret_memory)
{
        int r = more ? guest_memory_with(from, region, ret_memory)
                     : guest_memory_without(from, region->start, region->len, ret_memory);

        return r == -ENOENT ? 0 : r;
}

/* Of device `index`: who refuses others is the only one that sees it. */
static int change_make(const struct front_memory *memory, unsigned index, const struct guest_region *region,
                       bool more, struct change *change)
{
        bool refuses = memory->members[index].refuses;
        int r = refuses ? 0 : snapshot_change(memory->shared, region, more, &change->shared);

        for (unsigned i = 0; r == 0 && i < LIMIT_DEVICES; i++)
                if (memory->members[i].own && (i == index || !refuses))
                        r = snapshot_change(memory->members[i].own, region, more, &change->own[i]);
        if (r < 0)
                change_done(change);
        return r;
}

/* Takes *change. When this returns nobody has an old snapshot in use. */
static void change_hand_out(struct front_memory *memory, struct change *change)
{
        bool all = change->shared;

        if (all) {
                guest_memory_unref(memory->shared);
                memory->shared = change->shared;
        }
        for (unsigned i = 0; i < LIMIT_DEVICES; i++) {
                struct member *member = &memory->members[i];

                if (change->own[i]) {
                        guest_memory_unref(member->own);
                        member->own = change->own[i];
                }
                if (member->device && (change->own[i] || (all && !member->own)))
                        (void)device_set_memory(member->device, front_memory_of(memory, i)); /* cannot fail */
        }
}

/* There is no memory for a table without the region: nobody sees any region then, until it is shown again. */
static void memory_forget(struct front_memory *memory)
{
        struct change change = {.shared = guest_memory_ref(memory->bare)};

        log_error("out of memory: devices reach no shared memory regions any more, but their guest does");
        for (unsigned i = 0; i < LIMIT_DEVICES; i++)
                if (memory->members[i].own)
                        change.own[i] = guest_memory_ref(memory->bare);
        change_hand_out(memory, &change);
}

/* ---- mappings ---- */

static const struct kvm_region *region_find(const struct front_memory *memory, unsigned index, uint8_t shmid)
{
        const struct kvm_regions *regions = memory->place.regions;

        for (unsigned i = 0; i < regions->n; i++)
                if (regions->at[i].device == index && regions->at[i].shmid == shmid)
                        return &regions->at[i];
        return NULL;
}

static bool is_to_be_watched(const struct shmem_mapping *mapping)
{
        int seals = fcntl(mapping->fd, F_GET_SEALS);

        return seals < 0 || !(seals & F_SEAL_SHRINK);
}

static void watch_change(struct front_memory *memory, bool more)
{
        memory->n_watched += more ? 1u : -1u;
        if (memory->n_watched == 0)
                uv_timer_stop(&memory->timer);
        else if (more && memory->n_watched == 1)
                uv_timer_start(&memory->timer, front_memory_on_look, LIMIT_SHMEM_LOOK_MS,
                               LIMIT_SHMEM_LOOK_MS);
}

static struct guest_region mapping_region(const struct shmem_mapping *mapping, uint64_t start)
{
        return (struct guest_region){.start = GPA(start),
                                     .len = mapping->len,
                                     .mapping = mapping->window,
                                     .offset = mapping->offset,
                                     .writable = mapping->writable};
}

static int slot_add(struct front_memory *memory, struct shown *shown, uint32_t *ret_slot)
{
        const struct shmem_mapping *mapping = shown->mapping;
        unsigned flags = mapping->writable ? 0 : KVM_SLOT_READ_ONLY;
        void *host = mapping->host;
        int r = 0;

        if (mapping->may_end) {
                flags |= KVM_SLOT_MAY_END;
                r = file_view_init(&shown->view, mapping);
                if (r < 0)
                        return r;
                host = file_view_host(&shown->view);
        }
        r = kvm_vm_slot_add(memory->place.vm, shown->start, mapping->len, host, flags, ret_slot);
        if (r < 0)
                file_view_done(&shown->view);
        return r;
}

int front_memory_show(struct front_memory *memory, unsigned index, struct shmem_mapping *mapping)
{
        const struct kvm_region *region = region_find(memory, index, mapping->shmid);
        struct shown shown = {.mapping = mapping, .index = index};
        struct guest_region seen;
        struct change change = {0};
        uint32_t slot;
        int r;

        assert(!mapping->front);
        if (!region)
                return -ENOENT;
        shown.start = region->start + mapping->offset; /* which lies in the region: shmem.h */
        shown.watched = mapping->may_end || is_to_be_watched(mapping);
        seen = mapping_region(mapping, shown.start);
        r = change_make(memory, index, &seen, true, &change);
        if (r < 0)
                return r;
        r = slot_add(memory, &shown, &slot);
        if (r < 0) {
                change_done(&change);
                return r;
        }
        shown.serial = memory->n_ever++;
        memory->shown[slot] = shown;
        memory->n_shown++;
        if (memory->shown[slot].watched)
                watch_change(memory, true);
        mapping->front = &memory->shown[slot];
        change_hand_out(memory, &change);
        return 0;
}

static void slot_remove(struct front_memory *memory, const struct shown *shown)
{
        int r = kvm_vm_slot_remove(memory->place.vm, (uint32_t)(shown - memory->shown));
        char why[128];

        if (r == 0)
                return;
        snprintf(why, sizeof(why), "KVM does not give back the memory slot at 0x%" PRIx64 ": %s",
                 shown->start, strerror(-r));
        kvm_ending_report(memory->place.ending, KVM_END_CRASH, why);
}

void front_memory_hide(struct front_memory *memory, struct shmem_mapping *mapping)
{
        struct shown *shown = mapping->front;
        struct guest_region seen;
        struct change change = {0};

        if (!shown)
                return;
        assert(shown->mapping == mapping);
        seen = mapping_region(mapping, shown->start);
        if (change_make(memory, shown->index, &seen, false, &change) == 0)
                change_hand_out(memory, &change);
        else
                memory_forget(memory);
        slot_remove(memory, shown);
        file_view_done(&shown->view);
        if (shown->watched)
                watch_change(memory, false);
        *shown = (struct shown){0};
        memory->n_shown--;
        mapping->front = NULL;
}

unsigned front_memory_n_shown(const struct front_memory *memory)
{
        return memory->n_shown;
}

unsigned front_memory_regions(const struct front_memory *memory, unsigned index,
                              struct virtio_mmio_shm ret_shm[static LIMIT_SHMEM_REGIONS])
{
        const struct kvm_regions *regions = memory->place.regions;
        unsigned n = 0;

        for (unsigned i = 0; i < regions->n && n < LIMIT_SHMEM_REGIONS; i++) {
                const struct kvm_region *region = &regions->at[i];

                if (region->device == index)
                        ret_shm[n++] = (struct virtio_mmio_shm){
                            .id = region->shmid, .base = region->start, .len = region->len};
        }
        return n;
}

/* ---- life ---- */

void front_memory_join(struct front_memory *memory, unsigned index, struct device *device, bool refuses)
{
        struct member *member = &memory->members[index];

        assert(!member->device);
        *member = (struct member){
            .device = device, .refuses = refuses, .own = refuses ? guest_memory_ref(memory->shared) : NULL};
}

void front_memory_leave(struct front_memory *memory, unsigned index)
{
        struct member *member = &memory->members[index];

        guest_memory_unref(member->own);
        *member = (struct member){0};
}

/* RAM, and where the regions lie, with what is between them: a driver's buffer there is as missing as one in a region. */
static int bare_make(const struct front_memory_place *place, struct guest_memory **ret_memory)
{
        struct guest_memory *ram = kvm_vm_memory(place->vm);
        const struct kvm_range *range = &place->layout->shmem;

        if (range->len > 0)
                return guest_memory_with_shmem(ram, GPA(range->start), range->len, ret_memory);
        *ret_memory = guest_memory_ref(ram);
        return 0;
}

int front_memory_new(const struct front_memory_place *place, struct front_memory **ret_memory)
{
        struct front_memory *memory = calloc(1, sizeof(*memory));
        const struct kvm_range *range = &place->layout->shmem;
        int r;

        if (!memory)
                return -ENOMEM;
        memory->place = *place;
        uv_timer_init(place->loop, &memory->timer);
        memory->timer.data = memory;
        r = bare_make(place, &memory->bare);
        if (r == 0)
                memory->shared = guest_memory_ref(memory->bare);
        if (r == 0 && range->len > 0)
                r = kvm_bus_add(place->bus, KVM_SPACE_MMIO, range->start, range->len,
                                "a part of a shared memory region that is not mapped", front_memory_on_hole,
                                memory);
        if (r < 0) {
                front_memory_free(memory);
                return r;
        }
        *ret_memory = memory;
        return 0;
}

static void on_closed(uv_handle_t *handle)
{
        free(handle->data);
}

struct front_memory *front_memory_free(struct front_memory *memory)
{
        if (!memory)
                return NULL;
        assert(memory->n_shown == 0);
        memory->shared = guest_memory_unref(memory->shared);
        memory->bare = guest_memory_unref(memory->bare);
        uv_close((uv_handle_t *)&memory->timer, on_closed);
        return NULL;
}
