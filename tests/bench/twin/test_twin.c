/* Is the yardstick straight? A twin that loses or damages a byte, or that a guest cannot use, measures
 * nothing. A real twin behind the front end of our own, under a verified load.
 *
 *      test_twin PROGRAM [OPTION]      the option goes to the twin
 *
 * TRUST: data and statuses are the twin's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/faults/load.h"

#define IMAGE_BYTES (16 << 20)
#define BLOCKS      2048u
#define RAM_BYTES   (UINT64_C(16) << 20)
#define DEADLINE_MS 10000

static const char *program, *option;
static char dir[64], image[96], sock[96];
static pid_t twin;
static int log_fd = -1;
static struct load load;

/* ---- the twin ---- */

static void await_line(const char *text)
{
        char bytes[4096];
        size_t len = 0;

        while (len < sizeof(bytes) - 1) {
                ssize_t n = read(log_fd, bytes + len, sizeof(bytes) - 1 - len);

                if (n <= 0)
                        fail_msg("the twin has ended");
                len += (size_t)n;
                bytes[len] = '\0';
                if (strstr(bytes, text))
                        return;
        }
        fail_msg("the twin says something else");
}

static void start(const char *queues, const char *poll_us)
{
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        twin = fork();
        assert_true(twin >= 0);
        if (twin == 0) {
                dup2(fds[1], STDERR_FILENO);
                execl(program, program, "--socket", sock, "--file", image, "--queues", queues, "--poll-us",
                      poll_us, option, (char *)NULL);
                _exit(127);
        }
        close(fds[1]);
        log_fd = fds[0];
        await_line("serving");
}

static int make_image(void **state)
{
        FILE *file;

        (void)state;
        strcpy(dir, "/tmp/bulkhead-twin.XXXXXX");
        assert_non_null(mkdtemp(dir));
        (void)snprintf(image, sizeof(image), "%s/image", dir);
        (void)snprintf(sock, sizeof(sock), "%s/sock", dir);
        file = fopen(image, "we");
        assert_non_null(file);
        assert_int_equal(ftruncate(fileno(file), IMAGE_BYTES), 0);
        fclose(file);
        load = (struct load){.front = {.wire = {.sock = -1}, .backend = -1}, .ram = {.fd = -1}};
        return 0;
}

/* Also after a failure. A twin that was asked to end takes its socket with it. */
static int end(void **state)
{
        int status = -1;

        (void)state;
        load_close(&load);
        if (twin > 0) {
                kill(twin, SIGTERM);
                waitpid(twin, &status, 0);
                twin = 0;
        }
        close(log_fd);
        unlink(image);
        (void)unlink(sock);
        return rmdir(dir) < 0 || status != 0 ? -1 : 0;
}

static void open_load(enum front_end_dialect dialect, unsigned depth)
{
        int r = load_open(&load, sock, dialect, depth, BLOCKS);

        if (r < 0)
                fail_msg("%s: %s", strerror(-r), load.why);
}

static bool by_messages(void)
{
        return option && strcmp(option, "--messages") == 0;
}

/* By messages a request takes many times as long. */
static void run_load(unsigned n)
{
        if (load_run(&load, by_messages() ? n / 4 : n) < 0 || load_drain(&load) < 0 || load_check(&load) < 0)
                fail_msg("%s", load.why);
}

/* ---- tests ---- */

static void data_are_right_at_every_depth(void **state)
{
        static const unsigned depths[] = {1, 3, 16, 64};

        (void)state;
        start("1", "0");
        for (size_t i = 0; i < array_size(depths); i++) {
                open_load((enum front_end_dialect)(i % FRONT_END_DIALECT_COUNT_), depths[i]);
                run_load(2000);
                load_close(&load);
        }
}

static void data_are_right_when_it_polls(void **state)
{
        (void)state;
        start("1", "200");
        open_load(FRONT_END_QEMU_7_2, 1);
        run_load(1000);
        load_close(&load);
        open_load(FRONT_END_QEMU_11_1, 32);
        run_load(4000);
}

/* By messages there is nothing to look at while it waits. */
static void polling_is_refused(void **state)
{
        int status = -1;

        (void)state;
        twin = fork();
        assert_true(twin >= 0);
        if (twin == 0) {
                execl(program, program, "--socket", "/nowhere/sock", "--file", "/dev/null", "--poll-us",
                      "200", option, (char *)NULL);
                _exit(127);
        }
        assert_int_equal(waitpid(twin, &status, 0), twin);
        twin = 0;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 2);
}

static void stop_and_resume_under_load(void **state)
{
        (void)state;
        start("1", "0");
        open_load(FRONT_END_QEMU_7_2, 16);
        for (int i = 0; i < 20; i++) {
                uint32_t base;

                assert_int_equal(load_run(&load, 100), 0);
                assert_int_equal(blk_front_stop(&load.blk, &base), 0);
                assert_int_equal(blk_front_start(&load.blk, base), 0);
        }
        run_load(100);
}

/* What is written through one queue is read through each. */
static void each_queue_serves(void **state)
{
        static struct blk_front blk[4];

        (void)state;
        start("4", "0");
        load.front.wire = (struct wire){.sock = -1, .deadline_ms = DEADLINE_MS};
        assert_int_equal(wire_connect(&load.front.wire, sock), 0);
        assert_int_equal(front_end_negotiate(&load.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(load.front.n_rings, 4);
        assert_int_equal(guest_ram_init(&load.ram, RAM_BYTES, 0), 0);
        for (unsigned i = 0; i < 4; i++) {
                blk_front_init(&blk[i], &load.front, &load.ram, i, 64, 1, LOAD_BLOCK, LOAD_BLOCK);
                assert_int_equal(blk_front_start(&blk[i], 0), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
                memset(blk_front_data(&blk[i], 0), (int)(i + 1), LOAD_BLOCK);
                assert_int_equal(blk_front_do(&blk[i], BLK_OUT, 8, LOAD_BLOCK, DEADLINE_MS), BLK_S_OK);
                for (unsigned k = 0; k < 4; k++) {
                        assert_int_equal(blk_front_do(&blk[k], BLK_IN, 8, LOAD_BLOCK, DEADLINE_MS), BLK_S_OK);
                        assert_int_equal(blk_front_data(&blk[k], 0)[LOAD_BLOCK - 1], i + 1);
                }
        }
        assert_int_equal(blk_front_do(&blk[3], BLK_IN, IMAGE_BYTES / 512, LOAD_BLOCK, DEADLINE_MS),
                         BLK_S_IOERR);
}

int main(int argc, char **argv)
{
        struct CMUnitTest tests[] = {
#define TWIN_TEST(name) cmocka_unit_test_setup_teardown(name, make_image, end)
            TWIN_TEST(data_are_right_at_every_depth),
            TWIN_TEST(data_are_right_when_it_polls),
            TWIN_TEST(stop_and_resume_under_load),
            TWIN_TEST(each_queue_serves),
        };

        if (argc != 2 && argc != 3) {
                fprintf(stderr, "usage: test_twin PROGRAM [OPTION]\n");
                return 2;
        }
        program = argv[1];
        option = argv[2];
        if (by_messages())
                tests[1] = (struct CMUnitTest)cmocka_unit_test(polling_is_refused);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
