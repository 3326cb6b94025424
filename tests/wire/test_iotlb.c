/* Translations over vhost-user: who is offered them, what updates and invalidations come to, and when all ends.
 * TRUST: sees bytes of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/wire/iotlb_peer.h"

#define REPLY_ACK   (UINT64_C(1) << 3)
#define BACKEND_REQ (UINT64_C(1) << 5)

static struct fake_iotlb *told(struct keeper *keeper)
{
        return &keeper->fixture->device.iotlb;
}

/* ---- negotiation ---- */

static void translation_is_offered_if_the_configuration_says_so(void **state)
{
        struct fixture *fixture = *state;

        for (int may = 0; may < 2; may++) {
                struct keeper keeper;

                fixture->device.may_translate = may;
                keeper_attach(&keeper, fixture);
                assert_int_equal(!!(keeper.front.offered & FRONT_END_ACCESS_PLATFORM), may);
                keeper_start(&keeper, KEEPER_BITS);
                assert_int_equal(told(&keeper)->on, may);
                keeper_start_ring(&keeper, 0);
                assert_true(fixture->device.queues[0].running);
                keeper_detach(&keeper);
        }
}

/* What was not offered is never on, whatever a front end says. */
static void translation_that_was_not_offered_is_off(void **state)
{
        struct fixture *fixture = *state;
        const uint64_t all = UINT64_MAX;
        struct keeper keeper;

        fixture->device.may_translate = false;
        keeper_attach(&keeper, fixture);
        assert_int_equal(front_end_set(&keeper.front, VHOST_USER_SET_FEATURES, &all, 8, NULL, 0, false), 0);
        keeper_barrier(&keeper);
        assert_false(told(&keeper)->on);
        keeper_detach(&keeper);
}

static void rings_are_told_by_io_virtual_addresses(void **state)
{
        struct fixture *fixture = *state;
        const struct fake_queue *queue = &fixture->device.queues[0];
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        assert_true(told(&keeper)->on);
        assert_true(queue->running);
        assert_int_equal(queue->layout.desc.v, KEEPER_IOVA + keeper.rings[0].desc);
        assert_int_equal(queue->layout.avail.v, KEEPER_IOVA + keeper.rings[0].avail);
        assert_int_equal(queue->layout.used.v, KEEPER_IOVA + keeper.rings[0].used);
        assert_int_equal(told(&keeper)->n_missed, 0);
        keeper_detach(&keeper);
}

/* The bit means another thing to the guest: a VMM without an IOMMU takes it out. */
static void vmm_that_keeps_the_bit_for_its_guest_has_plain_memory(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach(&keeper, fixture);
        keeper_start(&keeper, KEEPER_PLAIN);
        keeper_start_ring(&keeper, 0);
        assert_false(told(&keeper)->on);
        assert_int_equal(fixture->device.queues[0].layout.desc.v, keeper.rings[0].desc);
        keeper_detach(&keeper);
}

static uint64_t set_u64(struct front_end *front, uint32_t request, uint64_t value, bool need_reply)
{
        return front_end_set(front, request, &value, sizeof(value), NULL, 0, need_reply) == 0 ? 0 : 1;
}

/* Neither of them alone. The session lives: with both all is well. */
static void translation_needs_a_channel_and_replies(void **state)
{
        static const uint64_t bare[] = {0, REPLY_ACK, BACKEND_REQ};
        struct fixture *fixture = *state;

        for (size_t i = 0; i < array_size(bare); i++) {
                bool replies = bare[i] & REPLY_ACK;
                uint64_t count;
                struct keeper keeper;

                keeper_attach(&keeper, fixture);
                assert_int_equal(
                    set_u64(&keeper.front, VHOST_USER_SET_PROTOCOL_FEATURES, bare[i] | 1u << 15, false), 0);
                assert_int_equal(set_u64(&keeper.front, VHOST_USER_SET_FEATURES,
                                         KEEPER_BITS | VHOST_USER_F_PROTOCOL_FEATURES, replies),
                                 replies);
                keeper.front.dialect = FRONT_END_QEMU_7_2; /* no acknowledgements */
                assert_int_equal(front_end_start_ring(&keeper.front, 0, &keeper.rings[0], 0), 0);
                keeper_barrier(&keeper);
                assert_false(fixture->device.queues[0].running);
                assert_false(told(&keeper)->on);
                assert_int_equal(
                    wire_wait_event(&keeper.front.wire, keeper.front.rings[0].err, WIRE_DEADLINE_MS, &count),
                    0);
                assert_int_equal(
                    set_u64(&keeper.front, VHOST_USER_SET_PROTOCOL_FEATURES, REPLY_ACK | BACKEND_REQ, false),
                    0);
                assert_int_equal(set_u64(&keeper.front, VHOST_USER_SET_FEATURES,
                                         KEEPER_BITS | VHOST_USER_F_PROTOCOL_FEATURES, true),
                                 0);
                assert_true(fixture->device.queues[0].running);
                assert_true(told(&keeper)->on);
                keeper_detach(&keeper);
        }
}

