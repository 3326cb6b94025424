/* What a vCPU runs into in a shared memory region: a page whose file is cut short, or whose medium fails. It is found, zeros take its
 * place, and the guest goes on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/calls.h"
#include "broker/kvm/front_memory.h"
#include "broker/kvm/layout.h"

/* All outlive the vCPUs. */
struct front_fault {
        struct front_memory *memory;
        struct kvm_calls *calls;
        const struct guest_memory *ram;
        struct kvm_range range; /* of all regions */
};

/* On a vCPU's thread, each. It may have to wait as long as the medium lets it.
 *
 * KVM_RUN has failed with EFAULT, at `gpa` or (NULL) nobody knows where. False: nothing is shown that could be the reason. */
bool front_fault_serve(const struct front_fault *fault, int vcpu_fd, const uint64_t *gpa);

/* How far a vCPU's search of all pages has come. All zero at first. */
struct front_search {
        uint32_t slot;
        uint64_t offset;
        unsigned tried; /* at this look */
        bool done;
};

/* The guest has not moved for so many looks (1 and more, each time one more; 1 begins anew): KVM waits for a page? Those that it may
 * touch now are tried, more and more rarely. When that has not helped, all are, a slice of them at each look: an instruction may
 * have more operands than can be told from its registers. */
void front_fault_look(const struct front_fault *fault, struct front_search *search, int vcpu_fd,
                      unsigned looks);

/* This page, by its guest address. True: it could not be had, and is zeros now. */
bool front_fault_try(const struct front_fault *fault, uint64_t gpa);

/* KVM has emulated an access to it, and says that it is not there. True: so it was, and may not be any more. */
bool front_fault_missing(const struct front_fault *fault, uint64_t gpa);
