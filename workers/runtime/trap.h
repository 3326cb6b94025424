/* The two ends of a worker. Nothing in a worker is torn down or reset: the process goes, and a new one comes.
 * May be used by everything in workers/.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <unistd.h>

/* The broker said what it must not say, or our own code is wrong: die at once, visibly. */
_Noreturn static inline void worker_trap(void)
{
        __builtin_trap();
}

/* The broker has closed a channel or said Shutdown: there is nobody left to work for. */
_Noreturn static inline void worker_gone(void)
{
        _exit(0);
}
