/* A lane's thread: its own loop, which watches the worker's pipes and the kicks of its queues.
 *
 * The main thread changes a lane only through lane_thread_call, which runs a function in the lane's thread
 * and waits for it. A lane never waits for the main thread, and its work between two events is bounded, so
 * the wait is short and cannot deadlock. Two things can hold a lane. An eventfd of its front end, which shares
 * the open file with us and may clear O_NONBLOCK behind our back: the lane's thread is interrupted
 * (SIGURG, every LIMIT_LANE_CALL_MS, until it answers), and the ring whose descriptor it was is broken. And its
 * worker, which takes a page fault with a pipe's lock held: it is killed after LIMIT_LANE_HELD_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/lane.h"

struct lane_thread;

/* Starts a thread with a lane in it, for the queues first, first + step, ... of the device that said Hello. 0
 * or negative errno. */
int lane_thread_new(const struct lane_events *events, const struct control_hello *hello, unsigned first,
                    unsigned step, struct lane_thread **ret_thread);

/* Ends the thread, then frees the lane. Accepts NULL, returns NULL. */
struct lane_thread *lane_thread_free(struct lane_thread *thread);

/* Runs `call` in the lane's thread and waits. Main thread only. */
void lane_thread_call(struct lane_thread *thread, void (*call)(struct lane *lane, void *argument),
                      void *argument);

/* Something has been said to its worker on control: returns at once. Main thread only. */
void lane_thread_told(struct lane_thread *thread);

/* Counters, readable at any time. */
const struct lane_stats *lane_thread_stats(const struct lane_thread *thread);
