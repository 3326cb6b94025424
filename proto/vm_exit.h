/* How a VM's programs end: the exit codes of bulkhead-broker, so of `bulkhead run`. 2 is a wrong command line,
 * 128 + n a process that signal n has ended.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

enum vm_exit {
        VM_EXIT_OK = 0,      /* the guest has switched itself off, or the operator has ended the VM */
        VM_EXIT_FAILED = 1,  /* it could not start or go on: a line says why, and what to do */
        VM_EXIT_RESET = 3,   /* the guest asks to be started again, which is for whoever started us */
        VM_EXIT_CRASHED = 4, /* the guest cannot go on: triple fault, an error of KVM's */
};

/* Did the guest choose that end? Then nothing of ours is at fault. */
static inline bool vm_exit_is_guests(int code)
{
        return code == VM_EXIT_OK || code == VM_EXIT_RESET || code == VM_EXIT_CRASHED;
}

/* Has the broker of a VM chosen to end so? Then it has said why, in a line of its own. */
static inline bool vm_exit_is_told(int code)
{
        return vm_exit_is_guests(code) || code == VM_EXIT_FAILED;
}
