/* All that audit knows of one VM: what its broker says, and what was measured.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/ctl/admin_client.h"
#include "broker/ctl/proc_facts.h"

#define WORKER_FILTERS 2u /* of seccomp: one before exec, one before the first guest byte */

struct audit_vm {
        char name[LIMIT_NAME];
        int error; /* 0, or why the broker was not asked */
        char why[256];
        struct admin_status status;
        pid_t peer_pid;
        uint64_t guest_bytes; /* that the broker has mapped */
        uint32_t n_vcpus;     /* that it runs itself; 0: VMMs attach */
        struct proc_facts broker, spawner,
            workers[LIMIT_DEVICES],    /* workers in the order of status.devices */
            companions[LIMIT_DEVICES]; /* likewise; pid 0: none now */
        pid_t loader; /* of the kernel, at work now; 0: none. Known by its program and its parent */
        struct proc_facts loader_facts;
        struct admin_device
            loader_device; /* what it would be if the broker had named it; ours, but for its name and type */
        int strangers_error;
        size_t n_strangers; /* processes below the spawner that the broker has not named */
        pid_t stranger;     /* one of them */
};

/* Measures every process of `answer`. 0; -ESRCH: a process ended meanwhile, ask the broker again; -ENOMEM. */
int audit_measure(const struct admin_answer *answer, struct audit_vm *vm);
