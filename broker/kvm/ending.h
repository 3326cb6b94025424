/* How a VM ends: the first reason counts, whoever gives it (a vCPU's exit, a power port, the operator).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

enum kvm_end {
        KVM_END_SHUTDOWN, /* the guest has switched itself off, or the operator has */
        KVM_END_RESET,    /* the guest asks to be started again */
        KVM_END_CRASH,    /* it cannot go on: triple fault, an error of KVM, ... */
};

struct kvm_ending {
        atomic_uint reports;
        /* On the thread that gives the first reason, once. `why` is a clause for a log line: printable, ours; it
         * lives as long as the call. Must not wait for a vCPU. */
        void (*ended)(void *context, enum kvm_end end, const char *why);
        void *context;
};

/* Any thread. Later reports are counted, nothing more. */
void kvm_ending_report(struct kvm_ending *ending, enum kvm_end end, const char *why);

/* True from the first report on: a vCPU does not go back to its guest. */
static inline bool kvm_ending_reported(const struct kvm_ending *ending)
{
        return atomic_load_explicit(&ending->reports, memory_order_acquire) > 0;
}
