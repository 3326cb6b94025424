/* What a device asks of its front end's IOMMU, and what answers tell: in order, late, wrong, or never.
 * TRUST: sees bytes of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/wire/iotlb_peer.h"

#define SETTLE_TURNS 8 /* of the loop: a clock that is due fires */

static struct fake_iotlb *told(struct keeper *keeper)
{
        return &keeper->fixture->device.iotlb;
}

static void turns(struct keeper *keeper)
{
        for (int i = 0; i < SETTLE_TURNS; i++)
                fixture_turn(keeper->fixture);
}

/* ---- asking ---- */

static void miss_is_asked_with_its_rights(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (uint64_t page = 0; page < 3; page++) { /* read, write, both */
                keeper_miss(&keeper, page);
                keeper_expect_miss(&keeper, page);
        }
        assert_true(keeper_silent(&keeper));
        keeper_detach(&keeper);
}

static void several_are_asked_at_once_and_answered_in_order(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (uint64_t page = 0; page < 10; page++)
                keeper_miss(&keeper, page);
        for (uint64_t page = 0; page < 10; page++)
                keeper_expect_miss(&keeper, page);
        for (uint64_t page = 0; page < 10; page++) {
                bool refused = page % 4 == 3;

                if (!refused)
                        assert_int_equal(keeper_update(&keeper, page), 0);
                keeper_reply(&keeper, refused);
                if (refused)
                        assert_int_equal(told(&keeper)->last_missed, keeper_iova(page));
                assert_int_equal(told(&keeper)->n_open, 9 - page);
        }
        assert_int_equal(told(&keeper)->n_missed, 2);
        keeper_detach(&keeper);
}

/* The front end may serve the main channel first, or the other. */
static void main_channel_is_served_while_replies_are_owed(void **state)
{
        struct keeper keeper;
        uint8_t config[4];

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        assert_int_equal(front_end_get_config(&keeper.front, 0, sizeof(config), config), 0);
        keeper_start_ring(&keeper, 1);
        keeper_stop_ring(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_reply(&keeper, 0);
        assert_int_equal(told(&keeper)->n_missed, 0);
        keeper_detach(&keeper);
}

/* As many as may be open, to a front end that does not read: they stand in line. */
static void as_many_as_may_be_open_are_asked(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++)
                keeper_miss(&keeper, page);
        assert_false(fake_device_miss(&fixture->device, keeper_iova(LIMIT_IOTLB_MISSES), 1));
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++)
                keeper_expect_miss(&keeper, page);
        assert_int_equal(keeper_update(&keeper, 0), 0); /* its reply is still owed, and one more is asked */
        keeper_miss(&keeper, LIMIT_IOTLB_MISSES);
        assert_true(keeper_silent(&keeper));
        keeper_reply(&keeper, 0);
        keeper_expect_miss(&keeper, LIMIT_IOTLB_MISSES);
        for (uint64_t page = 1; page <= LIMIT_IOTLB_MISSES; page++)
                keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_missed, LIMIT_IOTLB_MISSES);
        assert_int_equal(told(&keeper)->last_missed, keeper_iova(LIMIT_IOTLB_MISSES));
        keeper_detach(&keeper);
}

