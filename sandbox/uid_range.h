/* One host uid (and the gid of the same number) per process, out of a configured range, claimed under flock.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct uid_claim {
        uid_t uid;
        int lock_fd; /* holds the claim; -1: none */
};

#define UID_CLAIM_NONE ((struct uid_claim){.uid = (uid_t)-1, .lock_fd = -1})

/* Claims the first `n` free uids of [first, first + count). `run_dir_fd` is the directory RUNDIR; RUNDIR/uids
 * is made when missing. Free means: nobody holds the lock of RUNDIR/uids/<uid>.lock, and no process on this
 * host has that uid (a worker may outlive its spawner). -EUSERS: fewer than `n` are free. On failure none is
 * held and ret_claims is untouched. A claim ends with uid_claim_done or with the last process that inherited
 * its descriptor. */
int uid_claim(int run_dir_fd, uint32_t first, uint32_t count, size_t n, struct uid_claim *ret_claims);

/* Gives the uid back and removes its lock file. Every process with that uid has been reaped. Accepts an empty
 * one. */
void uid_claim_done(int run_dir_fd, struct uid_claim *claim);

/* Lets go of the descriptor only: for a forked child that is not the owner. */
void uid_claim_forget(struct uid_claim *claim);
