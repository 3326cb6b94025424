/* vhost-user: SET_FEATURES, as often as a front end likes.
 * TRUST: sees both sides.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/vhost_user/message.h"
#include "tests/wire/fixture.h"

#define VERSION_1 (UINT64_C(1) << 32)
#define SETS      500u

/* What the device must have on behind it: of what was offered, and of that nothing that is the VMM's. */
static uint64_t set_features(struct front_end *front, uint64_t features, uint64_t offered)
{
        assert_int_equal(front_end_set(front, VHOST_USER_SET_FEATURES, &features, 8, NULL, 0, true), 0);
        return features & offered & ~VHOST_USER_F_PROTOCOL_FEATURES;
}

/* Each set replaces the last, whatever it holds; and the same one is good again after a reset. */
static void the_last_set_counts_and_the_same_one_after_a_reset(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front;
        uint64_t seed = 7, last, offered;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_get_u64(&front, VHOST_USER_GET_FEATURES, &offered), 0);
        assert_int_equal(offered, fixture->device.features | VHOST_USER_F_PROTOCOL_FEATURES);
        for (unsigned i = 0; i < SETS; i++) {
                seed = seed * UINT64_C(6364136223846793005) + 1;
                last = set_features(&front, (seed ^ seed >> 31) | VERSION_1, offered);
                assert_int_equal(fixture->device.committed, last);
                if (i % 50 != 0)
                        continue;
                assert_int_equal(front_end_reset_device(&front), 0);
                assert_int_equal(set_features(&front, last, offered), last);
                assert_int_equal(fixture->device.committed, last);
        }
        front_end_close(&front);
        fixture_settle(fixture);
}

/* What is shown is what was offered and agreed, with the VMM's own bits in the second alone. */
static void what_was_offered_and_agreed_is_shown(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front;
        uint64_t offered;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        assert_int_equal(front_end_get_u64(&front, VHOST_USER_GET_FEATURES, &offered), 0);
        (void)set_features(&front, ~UINT64_C(0), offered);
        assert_int_equal(fixture->device.shown_offered, offered & ~VHOST_USER_F_PROTOCOL_FEATURES);
        assert_int_equal(fixture->device.shown_agreed, offered);
        (void)set_features(&front, VERSION_1, offered);
        assert_int_equal(fixture->device.shown_agreed, VERSION_1);
        front_end_close(&front);
        fixture_settle(fixture);
}

/* Nothing of a set without VERSION_1 reaches the device; the next one does. */
static void a_set_without_version_1_is_not_the_device_s(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        (void)set_features(&front, ~VERSION_1, ~UINT64_C(0));
        assert_int_equal(fixture->device.commits, 0);
        (void)set_features(&front, 0, 0);
        assert_int_equal(fixture->device.commits, 0);
        (void)set_features(&front, VERSION_1, VERSION_1);
        assert_int_equal(fixture->device.commits, 1);
        assert_int_equal(fixture->device.committed, VERSION_1);
        front_end_close(&front);
        fixture_settle(fixture);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(the_last_set_counts_and_the_same_one_after_a_reset, fixture_setup,
                                            fixture_teardown),
            cmocka_unit_test_setup_teardown(what_was_offered_and_agreed_is_shown, fixture_setup,
                                            fixture_teardown),
            cmocka_unit_test_setup_teardown(a_set_without_version_1_is_not_the_device_s, fixture_setup,
                                            fixture_teardown),
        };

        return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
