/* How long the calling thread runs before another's turn.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* Short turns (LIMIT_SLICE_NS), or the kernel's own again. Who has short turns runs at once when it is woken beside others
 * of longer ones, and gets no more of the CPU than before. A thread of another policy than SCHED_OTHER is left as it is: that was
 * an operator's choice, and there the number means something else; so is its niceness. No right is needed. A kernel
 * before 6.12 knows one length for all, and what a kernel refuses is left as it was. */
void time_slice_set(bool brief);