/* Once agreed, neither may go. */
static void translation_keeps_what_it_needs(void **state)
{
        static const uint64_t bare[] = {0, REPLY_ACK, BACKEND_REQ};
        struct fixture *fixture = *state;

        for (size_t i = 0; i < array_size(bare); i++) {
                struct keeper keeper;

                keeper_attach(&keeper, fixture);
                keeper_start(&keeper, KEEPER_BITS);
                (void)set_u64(&keeper.front, VHOST_USER_SET_PROTOCOL_FEATURES, bare[i], false);
                assert_int_equal(wire_wait_closed(&keeper.front.wire, FIXTURE_DROP_MS), 0);
                keeper_detach(&keeper);
        }
}

/* In either direction: what lies in a ring would be taken for another thing. */
static void translation_does_not_change_while_a_ring_runs(void **state)
{
        struct fixture *fixture = *state;

        for (int translated = 0; translated < 2; translated++) {
                struct keeper keeper;

                keeper_attach(&keeper, fixture);
                keeper_start(&keeper, translated ? KEEPER_BITS : KEEPER_PLAIN);
                keeper_start_ring(&keeper, 0);
                (void)set_u64(&keeper.front, VHOST_USER_SET_FEATURES,
                              (translated ? KEEPER_PLAIN : KEEPER_BITS) | VHOST_USER_F_PROTOCOL_FEATURES,
                              false);
                assert_int_equal(wire_wait_closed(&keeper.front.wire, FIXTURE_DROP_MS), 0);
                keeper_detach(&keeper);
        }
}

/* ---- updates ---- */

static void update_stands_for_guest_memory(void **state)
{
        struct keeper keeper;
        const struct iotlb_entry *entry;

        keeper_attach_and_start(&keeper, *state);
        entry = &told(&keeper)->entries[0];
        assert_int_equal(keeper_update(&keeper, 7), 0);
        assert_int_equal(told(&keeper)->n_entries, 1);
        assert_int_equal(entry->iova, keeper_iova(7));
        assert_int_equal(entry->len, KEEPER_PAGE);
        assert_int_equal(entry->gpa, keeper.ram.guest_address + 7 * KEEPER_PAGE);
        assert_int_equal(entry->rights, IOTLB_READ | IOTLB_WRITE);
        keeper_detach(&keeper);
}

/* QEMU tells of used rings before it enables any. */
static void update_may_come_before_a_ring_runs(void **state)
{
        struct keeper keeper;

        keeper_attach(&keeper, *state);
        keeper_start(&keeper, KEEPER_BITS);
        assert_int_equal(keeper_update(&keeper, 3), 0);
        keeper_start_ring(&keeper, 0);
        assert_int_equal(told(&keeper)->n_entries, 1);
        keeper_detach(&keeper);
}

/* Four pages, each a region of its own: one behind the other as the front end sees them, the other way round as its guest does. */
static void share_backwards(struct keeper *keeper)
{
        struct vhost_user_memory_table table = {.n_regions = 4};
        int fds[4] = {keeper->ram.fd, keeper->ram.fd, keeper->ram.fd, keeper->ram.fd};

        for (unsigned i = 0; i < 4; i++)
                table.regions[i] = (struct vhost_user_memory_region){
                    .guest_address = (8 - 2 * i) * KEEPER_PAGE,
                    .size = KEEPER_PAGE,
                    .user_address = keeper->ram.user_address + i * KEEPER_PAGE,
                    .mmap_offset = i * KEEPER_PAGE};
        assert_int_equal(
            front_end_set(&keeper->front, VHOST_USER_SET_MEM_TABLE, &table, 8 + 4 * 32, fds, 4, true), 0);
}

static const struct vhost_user_iotlb four_pages = {
    .iova = KEEPER_IOVA, .size = 4 * KEEPER_PAGE, .rights = IOTLB_READ, .type = VHOST_USER_IOTLB_UPDATE};

