/* Kills the worker of a block device again and again under a verified load.
 *
 *      kill_workers BINDIR [--kills N] [--seed N]
 *
 * Every second worker is stopped before it is killed and what it has already sent is taken, so that the first
 * completion after the kill of a request that was outstanding is a replayed one: the time between them is
 * what the guest waits. The others are killed wherever they are. TRUST: completions are the broker's, and are
 * what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"
#include "tests/faults/process.h"
#include "tests/faults/stack.h"

#define DEPTH        16u
#define BLOCKS       1024u
#define KILLS_MAX    100000u
#define WARM_UP      32u  /* kills after which the broker's memory has settled */
#define RSS_KIB      1024 /* the broker may have grown by so much at the end */
#define STILL_MS     2    /* a stopped worker's last messages have gone through the broker by then */
#define QUIET_ROUNDS 1000 /* of STILL_MS: longer does no broker take to be quiet again */

struct holdings {
        unsigned fds, maps, children, threads;
        long rss_kib;
};

static struct stack stack;
static struct load load;
static uint64_t waits_ns[KILLS_MAX];
static unsigned n_waits;

static int give_up(int r, const char *what)
{
        fprintf(stderr, "kill_workers: %s: %s; %s\n", what, strerror(-r), load.why);
        stack_show_log(&stack);
        return r;
}

static struct holdings holdings_now(void)
{
        return (struct holdings){.fds = process_fds(stack.broker),
                                 .maps = process_maps(stack.broker),
                                 .threads = process_threads(stack.broker),
                                 .children = process_children(stack.spawner),
                                 .rss_kib = process_rss_kib(stack.broker)};
}

/* ---- one kill ---- */

/* Nothing more comes of a stopped worker when a while has passed without a completion. */
static int settle(void)
{
        uint64_t before;
        int r;

        do {
                before = load.n_done;
                poll(NULL, 0, STILL_MS);
                r = load_take(&load);
        } while (r == 0 && load.n_done != before);
        return r;
}

static int kill_measured(pid_t pid)
{
        uint64_t start;
        int r;

        kill(pid, SIGSTOP);
        r = settle();
        if (r < 0)
                return r;
        load_mark(&load);
        start = now_ns();
        kill(pid, SIGKILL);
        while (r == 0 && load.n_marked > 0 && load.first_marked_ns == 0)
                r = load_run(&load, 1);
        if (load.first_marked_ns > start)
                waits_ns[n_waits++] = load.first_marked_ns - start;
        return r;
}

/* Some requests between two kills, so that each worker completes something and none leaves an empty queue. */
static int kill_once(unsigned number, pid_t *pid)
{
        uint64_t done = load.n_done;
        int r = load_run(&load, 4 + (unsigned)rand_r(&load.seed) % 60);

        while (r == 0 && load.n_done < done + DEPTH + 1) /* the successor has answered itself */
                r = load_run(&load, 8);
        if (r < 0)
                return r;
        *pid = stack_worker_after(&stack, "blk", *pid);
        if (*pid == 0)
                return -ESRCH;
        if (number % 2 == 0)
                return kill_measured(*pid);
        kill(*pid, SIGKILL);
        return 0;
}

static int kill_many(unsigned n, pid_t *pid)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < n; i++)
                r = kill_once(i, pid);
        if (r == 0)
                r = load_drain(&load);
        if (r == 0 && stack_worker_after(&stack, "blk", *pid) == 0)
                r = -ESRCH;
        *pid = 0;
        return r;
}

/* ---- the whole ---- */

static int compare_u64(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double wait_ms(unsigned percent)
{
        return n_waits ? (double)waits_ns[(n_waits - 1) * percent / 100] / 1e6 : 0;
}

static void report(unsigned kills, const struct holdings *before, const struct holdings *after)
{
        qsort(waits_ns, n_waits, sizeof(waits_ns[0]), compare_u64);
        printf("%u kills, %llu completions: 0 lost, 0 wrong, 0 doubled\n", kills,
               (unsigned long long)load.n_done);
        printf("crash to first replayed completion, %u of them: p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n",
               n_waits, wait_ms(50), wait_ms(99), wait_ms(100));
        printf("broker before: %u fds, %u maps, %u threads, %u children, %ld KiB\n", before->fds,
               before->maps, before->threads, before->children, before->rss_kib);
        printf("broker after:  %u fds, %u maps, %u threads, %u children, %ld KiB\n", after->fds, after->maps,
               after->threads, after->children, after->rss_kib);
}

static bool same(const struct holdings *a, const struct holdings *b)
{
        return a->fds == b->fds && a->maps == b->maps && a->children == b->children &&
               a->threads == b->threads;
}

/* The last worker's greeting may still be under way. */
static struct holdings holdings_at_rest(const struct holdings *expected)
{
        struct holdings now = holdings_now();

        for (int i = 0; i < QUIET_ROUNDS && expected && !same(&now, expected); i++) {
                poll(NULL, 0, STILL_MS);
                now = holdings_now();
        }
        return now;
}

static int run(const char *bin, unsigned kills, const char *keys)
{
        struct holdings before, after;
        pid_t pid = 0;
        int r = stack_make(&stack, bin, NULL, (uint64_t)BLOCKS * LOAD_BLOCK);

        if (r == 0)
                r = stack_configure(&stack, stack.image, keys);
        if (r == 0)
                r = stack_start(&stack);
        if (r == 0)
                r = load_open(&load, stack.socket, FRONT_END_QEMU_7_2, DEPTH, BLOCKS);
        if (r == 0)
                r = load_clear(&load);
        if (r == 0)
                r = kill_many(WARM_UP, &pid);
        if (r == 0)
                r = load_check(
                    &load); /* the last one's successor answers: the broker holds all that it will */
        if (r < 0)
                return give_up(r, "before the first kill that counts");
        before = holdings_at_rest(NULL);
        n_waits = 0;
        r = kill_many(kills, &pid);
        if (r == 0)
                r = load_check(&load);
        if (r < 0)
                return give_up(r, "lost, wrong or doubled");
        after = holdings_at_rest(&before);
        report(kills, &before, &after);
        if (!same(&before, &after) || after.rss_kib > before.rss_kib + RSS_KIB)
                return give_up(-EOVERFLOW, "the broker holds more than before");
        return 0;
}

int main(int argc, char **argv)
{
        static const struct option known[] = {{"kills", required_argument, NULL, 'k'},
                                              {"seed", required_argument, NULL, 's'},
                                              {"direct", no_argument, NULL, 'd'}, /* past the page cache */
                                              {0}};
        const char *keys = "";
        unsigned kills = 200;
        int c, r;

        load.seed = 1;
        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (c == 'k')
                        kills = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 's')
                        load.seed = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 'd')
                        keys = ", direct: true";
                else
                        return 2;
        }
        if (optind != argc - 1)
                return 2;
        r = run(argv[optind], MIN(kills, KILLS_MAX), keys);
        load_close(&load);
        stack_done(&stack);
        return r < 0;
}
