/* What the bench is told on its command line.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bench/blk_session.h"

#define BENCH_SERVERS_MAX 8u
#define BENCH_CASES_MAX   64u
#define BENCH_ROUNDS_MAX  100u

struct bench_options {
        struct bench_server servers[BENCH_SERVERS_MAX];
        unsigned n_servers;
        struct bench_case cases[BENCH_CASES_MAX];
        unsigned n_cases;
        unsigned rounds, slices;
        double seconds, warm_up;
        uint64_t area; /* bytes; 0: the whole disk */
        uint32_t segment;
        uint64_t without; /* features that the driver does not take */
        bool poll, verify, quiet;
        const char *json;
};

/* 0; 1: --help was asked for and given; -EINVAL: said on standard error. */
int bench_options_parse(int argc, char **argv, struct bench_options *ret_options);