static void update_may_span_regions(void **state)
{
        struct vhost_user_iotlb update = four_pages;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        share_backwards(&keeper);
        update.user_address = keeper.ram.user_address;
        assert_int_equal(keeper_say(&keeper, &update), 0);
        assert_int_equal(told(&keeper)->n_entries, 4);
        for (unsigned i = 0; i < 4; i++) {
                const struct iotlb_entry *entry = &told(&keeper)->entries[i];

                assert_int_equal(entry->iova, keeper_iova(i));
                assert_int_equal(entry->len, KEEPER_PAGE);
                assert_int_equal(entry->gpa, (8 - 2 * i) * KEEPER_PAGE);
                assert_int_equal(entry->rights, IOTLB_READ);
        }
        keeper_detach(&keeper);
}

/* By its first page, its last, or one between. */
static void update_that_is_not_all_in_memory_is_refused_as_a_whole(void **state)
{
        static const int64_t off[] = {-1, 1, 4, -4};
        struct vhost_user_iotlb update = four_pages;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        share_backwards(&keeper);
        for (size_t i = 0; i < array_size(off); i++) {
                update.user_address = keeper.ram.user_address + (uint64_t)off[i] * KEEPER_PAGE;
                assert_int_equal(keeper_say(&keeper, &update), 1);
        }
        assert_int_equal(told(&keeper)->n_updates, 0);
        keeper_detach(&keeper);
}

/* What the device cannot keep it does not keep in part. */
static void update_that_fails_in_the_middle_is_taken_back(void **state)
{
        struct vhost_user_iotlb update = four_pages;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        share_backwards(&keeper);
        update.user_address = keeper.ram.user_address;
        told(&keeper)->update_error = -ENOSPC;
        told(&keeper)->update_error_at = 2;
        assert_int_equal(keeper_say(&keeper, &update), 1);
        assert_int_equal(told(&keeper)->n_updates, 3);
        assert_int_equal(told(&keeper)->n_invalidations, 1);
        assert_int_equal(told(&keeper)->last_iova, KEEPER_IOVA);
        assert_int_equal(told(&keeper)->last_len, 4 * KEEPER_PAGE);
        keeper_detach(&keeper);
}

/* Region and update end at the last byte that there is. */
static void io_virtual_range_may_end_at_2_64(void **state)
{
        struct vhost_user_iotlb update = four_pages;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        update.user_address = keeper.ram.user_address;
        update.iova = UINT64_MAX - 4 * KEEPER_PAGE + 1;
        assert_int_equal(keeper_say(&keeper, &update), 0);
        update.iova += KEEPER_PAGE;
        assert_int_equal(keeper_say(&keeper, &update), 1);
        assert_int_equal(told(&keeper)->n_entries, 1);
        keeper_detach(&keeper);
}

static void every_wrong_field_of_an_update_is_refused(void **state)
{
#define GOOD                                                                                                 \
        .iova = KEEPER_IOVA, .size = KEEPER_PAGE, .user_address = UINT64_C(0x7e0000000000),                  \
        .rights = IOTLB_READ, .type = VHOST_USER_IOTLB_UPDATE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif
        static const struct vhost_user_iotlb bad[] = {
            {GOOD, .size = 0},
            {GOOD, .size = 1},
            {GOOD, .size = KEEPER_PAGE - 1},
            {GOOD, .size = KEEPER_PAGE + 1},
            {GOOD, .size = UINT64_MAX},
            {GOOD, .size = UINT64_MAX - KEEPER_PAGE + 1},
            {GOOD, .size = UINT64_C(1) << 20 | KEEPER_PAGE},
            {GOOD, .iova = KEEPER_IOVA + 1},
            {GOOD, .iova = KEEPER_IOVA - 1},
            {GOOD, .iova = KEEPER_IOVA | 0x800},
            {GOOD, .iova = UINT64_MAX - KEEPER_PAGE + 1, .size = 2 * KEEPER_PAGE},
            {GOOD, .user_address = 0},
            {GOOD, .user_address = UINT64_C(0x7e0000000001)},
            {GOOD, .user_address = UINT64_C(0x7e0000000000) - KEEPER_PAGE},
            {GOOD, .user_address = UINT64_C(0x7e0000100000)},
            {GOOD, .user_address = UINT64_MAX - KEEPER_PAGE + 1},
            {GOOD, .user_address = UINT64_MAX - KEEPER_PAGE + 1, .size = 2 * KEEPER_PAGE},
            {GOOD, .rights = 0},
            {GOOD, .rights = 4},
            {GOOD, .rights = 7},
            {GOOD, .rights = 255},
            {GOOD, .type = 0},
            {GOOD, .type = VHOST_USER_IOTLB_MISS},
            {GOOD, .type = 4},
            {GOOD, .type = 5},
            {GOOD, .type = 6},
            {GOOD, .type = 255},
        };
        static const struct vhost_user_iotlb good = {GOOD};
#pragma GCC diagnostic pop
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        assert_int_equal(keeper.ram.user_address, good.user_address);
        for (size_t i = 0; i < array_size(bad); i++)
                if (keeper_say(&keeper, &bad[i]) != 1)
                        fail_msg("bad %zu was taken", i);
        assert_int_equal(told(&keeper)->n_updates, 0);
        assert_int_equal(told(&keeper)->n_invalidations, 0);
        assert_int_equal(keeper_say(&keeper, &good), 0);
        keeper_detach(&keeper);
}

