/* Feature bits: every bit alone.
 * TRUST: a worker's and a guest's choices, all of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/features.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static bool is_own(unsigned bit)
{
        return bit <= 23 || bit >= 50; /* virtio 1.3, 2.2 */
}

static bool is_ring(unsigned bit)
{
        return bit == 28 || bit == 29 || bit == 32 || bit == 34;
}

static void a_worker_can_offer_its_own_bits_only(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++)
                assert_int_equal(features_offered(FEATURE_BIT(bit)) >> bit & 1, is_own(bit) || is_ring(bit));
        for (unsigned bit = 0; bit < 64; bit++)
                assert_int_equal(features_offered(0) >> bit & 1, is_ring(bit));
}

static void a_worker_sees_its_own_bits_only(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++)
                assert_int_equal(features_for_worker(~UINT64_C(0)) >> bit & 1, is_own(bit));
        assert_int_equal(features_for_worker(FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT)), 0);
}

static void what_was_not_offered_is_never_on(void **state)
{
        const uint64_t version_1 = FEATURE_BIT(VIRTIO_F_VERSION_1_BIT);
        uint64_t committed = 99;

        (void)state;
        for (unsigned bit = 0; bit < 64; bit++) {
                assert_int_equal(features_commit(version_1, FEATURE_BIT(bit) | version_1, &committed), 0);
                assert_int_equal(committed, version_1);
                assert_int_equal(features_commit(~UINT64_C(0), FEATURE_BIT(bit) | version_1, &committed), 0);
                assert_int_equal(committed, FEATURE_BIT(bit) | version_1);
        }
}

static void without_version_1_nothing_is_committed(void **state)
{
        uint64_t committed = 99;

        (void)state;
        assert_int_equal(features_commit(~UINT64_C(0), ~FEATURE_BIT(VIRTIO_F_VERSION_1_BIT), &committed),
                         -EPROTO);
        assert_int_equal(features_commit(~FEATURE_BIT(VIRTIO_F_VERSION_1_BIT), ~UINT64_C(0), &committed),
                         -EPROTO);
        assert_int_equal(features_commit(0, 0, &committed), -EPROTO);
        assert_int_equal(committed, 99);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_worker_can_offer_its_own_bits_only),
            cmocka_unit_test(a_worker_sees_its_own_bits_only),
            cmocka_unit_test(what_was_not_offered_is_never_on),
            cmocka_unit_test(without_version_1_nothing_is_committed),
        };

        return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
