/* Fibers: the threads of the simulated process. One runs at a time; it goes on until it yields to whoever
 * resumed it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct fiber;

struct fiber *fiber_new(void (*run)(void *argument), void *argument);
struct fiber *fiber_free(struct fiber *fiber); /* must have ended */

void fiber_resume(struct fiber *fiber);
void fiber_yield(void);

struct fiber *fiber_current(void); /* NULL: none runs, this is the schedule */
bool fiber_ended(const struct fiber *fiber);
