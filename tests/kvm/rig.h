/* A VM for tests of the machine alone: RAM, bus, platform and vCPUs, and the test guest in it. No devices, no loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/vcpu.h"
#include "tests/kvm/elf.h"

#define RIG_RAM    (256u << 20) /* a page is there when it is touched */
#define RIG_WAIT_S 20           /* for anything: far longer than it takes */
#define RIG_OUTPUT 65536u

struct rig {
        int kvm_fd, vm_fd;
        struct guest_memory *memory;
        struct kvm_bus *bus;
        struct kvm_ending ending;
        struct kvm_platform *platform;
        struct kvm_vcpus *vcpus;
        struct elf_entries entries;
        int to_guest[2], from_guest[2]; /* pipes: read end, write end */
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool ended, left;
        unsigned n_paused;
        atomic_uint n_stuck;
        enum kvm_end end;
        char why[512];
        char output[RIG_OUTPUT]; /* what rig_read has taken so far */
        size_t n_output;
        bool (*memory_fault)(void *context, const uint64_t *gpa); /* may be set before rig_boot */
};

/* NULL, or why there can be no VM here: the test skips. */
const char *rig_missing(void);

/* All but the threads, with the guest in RAM. Fails the test when something does. */
void rig_open(struct rig *rig, unsigned n_vcpus);
void rig_boot(struct rig *rig, enum kvm_boot_mode mode, const char *cmdline);
void rig_close(struct rig *rig); /* no descriptor is left */

/* Each waits RIG_WAIT_S, then fails the test. */
void rig_wait_output(struct rig *rig, const char *text); /* until the guest has printed it */
void rig_wait_end(struct rig *rig, enum kvm_end end);
void rig_wait_paused(struct rig *rig, unsigned times); /* in all */
void rig_wait_left(struct rig *rig);
