/* A supervisor's obituaries: one line a death, last words after a crash and only then.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"
#include "tests/core/world.h"

static struct world world;
static int log_fd, stderr_before;
static char text[1u << 20];

/* stderr is a memfd meanwhile; before the world, which counts descriptors. */
static int begin(void **state)
{
        (void)state;
        log_fd = memfd_create("log", MFD_CLOEXEC);
        stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        return dup2(log_fd, STDERR_FILENO) < 0;
}

static int end(void **state)
{
        (void)state;
        dup2(stderr_before, STDERR_FILENO);
        close(stderr_before);
        close(log_fd);
        return 0;
}

static unsigned count(const char *word)
{
        ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
        unsigned found = 0;

        assert_true(n >= 0);
        text[n] = '\0';
        for (const char *at = text; (at = strstr(at, word)); at++)
                found++;
        return found;
}

static void whisper(const char *words)
{
        assert_int_equal(write(world.puppet.output_fd, words, strlen(words)), (ssize_t)strlen(words));
}

/* What is still in the pipe when it dies is not lost: nothing is run between the words and the death. */
static void crash_has_one_line_and_its_last_words(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        whisper("first words\nlast wor");
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(count("worker was killed; it is restarted at once dev=disk0 worker="), 1);
        assert_int_equal(count(": first words\n"), 2); /* when it was said, and after the death */
        assert_int_equal(count(": last wor\n"), 2);    /* half a line is one when nothing follows */
        assert_int_equal(count("worker's last words dev=disk0 worker="), 3);
        assert_int_equal(count(" bytes=20 held_back=0 of=20\n"), 1);
        world_done(&world);
}

static void reset_is_no_crash(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        whisper("words\n");
        device_reset(world.device);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(count("worker was replaced for a reset; "), 1);
        assert_int_equal(count(": words\n"), 1);
        assert_int_equal(count("last words"), 0);
        world_done(&world);
}

static void log_messages_are_last_words_too(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_LOG,
                                                       .log = {.level = 0, .text = "no\nspace\x1b[2J"}});
        world_until(&world, count("worker says dev=disk0") == 1);
        assert_int_equal(count("error: worker says dev=disk0"), 1);
        assert_int_equal(count("no\\x0aspace\\x1b[2J\n"), 1);
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(count("worker's last words dev=disk0 worker="), 3); /* its newline is one here */
        world_done(&world);
}

static void last_words_are_told_without_a_spawner_too(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        whisper("alone\n");
        world_kill_spawner(&world);
        world_until(&world, world.gone);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        assert_int_equal(count("nobody knows how: the spawner is gone; nobody can restart it dev=disk0"), 1);
        assert_int_equal(count(": alone\n"), 2);
        world_done(&world);
}

static void quarantine_is_said_as_what_follows(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        while (world.n_quarantined == 0) {
                if (world_state(&world) == WORKER_SERVING)
                        world_kill_worker(&world);
                world_step(&world);
        }
        world_wait(&world, 20); /* the spawner's word */
        assert_true(count("; it is restarted in ") >= 1);
        assert_int_equal(count("; its device is quarantined dev=disk0"), 1);
        world_done(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(crash_has_one_line_and_its_last_words), TEST(reset_is_no_crash),
            TEST(log_messages_are_last_words_too),       TEST(last_words_are_told_without_a_spawner_too),
            TEST(quarantine_is_said_as_what_follows),
        };

        return cmocka_run_group_tests_name("worker_words", tests, NULL, NULL);
}
