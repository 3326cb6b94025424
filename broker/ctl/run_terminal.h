/* `bulkhead run` with a terminal as the guest's serial port: one process stays with the terminal, a child of it becomes
 * the broker and has a pipe for its standard input.
 *
 * It is not the broker who holds the terminal, because nobody can be killed and put it back. So the one who does has no
 * part in the VM: whatever becomes of that, the terminal is as it was before.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls `become` in the child, which does not come back unless it fails; it has said why then. Returns the exit code of
 * `run`: the child's, 128 + n when signal n has ended it. */
int run_terminal(int (*become)(void *context), void *context);
