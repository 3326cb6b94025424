/* The bench's own parts: cases, histogram, stamps and what processes have used. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/bench/bench_case.h"
#include "tests/bench/bench_stamp.h"
#include "tests/bench/histogram.h"
#include "tests/bench/process_use.h"
#include "tests/unit/unit.h"

static void case_is_what_its_words_say(void **state)
{
        static const struct {
                const char *words, *name;
                struct bench_case work;
        } good[] = {
            {"read:4k:1", "read:4k:1", {BENCH_READ, 4096, 1, 1, false, false}},
            {"write:1M:256", "write:1M:256", {BENCH_WRITE, 1 << 20, 256, 1, false, false}},
            {"mixed:512:8:seq:queues=4:packed",
             "mixed:512:8:seq:queues=4:packed",
             {BENCH_MIXED, 512, 8, 4, true, true}},
            {"read:4096:32:queues=1", "read:4k:32", {BENCH_READ, 4096, 32, 1, false, false}},
            {"read:4M:1", "read:4M:1", {BENCH_READ, 4 << 20, 1, 1, false, false}},
        };

        (void)state;
        for (unsigned i = 0; i < array_size(good); i++) {
                struct bench_case work;
                const char *why = NULL;
                char name[64];

                assert_int_equal(bench_case_parse(good[i].words, &work, &why), 0);
                assert_int_equal(work.op, good[i].work.op);
                assert_int_equal(work.block, good[i].work.block);
                assert_int_equal(work.depth, good[i].work.depth);
                assert_int_equal(work.queues, good[i].work.queues);
                assert_int_equal(work.sequential, good[i].work.sequential);
                assert_int_equal(work.packed, good[i].work.packed);
                bench_case_name(&work, name, sizeof(name));
                assert_string_equal(name, good[i].name);
        }
}

static void case_that_makes_no_sense_is_refused(void **state)
{
        static const char *const bad[] = {"",
                                          "read",
                                          "read:4k",
                                          "trim:4k:1",
                                          "read:4k:0",
                                          "read:4k:257",
                                          "read:4k:-1",
                                          "read:0:1",
                                          "read:513:1",
                                          "read:8M:1",
                                          "read:99999999999999999999:1",
                                          "read:99999999999G:1",
                                          "read:4kk:1",
                                          "read:4k:1:queues=17",
                                          "read:4k:1:queues=",
                                          "read:4k:1:fast"};

        (void)state;
        for (unsigned i = 0; i < array_size(bad); i++) {
                struct bench_case work = {.depth = 77};
                const char *why = NULL;

                assert_int_equal(bench_case_parse(bad[i], &work, &why), -EINVAL);
                assert_non_null(why);
                assert_int_equal(work.depth, 77);
        }
}

static void quantile_is_right_within_its_bucket(void **state)
{
        static struct histogram histogram, half;

        (void)state;
        assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
        for (uint64_t i = 1; i <= 100000; i++)
                histogram_add(i % 2 ? &histogram : &half, i * 37);
        histogram_merge(&histogram, &half);
        assert_int_equal(histogram.n, 100000);
        for (unsigned percent = 1; percent <= 100; percent++) {
                double exact = 37.0 * 1000 * percent;
                double found = (double)histogram_quantile(&histogram, percent / 100.0);

                assert_true(found > exact * 0.98 && found < exact * 1.02);
        }
}

static void histogram_takes_every_value(void **state)
{
        static struct histogram histogram;
        uint64_t last = 0;

        (void)state;
        for (unsigned shift = 0; shift < 64; shift++) {
                memset(&histogram, 0, sizeof(histogram));
                histogram_add(&histogram, (UINT64_C(1) << shift) + (UINT64_C(1) << shift) / 3);
                assert_true(histogram_quantile(&histogram, 1) >= last);
                last = histogram_quantile(&histogram, 1);
        }
}

static void stale_lost_or_misplaced_sector_is_found(void **state)
{
        uint8_t old[4096], now[4096], other[4096];
        struct bench_stamps stamps;
        uint64_t sector = 0;

        (void)state;
        assert_int_equal(bench_stamps_init(&stamps, 1, 80, 4, sizeof(now)), 0);
        memset(old, 0, sizeof(old));
        assert_true(bench_stamps_match(&stamps, 1, old, &sector)); /* not written yet: anything goes */
        bench_stamps_fill(&stamps, 1, old);
        assert_true(bench_stamps_match(&stamps, 1, old, &sector));
        bench_stamps_fill(&stamps, 1, now);
        bench_stamps_fill(&stamps, 2, other);
        assert_true(bench_stamps_match(&stamps, 1, now, &sector));
        assert_false(bench_stamps_match(&stamps, 1, old, &sector));
        assert_int_equal(sector, 80 + 8);
        assert_false(bench_stamps_match(&stamps, 1, other, &sector));
        memcpy(now + 7 * 512, old + 7 * 512, 512);
        assert_false(bench_stamps_match(&stamps, 1, now, &sector));
        assert_int_equal(sector, 80 + 8 + 7);
        bench_stamps_spoil(&stamps, now);
        assert_false(bench_stamps_match(&stamps, 1, now, &sector));
        bench_stamps_done(&stamps);
}

static void stamps_of_another_run_do_not_match(void **state)
{
        struct bench_stamps first, second;
        uint8_t bytes[512];
        uint64_t sector;

        (void)state;
        assert_int_equal(bench_stamps_init(&first, 1, 0, 1, sizeof(bytes)), 0);
        assert_int_equal(bench_stamps_init(&second, 2, 0, 1, sizeof(bytes)), 0);
        bench_stamps_fill(&second, 0, bytes);
        bench_stamps_fill(&first, 0, bytes);
        assert_false(bench_stamps_match(&second, 0, bytes, &sector));
        bench_stamps_done(&first);
        bench_stamps_done(&second);
}

/* Burns CPU time until it has used that much of it. */
static void burn(uint64_t ns)
{
        struct timespec used;

        do
                clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        while ((uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec < ns);
}

static void stay(void)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                pause();
}

/* A child with a child of its own, which burns, says so, and stays; neither outlives the test. */
static pid_t start_family(const int said[2])
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        if (fork() != 0)
                stay();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        burn(20000000);
        if (write(said[1], "x", 1) == 1)
                stay();
        _exit(1);
}

static void time_of_descendants_counts(void **state)
{
        static struct process_use from, to;
        struct process_work work;
        int said[2];
        char byte;
        pid_t pid;

        (void)state;
        assert_int_equal(pipe(said), 0);
        pid = start_family(said);
        assert_true(pid > 0);
        assert_int_equal(process_use_read(NULL, 0, &from), 0);
        assert_int_equal(read(said[0], &byte, 1), 1);
        assert_int_equal(process_use_read(&pid, 1, &to), 0);
        assert_int_equal(to.n_pids, 2);
        work = process_use_between(&from, &to);
        assert_true(work.cpu_ns >= 20000000);
        for (unsigned i = 0; i < to.n_pids; i++)
                kill(to.pids[i].pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(process_use_read(&pid, 1, &to), -ESRCH);
        close(said[0]);
        close(said[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(case_is_what_its_words_say),
            cmocka_unit_test(case_that_makes_no_sense_is_refused),
            cmocka_unit_test(quantile_is_right_within_its_bucket),
            cmocka_unit_test(histogram_takes_every_value),
            cmocka_unit_test(stale_lost_or_misplaced_sector_is_found),
            cmocka_unit_test(stamps_of_another_run_do_not_match),
            cmocka_unit_test(time_of_descendants_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
