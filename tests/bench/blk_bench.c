/* bulkhead_bench_blk: drives several vhost-user-blk servers in one run, in turn, and compares them. Owns the sessions
 * and the rows. Started by people, tests/bench/run and ctest. TRUST: the servers are strangers; the harness judges what
 * they say.
 *
 * How it works. Row by row: a session to each server is opened and kept (a server may start a process for each), then
 * round by round each is measured for the same time, in an order that turns round every time, so that what drifts on the
 * machine meets all of them alike. A round is made of slices: where the kernel puts which thread is settled anew whenever
 * a server is woken from rest and makes a difference of a third, so a figure should not hang on one such choice. Idle
 * sessions cost nothing but a server's own polling.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench_options.h"
#include "tests/bench/bench_report.h"

static void open_all(const struct bench_options *options, struct bench_row *row, struct blk_session *sessions,
                     int *ret_error)
{
        struct blk_load_plan plan = {
            .work = row->work, .segment = options->segment, .poll = options->poll, .verify = options->verify};

        for (unsigned i = 0; i < options->n_servers; i++) {
                int r = blk_session_open(&sessions[i], &options->servers[i], &plan, options->area);

                if (r == 0)
                        continue;
                snprintf(row->skipped[i], sizeof(row->skipped[i]), "%s", sessions[i].trouble);
                if (r != -EOPNOTSUPP)
                        *ret_error = r;
        }
}

/* One slice of each, in the order of the turn. */
static int run_slice(const struct bench_options *options, struct bench_row *row, struct blk_session *sessions,
                     unsigned turn, struct bench_sum *sums)
{
        unsigned n = options->n_servers;
        int error = 0;

        for (unsigned i = 0; i < n; i++) {
                unsigned server = turn % 2 ? n - 1 - i : i;
                int r;

                if (row->skipped[server][0])
                        continue;
                r = blk_session_measure(&sessions[server], options->warm_up,
                                        options->seconds / options->slices, &sums[server]);
                if (r == 0)
                        continue;
                snprintf(row->skipped[server], sizeof(row->skipped[server]), "%s", sessions[server].trouble);
                error = r;
        }
        return error;
}

static int run_round(const struct bench_options *options, struct bench_row *row, struct blk_session *sessions,
                     unsigned round)
{
        static struct bench_sum sums[BENCH_SERVERS_MAX];
        int error = 0;

        memset(sums, 0, sizeof(sums));
        for (unsigned slice = 0; slice < options->slices; slice++) {
                int r = run_slice(options, row, sessions, round * options->slices + slice, sums);

                error = r < 0 ? r : error;
        }
        for (unsigned i = 0; i < options->n_servers; i++)
                row->measures[i][round] = bench_sum_measure(&sums[i]);
        return error;
}

static int run_row(const struct bench_options *options, struct bench_row *row)
{
        static struct blk_session sessions[BENCH_SERVERS_MAX];
        int error = 0;

        row->rounds = options->rounds;
        open_all(options, row, sessions, &error);
        for (unsigned round = 0; round < options->rounds; round++) {
                int r = run_round(options, row, sessions, round);

                error = r < 0 ? r : error;
        }
        for (unsigned i = 0; i < options->n_servers; i++)
                blk_session_close(&sessions[i]);
        return error;
}

int main(int argc, char **argv)
{
        static struct bench_options options;
        static struct bench_row rows[BENCH_CASES_MAX];
        int r = bench_options_parse(argc, argv, &options), status = EXIT_SUCCESS;

        if (r != 0)
                return r > 0 ? EXIT_SUCCESS : 2;
        if (!options.quiet)
                bench_report_head(&options);
        for (unsigned i = 0; i < options.n_cases; i++) {
                rows[i].work = options.cases[i];
                if (run_row(&options, &rows[i]) < 0)
                        status = EXIT_FAILURE;
                if (!options.quiet)
                        bench_report_row(&options, &rows[i]);
        }
        if (options.json && (r = bench_report_json(&options, rows, options.n_cases)) < 0) {
                fprintf(stderr, "bulkhead_bench_blk: %s: %s\n", options.json, strerror(-r));
                status = EXIT_FAILURE;
        }
        return status;
}
