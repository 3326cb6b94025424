/* One uid per process: never two claims on one, never one that a process still has.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/uid_range.h"
#include "tests/jail/jail_fixture.h"

#define FIRST 1879110000u

static char dir[] = "/tmp/bulkhead-uids-XXXXXX";
static int run_dir = -1;

static int make_dir(void **state)
{
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        run_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return run_dir < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        close(run_dir);
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

static bool lock_exists(uint32_t uid)
{
        char name[64];

        snprintf(name, sizeof(name), "uids/%u.lock", uid);
        return faccessat(run_dir, name, F_OK, 0) == 0;
}

static void claims_are_distinct_and_come_back(void **state)
{
        struct uid_claim a[3], b[2];
        unsigned before = fixture_count_fds();

        (void)state;
        assert_int_equal(uid_claim(run_dir, FIRST, 10, 3, a), 0);
        assert_int_equal(uid_claim(run_dir, FIRST, 10, 2, b), 0);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(a[i].uid, FIRST + i);
                assert_true(lock_exists(FIRST + i));
        }
        assert_int_equal(b[0].uid, FIRST + 3);
        assert_int_equal(b[1].uid, FIRST + 4);
        uid_claim_done(run_dir, &a[1]);
        assert_int_equal(a[1].lock_fd, -1);
        assert_false(lock_exists(FIRST + 1));
        uid_claim_done(run_dir, &a[1]); /* an empty one */
        assert_int_equal(uid_claim(run_dir, FIRST, 10, 1, &a[1]), 0);
        assert_int_equal(a[1].uid, FIRST + 1);
        for (int i = 0; i < 3; i++)
                uid_claim_done(run_dir, &a[i]);
        for (int i = 0; i < 2; i++)
                uid_claim_done(run_dir, &b[i]);
        assert_int_equal(fixture_count_fds(), before);
}

static void range_gives_exactly_its_size(void **state)
{
        struct uid_claim claims[5], one = UID_CLAIM_NONE;
        unsigned before = fixture_count_fds();

        (void)state;
        assert_int_equal(uid_claim(run_dir, FIRST, 4, 5, claims), -EUSERS);
        assert_int_equal(uid_claim(run_dir, FIRST, 4, 3, claims), 0);
        assert_int_equal(uid_claim(run_dir, FIRST, 4, 1, &one), 0);
        assert_int_equal(one.uid, FIRST + 3);
        uid_claim_done(run_dir, &one);
        /* two are asked for and one is free: that one must come back */
        assert_int_equal(uid_claim(run_dir, FIRST, 4, 2, claims + 3), -EUSERS);
        assert_false(lock_exists(FIRST + 3));
        for (int i = 0; i < 3; i++)
                uid_claim_done(run_dir, &claims[i]);
        assert_int_equal(fixture_count_fds(), before);
        assert_int_equal(uid_claim(run_dir, UINT32_MAX - 1, 4, 1, &one), -EUSERS); /* the range wraps */
}

static void lock_file_left_by_the_dead_is_taken_over(void **state)
{
        struct uid_claim claim;

        (void)state;
        assert_int_equal(uid_claim(run_dir, FIRST, 1, 1, &claim), 0);
        uid_claim_forget(&claim); /* as the death of its holder */
        assert_true(lock_exists(FIRST));
        assert_int_equal(uid_claim(run_dir, FIRST, 1, 1, &claim), 0);
        uid_claim_done(run_dir, &claim);
}

/* A worker outlives its spawner: the lock is free, the uid is not. */
static void uid_of_a_living_process_is_not_claimed(void **state)
{
        struct uid_claim claim;
        int ready[2], go[2];
        char byte;
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                close(go[1]);
                if (setresuid(FIRST, FIRST, FIRST) < 0 || write(ready[1], "", 1) != 1)
                        _exit(1);
                _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(uid_claim(run_dir, FIRST, 1, 1, &claim), -EUSERS);
        assert_int_equal(uid_claim(run_dir, FIRST, 2, 1, &claim), 0);
        assert_int_equal(claim.uid, FIRST + 1);
        uid_claim_done(run_dir, &claim);
        close(go[1]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(uid_claim(run_dir, FIRST, 1, 1, &claim), 0);
        uid_claim_done(run_dir, &claim);
        close(go[0]);
        close(ready[0]);
        close(ready[1]);
}

static void directory_that_cannot_be_had_is_an_error(void **state)
{
        struct uid_claim claim;
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        (void)state;
        assert_int_equal(uid_claim(null, FIRST, 1, 1, &claim), -ENOTDIR);
        close(null);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(claims_are_distinct_and_come_back),
            cmocka_unit_test(range_gives_exactly_its_size),
            cmocka_unit_test(lock_file_left_by_the_dead_is_taken_over),
            cmocka_unit_test(uid_of_a_living_process_is_not_claimed),
            cmocka_unit_test(directory_that_cannot_be_had_is_an_error),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
