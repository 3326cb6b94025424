/* Guest memory of a VM of our own as its devices see it.
 * Owns the snapshots that devices are given, and the memory slots of mappings. Called by front_device.c and kvm_front.c; by vCPU
 * threads through the bus. It is an edge. TRUST: mappings are judged (shmem.h); what is behind them can be cut short at any
 * moment. A guest chooses where in a hole it reads and writes, and gets nothing for it.
 *
 * How it works: one snapshot is for all devices: RAM, and what is mapped in regions of those that refuse nobody. A device that
 * refuses others has one of its own, with its own regions more. A change makes all new snapshots first, which can fail, and hands
 * them out then, which cannot. At a hide all devices have left the old snapshots before the slot goes, and the slot has gone before
 * the owner takes the bytes away: nobody ever looks through a slot or a snapshot at what was put there later.
 *
 * A guest that touches a page behind the end of its file makes KVM_RUN fail; or KVM takes the page for one that is on its way, and
 * waits for it inside of KVM_RUN, with no end and no word. So files that may become shorter are looked at every
 * LIMIT_SHMEM_LOOK_MS while they are shown: zeros take the place of what is missing. Only who has touched those has run into it,
 * and only then the device is told.
 *
 * Where files may end (device_region.h) a slot shows a view that goes as far as the file does: behind it KVM_RUN always fails. Where the
 * file has become longer since, the view follows. Else the guest may be in the middle of shortening it: its worker has, and its own
 * kernel has not taken its programs' pages away yet. So the access is made again, for LIMIT_SHMEM_PATIENCE_MS. Who does not stop then is
 * behind an end that others have set, and finds zeros while the file ends there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/kvm/file_view.h"
#include "proto/base/log.h"

#define STORY                                                                                                \
        10u /* times LIMIT_SHMEM_PATIENCE_MS: so late tries again only who is not heard on a busy host, or somebody else */
#define IDLE_LOOKS 5u /* in which a vCPU comes back to what was done for it */

/* A memory slot that shows a mapping. */
struct shown {
        struct shmem_mapping *mapping; /* NULL: none */
        unsigned index;                /* of its device */
        uint64_t start;                /* guest-physical */
        bool watched;                  /* its file may become shorter */
        bool told;                     /* its device has been told so */
        unsigned idle_looks;           /* at zeros behind its end that nobody has touched */
        bool told_end;                 /* ... that somebody was behind the file's end */
        uint64_t serial;               /* of all that have ever been shown */
        struct file_view view;         /* where files may end: what the slot shows */
};

struct member {
        struct device *device; /* NULL: it has not joined */
        bool refuses;
        struct guest_memory *own; /* of one that refuses; NULL: it sees what all see */
};

struct front_memory {
        struct front_memory_place place;
        struct guest_memory *bare; /* RAM, and nothing in any region */
        struct guest_memory *shared;
        struct member members[LIMIT_DEVICES];
        struct shown shown[LIMIT_KVM_SLOTS]; /* by slot */
        unsigned n_shown, n_watched;
        uint64_t n_ever;
        uint64_t behind_since_ns,
            behind_last_ns; /* that vCPUs come behind files' ends, one after the other */
        uv_timer_t timer;   /* runs while there is anything to watch */
        uint64_t mended[(LIMIT_KVM_SLOTS + 63) / 64]; /* slots, of the call that is under way */
        atomic_uint_fast64_t holes;
};

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

static void on_look(uv_timer_t *timer);

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
                uv_timer_start(&memory->timer, on_look, LIMIT_SHMEM_LOOK_MS, LIMIT_SHMEM_LOOK_MS);
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

/* ---- files that have been cut short ---- */

static void on_mended(void *context, uint32_t slot)
{
        struct front_memory *memory = context;

        memory->mended[slot / 64] |= UINT64_C(1) << slot % 64;
}

/* Its device may hide it, and others of its own. */
static void tell_failed(struct front_memory *memory, uint32_t slot)
{
        struct shown *shown = &memory->shown[slot];

        if (!shown->mapping || shown->told)
                return;
        shown->told = true;
        device_shmem_failed(memory->members[shown->index].device, shown->mapping);
}