/* A region that is gone stands for nothing: a new update cannot name it. What is known already is the device's to compose anew. */
static void update_follows_the_memory_table(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;
        unsigned changes;

        keeper_attach_and_start(&keeper, fixture);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        changes = fixture->device.memory_changes;
        assert_int_equal(front_end_remove_region(&keeper.front, &keeper.ram), 0);
        assert_int_equal(fixture->device.memory_changes, changes + 1);
        assert_int_equal(keeper_update(&keeper, 2), 1);
        assert_int_equal(front_end_add_region(&keeper.front, &keeper.ram), 0);
        assert_int_equal(keeper_update(&keeper, 2), 0);
        assert_int_equal(told(&keeper)->n_entries, 2);
        keeper_detach(&keeper);
}

/* ---- invalidations ---- */

static void invalidation_is_at_least_what_was_asked(void **state)
{
#define P   KEEPER_PAGE
#define TOP (UINT64_MAX - P + 1)
        static const struct {
                uint64_t iova, size, told_iova, told_len; /* len 0: all */
        } table[] = {
            {5 * P, P, 5 * P, P},
            {5 * P + 1, 1, 5 * P, P},
            {5 * P, 1, 5 * P, P},
            {5 * P + P - 1, 2, 5 * P, 2 * P},
            {5 * P, 2 * P + 1, 5 * P, 3 * P}, /* a mask for a length, as some say */
            {0, 0, 0, 0},                     /* 2^64 */
            {7 * P, 0, 0, 0},
            {0, UINT64_MAX, 0, 0},
            {0, UINT64_C(1) << 63, 0, UINT64_C(1) << 63},
            {UINT64_C(1) << 63, UINT64_C(1) << 63, UINT64_C(1) << 63, UINT64_C(1) << 63},
            {TOP, P, TOP, P},
            {TOP, 3 * P, TOP, P}, /* no more than there is */
            {UINT64_MAX, UINT64_MAX, TOP, P},
            {P, UINT64_MAX, P, UINT64_MAX - P + 1},
        };
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (size_t i = 0; i < array_size(table); i++) {
                assert_int_equal(keeper_invalidate(&keeper, table[i].iova, table[i].size), 0);
                assert_int_equal(told(&keeper)->n_invalidations, i + 1);
                assert_int_equal(told(&keeper)->last_iova, table[i].told_iova);
                assert_int_equal(told(&keeper)->last_len, table[i].told_len);
        }
        keeper_detach(&keeper);
}

/* ---- answers ---- */

/* Whether it was asked for or not, and exactly one. */
static void translations_are_always_answered_once(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (uint32_t flags = 1; flags <= 9; flags += 8) {
                struct vhost_user_iotlb update = {.type = VHOST_USER_IOTLB_INVALIDATE};
                struct wire_message answer;

                assert_int_equal(wire_send(&keeper.front.wire, VHOST_USER_IOTLB_MSG, flags, &update,
                                           sizeof(update), NULL, 0),
                                 0);
                assert_int_equal(wire_receive(&keeper.front.wire, &answer), 0);
                assert_int_equal(answer.request, VHOST_USER_IOTLB_MSG);
                assert_int_equal(answer.flags, 5);
                assert_int_equal(answer.size, 8);
                assert_true(wire_silent(&keeper.front.wire, 10));
        }
        keeper_detach(&keeper);
}

/* A late invalidation is no mistake; an update is one. */
static void without_translation_there_is_nothing_to_update(void **state)
{
        struct keeper keeper;

        keeper_attach(&keeper, *state);
        assert_int_equal(keeper_update(&keeper, 0), 1); /* before features */
        assert_int_equal(keeper_invalidate(&keeper, 0, KEEPER_PAGE), 0);
        keeper_start(&keeper, KEEPER_PLAIN);
        assert_int_equal(keeper_update(&keeper, 0), 1);
        assert_int_equal(keeper_invalidate(&keeper, 0, 0), 0);
        assert_int_equal(told(&keeper)->n_updates, 0);
        assert_int_equal(told(&keeper)->n_invalidations, 0);
        keeper_detach(&keeper);
}

