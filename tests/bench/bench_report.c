/* What the bench says. Owns nothing. Called by main. TRUST: our own figures.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"

struct spread {
        double median, least, most;
};

struct figure {
        const char *name;
        size_t at; /* in struct bench_measure */
};

static const struct figure figures[] = {
    {"iops", offsetof(struct bench_measure, iops)},
    {"bytes_per_s", offsetof(struct bench_measure, bytes_s)},
    {"p50_us", offsetof(struct bench_measure, p50_us)},
    {"p99_us", offsetof(struct bench_measure, p99_us)},
    {"mean_us", offsetof(struct bench_measure, mean_us)},
    {"client_cpu_us_per_request", offsetof(struct bench_measure, client_cpu_us)},
    {"server_cpu_us_per_request", offsetof(struct bench_measure, server_cpu_us)},
    {"client_switches_per_request", offsetof(struct bench_measure, client_switches)},
    {"server_switches_per_request", offsetof(struct bench_measure, server_switches)},
    {"server_involuntary_switches_per_request", offsetof(struct bench_measure, server_involuntary)},
    {"kicks_per_request", offsetof(struct bench_measure, kicks)},
    {"sleeps_per_request", offsetof(struct bench_measure, sleeps)},
};

static double value_of(const struct bench_measure *measure, size_t at)
{
        double value;

        memcpy(&value, (const char *)measure + at, sizeof(value));
        return value;
}

static int compare(const void *a, const void *b)
{
        double x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return (x > y) - (x < y);
}

static struct spread spread_of(const double *values, unsigned n)
{
        double sorted[BENCH_ROUNDS_MAX];

        memcpy(sorted, values, n * sizeof(*values));
        qsort(sorted, n, sizeof(*sorted), compare);
        return (struct spread){
            .median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, .least = sorted[0], .most = sorted[n - 1]};
}

static unsigned figure_values(const struct bench_row *row, unsigned server, size_t at, double *values)
{
        for (unsigned i = 0; i < row->rounds; i++)
                values[i] = value_of(&row->measures[server][i], at);
        return row->rounds;
}

static struct spread figure_spread(const struct bench_row *row, unsigned server, size_t at)
{
        double values[BENCH_ROUNDS_MAX];

        return spread_of(values, figure_values(row, server, at, values));
}

/* The first server's IOPS by another's, round by round. */
static unsigned ratio_values(const struct bench_row *row, unsigned to, double *values)
{
        for (unsigned i = 0; i < row->rounds; i++)
                values[i] = row->measures[0][i].iops / MAX(row->measures[to][i].iops, 1e-9);
        return row->rounds;
}

/* ---- the table ---- */

void bench_report_head(const struct bench_options *options)
{
        printf("medians of %u rounds of %g s (least..most), in turn, %u turns a round; client %s; data in "
               "pieces of %u KiB%s\n"
               "per request: CPU microseconds and context switches; ratios are %s's IOPS by the other's\n\n",
               options->rounds, options->seconds, options->slices, options->poll ? "polls" : "sleeps",
               options->segment / 1024, options->verify ? "; verified: not figures to quote" : "",
               options->servers[0].name);
        printf("%-20s %-12s %8s %-17s %7s %8s %8s %14s %14s  %s\n", "case", "server", "kIOPS", "", "MB/s",
               "p50 us", "p99 us", "CPU cli/srv", "switch cli/srv", "ratio");
}

static void print_ratio(const struct bench_row *row, unsigned server)
{
        double values[BENCH_ROUNDS_MAX];
        struct spread ratio;

        if (server == 0 || row->skipped[0][0])
                return;
        ratio = spread_of(values, ratio_values(row, server, values));
        printf("%.2f (%.2f..%.2f)", ratio.median, ratio.least, ratio.most);
}

