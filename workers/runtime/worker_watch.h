/* What a device waits for beside its lanes: descriptors of its own, and one time.
 *
 * One table for the process, as there is one device. A watch may be added, changed and removed at any time, also from
 * inside a call of its own and of another watch: one that is gone is not called any more.
 *
 * Neither needs a system call that every worker has not: descriptors are waited for by the loop's ppoll. But a device that
 * sets a time needs a row for clock_gettime in its run policy (it is a real call where the host has no clock that a process
 * can read), and what is done with a descriptor needs its own.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"

/* `events`: what has come, as poll(2) says it. POLLERR and POLLHUP come unasked: a device that does not want to hear of
 * them for ever removes the watch. */
typedef void (*worker_ready)(void *state, int fd, short events);

/* Calls `ready` with the state of device_ops when one of `events` (0: none yet) is there. One watch a descriptor; more than
 * LIMIT_WORKER_WATCHES, or one that is there already, is the device's own bug and traps: count first. */
void worker_watch_add(int fd, short events, worker_ready ready);

/* Waits for these from now on. Traps: there is no such watch. */
void worker_watch_set(int fd, short events);

/* To be called before the descriptor is closed. Nothing happens if there is no such watch. */
void worker_watch_remove(int fd);

/* Calls `due` once, in so many milliseconds or a little later; what was set before is forgotten. */
void worker_timer_set(uint32_t ms, void (*due)(void *state));
void worker_timer_stop(void);

/* Calls `tick` again and again, as long as it is set: when nothing has come for so many milliseconds, and where something does every
 * WORKER_TICK_TURNS turns. For what nobody tells of. It takes no clock, which might be a system call. */
#define WORKER_TICK_TURNS 64u
void worker_tick_set(uint32_t ms, void (*tick)(void *state));
void worker_tick_stop(void);

/* ---- for worker.c ---- */

/* Puts what is waited for into fds, LIMIT_WORKER_WATCHES at most, and says how many. */
unsigned worker_watch_fill(struct pollfd *fds);

/* Calls who has something to do: by these, which worker_watch_fill has filled in and poll has answered. */
void worker_watch_serve(void *state, const struct pollfd *fds, unsigned n);

/* Milliseconds until the time is due; -1: none is set. */
int worker_timer_left(void);

/* Calls it if it is due. */
void worker_timer_serve(void *state);

/* Milliseconds of the tick; -1: none is set. */
int worker_tick_ms(void);

/* After each turn. `idle`: it has slept so long, and nothing has come. */
void worker_tick_serve(void *state, bool idle);
