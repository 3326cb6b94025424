/* Builds the states that a power cut may leave of a disk, and looks in each for what was promised.
 *
 *      power_cut BINDIR [--seed N] [--states M] [--mistake NAME]
 *
 * How it works: a round is a session of a guest (cut_round.c) against a broker whose block worker logs its
 * host calls (recorder.c). Then the log is walked record by record. After each the power is cut: the states
 * that the disk may be in are known from the records alone (cut_disk.c), what must be in it from what the
 * guest had seen by then alone (cut_promise.c). First every version of every sector is judged, which judges
 * all states there are; then STATES_A_CUT of them are built, byte by byte, and read as a driver would.
 *
 * With --mistake the worker makes one (record.h), and the run is good when that was noticed.
 * TRUST: the log is that of the worker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/power_cut/cut_disk.h"
#include "tests/power_cut/cut_promise.h"
#include "tests/power_cut/cut_round.h"
#include "tests/power_cut/cut_stamp.h"
#include "tests/power_cut/record_order.h"

#define REQUESTS     600u /* of a round */
#define STATES_A_CUT 8u   /* nothing of what is not stable, all of it, and samples */

static const char *const mode_names[CUT_MODE_COUNT_] = {
    [CUT_WRITEBACK] = "writeback", [CUT_WRITETHROUGH] = "writethrough", [CUT_SWITCHING] = "switching"};

static const char *const mistake_names[MISTAKE_COUNT_] = {[MISTAKE_NONE] = "none",
                                                          [MISTAKE_NO_SYNC] = "no-sync",
                                                          [MISTAKE_LATE_SYNC] = "late-sync",
                                                          [MISTAKE_LATE_WRITE] = "late-write",
                                                          [MISTAKE_LOST_WRITE] = "lost-write",
                                                          [MISTAKE_TORN_SECTOR] = "torn-sector",
                                                          [MISTAKE_STALE_WRITE] = "stale-write"};

static struct power_cut {
        struct stack stack;
        uint8_t *image; /* mapped */
        struct record_control *control;
        struct cut_disk disk;
        struct promise promise;
        uint8_t state[CUT_SECTORS * CUT_SECTOR];
        uint64_t random;
        uint64_t n_states, n_cuts, n_versions;
        unsigned n_writes, n_zeroes, n_syncs, n_flushes, n_kills;
        char why[200];
} cut;

static uint64_t random_next(void)
{
        cut.random ^= cut.random << 13;
        cut.random ^= cut.random >> 7;
        cut.random ^= cut.random << 17;
        return cut.random;
}

/* ---- judgement ---- */

/* All that led there, for whoever has to find the mistake. */
static void explain(uint32_t sector)
{
        const struct promise_sector *allowed = &cut.promise.sectors[sector];

        for (unsigned i = 0; i < allowed->n; i++) {
                const struct guest_write *write = &cut.promise.writes[allowed->writes[i]];

                printf("  promised: one of write %u (stamp %u), event %llu to %lld%s\n", allowed->writes[i],
                       write->id, (unsigned long long)write->posted, (long long)write->done,
                       write->stable ? ", stable" : "");
        }
        for (unsigned i = 0; i < cut_disk_choices(&cut.disk, sector); i++)
                printf("  version %u: stamp %d, record %lld to %lld\n", i,
                       (int)stamp_read(cut_disk_version(&cut.disk, sector, i), sector),
                       i ? (long long)cut.disk.sectors[sector].versions[i - 1].begun : -1,
                       i ? (long long)cut.disk.sectors[sector].versions[i - 1].ended : -1);
}

static int judge_sector(uint32_t sector, const uint8_t *bytes, uint64_t at)
{
        uint32_t id = stamp_read(bytes, sector);

        if (id != STAMP_TORN && promise_allows(&cut.promise, sector, id))
                return 0;
        snprintf(cut.why, sizeof(cut.why),
                 "cut after record %llu: sector %u may hold %s (write %d), which is not what was promised",
                 (unsigned long long)at, sector, id == STAMP_TORN ? "parts of two writes" : "a wrong write",
                 (int)id);
        explain(sector);
        return -EILSEQ;
}

