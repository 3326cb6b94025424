/* What a server did in the slices of a round, added up.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bench/blk_load.h"

struct bench_sum {
        unsigned n_slices;
        double iops, bytes_s; /* of all slices; several queues of a slice add up */
        struct process_work client, server;
        uint64_t kicks, sleeps;
        struct histogram latency;
};

/* One round. Times in microseconds; those without p50, p99 and mean are per request. */
struct bench_measure {
        double iops, bytes_s;
        double p50_us, p99_us, mean_us;
        double client_cpu_us, server_cpu_us;
        double client_switches, server_switches;
        double server_involuntary; /* of server_switches */
        double kicks, sleeps;      /* of the client */
};

/* Once for each queue of a slice. */
void bench_sum_add_queue(struct bench_sum *sum, const struct blk_load_result *result);
/* Once a slice. */
void bench_sum_add_server(struct bench_sum *sum, const struct process_work *server);

struct bench_measure bench_sum_measure(const struct bench_sum *sum);
