/* What vm.c and vm_slots.c share of a VM; for them alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "proto/base/limits.h"

struct kvm_slot {
        uint64_t gpa, len; /* len 0: free */
        uint8_t *host;
        uint64_t
            own;   /* so many bytes are still its owner's; zeros of ours have taken the place of the rest */
        int zeros; /* their file, where there are any */
        bool touched;   /* of zeros before these */
        bool may_end;   /* KVM_SLOT_MAY_END */
        unsigned gaps;  /* pages in the middle that are zeros */
        uint32_t flags; /* KVM's */
};

/* Lets go of what is a slot's own. */
void kvm_slot_done(struct kvm_slot *slot);

struct kvm_vm {
        int fd;
        struct guest_memory *memory;
        uint64_t page;    /* the host's */
        uint64_t limit;   /* no slot ends beyond it */
        uint32_t n_ram;   /* the first slots: RAM, which stays */
        uint32_t n_slots; /* that may be used: LIMIT_KVM_SLOTS or the host's */
        struct kvm_slot slots[LIMIT_KVM_SLOTS];
};