static int judge_versions(uint64_t at)
{
        int r = 0;

        for (uint32_t i = 0; r == 0 && i < CUT_SECTORS; i++) {
                unsigned n = cut_disk_choices(&cut.disk, i);

                for (unsigned choice = 0; r == 0 && choice < n; choice++)
                        r = judge_sector(i, cut_disk_version(&cut.disk, i, choice), at);
                cut.n_versions += n;
        }
        return r;
}

/* State 0: nothing got out in time. State 1: all did. The others: each sector as it happens, more or less. */
static unsigned choose(unsigned state, unsigned n)
{
        if (state == 0)
                return 0;
        if (state == 1)
                return n - 1;
        return random_next() % STATES_A_CUT < state ? (unsigned)(random_next() % n) : 0;
}

static int judge_state(unsigned state, uint64_t at)
{
        int r = 0;

        memcpy(cut.state, cut.disk.stable, sizeof(cut.state));
        for (uint32_t i = 0; i < CUT_SECTORS; i++) {
                unsigned n = cut_disk_choices(&cut.disk, i);

                if (n > 1)
                        memcpy(cut.state + (size_t)i * CUT_SECTOR,
                               cut_disk_version(&cut.disk, i, choose(state, n)), CUT_SECTOR);
        }
        for (uint32_t i = 0; r == 0 && i < CUT_SECTORS; i++)
                r = judge_sector(i, cut.state + (size_t)i * CUT_SECTOR, at);
        cut.n_states++;
        return r;
}

static int judge_cut(uint64_t at)
{
        int r = judge_versions(at);

        for (unsigned state = 0; r == 0 && state < STATES_A_CUT; state++)
                r = judge_state(state, at);
        cut.n_cuts++;
        return r;
}

/* Has the recorder missed nothing? Then the image is what the log says. */
static int judge_image(void)
{
        for (uint32_t i = 0; i < CUT_SECTORS; i++)
                if (!cut_disk_may_be(&cut.disk, i, cut.image + (size_t)i * CUT_SECTOR)) {
                        snprintf(cut.why, sizeof(cut.why), "sector %u of the image is not what the log says",
                                 i);
                        return -EILSEQ;
                }
        return 0;
}

/* ---- the walk ---- */

static const struct record *record_at(uint64_t *at, const uint8_t **ret_bytes)
{
        const struct record *record = (const struct record *)(cut.image + RECORD_LOG + *at);

        *ret_bytes = (const uint8_t *)(record + 1);
        *at += sizeof(*record) + ((record->bytes + 63) & ~UINT64_C(63));
        return record;
}

static int walk(const struct cut_round *round)
{
        uint64_t n = cut.control->records, at = 0;
        size_t seen = 0;
        int r = 0;

        for (uint64_t i = 0; r == 0 && i <= n; i++) {
                const uint8_t *bytes;

                while (seen < round->n_events && round->events[seen].at <= i)
                        promise_apply(&cut.promise, &round->events[seen++]);
                r = judge_cut(i);
                if (r == 0 && i < n) {
                        const struct record *record = record_at(&at, &bytes);

                        if (record->magic != RECORD_MAGIC || record->number != i)
                                return -EBADMSG;
                        cut_disk_apply(&cut.disk, record, bytes);
                }
        }
        return r == 0 ? judge_image() : r;
}

static int judge_round(const struct cut_round *round)
{
        int r;

        cut_disk_init(&cut.disk);
        promise_init(&cut.promise, CUT_SECTORS);
        for (size_t i = 1; i < round->n_writes; i++)
                promise_add(&cut.promise, &round->writes[i]);
        r = walk(round);
        cut.n_writes += cut.disk.n_writes;
        cut.n_zeroes += cut.disk.n_zeroes;
        cut.n_syncs += cut.disk.n_syncs;
        cut.n_flushes += round->n_flushes;
        cut.n_kills += round->n_kills;
        promise_done(&cut.promise);
        cut_disk_done(&cut.disk);
        return r;
}

