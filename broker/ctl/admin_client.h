/* One question to a broker over its admin socket.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "proto/admin.h"

struct admin_answer {
        struct admin_status status;
        pid_t peer_pid; /* who listens, by the kernel's word; 0: not in our pid namespace */
};

/* Has RUNDIR/<vm>/admin.sock set something of one of its devices (control_setting_ok). Takes at most LIMIT_CTL_SET_MS. 0: it has
 * been done; else negative errno with one sentence in `why`. */
int admin_client_set(const char *run_dir, const char *vm, const char *device,
                     const struct control_setting *setting, char *why, size_t why_size);

/* Asks RUNDIR/<vm>/admin.sock for its status. Takes at most `timeout_ms` in all. 0, or negative errno with
 * one sentence in `why`: -ECONNREFUSED and -ENOENT mean that nobody listens; -ETIMEDOUT; -EACCES; -EPROTO. */
int admin_client_status(const char *run_dir, const char *vm, unsigned timeout_ms,
                        struct admin_answer *ret_answer, char *why, size_t why_size);

/* ... for what lies in the shared memory regions of a device. Likewise. */
int admin_client_shmem(const char *run_dir, const char *vm, const char *device, struct admin_shmem *ret_shmem,
                       char *why, size_t why_size);
