/* workers/console/console_log: a log of a bounded size, on good disks and bad ones.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define FULL 5000u

static struct console_log log_;
static int fd, old_fd;
static size_t room = SIZE_MAX; /* that the disk has for what is written */
static bool no_truncate;

/* ---- the disk ---- */

ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite(int to, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite(int to, const void *bytes, size_t len, off_t at)
{
        ssize_t n;

        if (room == 0) {
                errno = ENOSPC;
                return -1;
        }
        n = __real_pwrite(to, bytes, MIN(len, room), at);
        if (room != SIZE_MAX && n > 0)
                room -= (size_t)n;
        return n;
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int of, off_t len);
int __wrap_ftruncate(int of, off_t len)
{
        if (!no_truncate)
                return __real_ftruncate(of, len);
        errno = EIO;
        return -1;
}

/* ---- the scene ---- */

static void begin(void)
{
        fd = memfd_create("log", 0);
        old_fd = memfd_create("log.1", 0);
        assert_true(fd >= 0 && old_fd >= 0);
        assert_int_equal(console_log_open(&log_, fd, old_fd, FULL), 0);
}

static void end(void)
{
        close(fd);
        close(old_fd);
        room = SIZE_MAX;
        no_truncate = false;
}

static size_t size_of(int of)
{
        struct stat st;

        assert_int_equal(fstat(of, &st), 0);
        return (size_t)st.st_size;
}

/* The n-th byte that is ever written. */
static uint8_t byte_at(size_t n)
{
        return (uint8_t)(n * 7 + n / 251);
}

static void add(size_t from, size_t n)
{
        uint8_t *bytes = malloc(n + 1);

        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++)
                bytes[i] = byte_at(from + i);
        console_log_add(&log_, bytes, n);
        free(bytes);
}

/* The file holds exactly these. */
static void holds(int of, size_t from, size_t n)
{
        static uint8_t bytes[64 * 1024];

        assert_int_equal(size_of(of), n);
        assert_int_equal(pread(of, bytes, sizeof(bytes), 0), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], byte_at(from + i));
}

static void output_stands_behind_what_was_there(void **state)
{
        (void)state;
        begin();
        add(0, 10);
        add(10, 1);
        add(11, 0);
        holds(fd, 0, 11);
        assert_int_equal(console_log_open(&log_, fd, old_fd, FULL), 0); /* a successor */
        add(11, 5);
        holds(fd, 0, 16);
        holds(old_fd, 0, 0);
        end();
}

static void a_full_log_becomes_the_older_one(void **state)
{
        (void)state;
        begin();
        add(0, FULL - 1);
        holds(fd, 0, FULL - 1);
        add(FULL - 1, 1);
        holds(fd, 0, FULL); /* full, and nothing is behind it */
        holds(old_fd, 0, 0);
        add(FULL, 1);
        holds(old_fd, 0, FULL);
        holds(fd, FULL, 1);
        end();
}

static void the_older_log_holds_one_full_log_alone(void **state)
{
        (void)state;
        begin();
        for (size_t at = 0; at < 4 * FULL + 17; at += 17)
                add(at, 17);
        assert_true(size_of(fd) <= FULL);
        holds(old_fd, 3 * FULL, FULL);
        end();
}

static void more_than_a_log_at_once_fills_several(void **state)
{
        (void)state;
        begin();
        add(0, 3 * FULL + 100);
        holds(old_fd, 2 * FULL, FULL);
        holds(fd, 3 * FULL, 100);
        end();
}

static void a_log_that_is_longer_than_it_may_be_is_begun_anew(void **state)
{
        (void)state;
        begin();
        assert_int_equal(console_log_open(&log_, fd, old_fd, 4 * FULL), 0);
        add(0, 3 * FULL + 7);
        assert_int_equal(console_log_open(&log_, fd, old_fd, FULL), 0);
        add(0, 50);
        holds(old_fd, 2 * FULL + 7, FULL); /* its end, and no more than may be */
        holds(fd, 0, 50);
        end();
}

static void an_older_log_that_was_longer_is_cut(void **state)
{
        (void)state;
        begin();
        assert_int_equal(ftruncate(old_fd, 3 * FULL), 0);
        add(0, FULL + 1);
        holds(old_fd, 0, FULL);
        holds(fd, FULL, 1);
        end();
}

static void a_full_disk_loses_output_until_there_is_room(void **state)
{
        (void)state;
        begin();
        add(0, 100);
        room = 50;
        add(100, 80);
        holds(fd, 0, 150);
        assert_true(log_.failing);
        add(180, 80);
        holds(fd, 0, 150);
        room = SIZE_MAX;
        add(150, 10);
        holds(fd, 0, 160);
        assert_false(log_.failing);
        end();
}

/* What could not be copied is lost, what comes is not. */
static void a_full_disk_does_not_keep_a_full_log(void **state)
{
        (void)state;
        begin();
        add(0, FULL);
        room = 1000;
        add(FULL, 10);
        holds(old_fd, 0, 1000);
        room = SIZE_MAX;
        add(FULL, 10);
        holds(fd, FULL, 10);
        end();
}

static void a_log_that_cannot_be_cut_grows_no_more(void **state)
{
        (void)state;
        begin();
        add(0, FULL);
        no_truncate = true;
        for (unsigned i = 0; i < 3; i++)
                add(FULL, 10);
        assert_int_equal(size_of(fd), FULL);
        no_truncate = false;
        add(FULL, 10);
        holds(fd, FULL, 10);
        end();
}

static void no_log_takes_all(void **state)
{
        struct console_log none = {.fd = -1};

        (void)state;
        console_log_add(&none, (const uint8_t *)"text", 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(output_stands_behind_what_was_there),
            cmocka_unit_test(a_full_log_becomes_the_older_one),
            cmocka_unit_test(the_older_log_holds_one_full_log_alone),
            cmocka_unit_test(more_than_a_log_at_once_fills_several),
            cmocka_unit_test(a_log_that_is_longer_than_it_may_be_is_begun_anew),
            cmocka_unit_test(an_older_log_that_was_longer_is_cut),
            cmocka_unit_test(a_full_disk_loses_output_until_there_is_room),
            cmocka_unit_test(a_full_disk_does_not_keep_a_full_log),
            cmocka_unit_test(a_log_that_cannot_be_cut_grows_no_more),
            cmocka_unit_test(no_log_takes_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
