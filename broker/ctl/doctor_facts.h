/* What this host has for bulkhead, asked and looked up, not judged.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/kvm/host.h"

#define DOCTOR_TEXT 256u /* bytes of a sentence */

enum doctor_controller {
        DOCTOR_MEMORY = 0,
        DOCTOR_PIDS,
        DOCTOR_CPU,
        DOCTOR_IO,
        DOCTOR_CONTROLLER_COUNT_,
};

/* Tristate of what a kernel can be asked for. Zero: not asked. */
struct doctor_facts {
        char release[66], machine[66]; /* of uname(2) */
        unsigned major, minor;
        uid_t uid;

        int userns; /* 0: a user namespace was made. Negative errno, with ... */
        char userns_why[DOCTOR_TEXT];
        int landlock_abi;                 /* 0: none */
        bool seccomp;                     /* filters that kill the process */
        bool mdwe, keyring;               /* */
        bool mapped_mounts, mapped_tmpfs; /* a folder can be mounted with other owners; of tmpfs, too */
        bool spec_store, spec_branch;     /* a process decides for itself, or there is nothing to decide */
        bool seals, noexec_seal;          /* of memfds */
        int yama;                         /* ptrace_scope; -1: no Yama */

        int cgroup;           /* 2, 1; 0: none is mounted */
        uint32_t controllers; /* bit per enum doctor_controller that is there */
        bool cgroup_writable; /* by us, where our groups would be made */

        uint64_t files; /* that a process may have open at once, after it has raised its limit */

        uint64_t wmem_max; /* bytes that a process may have on their way on a socket; 0: not known */

        long huge_free, huge_size_kib; /* reserved huge pages that are free; -1: the kernel has none */

        int kvm; /* 0: `host` is filled (its fd is closed). Negative errno, with ... */
        char kvm_why[DOCTOR_TEXT];
        mode_t kvm_mode;      /* of /dev/kvm, when it is there */
        char kvm_group[64];   /* its group's name or number */
        bool kvm_opened;      /* it was the probe that failed */
        bool cpu_virtualizes; /* the processor says vmx or svm (x86) */
        struct kvm_host host;
};

/* Asks this host. Files are looked up below `root` ("" in production), calls are made as they are. Never fails:
 * what cannot be found out is as if it were not there. Forks a child, so call it with one thread. */
void doctor_facts_measure(const char *root, struct doctor_facts *ret_facts);

/* The pure parts, for tests: mountinfo, our line of /proc/self/cgroup, /proc/cpuinfo. */
void doctor_facts_cgroups(const char *root, const char *mountinfo, const char *own,
                          struct doctor_facts *facts);
bool doctor_facts_cpu(const char *cpuinfo);