/* The page in which a file ends is there, to its end. */
static bool is_short(const struct front_memory *memory, uint32_t slot)
{
        const struct shown *shown = &memory->shown[slot];
        uint64_t own, page = (uint64_t)sysconf(_SC_PAGESIZE);
        struct stat st;

        if (!shown->mapping || !shown->watched || shown->view.window || fstat(shown->mapping->fd, &st) < 0)
                return false;
        own = kvm_vm_slot_own(memory->place.vm, slot);
        return own > 0 && (uint64_t)st.st_size <= shown->mapping->fd_offset + own - page;
}

static bool any_short(const struct front_memory *memory)
{
        bool any = false;

        for (uint32_t slot = 0; !any && slot < LIMIT_KVM_SLOTS; slot++)
                any = is_short(memory, slot);
        return any;
}

/* Another vCPU may have come first, and what this one ran into has been put right since: it tries again, and LIMIT_VCPU_FAULTS
 * bounds how often. */
bool front_memory_mend(struct front_memory *memory, bool *ret_cut)
{
        bool any = memory->n_shown > 0, cut = any_short(memory);
        int r = 0;

        memset(memory->mended, 0, sizeof(memory->mended));
        if (cut)
                r = kvm_vm_mend(memory->place.vm, on_mended, memory);
        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++)
                if (memory->mended[slot / 64] >> slot % 64 & 1)
                        tell_failed(memory, slot);
        *ret_cut = cut;
        return r >= 0 && any;
}

static void on_found(void *context, uint32_t slot)
{
        (void)context;
        (void)slot; /* nobody has touched it yet */
}

/* ---- files that may end ---- */

static void view_follow(struct shown *shown)
{
        file_view_follow(&shown->view);
        shown->told_end &= file_view_has_zeros(&shown->view); /* the next time is another story */
}

/* Zeros that nobody has touched were for somebody else, or come again. */
static void view_look(struct front_memory *memory, uint32_t slot)
{
        struct shown *shown = &memory->shown[slot];

        if (!shown->view.window)
                return;
        if (file_view_touched(&shown->view) && !shown->told_end)
                device_shmem_ended(memory->members[shown->index].device, shown->mapping);
        if (file_view_touched(&shown->view) || !file_view_has_zeros(&shown->view))
                shown->idle_looks = 0;
        else if (++shown->idle_looks > IDLE_LOOKS)
                file_view_clear(&shown->view);
        shown->told_end |= file_view_touched(&shown->view);
        view_follow(shown);
}

/* Who tries again comes back within a moment; a longer pause is another story. */
static bool has_patience(struct front_memory *memory)
{
        const uint64_t now = uv_hrtime(), limit = LIMIT_SHMEM_PATIENCE_MS * UINT64_C(1000000);

        if (now - memory->behind_last_ns > STORY * limit)
                memory->behind_since_ns = now;
        memory->behind_last_ns = now;
        return now - memory->behind_since_ns < limit;
}

bool front_memory_patient(struct front_memory *memory)
{
        bool ends = false;

        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++) {
                struct shown *shown = &memory->shown[slot];

                if (!shown->view.window)
                        continue;
                view_follow(shown);
                ends |= shown->view.open < shown->mapping->len;
        }
        return ends && has_patience(memory);
}

void front_memory_fill(struct front_memory *memory)
{
        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++)
                if (memory->shown[slot].view.window)
                        (void)file_view_fill(&memory->shown[slot].view);
}

static void on_look(uv_timer_t *timer)
{
        struct front_memory *memory = timer->data;

        if (any_short(memory))
                (void)kvm_vm_mend(memory->place.vm, on_found, memory);
        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++)
                if (memory->shown[slot].mapping && kvm_vm_slot_touched(memory->place.vm, slot))
                        tell_failed(memory, slot);
        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++)
                view_look(memory, slot);
        if (memory->place.looked)
                memory->place.looked(memory->place.context);
}

/* ---- pages that cannot be had ---- */

static struct front_page page_of(const struct front_memory *memory, uint32_t slot, uint64_t offset,
                                 uint64_t len)
{
        const struct shown *shown = &memory->shown[slot];
        uint8_t *host = shown->view.window ? file_view_host(&shown->view) : shown->mapping->host;

        return (struct front_page){.slot = slot,
                                   .shown = shown->serial,
                                   .offset = offset,
                                   .len = len,
                                   .host = host + offset,
                                   .writable = shown->mapping->writable};
}

