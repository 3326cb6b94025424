/* Scope-owned things.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/cleanup.h"

#include <fcntl.h>

#include "tests/unit/unit.h"

struct thing {
        unsigned *freed;
};

/* Accepts NULL, as every destructor does. */
static struct thing *thing_free(struct thing *thing)
{
        if (thing)
                (*thing->freed)++;
        return NULL;
}

DEFINE_CLEANUP(struct thing, thing, thing_free)

static void descriptors_are_closed_at_the_end_of_their_scope(void **state)
{
        unsigned before = unit_count_fds();

        (void)state;
        {
                _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                _cleanup_close_ int none = -1;

                assert_true(fd >= 0);
                assert_int_equal(none, -1);
                assert_int_equal(unit_count_fds(), before + 1);
        }
        assert_int_equal(unit_count_fds(), before);
}

static void taken_descriptors_outlive_their_scope(void **state)
{
        unsigned before = unit_count_fds();
        int kept;

        (void)state;
        {
                _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

                kept = take_fd(&fd);
                assert_int_equal(fd, -1);
        }
        assert_int_equal(unit_count_fds(), before + 1);
        assert_int_equal(close(kept), 0);
}

static void destructors_run_once_and_not_for_taken_things(void **state)
{
        unsigned freed = 0;
        struct thing a = {&freed}, b = {&freed};
        struct thing *kept;

        (void)state;
        {
                _cleanup_(cleanup_thing) struct thing *ours = &a;
                _cleanup_(cleanup_thing) struct thing *taken = &b;

                kept = take_ptr(taken);
                assert_null(taken);
                assert_non_null(ours);
        }
        assert_int_equal(freed, 1);
        assert_ptr_equal(kept, &b);
}

static void memory_is_freed_at_the_end_of_its_scope(void **state)
{
        (void)state;
        for (int i = 0; i < 3; i++) {
                _cleanup_free_ char *p = malloc(64); /* the leak checker of the sanitizer build says if not */

                assert_non_null(p);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(descriptors_are_closed_at_the_end_of_their_scope),
            cmocka_unit_test(taken_descriptors_outlive_their_scope),
            cmocka_unit_test(destructors_run_once_and_not_for_taken_things),
            cmocka_unit_test(memory_is_freed_at_the_end_of_its_scope),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