/* The socket takes as little as a socket may: questions go in pieces. */
static void questions_pass_a_channel_that_is_full(void **state)
{
        struct keeper keeper;
        int small = 1;

        keeper_attach(&keeper, *state);
        assert_int_equal(setsockopt(keeper.front.backend, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        assert_int_equal(setsockopt(keeper.front.backend, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        keeper_start(&keeper, KEEPER_BITS);
        keeper_start_ring(&keeper, 0);
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++)
                keeper_miss(&keeper, page);
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++) {
                keeper_expect_miss(&keeper, page);
                keeper_reply(&keeper, 1);
                turns(&keeper);
                assert_int_equal(told(&keeper)->last_missed, keeper_iova(page));
        }
        assert_int_equal(told(&keeper)->n_missed, LIMIT_IOTLB_MISSES);
        keeper_detach(&keeper);
}

/* ---- what answers tell ---- */

static void yes_without_a_translation_is_no(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(keeper_update(&keeper, 2), 0); /* of another page */
        keeper_reply(&keeper, 0);
        assert_int_equal(told(&keeper)->n_missed, 1);
        assert_int_equal(told(&keeper)->last_missed, keeper_iova(1));
        keeper_detach(&keeper);
}

/* Its reply is then about nothing any more. */
static void update_answers_whatever_the_reply_says(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (uint64_t page = 0; page < 2; page++) {
                keeper_miss(&keeper, page);
                keeper_expect_miss(&keeper, page);
                assert_int_equal(keeper_update(&keeper, page), 0);
                assert_int_equal(told(&keeper)->n_open, 0);
                keeper_reply(&keeper, page);
        }
        assert_int_equal(told(&keeper)->n_missed, 0);
        keeper_detach(&keeper);
}

static void update_that_is_refused_answers_nothing(void **state)
{
        struct vhost_user_iotlb outside = {.iova = KEEPER_IOVA + KEEPER_PAGE,
                                           .size = KEEPER_PAGE,
                                           .rights = IOTLB_READ,
                                           .type = VHOST_USER_IOTLB_UPDATE};
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(keeper_say(&keeper, &outside), 1);
        assert_int_equal(told(&keeper)->n_open, 1);
        keeper_reply(&keeper, 1); /* as QEMU's then is */
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_detach(&keeper);
}

/* The device says so at once; the reply is to nothing then. */
static void update_that_the_device_cannot_keep_is_a_miss(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        told(&keeper)->update_error = -ENOSPC;
        assert_int_equal(keeper_update(&keeper, 1), 1);
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_miss(&keeper, 1); /* once more, and this one is still open when the first is answered */
        keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_missed, 1);
        assert_int_equal(told(&keeper)->n_open, 1);
        keeper_detach(&keeper);
}

/* One update of a large page answers all questions that lie in it, asked already or not. */
static void one_update_may_answer_many(void **state)
{
        struct keeper keeper;
        struct vhost_user_iotlb update = {.iova = KEEPER_IOVA,
                                          .size = 16 * KEEPER_PAGE,
                                          .rights = IOTLB_READ | IOTLB_WRITE,
                                          .type = VHOST_USER_IOTLB_UPDATE};

        keeper_attach_and_start(&keeper, *state);
        update.user_address = keeper.ram.user_address;
        for (uint64_t page = 0; page < 18; page++)
                keeper_miss(&keeper, page);
        assert_int_equal(keeper_say(&keeper, &update), 0);
        assert_int_equal(told(&keeper)->n_open, 2);
        for (uint64_t page = 0; page < 18; page++) {
                keeper_expect_miss(&keeper, page);
                keeper_reply(&keeper, 0);
        }
        assert_int_equal(told(&keeper)->n_missed, 2);
        assert_int_equal(told(&keeper)->last_missed, keeper_iova(17));
        keeper_detach(&keeper);
}

/* Translated, taken back, and asked for again, before the reply to the first question has come. */
static void reply_is_to_its_own_question_of_two(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        assert_int_equal(keeper_invalidate(&keeper, keeper_iova(1), KEEPER_PAGE), 0);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        keeper_reply(&keeper, 0);
        assert_int_equal(told(&keeper)->n_missed, 0);
        assert_int_equal(told(&keeper)->n_open, 1);
        keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_detach(&keeper);
}

/* ---- stops ---- */

/* The front end waits for the base: it would not look. */
static void nobody_is_asked_while_a_ring_is_drained(void **state)
{
        struct fixture *fixture = *state;
        struct vhost_user_vring_state base = {.index = 0};
        struct wire_message answer;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        keeper_start_ring(&keeper, 1);
        fixture->device.hold = true;
        assert_int_equal(
            wire_send(&keeper.front.wire, VHOST_USER_GET_VRING_BASE, 1, &base, sizeof(base), NULL, 0), 0);
        turns(&keeper);
        keeper_miss(&keeper, 1); /* of the other ring */
        assert_true(keeper_silent(&keeper));
        fixture->device.hold = false;
        assert_int_equal(wire_receive(&keeper.front.wire, &answer), 0);
        assert_int_equal(answer.request, VHOST_USER_GET_VRING_BASE);
        keeper_expect_miss(&keeper, 1);
        keeper_detach(&keeper);
}

/* Also one that is asked between: nobody waits, so it is missed. What was asked before is void. */
static void nobody_is_asked_when_no_ring_runs(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        keeper_stop_ring(&keeper, 0);
        assert_int_equal(told(&keeper)->n_open, 0);
        keeper_miss(&keeper, 2);
        assert_true(keeper_silent(&keeper));
        keeper_detach(&keeper);
}

/* The old question's answer comes behind the new question, and says another thing. */
static void reply_to_a_question_of_before_the_stop_tells_nothing(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        keeper_stop_ring(&keeper, 0);
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_start(&keeper, KEEPER_BITS);
        keeper_start_ring(&keeper, 0);
        keeper_miss(&keeper, 2);
        keeper_expect_miss(&keeper, 2);
        keeper_reply(&keeper, 1); /* QEMU's, to what is asked of a device that it has stopped */
        assert_int_equal(told(&keeper)->n_missed, 1);
        assert_int_equal(told(&keeper)->n_open, 1);
        assert_int_equal(keeper_update(&keeper, 2), 0);
        keeper_reply(&keeper, 0);
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_detach(&keeper);
}

/* Nor one of before a reset, after which there are new questions. */
static void reply_to_a_question_of_before_a_reset_tells_nothing(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(front_end_reset_device(&keeper.front), 0);
        keeper_start(&keeper, KEEPER_BITS);
        keeper_start_ring(&keeper, 0);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_open, 1);
        keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_open, 0);
        keeper_detach(&keeper);
}