static int run_round(enum cut_mode mode, unsigned seed)
{
        struct cut_round round;
        int r;

        cut.control->seed = seed;
        r = cut_round_run(&round, &cut.stack, cut.control, cut.image, mode, seed, REQUESTS);
        if (r < 0)
                snprintf(cut.why, sizeof(cut.why), "%s", round.why);
        else
                r = judge_round(&round);
        cut_round_done(&round);
        if (r < 0)
                printf("%s, seed %u: %s\n", mode_names[mode], seed, cut.why);
        return r;
}

/* ---- the whole ---- */

static int open_image(void)
{
        int r = record_map(cut.stack.image, RECORD_IMAGE, &cut.image);

        if (r == 0)
                cut.control = (struct record_control *)(cut.image + RECORD_CONTROL);
        return r;
}

static int run(const char *bin, unsigned seed, uint64_t states, unsigned mistake, bool direct)
{
        int r = stack_make(&cut.stack, bin, direct ? RECORD_DIRECT_PARENT : NULL, RECORD_IMAGE);

        if (r == 0 && direct && !record_can_be_direct(cut.stack.image))
                return RECORD_SKIPPED;
        if (r == 0 && direct)
                r = stack_configure(&cut.stack, cut.stack.image, ", direct: true");
        if (r == 0)
                r = open_image();
        if (r == 0)
                r = stack_start(&cut.stack);
        if (r < 0) {
                fprintf(stderr, "power_cut: %s\n", strerror(-r));
                return r;
        }
        cut.random = seed | UINT64_C(1) << 40;
        cut.control->mistake = mistake;
        for (unsigned i = 0; r == 0 && (cut.n_states < states || i % CUT_MODE_COUNT_ != 0); i++)
                r = run_round((enum cut_mode)(i % CUT_MODE_COUNT_), seed + i);
        printf("%llu states and %llu versions of sectors checked after %llu cuts: %u writes, %u discards and "
               "zeroes, %u fdatasyncs, %u flushes of the guest, %u workers killed\n",
               (unsigned long long)cut.n_states, (unsigned long long)cut.n_versions,
               (unsigned long long)cut.n_cuts, cut.n_writes, cut.n_zeroes, cut.n_syncs, cut.n_flushes,
               cut.n_kills);
        return r;
}

static unsigned mistake_named(const char *name)
{
        for (unsigned i = 0; i < MISTAKE_COUNT_; i++)
                if (strcmp(mistake_names[i], name) == 0)
                        return i;
        return MISTAKE_COUNT_;
}

int main(int argc, char **argv)
{
        static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                              {"states", required_argument, NULL, 'n'},
                                              {"mistake", required_argument, NULL, 'm'},
                                              {"direct", no_argument, NULL, 'd'},
                                              {0}};
        unsigned seed = 1, mistake = MISTAKE_NONE;
        uint64_t states = 10000;
        bool direct = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (c == 's')
                        seed = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 'n')
                        states = strtoull(optarg, NULL, 10);
                else if (c == 'm')
                        mistake = mistake_named(optarg);
                else if (c == 'd')
                        direct = true;
                else
                        return 2;
        }
        if (optind != argc - 1 || mistake == MISTAKE_COUNT_)
                return 2;
        r = run(argv[optind], seed, states, mistake, direct);
        if (r < 0 && mistake == MISTAKE_NONE)
                stack_show_log(&cut.stack);
        stack_done(&cut.stack);
        if (r == RECORD_SKIPPED)
                return r;
        if (mistake != MISTAKE_NONE)
                return r == -EILSEQ ? 0 : 1;
        return r < 0;
}
