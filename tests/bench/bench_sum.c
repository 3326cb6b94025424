/* What a server did in a round. Owns nothing. Called by the session and by the bench's rounds. TRUST: our own counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_sum.h"

#include "proto/base/checked.h"

static void add_work(struct process_work *sum, const struct process_work *work)
{
        sum->cpu_ns += work->cpu_ns;
        sum->voluntary += work->voluntary;
        sum->involuntary += work->involuntary;
}

void bench_sum_add_queue(struct bench_sum *sum, const struct blk_load_result *result)
{
        double seconds = (double)MAX(result->elapsed_ns, UINT64_C(1)) / 1e9;

        sum->iops += (double)result->n / seconds;
        sum->bytes_s += (double)result->bytes / seconds;
        sum->kicks += result->kicks;
        sum->sleeps += result->sleeps;
        add_work(&sum->client, &result->client);
        histogram_merge(&sum->latency, &result->latency);
}

void bench_sum_add_server(struct bench_sum *sum, const struct process_work *server)
{
        sum->n_slices++;
        add_work(&sum->server, server);
}

static double switches(const struct process_work *work)
{
        return (double)(work->voluntary + work->involuntary);
}

struct bench_measure bench_sum_measure(const struct bench_sum *sum)
{
        double n = (double)MAX(sum->latency.n, UINT64_C(1)), slices = MAX(sum->n_slices, 1u);

        return (struct bench_measure){
            .iops = sum->iops / slices,
            .bytes_s = sum->bytes_s / slices,
            .p50_us = (double)histogram_quantile(&sum->latency, 0.5) / 1e3,
            .p99_us = (double)histogram_quantile(&sum->latency, 0.99) / 1e3,
            .mean_us = (double)sum->latency.sum / n / 1e3,
            .client_cpu_us = (double)sum->client.cpu_ns / n / 1e3,
            .server_cpu_us = (double)sum->server.cpu_ns / n / 1e3,
            .client_switches = switches(&sum->client) / n,
            .server_switches = switches(&sum->server) / n,
            .server_involuntary = (double)sum->server.involuntary / n,
            .kicks = (double)sum->kicks / n,
            .sleeps = (double)sum->sleeps / n,
        };
}