/* ---- bad answers, and none ---- */

static void expect_all_missed(struct keeper *keeper, unsigned n)
{
        turns(keeper);
        assert_int_equal(told(keeper)->n_open, 0);
        assert_int_equal(told(keeper)->n_missed, n);
        assert_int_equal(wire_wait_closed(&keeper->backend, FIXTURE_DROP_MS), 0);
        keeper_barrier(keeper); /* the session lives */
}

/* What is open then is missed, and what comes after; a new channel serves. */
static void bad_reply_costs_the_channel_and_what_was_asked(void **state)
{
        static const struct {
                uint32_t request, flags, size;
        } bad[] = {
            {2, 5, 8}, {9, 5, 8},  {0, 5, 8}, {1, 4, 8}, {1, 1, 8},   {1, 0xd, 8},
            {1, 5, 0}, {1, 5, 16}, {1, 7, 8}, {1, 9, 8}, {257, 5, 8},
        };

        for (size_t i = 0; i < array_size(bad); i++) {
                struct keeper keeper;

                keeper_attach_and_start(&keeper, *state);
                told(&keeper)->n_missed = 0;
                for (uint64_t page = 0; page < 4; page++)
                        keeper_miss(&keeper, page);
                keeper_expect_miss(&keeper, 0);
                assert_int_equal(keeper_update(&keeper, 0), 0);
                keeper_reply_bytes(&keeper, bad[i].request, bad[i].flags, bad[i].size);
                expect_all_missed(&keeper, 3);
                keeper_miss(&keeper, 5);
                assert_int_equal(told(&keeper)->n_open, 1); /* not from inside its own call */
                turns(&keeper);
                assert_int_equal(told(&keeper)->n_open, 0);
                keeper_replace_channel(&keeper);
                keeper_miss(&keeper, 6);
                keeper_expect_miss(&keeper, 6);
                assert_int_equal(keeper_update(&keeper, 6), 0);
                keeper_reply(&keeper, 0);
                assert_int_equal(told(&keeper)->n_missed, 4);
                keeper_detach(&keeper);
        }
}

static void reply_to_nothing_costs_the_channel(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_reply(&keeper, 0);
        keeper_reply_bytes(&keeper, VHOST_USER_BACKEND_IOTLB_MSG, 5, 8);
        expect_all_missed(&keeper, 0);
        keeper_detach(&keeper);
}

static void front_end_that_closes_the_channel_translates_nothing(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        keeper_miss(&keeper, 1);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(shutdown(keeper.front.backend, SHUT_RDWR), 0);
        expect_all_missed(&keeper, 1);
        keeper_detach(&keeper);
}

/* It has agreed to give one. */
static void front_end_without_a_channel_translates_nothing(void **state)
{
        const uint64_t protocol = UINT64_C(1) << 3 | UINT64_C(1) << 5 | UINT64_C(1) << 15;
        const uint64_t features = KEEPER_BITS;
        struct fixture *fixture = *state;
        struct keeper keeper = {.fixture = fixture};

        fixture_connect(fixture, &keeper.front.wire);
        keeper.front.opened = true;
        keeper.front.protocol = protocol;
        keeper.front.backend = -1;
        for (unsigned i = 0; i < FRONT_END_RINGS; i++)
                keeper.front.rings[i] = (struct front_end_ring){.kick = -1, .call = -1, .err = -1};
        assert_int_equal(
            front_end_set(&keeper.front, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, 8, NULL, 0, false), 0);
        assert_int_equal(front_end_set(&keeper.front, VHOST_USER_SET_FEATURES, &features, 8, NULL, 0, true),
                         0);
        keeper_miss(&keeper, 1);
        turns(&keeper);
        assert_int_equal(told(&keeper)->n_missed, 1);
        keeper_detach(&keeper);
}

