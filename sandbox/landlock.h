/* A Landlock domain that denies everything, by raw system calls: used by the jail between fork and exec, and
 * by the worker's own lock-down.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define LANDLOCK_ABI_NET   4 /* TCP bind and connect */
#define LANDLOCK_ABI_SCOPE 6 /* abstract Unix sockets and signals to processes outside */

/* The kernel's ABI; 0 when it has no Landlock or has it switched off. */
int landlock_abi(void);

/* Enters a domain that denies every access which this ABI and this program know. exec_fd: the one file that
 * may be executed, or -1. folder_fd: the directory below which files may be made, changed and removed (but not executed, and
 * no device nodes), or -1. Needs no_new_privs and one free descriptor. Returns the ABI, 0 when there is no
 * Landlock, or negative errno. Async-signal-safe. */
int landlock_deny_all(int exec_fd, int folder_fd);

/* Enters a domain that denies abstract Unix sockets of, and signals to, processes outside of it, and nothing else: unlike one that
 * knows of files, it leaves mounting alone. Otherwise as above; nothing is done below LANDLOCK_ABI_SCOPE. */
int landlock_deny_scope(void);
