/* What a guest that floods its own disk costs its neighbours: a disk is read at queue depth 1 while other disks of the
 * same VM are kept at depth 256 with reads of 64 KiB, one without a rate and one with. Prints p50 and p99 without and
 * with each flood, and how much the flood got.
 *
 * How it works: rounds alternate between quiet and flooded, and each round's ratio of p99 is taken by itself; the median
 * counts. That the disk with a rate gets no more than that is judged always. With BULKHEAD_JUDGE_TIME=1 it is also judged
 * what its neighbour's p99 becomes; a round on a busy machine is repeated, at most RETRIES times: the bound stays.
 *
 * BULKHEAD_BLK_SOCKET: the disk that is measured; BULKHEAD_SOCKETS: the folder of free.sock and limited.sock;
 * FLOODED_RATE: of the latter, bytes a second. TRUST: completions are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/wire/measured_disk.h"

#define DEADLINE_MS 10000
#define DEPTH       256u
#define LEN         65536u
#define DISK_BYTES  (UINT64_C(64) << 20)
#define WARM_UP     200u
#define ROUNDS      7u
#define RETRIES     6u
#define RATIO_MAX   2.0

/* ---- the flood, a thread of its own ---- */

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        uint64_t begin_ns, bytes, ns; /* of this flood; bytes that have come, in how long */
        atomic_bool stop;
        const char *mistake; /* NULL: none */
        pthread_t thread;
} flood;

static void post_all(void)
{
        static uint64_t next;

        while (blk_front_post(&flood.blk, BLK_IN, next % (DISK_BYTES / LEN) * (LEN / 512), LEN, NULL) >= 0)
                next++;
}

static void *flood_main(void *argument)
{
        (void)argument;
        while (!atomic_load(&flood.stop)) {
                struct blk_done done;

                post_all();
                if (blk_front_submit(&flood.blk) < 0 || blk_front_wait(&flood.blk, DEADLINE_MS, &done) < 0 ||
                    done.status != BLK_S_OK) {
                        flood.mistake = "the flooded disk does not answer";
                        break;
                }
                flood.bytes += LEN;
        }
        flood.ns = measured_now_ns() - flood.begin_ns;
        return NULL;
}

static void flood_open(const char *name)
{
        char socket[256];

        snprintf(socket, sizeof(socket), "%s/%s.sock", getenv("BULKHEAD_SOCKETS"), name);
        flood.front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}, .backend = -1};
        assert_int_equal(wire_connect(&flood.front.wire, socket), 0);
        assert_int_equal(front_end_negotiate(&flood.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&flood.ram, UINT64_C(32) << 20, UINT64_C(0x80000000)), 0);
        blk_front_init(&flood.blk, &flood.front, &flood.ram, 0, DEPTH, DEPTH, LEN, LEN);
        assert_int_equal(blk_front_start(&flood.blk, 0), 0);
}

static void flood_close(void)
{
        front_end_close(&flood.front);
        guest_ram_done(&flood.ram);
}

/* The ring stays as full as it is between floods. */
static void flood_begin(void)
{
        atomic_store(&flood.stop, false);
        flood.bytes = 0;
        flood.begin_ns = measured_now_ns();
        assert_int_equal(pthread_create(&flood.thread, NULL, flood_main, NULL), 0);
}

static void flood_end(void)
{
        atomic_store(&flood.stop, true);
        assert_int_equal(pthread_join(flood.thread, NULL), 0);
        if (flood.mistake)
                fail_msg("%s", flood.mistake);
}

/* Nothing is on its way any more: what comes next is quiet. */
static void flood_settle(void)
{
        struct blk_done done;

        while (flood.blk.n_busy > 0)
                assert_int_equal(blk_front_wait(&flood.blk, DEADLINE_MS, &done), 0);
}

/* ---- rounds ---- */

struct result {
        double ratio, mib; /* of p99; MiB a second that the flood got */
};

