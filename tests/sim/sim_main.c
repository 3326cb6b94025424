/* The simulation of a whole broker.
 *
 *     sim --seed N [--steps M] [--trace]   one run, seen from near
 *     sim --seeds A-B                      many
 *     sim --requests N [--seeds A-]        until so many requests have been answered
 *     sim --minutes M [--seeds A-]         until so much time has passed
 *     ... --twice                          each run twice: its trace must be the same
 *
 * Owns the options; called by ctest and by people. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/schedule.h"
#include "tests/sim/trace.h"

#define STEPS 20000u

int __real_clock_gettime(clockid_t id, struct timespec *ret_time);

static double seconds(void)
{
        struct timespec now;

        __real_clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct options {
        uint64_t first, last, steps, requests;
        double minutes;
        bool trace, twice;
};

struct total {
        uint64_t seeds, posted, completed, explained, incarnations, virtual_ms;
        double start;
};

static void run_seed(const struct options *options, uint64_t seed, struct total *total)
{
        const struct run run = {.seed = seed, .steps = options->steps, .print = options->trace};
        struct run_result result, again;

        schedule_run(&run, &result);
        if (options->twice) {
                schedule_run(&run, &again);
                sim_check(again.hash == result.hash,
                          "seed %" PRIu64 " gave two traces: %" PRIx64 " and %" PRIx64, seed, result.hash,
                          again.hash);
        }
        total->seeds++;
        total->posted += result.stage.posted;
        total->completed += result.stage.completed;
        total->explained += result.stage.explained;
        total->incarnations += result.stage.incarnations;
        total->virtual_ms += result.virtual_ms;
        if (options->first == options->last)
                printf("seed %" PRIu64 ": trace %016" PRIx64 "\n", seed, result.hash);
}

static bool is_over(const struct options *options, const struct total *total, uint64_t seed)
{
        if (options->requests > 0)
                return total->completed >= options->requests;
        if (options->minutes > 0)
                return seconds() - total->start >= options->minutes * 60;
        return seed > options->last;
}

static void print_total(const struct total *total)
{
        double spent = seconds() - total->start;

        printf("%" PRIu64 " seeds: %" PRIu64 " requests posted, %" PRIu64 " answered, %" PRIu64
               " explained; %" PRIu64 " workers, %.0f virtual seconds\n",
               total->seeds, total->posted, total->completed, total->explained, total->incarnations,
               (double)total->virtual_ms / 1000);
        printf("%.1f s, %.0f answers a minute\n", spent, (double)total->completed / spent * 60);
}

static bool parse(int argc, char **argv, struct options *options)
{
        static const struct option names[] = {
            {"seed", required_argument, NULL, 's'},    {"seeds", required_argument, NULL, 'S'},
            {"steps", required_argument, NULL, 'n'},   {"requests", required_argument, NULL, 'r'},
            {"minutes", required_argument, NULL, 'm'}, {"trace", no_argument, NULL, 't'},
            {"twice", no_argument, NULL, '2'},         {0},
        };
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                switch (c) {
                case 's':
                        options->first = options->last = strtoull(optarg, NULL, 10);
                        break;
                case 'S':
                        options->first = strtoull(optarg, &end, 10);
                        options->last = *end == '-' && end[1] ? strtoull(end + 1, NULL, 10) : UINT64_MAX - 1;
                        break;
                case 'n':
                        options->steps = strtoull(optarg, NULL, 10);
                        break;
                case 'r':
                        options->requests = strtoull(optarg, NULL, 10);
                        break;
                case 'm':
                        options->minutes = strtod(optarg, NULL);
                        break;
                case 't':
                        options->trace = true;
                        break;
                case '2':
                        options->twice = true;
                        break;
                default:
                        return false;
                }
        }
        return optind == argc;
}

int main(int argc, char **argv)
{
        struct options options = {.first = 1, .last = UINT64_MAX - 1, .steps = STEPS};
        struct total total = {0};

        if (!parse(argc, argv, &options)) {
                fprintf(stderr,
                        "usage: sim [--seed N | --seeds A-B] [--steps M] [--requests N] [--minutes M] "
                        "[--trace] [--twice]\n");
                return 2;
        }
        stage_init();
        total.start = seconds();
        for (uint64_t seed = options.first; !is_over(&options, &total, seed); seed++)
                run_seed(&options, seed, &total);
        print_total(&total);
        return 0;
}
