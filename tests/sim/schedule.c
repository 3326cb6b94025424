/* The schedule: who acts next.
 * Owns the run; called by sim_main.c. TRUST: none.
 *
 * How it works: in each step the seed chooses one of the threads of the broker, the guests, the workers, the
 * spawner and the front ends, and lets it do one thing. When nobody has anything to do, time jumps to when
 * somebody will. A run is some rounds of that; after each, nothing hurts any more, nothing new is posted, and
 * everything must come to rest: then all requests have been answered or explained.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/schedule.h"

#include <stdio.h>
#include <uv.h>

#include "proto/base/checked.h"
#include "tests/core/model_guest.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/driver.h"
#include "tests/sim/front.h"
#include "tests/sim/spawner.h"
#include "tests/sim/stage.h"
#include "tests/sim/trace.h"
#include "tests/sim/uv_loop.h"
#include "tests/sim/vthread.h"
#include "tests/sim/worker.h"
#include "tests/sim/wrap_calls.h"
#include "tests/sim/wrap_heap.h"

#define ANSWER_BYTES (1u << 18)         /* the longest writable part */
#define REST_MS      UINT64_C(400000)   /* to come to rest: some control deadlines and back-offs */
#define REST_STEPS   UINT64_C(20000000) /* ... without spinning */

static struct sim_device *deed_of; /* the front end whose turn on the main thread is due */
static bool ending, ended;
static uint64_t steps;

/* ---- the broker's main thread ---- */

static void main_thread(void *argument)
{
        uv_loop_t loop;

        (void)argument;
        sim_check(uv_loop_init(&loop) == 0, "no loop");
        front_start(&loop);
        while (!ending) {
                if (deed_of) {
                        sim_loop_wake(&loop);
                        front_step(deed_of);
                        deed_of = NULL;
                } else if (!sim_loop_turn(&loop)) {
                        sim_loop_sleep(&loop);
                }
        }
        front_end();
        uv_run(&loop, UV_RUN_DEFAULT);
        sim_check(front_ended(), "a device was not freed");
        sim_check(uv_loop_close(&loop) == 0, "handles were left on the main loop");
        ended = true;
}

/* ---- a step ---- */

enum actor {
        ACTOR_BROKER = 0,
        ACTOR_GUEST,
        ACTOR_WORKER,
        ACTOR_SPAWNER,
        ACTOR_FRONT,
        ACTORS,
};

static bool act_front(struct sim_device *dev)
{
        if (deed_of || ending || !front_wants(dev))
                return false;
        deed_of = dev;
        vthread_stir();
        return true;
}

static bool act_on(enum actor actor, struct sim_device *dev)
{
        switch (actor) {
        case ACTOR_BROKER:
                return vthread_run_one();
        case ACTOR_GUEST:
                if (!driver_step(dev))
                        return false;
                vthread_stir();
                return true;
        case ACTOR_WORKER:
                return worker_step(dev);
        case ACTOR_SPAWNER:
                return spawner_step();
        case ACTOR_FRONT:
                return act_front(dev);
        case ACTORS:
                break;
        }
        return false;
}

static bool act(enum actor actor)
{
        unsigned first = chance_below(n_sim_devices);

        for (unsigned i = 0; i < n_sim_devices; i++)
                if (act_on(actor, &sim_devices[(first + i) % n_sim_devices]))
                        return true;
        return false;
}

static uint64_t next_wake_ms(void)
{
        uint64_t next = MIN(vthread_next_wake_ms(), spawner_next_wake_ms());

        for (unsigned i = 0; i < n_sim_devices; i++) {
                next = MIN(next, worker_next_wake_ms(&sim_devices[i]));
                next = MIN(next, front_next_wake_ms(&sim_devices[i]));
        }
        return next;
}

/* Nobody has anything to do before some moment: it is that moment. */
static void jump(bool resting)
{
        uint64_t now = sim_now_ms(), next = next_wake_ms();

        if (resting && next == UINT64_MAX) {
                stage_tell();
                sim_fail("nothing will ever happen again, and requests are outstanding");
        }
        if (next == UINT64_MAX)
                next = now + 10;
        sim_clock_pass(next > now ? next - now : 1);
        vthread_stir();
}

static void step(bool resting)
{
        static const uint32_t weights[ACTORS] = {12, 4, 4, 1, 2};
        unsigned first = chance_weighted(weights, ACTORS);

        trace_set_step(++steps);
        if (chance_one_in(stage_odds()->time_passes)) {
                sim_clock_pass(chance_between(1, 3));
                vthread_stir();
        }
        for (unsigned i = 0; i < ACTORS; i++)
                if (act((first + i) % ACTORS))
                        return;
        jump(resting);
}

/* ---- rest ---- */

static void rest(void)
{
        uint64_t since_ms = sim_now_ms(), since = steps;

        stage_heal();
        while (deed_of || !stage_is_settled()) {
                step(true);
                if (sim_now_ms() - since_ms <= REST_MS && steps - since <= REST_STEPS)
                        continue;
                stage_tell();
                sim_fail("it does not come to rest");
        }
        stage_check();
        stage_hurt();
}

/* ---- life of a run ---- */

static void start(const struct run *run)
{
        char replay[128];

        snprintf(replay, sizeof(replay), "sim --seed %llu --steps %llu --trace",
                 (unsigned long long)run->seed, (unsigned long long)run->steps);
        sim_clock_start();
        trace_start(replay, run->print);
        chance_seed(run->seed);
        stage_set();
        wrap_calls_start(
            &(struct wrap_odds){stage_odds()->short_io, stage_odds()->again, stage_odds()->interrupt});
        vthread_start(stage_odds()->preempt, stage_odds()->race);
        ending = ended = false;
        deed_of = NULL;
        steps = 0;
}

/* Without its spawner the broker goes on as long as its workers do. */
static void lose_spawner(void)
{
        trace_event("the spawner dies", 0, 0, 0);
        spawner_die();
        for (unsigned i = 0; i < n_sim_devices; i++)
                if (chance_one_in(2))
                        worker_kill(&sim_devices[i]);
        for (unsigned i = 0; i < 500; i++)
                step(false);
}

static void finish(struct run_result *ret_result)
{
        *ret_result = (struct run_result){.virtual_ms = sim_now_ms()};
        ending = true;
        vthread_stir();
        for (uint64_t i = 0; !ended; i++) {
                sim_check(i < REST_STEPS, "the broker does not end");
                step(false);
        }
        stage_clear(&ret_result->stage);
        ret_result->hash = trace_hash();
}

void schedule_run(const struct run *run, struct run_result *ret_result)
{
        unsigned fds = count_fds(), rounds;
        int64_t heap = heap_alive();
        struct vthread *broker;

        start(run);
        broker = vthread_new(main_thread, NULL);
        rounds = chance_between(1, 16);
        for (unsigned round = 0; round < rounds; round++) {
                while (steps < run->steps * (round + 1) / rounds)
                        step(false);
                rest();
        }
        if (chance_one_in(4))
                lose_spawner();
        finish(ret_result);
        vthread_forget(broker);
        sim_check(vthread_count() == 0, "%u threads outlived the broker", vthread_count());
        sim_check(count_fds() == fds, "%u descriptors before, %u after", fds, count_fds());
        sim_check(heap_alive() == heap, "%lld allocations before, %lld after", (long long)heap,
                  (long long)heap_alive());
}