static struct result run_rounds(const char *name)
{
        double ratio[ROUNDS], quiet_p50[ROUNDS], quiet_p99[ROUNDS], loud_p50[ROUNDS], loud_p99[ROUNDS];
        double mib[ROUNDS];
        struct result result;

        for (unsigned i = 0; i < ROUNDS; i++) {
                struct percentiles quiet, loud;

                flood_settle();
                measured_disk_read(WARM_UP);
                quiet = measured_disk_measure();
                flood_begin();
                measured_disk_read(WARM_UP);
                loud = measured_disk_measure();
                flood_end();
                quiet_p50[i] = quiet.p50_us;
                quiet_p99[i] = quiet.p99_us;
                loud_p50[i] = loud.p50_us;
                loud_p99[i] = loud.p99_us;
                ratio[i] = loud.p99_us / quiet.p99_us;
                mib[i] = (double)flood.bytes / (double)flood.ns * 1e9 / (1 << 20);
        }
        result =
            (struct result){.ratio = measured_median(ratio, ROUNDS), .mib = measured_median(mib, ROUNDS)};
        printf("%-8s quiet p50 %6.0f p99 %6.0f   flooded p50 %6.0f p99 %6.0f us   ratio %5.2f   flood %6.0f "
               "MiB/s\n",
               name, measured_median(quiet_p50, ROUNDS), measured_median(quiet_p99, ROUNDS),
               measured_median(loud_p50, ROUNDS), measured_median(loud_p99, ROUNDS), result.ratio,
               result.mib);
        fflush(stdout);
        return result;
}

static void without_a_rate_a_flooded_disk_has_what_there_is(void **state)
{
        (void)state;
        flood_open("free");
        assert_true(run_rounds("free").mib > 0);
        flood_close();
}

/* For so long that the burst does not count. */
static void a_flooded_disk_gets_its_rate_and_no_more(void **state)
{
        const double rate = strtod(getenv("FLOODED_RATE"), NULL);
        uint64_t bytes = 0, start;

        (void)state;
        flood_open("limited");
        flood_begin();
        start = measured_now_ns();
        while (measured_now_ns() - start < UINT64_C(2000000000))
                measured_disk_read(100);
        flood_end();
        bytes = flood.bytes;
        printf("limited  %.1f MiB in %.2f s\n", (double)bytes / (1 << 20), (double)flood.ns / 1e9);
        /* A tenth of a second's burst, and what was taken and not answered when it ended. */
        assert_true((double)bytes <= rate * ((double)flood.ns / 1e9 + 0.1) + LEN);
        assert_true((double)bytes >= rate * (double)flood.ns / 1e9 / 2);
        flood_close();
}

static void with_a_rate_a_flood_does_not_double_its_neighbours_p99(void **state)
{
        const bool judged = getenv("BULKHEAD_JUDGE_TIME") != NULL;
        struct result result;

        (void)state;
        flood_open("limited");
        result = run_rounds("limited");
        for (unsigned i = 0; judged && i < RETRIES && result.ratio > RATIO_MAX; i++)
                result = run_rounds("limited");
        if (judged)
                assert_true(result.ratio <= RATIO_MAX);
        flood_close();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(without_a_rate_a_flooded_disk_has_what_there_is),
            cmocka_unit_test(a_flooded_disk_gets_its_rate_and_no_more),
            cmocka_unit_test(with_a_rate_a_flood_does_not_double_its_neighbours_p99),
        };
        int failed;

        if (!getenv("BULKHEAD_BLK_SOCKET") || !getenv("BULKHEAD_SOCKETS") || !getenv("FLOODED_RATE")) {
                fprintf(stderr,
                        "skipped: BULKHEAD_BLK_SOCKET, BULKHEAD_SOCKETS or FLOODED_RATE is not set\n");
                return 77;
        }
        measured_disk_open(getenv("BULKHEAD_BLK_SOCKET"));
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        measured_disk_close();
        return failed;
}
