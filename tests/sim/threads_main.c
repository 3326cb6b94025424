/* The simulation with real threads: the same guests, workers, spawner, front ends and model, but the lanes
 * run in threads of their own, on the real libuv, in real time. It repeats nothing; it is there for the
 * thread sanitizer, and for what only real threads do to each other.
 *
 *     sim_threads [--seed N] [--seconds S]
 *
 * Owns the run; called by ctest and by people. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "tests/core/model_guest.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/driver.h"
#include "tests/sim/front.h"
#include "tests/sim/spawner.h"
#include "tests/sim/stage.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

#define ROUND_MS 1500u           /* of trouble, before a rest */
#define REST_MS  UINT64_C(90000) /* deadlines and back-offs, on a slow machine */

static uv_loop_t loop;

static bool act(struct sim_device *dev)
{
        switch (chance_below(8)) {
        case 0:
                return spawner_step();
        case 1:
                if (!front_wants(dev))
                        return false;
                uv_update_time(&loop);
                front_step(dev);
                return true;
        case 2:
        case 3:
        case 4:
                return worker_step(dev);
        default:
                return driver_step(dev);
        }
}

/* Everybody has had a chance and nobody could do anything: until a lane or the kernel has something. */
static void wait_a_little(void)
{
        struct pollfd watched = {.fd = uv_backend_fd(&loop), .events = POLLIN};

        (void)poll(&watched, 1, 1);
}

static void step(void)
{
        bool any = false;

        for (unsigned i = 0; i < 16; i++)
                any |= act(&sim_devices[chance_below(n_sim_devices)]);
        if (!any)
                wait_a_little();
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void rest(void)
{
        uint64_t since = sim_now_ms();

        stage_heal();
        while (!stage_is_settled()) {
                step();
                if (sim_now_ms() - since <= REST_MS)
                        continue;
                stage_tell();
                sim_fail("it does not come to rest");
        }
        stage_check();
        stage_hurt();
}

static void run(uint64_t seed, struct stage_result *ret_result)
{
        unsigned fds = count_fds();
        uint64_t end = sim_now_ms() + ROUND_MS;
        char replay[64];

        snprintf(replay, sizeof(replay), "sim_threads --seed %llu (it may not repeat)",
                 (unsigned long long)seed);
        trace_start(replay, false);
        chance_seed(seed);
        stage_set();
        sim_check(uv_loop_init(&loop) == 0, "no loop");
        front_start(&loop);
        while (sim_now_ms() < end)
                step();
        rest();
        front_end();
        while (!front_ended())
                uv_run(&loop, UV_RUN_NOWAIT);
        uv_run(&loop, UV_RUN_DEFAULT);
        sim_check(uv_loop_close(&loop) == 0, "handles were left on the main loop");
        stage_clear(ret_result);
        sim_check(count_fds() == fds, "%u descriptors before, %u after", fds, count_fds());
}

/* libuv opens descriptors for the whole process with its first loop. */
static void warm_up(void)
{
        sim_check(uv_loop_init(&loop) == 0 && uv_loop_close(&loop) == 0, "no loop");
}

int main(int argc, char **argv)
{
        static const struct option names[] = {
            {"seed", required_argument, NULL, 's'}, {"seconds", required_argument, NULL, 't'}, {0}};
        uint64_t seed = 1, seconds = 20, start = sim_now_ms(), runs = 0;
        struct stage_result result, total = {0};
        int c;

        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                if (c == '?')
                        return 2;
                *(c == 's' ? &seed : &seconds) = strtoull(optarg, NULL, 10);
        }
        stage_init();
        warm_up();
        for (; sim_now_ms() - start < seconds * 1000; runs++) {
                run(seed + runs, &result);
                total.posted += result.posted;
                total.completed += result.completed;
                total.explained += result.explained;
                total.incarnations += result.incarnations;
        }
        printf("%llu runs: %llu requests posted, %llu answered, %llu explained; %llu workers\n",
               (unsigned long long)runs, (unsigned long long)total.posted,
               (unsigned long long)total.completed, (unsigned long long)total.explained,
               (unsigned long long)total.incarnations);
        return 0;
}
