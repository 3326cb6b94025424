/* What a worker writes: named, escaped, bounded, kept.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/limits.h"
#include "tests/core/model_guest.h"

#define NAME "dev=disk0 worker=77: "

static struct test {
        uv_loop_t loop;
        struct worker_output_quota quota;
        struct worker_output *output;
        int pipe_w;
        int log_fd, stderr_before; /* what would go to stderr goes into a memfd */
        unsigned fds_before;
        char log[4u << 20];
} test;

static void open_output(void)
{
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        test.pipe_w = fds[1];
        assert_int_equal(worker_output_new(&test.loop, fds[0], "disk0", 77, &test.quota, &test.output), 0);
}

static int begin(void **state)
{
        uv_loop_t warm;

        (void)state;
        assert_int_equal(uv_loop_init(&warm), 0);
        assert_int_equal(uv_loop_close(&warm), 0);
        memset(&test, 0, sizeof(test));
        test.fds_before = count_fds();
        assert_int_equal(uv_loop_init(&test.loop), 0);
        test.log_fd = memfd_create("log", MFD_CLOEXEC);
        test.stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(dup2(test.log_fd, STDERR_FILENO), STDERR_FILENO);
        open_output();
        return 0;
}

static void run(void)
{
        for (unsigned i = 0; i < 100; i++)
                uv_run(&test.loop, UV_RUN_NOWAIT);
}

static void close_output(void)
{
        test.output = worker_output_free(test.output);
        close(test.pipe_w);
        run();
}

static int end(void **state)
{
        (void)state;
        dup2(test.stderr_before, STDERR_FILENO);
        close(test.stderr_before);
        close(test.log_fd);
        close_output();
        assert_int_equal(uv_loop_close(&test.loop), 0);
        assert_int_equal(count_fds(), test.fds_before);
        return 0;
}

/* All that has been logged so far; and nothing of it again. */
static size_t read_log(void)
{
        ssize_t n = pread(test.log_fd, test.log, sizeof(test.log) - 1, 0);

        assert_true(n >= 0);
        test.log[n] = '\0';
        assert_int_equal(ftruncate(test.log_fd, 0), 0);
        assert_int_equal(lseek(test.log_fd, 0, SEEK_SET), 0);
        return (size_t)n;
}

static void say(const char *text, size_t len)
{
        assert_int_equal(write(test.pipe_w, text, len), (ssize_t)len);
}

#define SAY(text) say(text, sizeof(text) - 1)

/* Each line is ours: our tag, our words, its name, and nothing that a terminal would obey. */
static unsigned assert_lines_are_ours(void)
{
        unsigned n = 0;

        for (char *line = strtok(test.log, "\n"); line; line = strtok(NULL, "\n"), n++) {
                assert_true(strncmp(line, "bulkhead: ", 10) == 0);
                assert_non_null(strstr(line, "dev=disk0 worker=77"));
                assert_true(strlen(line) < LIMIT_LOG_LINE);
                for (const char *c = line; *c; c++)
                        assert_true(*c >= 0x20 && *c < 0x7f);
        }
        return n;
}

static void lines_are_named_when_they_are_whole(void **state)
{
        (void)state;
        SAY("one\ntw");
        run();
        read_log();
        assert_string_equal(test.log, "bulkhead: worker stderr " NAME "one\n");
        SAY("o\n\nthree\n");
        run();
        read_log();
        assert_string_equal(test.log, "bulkhead: worker stderr " NAME "two\n"
                                      "bulkhead: worker stderr " NAME "three\n");
        SAY("the rest");
        worker_output_end(test.output);
        read_log();
        assert_string_equal(test.log, "bulkhead: worker stderr " NAME "the rest\n");
}

static void nothing_that_is_written_can_pass_for_another_s_line(void **state)
{
        static const char *const forged = "bulkhead: error: forged dev=other worker=1";

        (void)state;
        SAY("x\nbulkhead: error: forged dev=other worker=1\n\x1b[2J\x1b[H\rbulkhead: "
            "y\x9b\xc2\x9b\n\0\\x0a\n");
        worker_output_log(test.output, LOG_LEVEL_ERROR, "bulkhead: z\nbulkhead: error: forged\x1b[1A");
        run();
        read_log();
        assert_null(strstr(test.log, "\nbulkhead: error: forged"));
        assert_true(strncmp(test.log, forged, strlen(forged)) != 0);
        assert_int_equal(assert_lines_are_ours(), 5);
        worker_output_end(test.output);
        worker_output_show_tail(test.output);
        read_log();
        assert_null(strstr(test.log, "\nbulkhead: error"));
        assert_true(assert_lines_are_ours() > 5);
}

