/* What the simulation uses of its stand-in for libuv beyond uv.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

/* One iteration; false: there was nothing to do. */
bool sim_loop_turn(uv_loop_t *loop);

/* Something that is no handle woke it: its clock is looked at, as after a poll. */
void sim_loop_wake(uv_loop_t *loop);

/* The calling thread sleeps until there may be something to do on this loop. */
void sim_loop_sleep(uv_loop_t *loop);
