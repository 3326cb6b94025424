/* The machine around the vCPUs, one implementation an architecture (x86/, arm64/): interrupt controllers and timers in
 * the kernel, a serial port, the ways to switch off, and the state in which a vCPU starts. Numbers that the kernel loader
 * must know too stand in proto/kvm_platform.h.
 *
 * Order: kvm_platform_new; KVM_CREATE_VCPU and kvm_platform_vcpu_init for each, in order; kvm_platform_vcpus_made; (the
 * broker's filter is loaded; the loader fills RAM;) kvm_platform_start; the vCPUs run. kvm_vcpus_new and
 * kvm_vcpus_start (vcpu.h) do all but the first.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/kvm/bus.h"
#include "broker/kvm/ending.h"
#include "proto/kvm_platform.h"

struct kvm_platform;

struct kvm_platform_options {
        int kvm_fd;                  /* /dev/kvm; only kvm_platform_new and the vcpu_inits use it */
        int vm_fd;                   /* stays the caller's and open */
        unsigned n_vcpus;            /* judged against the host already */
        struct guest_memory *memory; /* the platform takes a reference */
        struct kvm_bus *bus;         /* gains the platform's devices; outlives it */
        struct kvm_ending *ending;   /* outlives it */
        int serial_out, serial_in;   /* stay the caller's and open; -1: none. See serial.h */
};

/* Where vCPU 0 begins: what a loader has said, judged (entry and arg lie in RAM). */
struct kvm_boot {
        enum kvm_boot_mode mode;
        uint64_t entry, arg;
};

/* On failure a negative errno and one clause in `why`. */
int kvm_platform_new(const struct kvm_platform_options *options, struct kvm_platform **ret_platform,
                     char *why, size_t size);
struct kvm_platform *
kvm_platform_free(struct kvm_platform *platform); /* returns NULL; accepts NULL; no vCPU runs */

int kvm_platform_vcpu_init(struct kvm_platform *platform, unsigned index, int vcpu_fd, char *why,
                           size_t size);
int kvm_platform_vcpus_made(struct kvm_platform *platform, char *why, size_t size);

/* Puts vCPU 0 where the kernel begins and starts the serial port's thread. -EINVAL: a mode of another architecture;
 * -EFAULT: no RAM where the platform's own tables belong. */
int kvm_platform_start(struct kvm_platform *platform, int vcpu_fd, const struct kvm_boot *boot, char *why,
                       size_t size);

/* "rip=0x... rsp=0x... ...": for the report of a crash, by the vCPU's own thread. */
void kvm_platform_registers(int vcpu_fd, char *text, size_t size);

/* Where a vCPU stands: two that are equal are of a guest that has not moved. The vCPU's own thread, outside of KVM_RUN, as the
 * next. False: it waits for an interrupt, or KVM never lets it wait for memory without a word. */
struct kvm_stand {
        uint64_t words[18];
};
bool kvm_platform_stand(int vcpu_fd, struct kvm_stand *ret_stand);

/* Tells `each` the guest-physical addresses in [start, start + len) that the instruction at which a vCPU stands may touch, until it
 * says true: then true is returned. More than it does touch; and not those whose address is in a vector register, what lies more
 * than 64 bytes behind an operand's beginning, and page tables. */
bool kvm_platform_reach(int vcpu_fd, const struct guest_memory *memory, uint64_t start, uint64_t len,
                        bool (*each)(void *context, uint64_t gpa), void *context);

/* The version of the interrupt controller, for the device tree: 2 or 3; 0 on x86. */
unsigned kvm_platform_gic(const struct kvm_platform *platform);

struct kvm_platform_stats {
        uint64_t serial_written, serial_dropped, serial_read; /* bytes */
};
void kvm_platform_stats(const struct kvm_platform *platform, struct kvm_platform_stats *ret_stats);
