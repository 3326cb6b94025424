/* What this host's KVM is and can do: asked once, before there is a VM, so that everything that is missing is one
 * sentence with a remedy.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/kvm/layout.h"

#define KVM_HOST_DEVICE                                                                                      \
        "/dev/kvm" /* the path is part of the kernel's interface: no configuration names another */

struct kvm_host {
        int fd;                  /* /dev/kvm, borrowed from who opened it; of no use after that closes it */
        unsigned width;          /* bits of guest-physical address; KVM_WIDTH_IMPLICIT when not known */
        bool width_known;        /* false: the kernel does not say (arm64: VMs are of type 0 there) */
        unsigned max_vcpus;      /* of one VM */
        unsigned max_memslots;   /* of one VM */
        unsigned vcpu_mmap_size; /* bytes of a vCPU's kvm_run and of what lies behind it */
        bool software;           /* no processor feature behind it: no ordinary Linux runs as its guest */
        bool memory_fault;       /* KVM_RUN's EFAULT says where (KVM_CAP_MEMORY_FAULT_INFO) */
        char kind[32];           /* "kvm_amd", "kvm_intel", "kvm_pvm: software", "arm64", "unknown" */
        uint64_t memory;         /* bytes of RAM and swap of the host; 0: not known */
        uint64_t commit;         /* bytes that strict overcommit still promises; 0: it promises everything */
        uint64_t space, file;    /* our own limits of address space and file size; 0: none */
};

/* Opens /dev/kvm, O_RDWR and O_CLOEXEC. The descriptor is the caller's. Negative errno: `why` is one clause with the
 * remedy (there is none; no permission: for whom it is; busy). */
int kvm_host_open(char *why, size_t why_size);

/* Asks everything of the struct. 0, or -EOPNOTSUPP (another API version, or something needed is missing: `why`
 * names it, what it is for and the remedy), or what the ioctl said. *ret_host is untouched on failure. */
int kvm_host_probe(int fd, struct kvm_host *ret_host, char *why, size_t why_size);

/* May a VM of this layout be made here, apart from its width: vCPUs, memory slots, memory (the host's, what it still
 * promises, our own limits)? 0, or -E2BIG with one clause in `why`: the number asked for, the host's, and what to change. */
int kvm_host_judge(const struct kvm_host *host, const struct kvm_layout *layout, char *why, size_t why_size);
