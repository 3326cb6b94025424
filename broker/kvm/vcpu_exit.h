/* One vCPU: its run area, and what happens when KVM_RUN returns.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/kvm.h>
#include <stdatomic.h>

#include "broker/kvm/vcpu.h"

struct kvm_vcpu {
        unsigned index;
        int fd;              /* -1: not made */
        struct kvm_run *run; /* shared with the kernel; NULL: not mapped */
        size_t run_len;
        const struct kvm_vcpus_options *options;
        unsigned faults;             /* in a row */
        atomic_uint_fast64_t looked; /* exits at the last look, and what that has caused */
        atomic_bool look;            /* asked for, not done */
        struct kvm_stand stand;      /* at the last look */
        unsigned still;              /* looks in a row at which it stood there */
        atomic_uint_fast64_t exits, mmio, pio, failed, signals;
};

/* Runs the guest until it needs something, and serves that. The vCPU's own thread. Whatever ends the VM has been
 * reported when this returns. */
void kvm_vcpu_run(struct kvm_vcpu *vcpu);