/* What the old one was asked and has not answered, in its order, before what stood in line. */
static void open_questions_are_asked_on_a_new_channel(void **state)
{
        struct keeper keeper;

        keeper_attach_and_start(&keeper, *state);
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++)
                keeper_miss(&keeper, page);
        for (uint64_t page = 0; page < 5; page++)
                keeper_expect_miss(&keeper, page);
        assert_int_equal(keeper_update(&keeper, 1), 0);
        keeper_replace_channel(&keeper);
        for (uint64_t page = 0; page < LIMIT_IOTLB_MISSES; page++)
                if (page != 1)
                        keeper_expect_miss(&keeper, page);
        assert_true(keeper_silent(&keeper));
        for (uint64_t page = 1; page < LIMIT_IOTLB_MISSES; page++)
                keeper_reply(&keeper, 1);
        assert_int_equal(told(&keeper)->n_missed, LIMIT_IOTLB_MISSES - 1);
        keeper_detach(&keeper);
}

/* ---- beside the channel's other messages ---- */

static void changes_and_misses_share_the_channel(void **state)
{
        struct fixture *fixture = *state;
        struct wire_message message;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        keeper_miss(&keeper, 1);
        fixture->device.front.config_changed(fixture->device.front.context);
        fixture->device.front.config_changed(fixture->device.front.context); /* told when that is answered */
        keeper_miss(&keeper, 2);
        keeper_expect_miss(&keeper, 1);
        assert_int_equal(wire_receive(&keeper.backend, &message), 0);
        assert_int_equal(message.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
        keeper_expect_miss(&keeper, 2);
        assert_true(keeper_silent(&keeper));
        keeper_reply(&keeper, 1);
        keeper_reply_bytes(&keeper, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8);
        assert_int_equal(wire_receive(&keeper.backend, &message), 0);
        assert_int_equal(message.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
        keeper_reply(&keeper, 1);
        keeper_reply_bytes(&keeper, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8);
        assert_int_equal(told(&keeper)->n_missed, 2);
        assert_true(keeper_silent(&keeper));
        keeper_detach(&keeper);
}

/* A reply that comes before its turn is to another message. */
static void reply_out_of_turn_costs_the_channel(void **state)
{
        struct fixture *fixture = *state;
        struct keeper keeper;

        keeper_attach_and_start(&keeper, fixture);
        keeper_miss(&keeper, 1);
        fixture->device.front.config_changed(fixture->device.front.context);
        keeper_expect_miss(&keeper, 1);
        keeper_reply_bytes(&keeper, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8);
        expect_all_missed(&keeper, 1);
        keeper_detach(&keeper);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define IOTLB_TEST(name) cmocka_unit_test_setup_teardown(name, keeper_setup, fixture_teardown)
            IOTLB_TEST(miss_is_asked_with_its_rights),
            IOTLB_TEST(several_are_asked_at_once_and_answered_in_order),
            IOTLB_TEST(main_channel_is_served_while_replies_are_owed),
            IOTLB_TEST(as_many_as_may_be_open_are_asked),
            IOTLB_TEST(questions_pass_a_channel_that_is_full),
            IOTLB_TEST(yes_without_a_translation_is_no),
            IOTLB_TEST(update_answers_whatever_the_reply_says),
            IOTLB_TEST(update_that_is_refused_answers_nothing),
            IOTLB_TEST(update_that_the_device_cannot_keep_is_a_miss),
            IOTLB_TEST(one_update_may_answer_many),
            IOTLB_TEST(reply_is_to_its_own_question_of_two),
            IOTLB_TEST(nobody_is_asked_while_a_ring_is_drained),
            IOTLB_TEST(nobody_is_asked_when_no_ring_runs),
            IOTLB_TEST(reply_to_a_question_of_before_the_stop_tells_nothing),
            IOTLB_TEST(reply_to_a_question_of_before_a_reset_tells_nothing),
            IOTLB_TEST(bad_reply_costs_the_channel_and_what_was_asked),
            IOTLB_TEST(reply_to_nothing_costs_the_channel),
            IOTLB_TEST(front_end_that_closes_the_channel_translates_nothing),
            IOTLB_TEST(front_end_without_a_channel_translates_nothing),
            IOTLB_TEST(open_questions_are_asked_on_a_new_channel),
            IOTLB_TEST(changes_and_misses_share_the_channel),
            IOTLB_TEST(reply_out_of_turn_costs_the_channel),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
