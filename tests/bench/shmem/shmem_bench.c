/* The same records into a sample device by messages and by its region, in turn: what each way moves, and what it takes of
 * the broker's and the worker's CPUs.
 *
 *      bulkhead-bench-shmem SOCKET BROKER_PID WORKER_PID ROUNDS SECONDS [spoil-messages|spoil-region] LEN:BATCH...
 *
 * LEN: bytes of a record; BATCH: records of a request, which is one doorbell. Each way has SECONDS of each round, the order
 * turns round every time. Prints a JSON object a round and way. A count or sum that is not its own ends it; `spoil-...`
 * makes one so. Owns the session. Started by tests/bench/shmem/run. TRUST: the device's words are judged by the session.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/process_use.h"
#include "tests/bench/shmem/sample_session.h"

#define ARGUMENTS_MIN 7
#define LOOKS         16u /* requests between two looks at the clock */

struct bench {
        struct sample_session session;
        pid_t broker, worker;
        unsigned rounds;
        double seconds;
};

/* What the broker, with all its descendants, and the worker have used. */
struct look {
        struct process_use all, worker;
        struct timespec when;
};

static const char *const way_names[SESSION_WAY_COUNT_] = {"messages", "region"};

static struct bench bench;

static int give_up(const char *what, int error)
{
        fprintf(stderr, "bulkhead-bench-shmem: %s: %s\n", what,
                error == -EBADMSG ? "a count or sum is wrong" : strerror(-error));
        return EXIT_FAILURE;
}

static double seconds_since(const struct timespec *from)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static int look_take(struct look *look)
{
        int r = process_use_read(&bench.broker, 1, &look->all);

        if (r == 0)
                r = process_use_read(&bench.worker, 1, &look->worker);
        clock_gettime(CLOCK_MONOTONIC, &look->when);
        return r;
}

static void say(enum session_way way, uint32_t len, unsigned batch, uint64_t records, double seconds,
                const struct look looks[2])
{
        double all = (double)process_use_between(&looks[0].all, &looks[1].all).cpu_ns / 1e9;
        double worker = (double)process_use_between(&looks[0].worker, &looks[1].worker).cpu_ns / 1e9;

        printf("{\"way\": \"%s\", \"len\": %u, \"batch\": %u, \"records\": %llu, \"seconds\": %.6f, "
               "\"broker_cpu\": %.6f, \"worker_cpu\": %.6f}\n",
               way_names[way], len, batch, (unsigned long long)records, seconds, all - worker, worker);
        fflush(stdout);
}

static int run_way(enum session_way way, uint32_t len, unsigned batch)
{
        static struct look looks[2];
        uint64_t before = bench.session.records.count;
        double seconds;
        int r = look_take(&looks[0]);

        while (r == 0 && seconds_since(&looks[0].when) < bench.seconds)
                for (unsigned i = 0; i < LOOKS && r == 0; i++)
                        r = sample_session_append(&bench.session, way, len, batch);
        if (r == 0)
                r = sample_session_finish(&bench.session);
        if (r < 0)
                return r;
        seconds = seconds_since(&looks[0].when);
        r = look_take(&looks[1]);
        if (r == 0)
                say(way, len, batch, bench.session.records.count - before, seconds, looks);
        return r;
}

/* A case; each way runs for a moment first, so that no round begins on cold memory. */
static int run_case(const char *words)
{
        unsigned len, batch;
        int r = sscanf(words, "%u:%u", &len, &batch) == 2 && batch > 0 ? 0 : -EINVAL;

        for (unsigned i = 0; i < 2 * LOOKS && r == 0; i++)
                r = sample_session_append(&bench.session, i % SESSION_WAY_COUNT_, len, batch);
        if (r == 0)
                r = sample_session_finish(&bench.session);
        for (unsigned round = 0; round < bench.rounds; round++)
                for (unsigned i = 0; i < SESSION_WAY_COUNT_ && r == 0; i++)
                        r = run_way(round % 2 ? SESSION_WAY_COUNT_ - 1 - i : i, len, batch);
        return r;
}

static bool wants_spoilt(const char *words)
{
        for (unsigned way = 0; way < SESSION_WAY_COUNT_; way++)
                if (strncmp(words, "spoil-", 6) == 0 && strcmp(words + 6, way_names[way]) == 0)
                        return bench.session.spoil[way] = true;
        return false;
}

int main(int argc, char **argv)
{
        int r;

        if (argc < ARGUMENTS_MIN)
                return give_up("SOCKET BROKER_PID WORKER_PID ROUNDS SECONDS LEN:BATCH...", -EINVAL);
        bench.broker = atoi(argv[2]);
        bench.worker = atoi(argv[3]);
        bench.rounds = (unsigned)atoi(argv[4]);
        bench.seconds = atof(argv[5]);
        r = sample_session_open(&bench.session, argv[1]);
        if (r < 0)
                r = give_up(argv[1], r);
        for (int i = ARGUMENTS_MIN - 1; i < argc && r == 0; i++) {
                if (wants_spoilt(argv[i]))
                        continue;
                r = run_case(argv[i]);
                if (r < 0)
                        r = give_up(argv[i], r);
        }
        sample_session_close(&bench.session);
        return r;
}
