/* Kills the worker, or the broker, while the worker stands at each boundary of its work.
 *
 *      kill_points BINDIR [--broker] [--seeds N]
 *
 * A worker of tests (recorder.c) stands still before, amid or after a receive, a send or a host call, at the
 * count-th time of a seeded choice under a verified load. There the worker gets its SIGKILL, and its
 * successor must leave nothing lost, wrong or doubled; or the broker gets it, is started again, and the front
 * end finds all that was acknowledged. TRUST: completions and data are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/stack.h"
#include "tests/power_cut/record_order.h"

#define BLOCKS    ((unsigned)(RECORD_DISK / LOAD_BLOCK))
#define DEPTH_MAX 16u
#define TICK_MS   2
#define COUNT_MAX 12u  /* the point is passed up to so many times before */
#define PATIENCE  200u /* times eight requests, in which each point is passed COUNT_MAX times */

static const char *const point_names[POINT_COUNT_] = {
    [POINT_BEFORE_RECEIVE] = "before a receive", [POINT_AFTER_RECEIVE] = "after a receive",
    [POINT_BEFORE_SEND] = "before a send",       [POINT_AMID_SEND] = "amid a send",
    [POINT_AFTER_SEND] = "after a send",         [POINT_BEFORE_HOST] = "before a host call",
    [POINT_AMID_HOST] = "amid a host call",      [POINT_AFTER_HOST] = "after a host call"};

static struct stack stack;
static struct load load;
static struct record_control *control;
static uint64_t killed_generation;
static bool kills_broker, broker_due;
static unsigned n_kills[POINT_COUNT_];

static int give_up(int r, const char *what, unsigned seed)
{
        fprintf(stderr, "kill_points: seed %u: %s: %s; %s\n", seed, what, strerror(-r), load.why);
        stack_show_log(&stack);
        return r;
}

static bool tick(void *context)
{
        (void)context;
        if (!kill_point_reached(control, killed_generation))
                return false;
        killed_generation = control->stopped;
        if (kills_broker) {
                broker_due = true;
                return true;
        }
        (void)stack_kill_worker(&stack, "blk");
        return false;
}

static int replace_broker(void)
{
        int r = stack_kill_broker(&stack);

        broker_due = false;
        if (r == 0)
                r = stack_start(&stack);
        return r == 0 ? load_reopen(&load, stack.socket) : r;
}

/* One death at the point, and some requests of its successor. */
static int die_at(unsigned point)
{
        uint64_t before = killed_generation;
        int r = load_run(&load, 8);

        if (r == 0)
                r = load_drain(&load); /* the worker that is there has completed something */
        if (r < 0)
                return r;
        kill_point_arm(control, control->generation, point, 1 + (unsigned)rand_r(&load.seed) % COUNT_MAX);
        for (unsigned i = 0; r == 0 && killed_generation == before && i < PATIENCE; i++)
                r = load_run(&load, 8);
        kill_point_disarm(control);
        if (r == -ECANCELED && broker_due)
                r = replace_broker();
        if (r < 0)
                return r;
        n_kills[point] += killed_generation != before;
        return killed_generation == before ? -ENOENT : load_drain(&load);
}

static int run_seed(unsigned seed)
{
        int r;

        load.seed = seed;
        r = load_open(&load, stack.socket, (enum front_end_dialect)(seed % FRONT_END_DIALECT_COUNT_),
                      1 + seed % DEPTH_MAX, BLOCKS);
        if (r == 0 && seed == 1)
                r = load_clear(&load);
        for (unsigned i = 0; r == 0 && i < POINT_COUNT_ - 1; i++) {
                unsigned point = 1 + (i + seed) % (POINT_COUNT_ - 1);

                r = die_at(point);
                if (r < 0)
                        return give_up(r, point_names[point], seed);
        }
        if (r == 0)
                r = load_check(&load);
        load_close(&load);
        return r < 0 ? give_up(r, "at the end", seed) : 0;
}

static int open_control(void)
{
        uint8_t *image;
        int r = record_map(stack.image, RECORD_LOG, &image);

        if (r == 0)
                control = (struct record_control *)(image + RECORD_CONTROL);
        return r;
}

static int run(const char *bin, unsigned seeds, bool direct)
{
        int r = stack_make(&stack, bin, direct ? RECORD_DIRECT_PARENT : NULL, RECORD_IMAGE);

        if (r == 0 && direct && !record_can_be_direct(stack.image))
                return RECORD_SKIPPED;
        if (r == 0 && direct)
                r = stack_configure(&stack, stack.image, ", direct: true");
        if (r == 0)
                r = open_control();
        if (r == 0)
                r = stack_start(&stack);
        if (r < 0)
                return give_up(r, "cannot start", 0);
        load.tick = tick;
        load.tick_ms = TICK_MS;
        for (unsigned seed = 1; r == 0 && seed <= seeds; seed++)
                r = run_seed(seed);
        for (unsigned i = 1; i < POINT_COUNT_; i++)
                printf("%-18s %u deaths of the %s\n", point_names[i], n_kills[i],
                       kills_broker ? "broker" : "worker");
        return r;
}

int main(int argc, char **argv)
{
        static const struct option known[] = {{"broker", no_argument, NULL, 'b'},
                                              {"seeds", required_argument, NULL, 's'},
                                              {"direct", no_argument, NULL, 'd'},
                                              {0}};
        bool direct = false;
        unsigned seeds = 100;
        int c, r;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (c == 'b')
                        kills_broker = true;
                else if (c == 'd')
                        direct = true;
                else if (c == 's')
                        seeds = (unsigned)strtoul(optarg, NULL, 10);
                else
                        return 2;
        }
        if (optind != argc - 1)
                return 2;
        r = run(argv[optind], seeds, direct);
        load_close(&load);
        stack_done(&stack);
        return r == RECORD_SKIPPED ? r : r < 0;
}
