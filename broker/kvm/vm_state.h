/* What vm.c and vm_slots.c share of a VM; for them alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "proto/base/limits.h"

struct kvm_slot {
        uint64_t gpa, len; /* len 0: free */
        uint8_t *host;
        uint64_t
            own; /* so many bytes are still its owner's; zeros of ours have taken the place of the rest */
        uint32_t flags; /* KVM's */
};

struct kvm_vm {
        int fd;
        struct guest_memory *memory;
        uint64_t page;    /* the host's */
        uint64_t limit;   /* no slot ends beyond it */
        uint32_t n_ram;   /* the first slots: RAM, which stays */
        uint32_t n_slots; /* that may be used: LIMIT_KVM_SLOTS or the host's */
        struct kvm_slot slots[LIMIT_KVM_SLOTS];
};
