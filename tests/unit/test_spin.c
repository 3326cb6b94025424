/* When a spin is worth while. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/spin.h"

/* Wake-ups that pass until one is followed by a spin. */
static unsigned skipped(struct spin *spin)
{
        unsigned n = 0;

        for (; !spin_wanted(spin); n++) {
                assert_in_range(n, 0, LIMIT_SPIN_SKIPS);
                spin_skip(spin);
        }
        return n;
}

static void the_first_wake_up_is_followed_by_a_spin(void **state)
{
        struct spin spin = {0};

        (void)state;
        assert_true(spin_wanted(&spin));
        spin_skip(&spin);
        assert_true(spin_wanted(&spin));
}

static void spins_that_find_nothing_become_rare(void **state)
{
        static const unsigned expect[] = {0, 1, 2, 4, 8, 16, 32, 64, 64, 64};
        struct spin spin = {0};

        (void)state;
        for (size_t i = 0; i < array_size(expect); i++) {
                for (unsigned n = 1; n <= LIMIT_SPIN_BARREN; n++) {
                        assert_int_equal(skipped(&spin), expect[i]);
                        spin_end(&spin, false);
                }
        }
        assert_int_equal(skipped(&spin), LIMIT_SPIN_SKIPS);
}

static void one_that_finds_something_begins_anew(void **state)
{
        struct spin spin = {0};

        (void)state;
        for (unsigned n = 0; n < 3 * LIMIT_SPIN_BARREN - 1; n++)
                spin_end(&spin, false);
        assert_int_equal(skipped(&spin), 2);
        spin_end(&spin, true);
        for (unsigned n = 1; n < LIMIT_SPIN_BARREN; n++) {
                assert_int_equal(skipped(&spin), 0);
                spin_end(&spin, false);
        }
        assert_int_equal(skipped(&spin), 0);
        spin_end(&spin, false);
        assert_int_equal(skipped(&spin), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_first_wake_up_is_followed_by_a_spin),
            cmocka_unit_test(spins_that_find_nothing_become_rare),
            cmocka_unit_test(one_that_finds_something_begins_anew),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
