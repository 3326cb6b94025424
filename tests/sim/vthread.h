/* The threads of the simulated broker: fibers that the schedule resumes one at a time, in an order that the
 * seed chooses.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vthread;

/* A new run. A switch once in `preempt` times at a system call or a lock, once in `race` times at an access to
 * guest memory; 0: never. */
void vthread_start(uint32_t preempt, uint32_t race);

struct vthread *vthread_new(void (*run)(void *argument), void *argument);

/* ---- for the schedule ---- */

/* Resumes one that can run; false: all of them wait. */
bool vthread_run_one(void);
/* A descriptor may have become ready: whoever waits looks again. */
void vthread_stir(void);
/* When the first of them would wake by itself; UINT64_MAX: never. */
uint64_t vthread_next_wake_ms(void);
unsigned vthread_count(void);
/* Frees one that has ended. */
void vthread_forget(struct vthread *thread);

/* ---- inside a thread ---- */

/* Perhaps another one's turn. Nothing outside a thread. */
void vthread_pause(void);
void vthread_race(void);
/* Until stirred or until then. */
void vthread_sleep(uint64_t until_ms);
/* Until somebody wakes those that wait for `what`. */
void vthread_wait(const void *what);
void vthread_wake(const void *what);
void vthread_join(struct vthread *thread);