bool front_memory_page(struct front_memory *memory, uint64_t gpa, struct front_page *ret_page)
{
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), offset;
        struct shown *shown;
        uint32_t slot;

        if (kvm_vm_slot_find(memory->place.vm, gpa, &slot) < 0 || !memory->shown[slot].mapping)
                return false;
        shown = &memory->shown[slot];
        if (shown->view.window)
                view_follow(shown);
        offset = (gpa - shown->start) & ~(page - 1);
        if (offset >= kvm_vm_slot_own(memory->place.vm, slot) || file_view_is_zero(&shown->view, offset))
                return false;
        *ret_page = page_of(memory, slot, offset, page);
        return true;
}

bool front_memory_next(const struct front_memory *memory, uint32_t slot, struct front_page *ret_pages)
{
        for (; slot < LIMIT_KVM_SLOTS; slot++) {
                const struct shown *shown = &memory->shown[slot];
                uint64_t own = shown->mapping ? kvm_vm_slot_own(memory->place.vm, slot) : 0;

                if (shown->view.window)
                        own = MIN(own, shown->view.open);
                if (own == 0)
                        continue;
                *ret_pages = page_of(memory, slot, 0, own);
                return true;
        }
        return false;
}

void front_memory_lost(struct front_memory *memory, const struct front_page *page)
{
        struct shown *shown = &memory->shown[page->slot];

        if (!shown->mapping || shown->serial != page->shown)
                return;
        if (shown->view.window && page->offset >= shown->view.open)
                (void)file_view_fill(&shown->view);
        else if (kvm_vm_zero(memory->place.vm, page->slot, page->offset) == 0)
                tell_failed(memory, page->slot);
}

/* ---- what a guest finds ---- */

struct hole {
        struct front_memory *memory;
        uint64_t at;
        uint32_t len;
        bool write, shown, in_view;
        struct guest_mapping *window; /* of a view that has what is asked for; a reference */
        uint8_t *host;                /* ... there */
};

/* There may be more of a file than the guest has been shown, and KVM takes that for a hole, too. */
static void hole_in_view(struct hole *hole, struct shown *shown)
{
        uint64_t offset = hole->at - shown->start;

        hole->in_view = true;
        view_follow(shown);
        if (!range_inside(offset, hole->len, shown->mapping->len) ||
            (offset + hole->len > shown->view.open && !file_view_is_zero(&shown->view, offset)))
                return;
        hole->window = guest_mapping_ref(shown->view.window);
        hole->host = (uint8_t *)file_view_host(&shown->view) + offset;
}

/* Where KVM emulates an access, it takes a page that is missing for none at all. */
static void call_hole(void *argument)
{
        struct hole *hole = argument;
        uint32_t slot;
        bool cut;

        if (kvm_vm_slot_find(hole->memory->place.vm, hole->at, &slot) < 0 ||
            (hole->write && !hole->memory->shown[slot].mapping->writable))
                return;
        (void)front_memory_mend(hole->memory, &cut);
        hole->shown = !cut;
        if (hole->memory->shown[slot].view.window)
                hole_in_view(hole, &hole->memory->shown[slot]);
}

static bool hole_serve(struct hole *hole, uint8_t *bytes)
{
        bool served;

        if (!hole->window)
                return false;
        served = (hole->write ? fault_safe_copy(hole->host, bytes, hole->len)
                              : fault_safe_copy(bytes, hole->host, hole->len)) == 0;
        hole->window = guest_mapping_unref(hole->window);
        return served;
}

/* A vCPU's thread. Reads are all ones already. */
static void on_hole(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct front_memory *memory = context;
        struct hole hole = {
            .memory = memory, .at = memory->place.layout->shmem.start + offset, .len = len, .write = write};
        bool again = true;

        /* Behind a file's end there may be something in a moment: the access cannot be made again later. */
        for (unsigned i = 0; again && i < LIMIT_VCPU_FAULTS; i++) {
                hole.shown = false;
                again = kvm_calls_make(memory->place.calls, call_hole, &hole);
                if (again && hole_serve(&hole, bytes))
                        return;
                again = again && hole.shown && memory->place.missing &&
                        memory->place.missing(memory->place.context, hole.at) && hole.in_view;
        }
        atomic_fetch_add_explicit(&memory->holes, 1, memory_order_relaxed);
}

uint64_t front_memory_holes(const struct front_memory *memory)
{
        return atomic_load_explicit(&memory->holes, memory_order_relaxed);
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
                                "a part of a shared memory region that is not mapped", on_hole, memory);
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
