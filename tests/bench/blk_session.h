/* The bench's client at one vhost-user-blk socket, for one row of work.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/bench/bench_sum.h"
#include "tests/bench/blk_load.h"

#define BENCH_SERVER_PIDS 8u

struct bench_server {
        char name[32];
        char socket[108];
        pid_t pids[BENCH_SERVER_PIDS]; /* with their descendants: whose CPU time is counted */
        unsigned n_pids;
};

struct blk_session {
        const struct bench_server *server;
        struct blk_load_plan plan;
        struct front_end front;
        struct guest_ram ram;
        int phase;
        sem_t told;
        struct blk_load *loads; /* one a queue */
        char trouble[200];      /* why the last call failed, in words */
};

/* Connects and starts the rings. `area`: bytes at the front of the disk that are worked on, 0 for all; each queue has
 * its own part. -EOPNOTSUPP: this server does not offer what the row needs. A session that failed to open is to be
 * closed too. */
int blk_session_open(struct blk_session *session, const struct bench_server *server,
                     const struct blk_load_plan *plan, uint64_t area);
void blk_session_close(struct blk_session *session);

/* Lets the load run for the time and adds what it did to the sum. */
int blk_session_measure(struct blk_session *session, double warm_up_seconds, double seconds,
                        struct bench_sum *sum);
