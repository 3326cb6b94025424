/* A VM of the real /dev/kvm for a test: host, layout and VM, and whether there is one to be had at all.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/vm.h"

#define REAL_VM_MEMORY (16ull << 20)

struct real_vm {
        int kvm_fd;
        struct kvm_host host;
        struct kvm_layout layout;
        unsigned bits;
        struct kvm_vm *vm;
};

/* Is there a KVM here that makes VMs? Else says why not; the caller then ends with *ret_status (77, or 1 with MUST_RUN). */
bool real_vm_possible(int *ret_status);

/* REAL_VM_MEMORY of RAM, one device, shared memory regions of 64 MiB. Fails the test if it cannot. */
void real_vm_init(struct real_vm *real);
void real_vm_done(struct real_vm *real);

#if defined(__x86_64__)
/* A processor of that VM: 16-bit code without paging, at CODE_AT of RAM. */
#define CODE_AT 0x1000u

struct kvm_run;

struct real_vcpu {
        int fd;
        struct kvm_run *run;
        size_t run_size;
};

void real_vcpu_init(struct real_vcpu *vcpu, const struct real_vm *real);
void real_vcpu_done(struct real_vcpu *vcpu);

/* Code that accesses the byte or double word at guest address `at`, leaves by the port DONE_PORT and begins again. */
#define DONE_PORT 0x10u
enum real_code {
        CODE_READ8,   /* the byte leaves by the port */
        CODE_WRITE8,  /* of AL */
        CODE_WRITE32, /* of EAX */
};
void real_vcpu_load(struct real_vcpu *vcpu, const struct real_vm *real, enum real_code code, uint32_t at,
                    uint32_t eax);

/* KVM_RUN to its next exit: its reason, or negative errno. */
int real_vcpu_run(struct real_vcpu *vcpu);
#endif