/* ---- the end ---- */

static void last_stop_drops_all_translations(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_start_ring(&keeper, 1);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_stop_ring(&keeper, 0);
        assert_int_equal(told(&keeper)->n_entries, 1);
        keeper_stop_ring(&keeper, 1);
        assert_int_equal(told(&keeper)->n_entries, 0);
        assert_true(told(&keeper)->on);
        assert_int_equal(keeper_update(&keeper, 1), 0); /* of the next start */
        keeper_start_ring(&keeper, 1);
        assert_int_equal(told(&keeper)->n_entries, 1);
        keeper_detach(&keeper);
}

/* A front end that stops by ENABLE alone may go on without another word. */
static void disabling_the_last_ring_drops_all_translations(void **state)
{
        struct vhost_user_vring_state off = {.index = 0, .num = 0};
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        assert_int_equal(
            front_end_set(&keeper.front, VHOST_USER_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0, true), 0);
        assert_int_equal(told(&keeper)->n_entries, 0);
        keeper_detach(&keeper);
}

static void translation_ends_with_a_reset(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        assert_int_equal(front_end_reset_device(&keeper.front), 0);
        keeper_barrier(&keeper);
        assert_false(told(&keeper)->on);
        assert_int_equal(told(&keeper)->n_entries, 0);
        assert_int_equal(keeper_update(&keeper, 1), 1);
        keeper_start(&keeper, KEEPER_PLAIN); /* the next driver does without */
        keeper_start_ring(&keeper, 0);
        assert_int_equal(fixture->device.queues[0].layout.desc.v, keeper.rings[0].desc);
        keeper_detach(&keeper);
}

static void translation_ends_with_features_without_it(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_stop_ring(&keeper, 0);
        keeper_start(&keeper, KEEPER_PLAIN);
        assert_false(told(&keeper)->on);
        keeper_start(&keeper, KEEPER_BITS); /* and begins with them again */
        assert_true(told(&keeper)->on);
        assert_int_equal(told(&keeper)->n_entries, 0);
        keeper_detach(&keeper);
}

/* keeper_detach looks that it is off, and nothing known. */
static void translation_ends_with_the_session(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_detach(&keeper);
        assert_int_equal(fixture->device.iotlb.n_entries, 0);
        keeper_attach(&keeper, fixture);
        keeper_start(&keeper, KEEPER_PLAIN);
        assert_false(told(&keeper)->on);
        keeper_detach(&keeper);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define IOTLB_TEST(name) cmocka_unit_test_setup_teardown(name, keeper_setup, fixture_teardown)
            IOTLB_TEST(translation_is_offered_if_the_configuration_says_so),
            IOTLB_TEST(translation_that_was_not_offered_is_off),
            IOTLB_TEST(rings_are_told_by_io_virtual_addresses),
            IOTLB_TEST(vmm_that_keeps_the_bit_for_its_guest_has_plain_memory),
            IOTLB_TEST(translation_needs_a_channel_and_replies),
            IOTLB_TEST(translation_keeps_what_it_needs),
            IOTLB_TEST(translation_does_not_change_while_a_ring_runs),
            IOTLB_TEST(update_stands_for_guest_memory),
            IOTLB_TEST(update_may_come_before_a_ring_runs),
            IOTLB_TEST(update_may_span_regions),
            IOTLB_TEST(update_that_is_not_all_in_memory_is_refused_as_a_whole),
            IOTLB_TEST(update_that_fails_in_the_middle_is_taken_back),
            IOTLB_TEST(io_virtual_range_may_end_at_2_64),
            IOTLB_TEST(every_wrong_field_of_an_update_is_refused),
            IOTLB_TEST(update_follows_the_memory_table),
            IOTLB_TEST(invalidation_is_at_least_what_was_asked),
            IOTLB_TEST(translations_are_always_answered_once),
            IOTLB_TEST(without_translation_there_is_nothing_to_update),
            IOTLB_TEST(last_stop_drops_all_translations),
            IOTLB_TEST(disabling_the_last_ring_drops_all_translations),
            IOTLB_TEST(translation_ends_with_a_reset),
            IOTLB_TEST(translation_ends_with_features_without_it),
            IOTLB_TEST(translation_ends_with_the_session),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