static void print_server(const struct bench_options *options, const struct bench_row *row, unsigned server)
{
        char name[64], range[32], cpu[32], switches[32];
        struct spread iops = figure_spread(row, server, offsetof(struct bench_measure, iops));

        bench_case_name(&row->work, name, sizeof(name));
        printf("%-20s %-12s ", server == 0 ? name : "", options->servers[server].name);
        if (row->skipped[server][0]) {
                printf("none: %s\n", row->skipped[server]);
                return;
        }
        snprintf(range, sizeof(range), "(%.1f..%.1f)", iops.least / 1e3, iops.most / 1e3);
        snprintf(cpu, sizeof(cpu), "%.1f/%.1f",
                 figure_spread(row, server, offsetof(struct bench_measure, client_cpu_us)).median,
                 figure_spread(row, server, offsetof(struct bench_measure, server_cpu_us)).median);
        snprintf(switches, sizeof(switches), "%.2f/%.2f",
                 figure_spread(row, server, offsetof(struct bench_measure, client_switches)).median,
                 figure_spread(row, server, offsetof(struct bench_measure, server_switches)).median);
        printf("%8.1f %-17s %7.0f %8.1f %8.1f %14s %14s  ", iops.median / 1e3, range,
               figure_spread(row, server, offsetof(struct bench_measure, bytes_s)).median / 1e6,
               figure_spread(row, server, offsetof(struct bench_measure, p50_us)).median,
               figure_spread(row, server, offsetof(struct bench_measure, p99_us)).median, cpu, switches);
        print_ratio(row, server);
        putchar('\n');
}

void bench_report_row(const struct bench_options *options, const struct bench_row *row)
{
        for (unsigned i = 0; i < options->n_servers; i++)
                print_server(options, row, i);
        fflush(stdout);
}

/* ---- JSON ---- */

static json_t *spread_json(const double *values, unsigned n)
{
        struct spread spread = spread_of(values, n);
        json_t *all = json_array();

        for (unsigned i = 0; i < n; i++)
                json_array_append_new(all, json_real(values[i]));
        return json_pack("{s:f,s:f,s:f,s:o}", "median", spread.median, "min", spread.least, "max",
                         spread.most, "rounds", all);
}

static json_t *server_json(const struct bench_options *options, const struct bench_row *row, unsigned server)
{
        json_t *object = json_pack("{s:s}", "name", options->servers[server].name);
        double values[BENCH_ROUNDS_MAX];

        if (row->skipped[server][0]) {
                json_object_set_new(object, "skipped", json_string(row->skipped[server]));
                return object;
        }
        for (unsigned i = 0; i < array_size(figures); i++)
                json_object_set_new(object, figures[i].name,
                                    spread_json(values, figure_values(row, server, figures[i].at, values)));
        if (server > 0 && !row->skipped[0][0])
                json_object_set_new(object, "ratio", spread_json(values, ratio_values(row, server, values)));
        return object;
}

static json_t *row_json(const struct bench_options *options, const struct bench_row *row)
{
        json_t *servers = json_array();
        char name[64];

        for (unsigned i = 0; i < options->n_servers; i++)
                json_array_append_new(servers, server_json(options, row, i));
        bench_case_name(&row->work, name, sizeof(name));
        return json_pack("{s:s,s:i,s:i,s:i,s:o}", "name", name, "block", (int)row->work.block, "depth",
                         (int)row->work.depth, "queues", (int)row->work.queues, "servers", servers);
}

int bench_report_json(const struct bench_options *options, const struct bench_row *rows, unsigned n_rows)
{
        json_t *cases = json_array(), *all;
        int r;

        for (unsigned i = 0; i < n_rows; i++)
                json_array_append_new(cases, row_json(options, &rows[i]));
        all = json_pack("{s:i,s:i,s:f,s:s,s:i,s:b,s:o}", "rounds", (int)options->rounds, "slices",
                        (int)options->slices, "seconds", options->seconds, "client",
                        options->poll ? "poll" : "sleep", "segment", (int)options->segment, "verify",
                        (int)options->verify, "cases", cases);
        r = all && json_dump_file(all, options->json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0 ? 0
                                                                                                    : -EIO;
        json_decref(all);
        return r;
}
