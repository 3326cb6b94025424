/* The vCPUs of a VM: a thread each, which is in its guest or serves its guest's last exit.
 *
 *   RUN    in KVM_RUN, or in a handler of the bus
 *   PAUSE  waits until it is resumed; its guest stands between two instructions, or in the middle of an access
 *   LEAVE  the thread has ended or is about to
 *
 * kvm_vcpus_pause and _stop only ask: a vCPU in its guest leaves it at once (immediate_exit and SIGURG), one in a handler
 * when that returns. The caller never waits here, so that it can serve the handlers that wait for it. A reported end
 * (ending.h) pauses every vCPU for good.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/kvm/bus.h"
#include "broker/kvm/ending.h"
#include "broker/kvm/platform.h"

struct kvm_vcpus;

struct kvm_vcpus_options {
        int kvm_fd;                    /* /dev/kvm; only kvm_vcpus_new uses it */
        int vm_fd;                     /* stays the caller's */
        unsigned n;                    /* at least 1; as the platform's */
        struct kvm_platform *platform; /* this and the next two outlive the vCPUs */
        struct kvm_bus *bus;
        struct kvm_ending *ending;
        void *context;
        /* KVM_RUN has failed with EFAULT: memory of a slot is not there. The vCPU's thread. `gpa` is NULL where the
         * kernel does not say (before Linux 6.8). True: put right, the access is made again; false: the VM ends.
         * LIMIT_VCPU_FAULTS in a row end it too. */
        bool (*memory_fault)(void *context, int vcpu_fd, const uint64_t *gpa);
        /* Vcpu `index` stands where it stood `looks` looks before (kvm_vcpus_look), 1 and more: it may be at a page that never
         * comes. Its thread. */
        void (*stuck)(void *context, unsigned index, int vcpu_fd, unsigned looks);
        /* The last vCPU that was asked to pause waits now; also after a reported end. Any thread; may come twice. */
        void (*paused)(void *context);
        /* The last thread has been asked to leave and is about to: kvm_vcpus_free will not wait. Its thread,
         * once; where there is none, from inside kvm_vcpus_stop. */
        void (*left)(void *context);
};

/* Makes the vCPUs, in the process that will run them and before its filter is loaded. No thread yet. On failure a negative
 * errno and one clause in `why`. */
int kvm_vcpus_new(const struct kvm_vcpus_options *options, struct kvm_vcpus **ret_vcpus, char *why,
                  size_t size);

/* kvm_platform_start, then a thread each. May fail half-way: then free ends those that run. Once. */
int kvm_vcpus_start(struct kvm_vcpus *vcpus, const struct kvm_boot *boot, char *why, size_t size);

void kvm_vcpus_pause(struct kvm_vcpus *vcpus);  /* nothing happens when they pause already or leave */
void kvm_vcpus_resume(struct kvm_vcpus *vcpus); /* likewise; nothing after a reported end */
void kvm_vcpus_stop(struct kvm_vcpus *vcpus);

/* Looks whether guests still move: who has not left its own since the last time does now, for a moment. */
void kvm_vcpus_look(struct kvm_vcpus *vcpus);

/* Stops and joins: waits unless `left` has come or they were never started. Accepts NULL, returns NULL. */
struct kvm_vcpus *kvm_vcpus_free(struct kvm_vcpus *vcpus);

/* Sums over all vCPUs, any thread. */
struct kvm_vcpus_stats {
        uint64_t exits;   /* returns of KVM_RUN */
        uint64_t mmio;    /* ... for an access to the bus, by address */
        uint64_t pio;     /* ... by port */
        uint64_t faults;  /* ... with EFAULT */
        uint64_t signals; /* ... because of a signal */
};
void kvm_vcpus_stats(const struct kvm_vcpus *vcpus, struct kvm_vcpus_stats *ret_stats);
