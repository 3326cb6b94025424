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

/* Asks RUNDIR/<vm>/admin.sock for its status. Takes at most `timeout_ms` in all. 0, or negative errno with
 * one sentence in `why`: -ECONNREFUSED and -ENOENT mean that nobody listens; -ETIMEDOUT; -EACCES; -EPROTO. */
int admin_client_status(const char *run_dir, const char *vm, unsigned timeout_ms,
                        struct admin_answer *ret_answer, char *why, size_t why_size);
