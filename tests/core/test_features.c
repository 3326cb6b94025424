/* Feature bits: every bit alone.
 * TRUST: a worker's and a guest's choices, all of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/features.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/device_type.h"

#define BLK_ID 2u
#define NET_ID 1u

static const enum guest_format formats[] = {GUEST_MODERN, GUEST_LEGACY_LITTLE, GUEST_LEGACY_BIG};

static bool is_own(unsigned bit)
{
        return bit <= 23 || bit >= 50; /* virtio 1.3, 2.2 */
}

static bool is_broker(unsigned bit, enum guest_format format)
{
        if (format == GUEST_MODERN)
                return bit == 28 || bit == 29 || bit == 32 || bit == 34;
        return bit == 27 || bit == 28 || bit == 29;
}

/* ---- the table ---- */

static void every_bit_has_one_row_for_whom_it_concerns(void **state)
{
        const struct feature_row *a, *b;

        (void)state;
        for (size_t i = 0; (a = features_row(i)); i++) {
                assert_true(a->bit < 64 && a->owner < FEATURE_OWNER_COUNT_);
                assert_non_null(a->name);
                assert_non_null(a->turns_on);
                assert_non_null(a->clause);
                assert_int_equal(a->owner == FEATURE_OF_DEVICE, a->virtio_id != 0);
                assert_int_equal(a->owner == FEATURE_OF_DEVICE, is_own(a->bit));
                for (size_t j = 0; j < i; j++) {
                        b = features_row(j);
                        assert_false(a->bit == b->bit && a->virtio_id == b->virtio_id);
                }
        }
}

static void bits_from_24_to_41_are_all_decided(void **state)
{
        const struct feature_row *row;
        uint64_t decided = 0;

        (void)state;
        for (size_t i = 0; (row = features_row(i)); i++)
                decided |= FEATURE_BIT(row->bit);
        for (unsigned bit = 24; bit <= 41; bit++)
                assert_int_equal(decided >> bit & 1, bit != 25 && bit != 31); /* reserved by nobody */
}

static const char *type_of(uint32_t virtio_id)
{
        for (size_t i = 0; i < DEVICE_TYPE_COUNT_; i++)
                if (device_types[i].virtio_id == virtio_id)
                        return device_types[i].name;
        return "all";
}

static void print_needs(const struct feature_row *row, char *text, size_t size)
{
        size_t len = 0;

        snprintf(text, size, "%s", row->needs ? "" : "–");
        for (unsigned bit = 0; bit < 64; bit++)
                if (row->needs >> bit & 1)
                        len += (size_t)snprintf(text + len, size - len, "%s%u", len > 0 ? " or " : "", bit);
}

/* One line of docs/FEATURES.md: a guest, a VMM and a worker see the bit, or never do. */
static void print_row(const struct feature_row *row, char *text, size_t size)
{
        static const char *const only[] = {[FEATURE_EVERYWHERE] = "",
                                           [FEATURE_MODERN_ONLY] = ", modern",
                                           [FEATURE_LEGACY_ONLY] = ", legacy"};
        enum feature_owner owner = row->owner;
        bool guest =
            owner == FEATURE_OF_DEVICE || owner == FEATURE_OF_BROKER || owner == FEATURE_OF_TRANSPORT;
        bool vmm = (guest && row->formats != FEATURE_LEGACY_ONLY) || owner == FEATURE_OF_VMM;
        char needs[64];

        print_needs(row, needs, sizeof(needs));
        snprintf(text, size, "| %u | %s | %s | %s%s | %s | %s | %s | %s | %s | %s |", row->bit, row->name,
                 type_of(row->virtio_id), feature_owner_name(owner), only[row->formats],
                 guest ? "yes" : "never", vmm ? "yes" : "never", owner == FEATURE_OF_DEVICE ? "yes" : "never",
                 needs, row->turns_on, row->clause);
}

/* BULKHEAD_PRINT_FEATURES=1 prints the rows as they must be. */
static void docs_features_has_each_row(void **state)
{
        static char page[64 * 1024];
        const struct feature_row *row;
        char line[512];
        FILE *file = fopen(FEATURES_PAGE, "re");
        size_t missing = 0, n = 0;
        const char *at;

        (void)state;
        assert_non_null(file);
        assert_true(fread(page, 1, sizeof(page) - 1, file) < sizeof(page) - 1);
        fclose(file);
        for (size_t i = 0; (row = features_row(i)); i++) {
                print_row(row, line, sizeof(line));
                if (getenv("BULKHEAD_PRINT_FEATURES"))
                        puts(line);
                else if (!strstr(page, line))
                        missing++, print_error("docs/FEATURES.md has no line \"%s\"\n", line);
        }
        for (at = page; (at = strstr(at, "\n| ")); at++)
                n += at[3] >= '0' && at[3] <= '9';
        assert_int_equal(missing, 0);
        if (!getenv("BULKHEAD_PRINT_FEATURES"))
                assert_null(features_row(n)); /* ... and no other */
        assert_true(getenv("BULKHEAD_PRINT_FEATURES") || features_row(n - 1));
}

/* ---- the three sets ---- */

static void a_worker_can_offer_bits_of_its_type_only(void **state)
{
        (void)state;
        for (size_t f = 0; f < array_size(formats); f++)
                for (unsigned bit = 0; bit < 64; bit++) {
                        uint64_t offered = features_offered(BLK_ID, FEATURE_BIT(bit), formats[f]);
                        bool own = features_of_type(BLK_ID) >> bit & 1;

                        assert_int_equal(offered >> bit & 1, own || is_broker(bit, formats[f]));
                        assert_true(!own || is_own(bit));
                        offered = features_offered(BLK_ID, 0, formats[f]);
                        assert_int_equal(offered >> bit & 1, is_broker(bit, formats[f]));
                }
        assert_int_equal(features_of_type(4), 0); /* entropy has none */
        assert_true(features_of_type(19) && features_of_type(BLK_ID) != features_of_type(NET_ID));
}

