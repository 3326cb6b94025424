/* Started by an ordinary user: a user namespace of our own gives the spawner its few rights.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is this process an ordinary user's? */
bool rootless_wanted(void);

/* Moves this process (one thread, dumpable) into a new user namespace in which our uid and gid are
 * themselves, with every capability over that namespace and none over the host. 0, or negative errno with one
 * sentence that names the remedy in `why`. */
int rootless_enter(char *why, size_t why_size);

/* Is this process, an ordinary user's, already in a user namespace over which it has every capability? */
bool rootless_entered(void);

/* After rootless_enter: runs this program again, with its capabilities, so that its memory belongs to the new
 * namespace too. /proc then lets the namespace's owner look at it (`bulkhead audit`), which a process that was
 * executed outside would refuse. Returns only on failure: negative errno. */
int rootless_exec(char *const argv[]);

/* In the program that rootless_exec has run: no later program inherits capabilities any more. 0 or negative errno. */
int rootless_settle(void);

/* Why a user namespace could not be made, in one sentence with the remedy, from the errno of clone or
 * unshare. */
void rootless_explain(int negative_errno, char *why, size_t why_size);

/* Tries in a child whether user namespaces can be made here. 0, or negative errno with `why` filled. */
int rootless_probe(char *why, size_t why_size);

/* A process whose root is not the root of its mount namespace (chroot) is refused user namespaces. As root:
 * makes a private mount namespace whose root is our present root. 1: done, 0: was not needed, or negative
 * errno. */
int rootless_leave_chroot(void);
