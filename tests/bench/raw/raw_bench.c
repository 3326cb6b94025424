/* The same requests to two sample devices, in turn: one whose ring the broker walks, and one that walks its own ring by messages
 * (memory: raw). What each way moves, and what it takes of the broker's and both workers' CPUs.
 *
 *      bulkhead-bench-raw POSTED_SOCKET RAW_SOCKET BROKER_PID POSTED_PID RAW_PID ROUNDS SECONDS LEN:BATCH:DEPTH...
 *
 * LEN: bytes of a record; BATCH: records of a request; DEPTH: requests on their way. Each way has SECONDS of each round, the order
 * turns round every time. Prints a JSON object a round and way. A count or sum that is not its own ends it. Owns the
 * sessions. Started by tests/bench/raw/run. TRUST: the devices' words are judged by the sessions.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/process_use.h"
#include "tests/bench/shmem/sample_session.h"

#define ARGUMENTS_MIN 9
#define LOOKS         16u /* requests between two looks at the clock */

enum way {
        WAY_POSTED = 0,
        WAY_RAW,
        WAY_COUNT_,
};

static const char *const way_names[WAY_COUNT_] = {"posted", "raw"};

static struct bench {
        struct sample_session session[WAY_COUNT_];
        pid_t broker, worker[WAY_COUNT_];
        unsigned rounds;
        double seconds;
} bench;

/* What the broker, with all its descendants, and this way's worker have used. */
struct look {
        struct process_use all, worker;
        struct timespec when;
};

static int give_up(const char *what, int error)
{
        fprintf(stderr, "bulkhead-bench-raw: %s: %s\n", what,
                error == -EBADMSG ? "a count or sum is wrong" : strerror(-error));
        return EXIT_FAILURE;
}

static double seconds_since(const struct timespec *from)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static int look_take(enum way way, struct look *look)
{
        int r = process_use_read(&bench.broker, 1, &look->all);

        if (r == 0)
                r = process_use_read(&bench.worker[way], 1, &look->worker);
        clock_gettime(CLOCK_MONOTONIC, &look->when);
        return r;
}

/* The other worker idles meanwhile: what it uses counts as the broker's, and is nothing. */
static void say(enum way way, const char *words, uint64_t requests, double seconds,
                const struct look looks[2])
{
        double all = (double)process_use_between(&looks[0].all, &looks[1].all).cpu_ns / 1e9;
        double worker = (double)process_use_between(&looks[0].worker, &looks[1].worker).cpu_ns / 1e9;

        printf("{\"way\": \"%s\", \"case\": \"%s\", \"requests\": %llu, \"seconds\": %.6f, "
               "\"broker_cpu\": %.6f, \"worker_cpu\": %.6f}\n",
               way_names[way], words, (unsigned long long)requests, seconds, all - worker, worker);
        fflush(stdout);
}

static int run_way(enum way way, const char *words, uint32_t len, unsigned batch)
{
        static struct look looks[2];
        struct sample_session *session = &bench.session[way];
        unsigned before = session->posted;
        double seconds;
        int r = look_take(way, &looks[0]);

        while (r == 0 && seconds_since(&looks[0].when) < bench.seconds)
                for (unsigned i = 0; i < LOOKS && r == 0; i++)
                        r = sample_session_append(session, SESSION_BY_MESSAGES, len, batch);
        if (r == 0)
                r = sample_session_finish(session);
        if (r < 0)
                return r;
        seconds = seconds_since(&looks[0].when);
        r = look_take(way, &looks[1]);
        if (r == 0)
                say(way, words, session->posted - before, seconds, looks);
        return r;
}

/* A case; each way runs for a moment first, so that no round begins on cold memory. */
static int run_case(const char *words)
{
        unsigned len, batch, depth;
        int r = sscanf(words, "%u:%u:%u", &len, &batch, &depth) == 3 && batch > 0 && depth > 0 &&
                        depth <= SESSION_DEPTH
                    ? 0
                    : -EINVAL;

        for (unsigned way = 0; way < WAY_COUNT_ && r == 0; way++) {
                bench.session[way].depth = depth;
                for (unsigned i = 0; i < LOOKS && r == 0; i++)
                        r = sample_session_append(&bench.session[way], SESSION_BY_MESSAGES, len, batch);
                if (r == 0)
                        r = sample_session_finish(&bench.session[way]);
        }
        for (unsigned round = 0; round < bench.rounds; round++)
                for (unsigned i = 0; i < WAY_COUNT_ && r == 0; i++)
                        r = run_way(round % 2 ? WAY_COUNT_ - 1 - i : i, words, len, batch);
        return r;
}

int main(int argc, char **argv)
{
        int r = 0;

        if (argc < ARGUMENTS_MIN)
                return give_up("POSTED_SOCKET RAW_SOCKET BROKER_PID POSTED_PID RAW_PID ROUNDS SECONDS "
                               "LEN:BATCH:DEPTH...",
                               -EINVAL);
        bench.broker = atoi(argv[3]);
        bench.rounds = (unsigned)atoi(argv[6]);
        bench.seconds = atof(argv[7]);
        for (unsigned way = 0; way < WAY_COUNT_ && r == 0; way++) {
                bench.worker[way] = atoi(argv[4 + way]);
                r = sample_session_open_plain(&bench.session[way], argv[1 + way]);
                if (r < 0)
                        r = give_up(argv[1 + way], r);
        }
        for (int i = ARGUMENTS_MIN - 1; i < argc && r == 0; i++) {
                r = run_case(argv[i]);
                if (r < 0)
                        r = give_up(argv[i], r);
        }
        for (unsigned way = 0; way < WAY_COUNT_; way++)
                if (bench.worker[way] > 0)
                        sample_session_close(&bench.session[way]);
        return r;
}
