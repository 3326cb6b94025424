/* What a VM's guest finds in its shared memory regions where nothing is mapped, or nothing can be had.
 * Owns nothing beyond the state of front_memory.c. Called by vCPU threads through the bus. TRUST: a guest chooses where in a hole it
 * reads and writes, and gets nothing for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fault_safe.h"
#include "broker/kvm/front_memory_state.h"
#include "proto/base/checked.h"

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
        front_memory_follow(shown);
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
void front_memory_on_hole(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
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
