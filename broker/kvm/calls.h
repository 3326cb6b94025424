/* Calls of vCPU threads that must be made on the broker's main thread.
 *
 * How it works: the caller puts its call on a list, wakes the main loop and waits. The main thread makes the
 * calls in their order and never waits for a vCPU here, so a vCPU waits only for what is before it on the list and
 * for what the main thread is doing: bounded work, never a worker. In one turn of the loop no vCPU has a second call made.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct kvm_calls;

/* On the main thread, whose loop it is. 0, or negative errno. */
int kvm_calls_new(uv_loop_t *loop, struct kvm_calls **ret_calls);

/* On any other thread: has `function` called on the main thread and waits until it has returned. False: they are
 * closed, and it was not and will not be called. */
bool kvm_calls_make(struct kvm_calls *calls, void (*function)(void *argument), void *argument);

/* On the main thread: nothing more is called; who waits now, or comes later, gets false. */
void kvm_calls_close(struct kvm_calls *calls);

/* On the main thread, when no other thread can come any more; closes. The memory goes with the loop's next turn.
 * Accepts NULL, returns it. */
struct kvm_calls *kvm_calls_free(struct kvm_calls *calls);
