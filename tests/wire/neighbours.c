/* What one worker's attack costs its neighbours: a disk is read at queue depth 1 while the entropy device of
 * the same VM is served by quota_attacker.c. Prints p50 and p99 without and with each attack, and what the
 * broker's memory grew by.
 *
 * How it works: rounds alternate between quiet and attack, and each round's ratio of p99 is taken by itself,
 * so that what else the machine does hits both; the median of the ratios counts. With BULKHEAD_JUDGE_TIME=1 it is
 * judged too: an attack that is over the bound is measured again, at most RETRIES times: the bound stays.
 *
 * Not judged: an honest worker, which shows what the machine does by itself, and one that dies after each
 * answer, whose cost is that of starting processes and is for the supervisor to bound.
 *
 * BULKHEAD_BLK_SOCKET, BULKHEAD_RNG_SOCKET: the devices; BULKHEAD_BROKER_PID: a shell command that prints the
 * broker's pid. TRUST: completions are the broker's, and are what is tested.
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
#include <string.h>
#include <time.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"
#include "tests/wire/quota_attacks.h"

#define DEADLINE_MS 10000
#define BLOCK       4096u
#define BLOCKS      4096u
#define SAMPLES     2000u
#define WARM_UP     200u
#define ROUNDS      7u
#define RETRIES     6u
#define RATIO_MAX   2.0
#define GROWTH_MAX  1024 /* KiB */

#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define POSTED        64u
#define READABLE      16384u
#define PATIENCE_MS   100 /* then the attacker is dead, or asleep, and gets a new session */

static const char *const names[ATTACK_COUNT_] = {
    [ATTACK_NONE] = "an honest neighbour",
    [ATTACK_NEVER_READS] = "never reads",
    [ATTACK_FLOODS] = "floods within its quota",
    [ATTACK_FLOODS_OVER] = "floods",
    [ATTACK_DRIPS] = "drips",
    [ATTACK_FLOODS_CONTROL] = "floods control",
    [ATTACK_LOGS] = "logs megabytes",
    [ATTACK_SPINS] = "spins",
    [ATTACK_CRASHES] = "crashes after each answer",
};

static const char *only = ""; /* the attacks whose names hold this, by the first argument */

/* ---- the disk, which is measured ---- */

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        unsigned seed;
        uint64_t sample[SAMPLES];
} disk = {.front = {.wire = {.sock = -1}, .backend = -1}};

struct percentiles {
        double p50_us, p99_us;
};

static void open_disk(void)
{
        disk.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&disk.front.wire, getenv("BULKHEAD_BLK_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&disk.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&disk.ram, 4 << 20, UINT64_C(0x80000000)), 0);
        blk_front_init(&disk.blk, &disk.front, &disk.ram, 0, 64, 1, BLOCK, BLOCK);
        assert_int_equal(blk_front_start(&disk.blk, 0), 0);
}

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
        const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static void read_disk(unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                uint64_t block = (unsigned)rand_r(&disk.seed) % BLOCKS, start = now_ns();

                assert_int_equal(blk_front_do(&disk.blk, BLK_IN, block * (BLOCK / 512), BLOCK, DEADLINE_MS),
                                 0);
                disk.sample[i] = now_ns() - start;
        }
}

static struct percentiles measure(void)
{
        read_disk(SAMPLES);
        qsort(disk.sample, SAMPLES, sizeof(disk.sample[0]), by_size);
        return (struct percentiles){.p50_us = (double)disk.sample[SAMPLES / 2] / 1000,
                                    .p99_us = (double)disk.sample[SAMPLES - SAMPLES / 100] / 1000};
}

/* ---- the attacker's guest, a thread of its own ---- */

static struct guest {
        struct front_end front;
        struct guest_ram ram;
        struct split_ring ring;
        uint64_t buffer;
        enum attack attack;
        atomic_bool stop;
        atomic_uint sessions; /* that got as far as a running ring */
        pthread_t thread;
} guest;

static void guest_close(void)
{
        front_end_close(&guest.front);
        wire_close(&guest.front.wire);
}

/* A session with a running ring. False: something ended it. */
static bool guest_open(void)
{
        guest.front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}, .backend = -1};
        guest_ram_clear(&guest.ram);
        if (wire_connect(&guest.front.wire, getenv("BULKHEAD_RNG_SOCKET")) < 0 ||
            front_end_negotiate(&guest.front, FRONT_END_QEMU_7_2, false) < 0)
                return false;
        split_ring_init(&guest.ring, &guest.ram, 256, guest.front.offered & 1u << 28,
                        guest.front.offered & 1u << 29);
        guest.buffer = guest_ram_alloc(&guest.ram, 2 * READABLE, 4096);
        if (front_end_start(&guest.front, RING_FEATURES, &guest.ram) < 0 ||
            front_end_start_ring(&guest.front, 0, &guest.ring, 0) < 0)
                return false;
        atomic_fetch_add(&guest.sessions, 1);
        return true;
}

static int guest_post(void)
{
        const struct split_segment segments[2] = {{guest.buffer, READABLE},
                                                  {guest.buffer + READABLE, ATTACK_LEN + guest.attack}};
        bool with_bytes = guest.attack == ATTACK_NEVER_READS;

        return split_ring_add(&guest.ring, segments + !with_bytes, with_bytes, 1, &guest);
}

