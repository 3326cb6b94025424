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
#include "tests/harness/front_ring.h"
#include "tests/wire/measured_disk.h"
#include "tests/wire/quota_attacks.h"

#define DEADLINE_MS 10000
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

                if (front_ring_show(&guest.front, 0, &guest.ring) < 0)
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
        uint64_t end = measured_now_ns() + UINT64_C(1000000) * DEADLINE_MS;

        guest.attack = attack;
        atomic_store(&guest.stop, false);
        atomic_store(&guest.sessions, 0);
        assert_int_equal(pthread_create(&guest.thread, NULL, guest_main, NULL), 0);
        while (atomic_load(&guest.sessions) == 0) {
                measured_disk_read(1); /* time passes */
                assert_true(measured_now_ns() < end);
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

/* The median ratio of p99. */
static double run_rounds(enum attack attack)
{
        double ratio[ROUNDS], quiet_p50[ROUNDS], quiet_p99[ROUNDS], loud_p50[ROUNDS], loud_p99[ROUNDS], r;

        for (unsigned i = 0; i < ROUNDS; i++) {
                struct percentiles quiet, loud;

                measured_disk_read(WARM_UP);
                quiet = measured_disk_measure();
                guest_start(attack);
                measured_disk_read(WARM_UP);
                loud = measured_disk_measure();
                guest_stop();
                quiet_p50[i] = quiet.p50_us;
                quiet_p99[i] = quiet.p99_us;
                loud_p50[i] = loud.p50_us;
                loud_p99[i] = loud.p99_us;
                ratio[i] = loud.p99_us / quiet.p99_us;
        }
        r = measured_median(ratio, ROUNDS);
        printf(
            "%-26s quiet p50 %6.0f p99 %6.0f   attack p50 %6.0f p99 %6.0f us   ratio %.2f   broker %ld KiB\n",
            names[attack], measured_median(quiet_p50, ROUNDS), measured_median(quiet_p99, ROUNDS),
            measured_median(loud_p50, ROUNDS), measured_median(loud_p99, ROUNDS), r, broker_kib());
        fflush(stdout);
        return r;
}

static void no_attack_doubles_a_neighbours_p99_or_makes_the_broker_grow(void **state)
{
        const bool judged = getenv("BULKHEAD_JUDGE_TIME") != NULL;
        unsigned over = 0;
        long before;

        (void)state;
        measured_disk_open(getenv("BULKHEAD_BLK_SOCKET"));
        assert_int_equal(guest_ram_init(&guest.ram, 1 << 20, 0), 0);
        guest_start(ATTACK_NONE); /* what any worker costs is not the attack's */
        measured_disk_read(MEASURED_SAMPLES);
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
        measured_disk_close();
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