static void long_lines_are_cut_and_their_rest_is_counted(void **state)
{
        char text[3001];

        (void)state;
        memset(text, 'a', 3000);
        text[3000] = '\n';
        say(text, 3001);
        run();
        read_log();
        assert_true(strlen(test.log) < 700);
        assert_non_null(strstr(test.log, "aaa...\n"));
        assert_int_equal(test.quota.suppressed, 3000 - 512);
}

/* Writes as long as the pipe takes it, while the loop turns. */
static size_t flood(void)
{
        static char bytes[4096];
        unsigned refused = 0;
        size_t sum = 0;

        memset(bytes, 'x', sizeof(bytes));
        for (size_t i = 63; i < sizeof(bytes); i += 64)
                bytes[i] = '\n';
        while (refused < 20) {
                ssize_t n = write(test.pipe_w, bytes, sizeof(bytes));

                if (n > 0)
                        sum += (size_t)n;
                refused = n > 0 ? 0 : refused + 1;
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        return sum;
}

/* A machine that is slow enough sees a window end, and the next begin, while it still writes. */
static size_t windows_since(uint64_t began)
{
        return 1 + (uv_hrtime() - began) / (LIMIT_LOG_WINDOW_MS * UINT64_C(1000000));
}

/* What one window costs, and that the next one goes on. */
static void flood_waits_in_its_pipe(void **state)
{
        size_t accepted, logged, n;
        uint64_t began;

        (void)state;
        for (unsigned window = 0; window < 3; window++) {
                began = uv_hrtime();
                accepted = flood();
                n = windows_since(began);
                assert_true(accepted <= n * (LIMIT_WORKER_OUTPUT + 4096) + 65536);
                assert_true(accepted >= (window == 0 ? LIMIT_WORKER_OUTPUT : 1));
                logged = read_log();
                assert_true(logged <= n * (LIMIT_WORKER_OUTPUT_RATE + 64 * 1024));
                assert_lines_are_ours();
                while (test.quota.read >= LIMIT_WORKER_OUTPUT)
                        uv_run(&test.loop, UV_RUN_ONCE);
        }
}

static void what_was_suppressed_is_said_once(void **state)
{
        const uint64_t began = uv_hrtime();
        const char *at;
        size_t n = 0, most;

        (void)state;
        flood();
        assert_true(test.quota.suppressed > 0);
        most = windows_since(began);
        while (test.quota.suppressed > 0)
                uv_run(&test.loop, UV_RUN_ONCE);
        read_log();
        for (at = test.log; (at = strstr(at, "suppressed_bytes=")); at++)
                n++;
        assert_in_range(n, 1, most);
}

static void log_messages_have_the_same_quota(void **state)
{
        char text[200];

        (void)state;
        memset(text, 'l', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        for (unsigned i = 0; i < 10000; i++)
                worker_output_log(test.output, LOG_LEVEL_INFO, text);
        assert_true(read_log() <= LIMIT_WORKER_OUTPUT_RATE + 8192);
        assert_true(test.quota.suppressed > 10000u * 150);
        worker_output_log(NULL, LOG_LEVEL_INFO, text);
        assert_int_equal(read_log(), 0);
}

static void incarnations_share_one_quota(void **state)
{
        const uint64_t began = uv_hrtime();
        size_t most;

        (void)state;
        flood();
        read_log();
        for (unsigned i = 0; i < 20; i++) {
                size_t accepted;

                close_output();
                open_output();
                accepted = flood();
                most = windows_since(began) - 1;
                assert_true(accepted <= 65536 + most * (LIMIT_WORKER_OUTPUT + 4096)); /* nothing is read */
        }
        most = windows_since(began) - 1;
        assert_true(read_log() <= 4096 + most * (LIMIT_WORKER_OUTPUT_RATE + 64 * 1024));
}

/* The last 64 KiB of 100, of which the first lines were never logged. */
static void tail_is_the_last_that_was_written(void **state)
{
        char text[128];

        (void)state;
        for (unsigned i = 0; i < 3200; i++) {
                snprintf(text, sizeof(text), "line %05u %020u", i, 0u); /* 31 bytes, 32 with its end */
                worker_output_log(test.output, LOG_LEVEL_DEBUG, text);
        }
        SAY("assertion failed");
        worker_output_end(test.output);
        read_log();
        worker_output_show_tail(test.output);
        assert_true(read_log() <= LIMIT_WORKER_TAIL_RATE + 65536);
        assert_non_null(strstr(test.log, NAME "line 03199 "));
        assert_non_null(strstr(test.log, NAME "assertion failed\n"));
        assert_null(strstr(test.log, "line 00001 "));
        assert_non_null(strstr(test.log, " of=102416\n"));
        assert_true(assert_lines_are_ours() > 1000);
}

static void whole_tail_is_shown_when_it_has_long_lines(void **state)
{
        static char bytes[4096];
        size_t shown = 0;

        (void)state;
        memset(bytes, 'Q', sizeof(bytes));
        for (unsigned i = 0; i < 18; i++) {
                say(bytes, sizeof(bytes));
                run();
        }
        worker_output_end(test.output);
        read_log();
        worker_output_show_tail(test.output);
        read_log();
        assert_non_null(strstr(test.log, "bytes=65536 held_back=0 of=73728\n"));
        for (const char *c = test.log; *c; c++)
                shown += *c == 'Q';
        assert_int_equal(shown, 65536);
}

/* Four bytes are shown of each: twice the budget. What is shown is all of the end, and no byte is left out. */
static void tail_of_other_bytes_is_whole_too(void **state)
{
        static char bytes[4096];
        size_t shown = 0, said = 0;

        (void)state;
        memset(bytes, 0xfe, sizeof(bytes));
        for (unsigned i = 0; i < 16; i++) {
                say(bytes, sizeof(bytes));
                run();
        }
        worker_output_end(test.output);
        read_log();
        worker_output_show_tail(test.output);
        assert_true(read_log() <= LIMIT_WORKER_TAIL_RATE + 8192);
        for (const char *c = test.log; (c = strstr(c, "\\xfe")); c++)
                shown++;
        assert_int_equal(sscanf(strstr(test.log, " bytes="), " bytes=%zu", &said), 1);
        assert_int_equal(shown, said);
        assert_true(said > LIMIT_WORKER_TAIL_RATE / 8);
}

static void tails_of_a_crash_loop_are_held_back(void **state)
{
        size_t sum = 0;

        (void)state;
        for (unsigned i = 0; i < 50; i++) {
                for (unsigned n = 0; n < 16; n++) {
                        static const char line[4000] = "noise";

                        (void)!write(test.pipe_w, line, sizeof(line));
                        run();
                }
                worker_output_end(test.output);
                read_log();
                worker_output_show_tail(test.output);
                sum += read_log();
                close_output();
                open_output();
        }
        assert_true(sum <= 2 * LIMIT_WORKER_TAIL_RATE);
        assert_true(test.quota.tail_written <= LIMIT_WORKER_TAIL_RATE);
        test.quota.tail_window_ms -= LIMIT_WORKER_TAIL_MS; /* a minute later */
        worker_output_log(test.output, LOG_LEVEL_INFO, "again");
        worker_output_show_tail(test.output);
        read_log();
        assert_non_null(strstr(test.log, "worker's last words " NAME "again\n"));
}

static void worker_without_words_has_no_tail(void **state)
{
        (void)state;
        worker_output_end(test.output);
        worker_output_show_tail(test.output);
        worker_output_show_tail(NULL);
        worker_output_end(NULL);
        assert_int_equal(read_log(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(lines_are_named_when_they_are_whole),
            TEST(nothing_that_is_written_can_pass_for_another_s_line),
            TEST(long_lines_are_cut_and_their_rest_is_counted),
            TEST(flood_waits_in_its_pipe),
            TEST(what_was_suppressed_is_said_once),
            TEST(log_messages_have_the_same_quota),
            TEST(incarnations_share_one_quota),
            TEST(tail_is_the_last_that_was_written),
            TEST(whole_tail_is_shown_when_it_has_long_lines),
            TEST(tail_of_other_bytes_is_whole_too),
            TEST(tails_of_a_crash_loop_are_held_back),
            TEST(worker_without_words_has_no_tail),
        };

        return cmocka_run_group_tests_name("worker_output", tests, NULL, NULL);
}
