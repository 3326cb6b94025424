/* What the bench says: a table for people, JSON for programs. Medians of rounds, with the least and the most seen; a
 * ratio is the median of the rounds' ratios, so that what slows a whole round down is not in it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bench/bench_options.h"

/* One row: every round of every server. */
struct bench_row {
        struct bench_case work;
        unsigned rounds;
        char skipped[BENCH_SERVERS_MAX][200]; /* why there are no figures of this server; empty: there are */
        struct bench_measure measures[BENCH_SERVERS_MAX][BENCH_ROUNDS_MAX];
};

void bench_report_head(const struct bench_options *options);
void bench_report_row(const struct bench_options *options, const struct bench_row *row);

/* 0 or negative errno. */
int bench_report_json(const struct bench_options *options, const struct bench_row *rows, unsigned n_rows);