/* Keeps the attacker in work, until it does nothing any more. */
static void guest_drive(void)
{
        uint64_t count;

        for (unsigned i = 0; i < POSTED; i++)
                guest_post();
        while (!atomic_load(&guest.stop)) {
                uint32_t len;
                void *cookie;

                if (split_ring_publish(&guest.ring) && front_end_kick(&guest.front, 0) < 0)
                        return;
                if (split_ring_take(&guest.ring, &cookie, &len) == 1) {
                        guest_post();
                        continue;
                }
                if (split_ring_want_call(&guest.ring))
                        continue;
                if (wire_wait_event(&guest.front.wire, guest.front.rings[0].call, PATIENCE_MS, &count) < 0 &&
                    guest.attack != ATTACK_NEVER_READS && guest.attack != ATTACK_SPINS)
                        return;
        }
}

static void *guest_main(void *argument)
{
        (void)argument;
        while (!atomic_load(&guest.stop)) {
                if (guest_open())
                        guest_drive();
                guest_close();
        }
        return NULL;
}

/* Returns when the first session runs. */
static void guest_start(enum attack attack)
{
        uint64_t end = now_ns() + UINT64_C(1000000) * DEADLINE_MS;

        guest.attack = attack;
        atomic_store(&guest.stop, false);
        atomic_store(&guest.sessions, 0);
        assert_int_equal(pthread_create(&guest.thread, NULL, guest_main, NULL), 0);
        while (atomic_load(&guest.sessions) == 0) {
                read_disk(1); /* time passes */
                assert_true(now_ns() < end);
        }
}

static void guest_stop(void)
{
        atomic_store(&guest.stop, true);
        assert_int_equal(pthread_join(guest.thread, NULL), 0);
}

/* ---- the broker's memory ---- */

static char broker_status[64];

static bool find_broker(void)
{
        const char *command = getenv("BULKHEAD_BROKER_PID");
        FILE *out = command ? popen(command, "r") : NULL;
        int pid = 0;

        if (out && fscanf(out, "%d", &pid) != 1)
                pid = 0;
        if (out)
                pclose(out);
        snprintf(broker_status, sizeof(broker_status), "/proc/%d/status", pid);
        return pid > 0;
}

/* KiB of its own: guest memory that it has touched does not count. */
static long broker_kib(void)
{
        FILE *file = fopen(broker_status, "re");
        char line[128];
        long kib = -1;

        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "RssAnon: %ld", &kib) == 1)
                        break;
        fclose(file);
        assert_true(kib > 0);
        return kib;
}

/* ---- rounds ---- */

static int by_ratio(const void *a, const void *b)
{
        const double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

static double median(double values[static ROUNDS])
{
        qsort(values, ROUNDS, sizeof(values[0]), by_ratio);
        return values[ROUNDS / 2];
}

/* The median ratio of p99. */
static double run_rounds(enum attack attack)
{
        double ratio[ROUNDS], quiet_p50[ROUNDS], quiet_p99[ROUNDS], loud_p50[ROUNDS], loud_p99[ROUNDS], r;

        for (unsigned i = 0; i < ROUNDS; i++) {
                struct percentiles quiet, loud;

                read_disk(WARM_UP);
                quiet = measure();
                guest_start(attack);
                read_disk(WARM_UP);
                loud = measure();
                guest_stop();
                quiet_p50[i] = quiet.p50_us;
                quiet_p99[i] = quiet.p99_us;
                loud_p50[i] = loud.p50_us;
                loud_p99[i] = loud.p99_us;
                ratio[i] = loud.p99_us / quiet.p99_us;
        }
        r = median(ratio);
        printf(
            "%-26s quiet p50 %6.0f p99 %6.0f   attack p50 %6.0f p99 %6.0f us   ratio %.2f   broker %ld KiB\n",
            names[attack], median(quiet_p50), median(quiet_p99), median(loud_p50), median(loud_p99), r,
            broker_kib());
        fflush(stdout);
        return r;
}

static void no_attack_doubles_a_neighbours_p99_or_makes_the_broker_grow(void **state)
{
        const bool judged = getenv("BULKHEAD_JUDGE_TIME") != NULL;
        unsigned over = 0;
        long before;

        (void)state;
        open_disk();
        assert_int_equal(guest_ram_init(&guest.ram, 1 << 20, 0), 0);
        guest_start(ATTACK_NONE); /* what any worker costs is not the attack's */
        read_disk(SAMPLES);
        guest_stop();
        before = broker_kib();
        for (enum attack attack = ATTACK_NONE; attack < ATTACK_COUNT_; attack++) {
                double ratio;

                if (!strstr(names[attack], only))
                        continue;
                ratio = run_rounds(attack);
                if (attack == ATTACK_NONE || attack == ATTACK_CRASHES)
                        continue;
                for (unsigned i = 0; judged && i < RETRIES && ratio > RATIO_MAX; i++)
                        ratio = run_rounds(attack);
                if (judged && ratio > RATIO_MAX)
                        print_error("%s: p99 is %.2f times what it was\n", names[attack], ratio);
                over += judged && ratio > RATIO_MAX;
        }
        printf("the broker grew by %ld KiB\n", broker_kib() - before);
        assert_true(broker_kib() - before <= GROWTH_MAX);
        assert_int_equal(over, 0);
        front_end_close(&disk.front);
        guest_ram_done(&disk.ram);
        guest_ram_done(&guest.ram);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(no_attack_doubles_a_neighbours_p99_or_makes_the_broker_grow),
        };

        if (argc > 1)
                only = argv[1];
        if (!getenv("BULKHEAD_BLK_SOCKET") || !getenv("BULKHEAD_RNG_SOCKET") || !find_broker()) {
                fprintf(stderr, "skipped: BULKHEAD_BLK_SOCKET, _RNG_SOCKET or _BROKER_PID is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
