/* Rights that a process takes from itself, alike for worker and broker. Raw system calls, async-signal-safe;
 * each returns 0 or negative errno and verifies what it did.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "sandbox/policy.h"

/* Real, effective and saved ids; then tries to get uid 0 back and fails when that succeeds. */
int rights_set_gid(gid_t gid);
int rights_set_uid(uid_t uid);

/* Empty supplementary group list. */
int rights_drop_groups(void);

/* In a mount namespace of our own: one mount, a tmpfs that is empty, read-only and of mode 0, becomes the root; all
 * others are let go. Needs CAP_SYS_ADMIN over the namespace, and a directory /proc. */
int rights_empty_root(void);

/* Root gives no capabilities, ids change none, none can be kept or made ambient; all of it locked. */
int rights_lock_securebits(void);

/* What an execution is to leave of these capabilities, bits of their numbers: they become inheritable and ambient. To be called
 * before rights_lock_securebits, which bars it. */
int rights_make_ambient(uint64_t kept);

/* Empties bounding, ambient, inheritable, permitted and effective sets but for `kept`: 0, or what has been made ambient. Needs
 * CAP_SETPCAP for the first. */
int rights_drop_capabilities(uint64_t kept);

int rights_no_new_privs(void);
int rights_not_dumpable(void);

/* Memory-deny-write-execute. 1: this kernel has none. */
int rights_refuse_exec_gain(void);

/* Force-disables one kind of speculation (PR_SPEC_...) for good. 1: not controllable here. */
int rights_no_speculation(unsigned long kind);

/* Soft and hard limit, never above the present hard limit: that needs rights we do not have. */
int rights_limit(int resource, uint64_t value);

int rights_load_filter(const struct policy_program *program);
