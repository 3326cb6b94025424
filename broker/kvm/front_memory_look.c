/* What is missing of the files that a VM's guest sees.
 * Owns nothing beyond the state of front_memory.c. Called by the loop's timer, and by vCPU threads through front_fault.c and calls.h,
 * always on the main thread. It is an edge. TRUST: what is behind a mapping can be cut short at
 * any moment, and its pages may not come: where they are tried is front_fault.c, on the threads of vCPUs.
 *
 * How it works: a guest that touches a page behind the end of its file makes KVM_RUN fail; or KVM takes the page for one that is on its
 * way, and waits for it inside of KVM_RUN, with no end and no word. So files that may become shorter are looked at every
 * LIMIT_SHMEM_LOOK_MS while they are shown: zeros take the place of what is missing. Only who has touched those has run into it,
 * and only then the device is told.
 *
 * Where files may end (device_region.h) a slot shows a view that goes as far as the file does: behind it KVM_RUN always fails. Where the
 * file has become longer since, the view follows. Else the guest may be in the middle of shortening it: its worker has, and its own
 * kernel has not taken its programs' pages away yet. So the access is made again, for LIMIT_SHMEM_PATIENCE_MS. Who does not stop then is
 * behind an end that others have set, and finds zeros while the file ends there.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/kvm/front_memory_state.h"

#define STORY                                                                                                \
        10u /* times LIMIT_SHMEM_PATIENCE_MS: so late tries again only who is not heard on a busy host, or somebody else */
#define IDLE_LOOKS 5u /* in which a vCPU comes back to what was done for it */

/* ---- files that have been cut short ---- */

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

/* Of a file that is as long as it was, a page that cannot be had is none of its end: that is found one by one. */
static int mend_short(struct front_memory *memory, uint32_t slot, bool *cut)
{
        if (!is_short(memory, slot))
                return 0;
        *cut = true;
        return kvm_vm_mend(memory->place.vm, slot);
}

/* Another vCPU may have come first, and what this one ran into has been put right since: it tries again, and LIMIT_VCPU_FAULTS
 * bounds how often. */
bool front_memory_mend(struct front_memory *memory, bool *ret_cut)
{
        bool any = memory->n_shown > 0, cut = false;

        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++) {
                int r = mend_short(memory, slot, &cut);

                if (r > 0)
                        tell_failed(memory, slot);
                any = any && r >= 0;
        }
        *ret_cut = cut;
        return any;
}

/* ---- files that may end ---- */

void front_memory_follow(struct shown *shown)
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
        front_memory_follow(shown);
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
                front_memory_follow(shown);
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

void front_memory_on_look(uv_timer_t *timer)
{
        struct front_memory *memory = timer->data;
        bool cut = false;

        for (uint32_t slot = 0; slot < LIMIT_KVM_SLOTS; slot++)
                (void)mend_short(memory, slot, &cut); /* nobody has touched it yet */
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
                front_memory_follow(shown);
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