static void a_transport_adds_its_own_bits_only(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++) {
                assert_int_equal(features_for_guest(0, FEATURE_BIT(bit)), bit == 33 ? FEATURE_BIT(33) : 0);
                assert_int_equal(features_for_vmm(FEATURE_BIT(bit)), FEATURE_BIT(bit) | FEATURE_BIT(30));
        }
        assert_int_equal(features_for_guest(features_offered(BLK_ID, ~UINT64_C(0), GUEST_MODERN), 0) &
                             (FEATURE_BIT(30) | FEATURE_BIT(33) | FEATURE_BIT(26)),
                         0);
}

static void what_is_chosen_is_parted_between_device_and_transport(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++) {
                bool transport = bit == 30 || bit == 33;
                bool device = is_own(bit) || bit == 27 || bit == 28 || bit == 29 || bit == 32 || bit == 34;

                assert_int_equal(features_for_device(~UINT64_C(0)) >> bit & 1, device);
                assert_int_equal(features_for_transport(~UINT64_C(0)) >> bit & 1, transport);
        }
}

static void a_worker_sees_its_own_bits_only(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++)
                assert_int_equal(features_for_worker(~UINT64_C(0)) >> bit & 1, is_own(bit));
        assert_int_equal(features_for_worker(FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT)), 0);
}

static void a_bit_without_what_it_needs_is_taken_out(void **state)
{
        const uint64_t csum = FEATURE_BIT(0), guest_csum = FEATURE_BIT(1), tso4 = FEATURE_BIT(7);
        const uint64_t guest_ecn = FEATURE_BIT(9), host_tso6 = FEATURE_BIT(12), control = FEATURE_BIT(17);
        const uint64_t pairs = FEATURE_BIT(22), mac = FEATURE_BIT(5);

        (void)state;
        assert_int_equal(features_whole(NET_ID, ~UINT64_C(0)), ~UINT64_C(0));
        assert_int_equal(features_whole(NET_ID, mac | pairs), mac);
        assert_int_equal(features_whole(NET_ID, mac | pairs | control), mac | pairs | control);
        assert_int_equal(features_whole(NET_ID, host_tso6 | guest_csum), guest_csum);
        assert_int_equal(features_whole(NET_ID, host_tso6 | csum), host_tso6 | csum);
        assert_int_equal(features_whole(NET_ID, guest_ecn | tso4 | guest_csum),
                         guest_ecn | tso4 | guest_csum);
        assert_int_equal(features_whole(NET_ID, guest_ecn | tso4), 0); /* one after the other */
        assert_int_equal(features_whole(BLK_ID, pairs | tso4),
                         pairs | tso4); /* of another type they need nothing */
}

/* ---- commit ---- */

static void what_was_not_offered_is_never_on(void **state)
{
        const uint64_t version_1 = FEATURE_BIT(VIRTIO_F_VERSION_1_BIT);
        uint64_t committed = 99;

        (void)state;
        for (unsigned bit = 0; bit < 64; bit++) {
                assert_int_equal(
                    features_commit(GUEST_MODERN, version_1, FEATURE_BIT(bit) | version_1, &committed), 0);
                assert_int_equal(committed, version_1);
                assert_int_equal(
                    features_commit(GUEST_MODERN, ~UINT64_C(0), FEATURE_BIT(bit) | version_1, &committed), 0);
                assert_int_equal(committed, FEATURE_BIT(bit) | version_1);
        }
}

static void without_version_1_no_modern_driver_commits(void **state)
{
        const uint64_t version_1 = FEATURE_BIT(VIRTIO_F_VERSION_1_BIT);
        uint64_t committed = 99;

        (void)state;
        assert_int_equal(features_commit(GUEST_MODERN, ~UINT64_C(0), ~version_1, &committed), -EPROTO);
        assert_int_equal(features_commit(GUEST_MODERN, ~version_1, ~UINT64_C(0), &committed), -EPROTO);
        assert_int_equal(features_commit(GUEST_MODERN, 0, 0, &committed), -EPROTO);
        assert_int_equal(committed, 99);
}

/* The interface says what a driver is; a legacy one cannot say VERSION_1, and has it not on when it says it all the same. */
static void a_legacy_driver_commits_without_version_1(void **state)
{
        uint64_t offered = features_offered(BLK_ID, ~UINT64_C(0), GUEST_LEGACY_BIG), committed = 99;

        (void)state;
        assert_int_equal(features_commit(GUEST_LEGACY_BIG, offered, ~UINT64_C(0), &committed), 0);
        assert_int_equal(committed, offered);
        assert_int_equal(committed >> 32, 0);
        assert_int_equal(features_commit(GUEST_LEGACY_LITTLE, offered, 0, &committed), 0);
        assert_int_equal(committed, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_bit_has_one_row_for_whom_it_concerns),
            cmocka_unit_test(bits_from_24_to_41_are_all_decided),
            cmocka_unit_test(docs_features_has_each_row),
            cmocka_unit_test(a_worker_can_offer_bits_of_its_type_only),
            cmocka_unit_test(a_transport_adds_its_own_bits_only),
            cmocka_unit_test(what_is_chosen_is_parted_between_device_and_transport),
            cmocka_unit_test(a_worker_sees_its_own_bits_only),
            cmocka_unit_test(a_bit_without_what_it_needs_is_taken_out),
            cmocka_unit_test(what_was_not_offered_is_never_on),
            cmocka_unit_test(without_version_1_no_modern_driver_commits),
            cmocka_unit_test(a_legacy_driver_commits_without_version_1),
        };

        return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
