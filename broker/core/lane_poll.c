/* Looking for more before a lane's thread sleeps.
 * Owns nothing; called by lane_thread.c, and by lane.c to learn whether to ask for kicks. TRUST: an index in guest
 * memory, which is compared and used for nothing else: queue_pop judges it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_poll.h"

#include "broker/core/lane.h"
#include "broker/core/lane_age.h"

enum poll_end {
        POLL_NOTHING, /* was found in time, or nothing more is to be looked for */
        POLL_FOUND,
        POLL_CALLED,
};

void lane_set_poll(struct lane *lane, uint32_t poll_us)
{
        lane->poll = (struct lane_poll){.us = poll_us};
}

/* Of a lane that is placed: by the place. */
static uint32_t poll_us(const struct lane *lane)
{
        return lane->poll.us > 0 ? lane->poll.us : lane_place_poll_us(lane);
}

static bool poll_comes(const struct lane *lane)
{
        return poll_us(lane) > 0 ? spin_wanted(&lane->poll.spin) : lane_place_takes_turns(lane);
}

bool lane_poll_defers(struct lane *lane)
{
        if (lane->poll.resting || !poll_comes(lane))
                return false;
        lane->poll.deferred = true;
        return true;
}

/* Where something else brings the next event (a timer, the pipe's writability, the device) there is nothing to look
 * for; nor where nothing may be taken off any ring. */
static bool poll_may(const struct lane *lane)
{
        if (poll_us(lane) == 0 || !lane_is_attached(lane) || lane->faulted || lane->wait_ms > 0 ||
            lane->again || lane_wants_write(lane))
                return false;
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane_takes_from(lane, &lane->queues[i]))
                        return true;
        return false;
}

static bool poll_sees_chain(const struct lane *lane)
{
        if (lane->used_requests >= lane->credit_requests || lane->n_unsent > 0)
                return false; /* out of credit: the next event comes from the worker */
        for (unsigned i = 0; i < lane->n_queues; i++) {
                const struct lane_queue *queue = &lane->queues[i];

                if (lane_takes_from(lane, queue) && !fair_left(&lane->fair, i) &&
                    queue_has_chain(&queue->ring))
                        return true;
        }
        return false;
}

/* True: a chain has been taken. One that was seen and could not be is no find, else we would go round for ever. */
static bool poll_rings(struct lane *lane)
{
        uint64_t before = atomic_load_explicit(&lane->stats.requests, memory_order_relaxed);

        if (!poll_sees_chain(lane))
                return false;
        lane_turn(lane);
        lane_place_note(lane);
        return atomic_load_explicit(&lane->stats.requests, memory_order_relaxed) != before;
}

static inline void poll_pause(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

/* The clock is read last, so a lane that was taken off its CPU has looked at least once. */
static enum poll_end poll_spin(struct lane *lane, const atomic_bool *called)
{
        const uint64_t end = lane_clock_ns() + UINT64_C(1000) * poll_us(lane);

        do {
                if (atomic_load_explicit(called, memory_order_relaxed))
                        return POLL_CALLED;
                if (poll_rings(lane) || (lane->used_requests > 0 && lane_look(lane)))
                        return POLL_FOUND;
                poll_pause();
        } while (poll_may(lane) && lane_clock_ns() < end);
        return POLL_NOTHING;
}

/* Asks for kicks what has been put off, and takes what has come meanwhile. */
static void poll_rest(struct lane *lane)
{
        if (!lane->poll.deferred)
                return;
        lane->poll.deferred = false;
        lane->poll.resting = true;
        lane_turn(lane);
        lane_place_note(lane);
        lane->poll.resting = false;
}

bool lane_polls(const struct lane *lane)
{
        return lane->poll.deferred || poll_us(lane) > 0;
}

/* The worker has the CPU as soon as it is sent something, and has answered by now, if it answers at once. */
static void poll_turns(struct lane *lane)
{
        for (unsigned served = 0; served < LIMIT_POLL_SERVED && lane->used_requests > 0; served++)
                if (!lane_look(lane))
                        return;
}

bool lane_poll(struct lane *lane, const atomic_bool *called)
{
        struct spin *spin = &lane->poll.spin;

        if (poll_us(lane) == 0) {
                poll_turns(lane);
                poll_rest(lane);
                return false;
        }
        if (!spin_wanted(spin)) {
                spin_skip(spin);
                poll_rest(lane); /* of one that has just been placed */
                return false;
        }
        for (unsigned served = 0; poll_may(lane); served++) {
                enum poll_end end;

                if (served == LIMIT_POLL_SERVED)
                        return true;
                end = poll_spin(lane, called);
                if (end == POLL_CALLED)
                        return true;
                spin_end(spin, end == POLL_FOUND);
                if (end == POLL_NOTHING)
                        break;
        }
        poll_rest(lane);
        return false;
}
