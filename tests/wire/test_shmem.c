/* Shared memory regions over vhost-user: what is offered, and what is mapped and unmapped at the front end while a ring runs.
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
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/shmem_peer.h"

#define SHMEM       (UINT64_C(1) << 22)
#define REPLY_ACK   (UINT64_C(1) << 3)
#define BACKEND_REQ (UINT64_C(1) << 5)

/* ---- what is offered ---- */

static void regions_are_offered_for_a_device_that_has_some(void **state)
{
        struct fixture *fixture = *state;
        struct vhost_user_shmem_config config;
        struct peer peer;

        for (int i = 0; i < 2; i++) {
                peer_attach(&peer, fixture);
                assert_int_equal(!!(peer.front.protocol & SHMEM), 1);
                for (int again = 0; again < 2; again++) {
                        assert_int_equal(peer_ask_config(&peer, &config), 0);
                        assert_int_equal(config.n_regions, 2);
                        assert_int_equal(config.padding, 0);
                        for (size_t id = 0; id < 256; id++)
                                assert_int_equal(config.sizes[id], id == 0   ? FAKE_REGION_0
                                                                   : id == 3 ? FAKE_REGION_3
                                                                             : 0);
                }
                peer_detach(&peer);
        }
}

/* QEMU 11.1 ends when it has to take back a slot whose memory is gone. */
static void no_device_of_a_vm_with_regions_has_slots(void **state)
{
        struct fixture *fixture = *state;
        struct peer peer;

        peer_attach(&peer, fixture);
        assert_int_equal(peer.front.protocol & UINT64_C(1) << 15, 0);
        peer_detach(&peer);
}

static void device_without_regions_offers_none(void **state)
{
        struct fixture *fixture = *state;
        struct vhost_user_shmem_config config;
        struct peer peer;

        peer_attach(&peer, fixture);
        assert_int_equal(peer.front.protocol & SHMEM, 0);
        assert_true(peer_ask_config(&peer, &config) < 0);
        peer_detach(&peer);
}

static void regions_need_a_channel_and_answers(void **state)
{
        static const uint64_t bare[] = {SHMEM, SHMEM | REPLY_ACK, SHMEM | BACKEND_REQ};
        struct fixture *fixture = *state;

        for (size_t i = 0; i < array_size(bare); i++) {
                struct wire wire;
                struct wire_message refused;

                fixture_connect(fixture, &wire);
                assert_int_equal(wire_send(&wire, VHOST_USER_SET_PROTOCOL_FEATURES, 9, &bare[i], 8, NULL, 0),
                                 0);
                if (bare[i] & REPLY_ACK) {
                        assert_int_equal(wire_receive(&wire, &refused), 0);
                        assert_int_equal(refused.payload[0], 1);
                }
                wire_barrier(&wire); /* it lives, without regions */
                assert_int_equal(wire_send(&wire, VHOST_USER_GET_SHMEM_CONFIG, 1, NULL, 0, NULL, 0), 0);
                assert_int_equal(wire_wait_closed(&wire, FIXTURE_DROP_MS), 0);
                wire_close(&wire);
                fixture_settle(fixture);
        }
}

/* ---- mappings while a ring runs ---- */

static void mapping_is_there_when_the_front_end_has_answered(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_later(&peer, 7);
        peer_expect_map(&peer, 7, mapping);
        wire_barrier(&peer.front.wire); /* the main channel is served while the answer is awaited */
        assert_int_equal(fixture->device.shown, 0);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        assert_int_equal(fixture->device.shown, 1);
        assert_int_equal(fixture->device.last_error, 0);
        peer_hide(&peer, mapping);
        peer_unmap(&peer, 7, 0);
        assert_true(peer_silent(&peer));
        assert_int_equal(fixture->device.shown, 1);
        peer_detach(&peer);
}

static void mapping_that_is_refused_is_gone(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_later(&peer, 0);
        peer_map(&peer, 0, mapping, 1);
        assert_int_equal(fixture->device.shown, 1);
        assert_int_equal(fixture->device.last_error, -EIO);
        assert_true(peer_silent(&peer));
        peer_hide(&peer, peer_show_now(&peer, 0)); /* its place is free */
        peer_unmap(&peer, 0, 0);
        peer_detach(&peer);
}

static void mappings_of_before_appear_with_the_driver(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mappings[3];
        struct vhost_user_shmem_config config;
        struct peer peer;
        bool shown;

        for (size_t i = 0; i < 2; i++) {
                mappings[i] = fake_device_show(&fixture->device, i * PEER_PAGE, PEER_PAGE, &shown);
                assert_true(shown); /* nobody is there who could see it */
        }
        peer_attach(&peer, fixture);
        assert_int_equal(peer_ask_config(&peer, &config), 0);
        mappings[2] = peer_show(&peer, 2, &shown);
        assert_true(shown);
        assert_true(peer_silent(&peer));
        peer_start(&peer);
        for (uint64_t i = 0; i < 3; i++)
                peer_map(&peer, i, mappings[i], 0);
        assert_true(peer_silent(&peer));
        assert_int_equal(fixture->device.shown, 0);
        peer_detach(&peer);
}

/* The worker was told long ago, and the guest relies on it. */
static void mapping_of_before_that_is_refused_breaks_the_device(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        bool shown;

        mapping = fake_device_show(&fixture->device, 0, PEER_PAGE, &shown);
        peer_attach_and_start(&peer, fixture);
        peer_map(&peer, 0, mapping, 1);
        assert_int_equal(fixture->device.shown, 1);
        assert_int_equal(fixture->device.last_error, -EIO);
        wire_barrier(&peer.front.wire);
        peer_detach(&peer);
}

/* QEMU agrees to the bit for devices of which it shows no regions. */
static void front_end_that_never_asked_has_no_use_for_regions(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        bool shown;

        mapping = fake_device_show(&fixture->device, 0, PEER_PAGE, &shown);
        peer_attach(&peer, fixture);
        peer_start(&peer);
        peer_map(&peer, 0, mapping, 1);
        assert_int_equal(fixture->device.last_error, 0);
        (void)peer_show(&peer, 1, &shown);
        assert_true(shown);
        assert_true(peer_silent(&peer));
        peer_detach(&peer);
}

static void what_was_never_said_needs_no_unmapping(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *first, *second;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        first = peer_show_later(&peer, 0);
        second = peer_show_later(&peer, 1); /* stands in line */
        peer_expect_map(&peer, 0, first);
        peer_hide(&peer, second);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        assert_true(peer_silent(&peer));
        assert_int_equal(fixture->device.shown, 1);
        peer_detach(&peer);
}

static void mapping_hidden_on_its_way_is_unmapped_if_it_has_come(void **state)
{
        struct fixture *fixture = *state;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        for (uint64_t refused = 0; refused < 2; refused++) {
                struct shmem_mapping *mapping = peer_show_later(&peer, 0);

                peer_expect_map(&peer, 0, mapping);
                peer_hide(&peer, mapping);
                assert_true(peer_silent(&peer));
                peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, refused);
                if (!refused)
                        peer_unmap(&peer, 0, 0);
                assert_true(peer_silent(&peer));
        }
        assert_int_equal(fixture->device.shown, 0); /* who hides is told nothing */
        peer_detach(&peer);
}

static void place_is_free_before_it_is_taken_again(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping, *second;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_later(&peer, 0);
        peer_expect_map(&peer, 0, mapping);
        peer_hide(&peer, mapping);
        second = peer_show_later(&peer, 0);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        peer_unmap(&peer, 0, 0);
        peer_map(&peer, 0, second, 0);
        assert_int_equal(fixture->device.shown, 1);
        assert_ptr_equal(fixture->device.last_told, second);
        peer_detach(&peer);
}

static void changes_and_mappings_share_the_channel(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct wire_message message;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_later(&peer, 0);
        fixture->device.front.config_changed(fixture->device.front.context);
        peer_expect_map(&peer, 0, mapping);
        assert_true(peer_silent(&peer));
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        assert_int_equal(wire_receive(&peer.backend, &message), 0);
        assert_int_equal(message.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
        mapping = peer_show_later(&peer, 1);
        assert_true(peer_silent(&peer));
        peer_answer(&peer, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1);
        peer_map(&peer, 1, mapping, 0);
        assert_int_equal(fixture->device.shown, 2);
        peer_detach(&peer);
}

static void read_only_mapping_says_so(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping = fake_device_map(&fixture->device, 0, PEER_PAGE, false);
        struct wire_message message;
        struct vhost_user_mmap mmap;
        struct fd_set_owned fds;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        assert_int_equal(wire_receive_fds(&peer.backend, &message, &fds), 0);
        memcpy(&mmap, message.payload, sizeof(mmap));
        assert_int_equal(mmap.flags, 0);
        fd_set_close(&fds);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        peer_hide(&peer, mapping);
        peer_detach(&peer);
}

/* Its answers are awaited, though when it came none were agreed. */
static void channel_of_before_replies_were_agreed_is_asked(void **state)
{
        const uint64_t without = BACKEND_REQ;
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        int pair[2];

        peer_attach(&peer, fixture);
        assert_int_equal(
            front_end_set(&peer.front, VHOST_USER_SET_PROTOCOL_FEATURES, &without, 8, NULL, 0, false), 0);
        assert_int_equal(fd_stream_pair(pair), 0);
        assert_int_equal(
            front_end_set(&peer.front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, false), 0);
        close(pair[1]);
        close(peer.front.backend);
        peer.front.backend = pair[0];
        peer_backend_opened(&peer);
        assert_int_equal(front_end_set(&peer.front, VHOST_USER_SET_PROTOCOL_FEATURES, &peer.front.protocol, 8,
                                       NULL, 0, false),
                         0);
        peer_start(&peer);
        mapping = peer_show_later(&peer, 1);
        peer_map(&peer, 1, mapping, 0);
        assert_ptr_equal(fixture->device.last_told, mapping);
        assert_int_equal(fixture->device.last_error, 0);
        peer_detach(&peer);
}

/* As many as a device may have, and then all of them anew at other places. */
static void as_many_as_a_device_may_have_come_and_go(void **state)
{
        static struct shmem_mapping *mappings[2][FAKE_MAPPINGS];
        struct fixture *fixture = *state;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        for (size_t i = 0; i < FAKE_MAPPINGS; i++)
                mappings[0][i] = peer_show_now(&peer, i);
        for (size_t i = 0; i < FAKE_MAPPINGS; i++)
                peer_hide(&peer, mappings[0][i]);
        for (size_t i = 0; i < FAKE_MAPPINGS; i++)
                mappings[1][i] = peer_show_later(&peer, i);
        for (size_t i = 0; i < FAKE_MAPPINGS; i++)
                peer_unmap(&peer, i, 0);
        for (size_t i = 0; i < FAKE_MAPPINGS; i++)
                peer_map(&peer, i, mappings[1][i], 0);
        assert_int_equal(fixture->device.shown, 2 * FAKE_MAPPINGS);
        peer_detach(&peer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define SHMEM_TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, fixture_teardown)
            SHMEM_TEST(regions_are_offered_for_a_device_that_has_some),
            SHMEM_TEST(no_device_of_a_vm_with_regions_has_slots),
            cmocka_unit_test_setup_teardown(device_without_regions_offers_none, fixture_setup,
                                            fixture_teardown),
            SHMEM_TEST(regions_need_a_channel_and_answers),
            SHMEM_TEST(mapping_is_there_when_the_front_end_has_answered),
            SHMEM_TEST(mapping_that_is_refused_is_gone),
            SHMEM_TEST(mappings_of_before_appear_with_the_driver),
            SHMEM_TEST(mapping_of_before_that_is_refused_breaks_the_device),
            SHMEM_TEST(front_end_that_never_asked_has_no_use_for_regions),
            SHMEM_TEST(what_was_never_said_needs_no_unmapping),
            SHMEM_TEST(mapping_hidden_on_its_way_is_unmapped_if_it_has_come),
            SHMEM_TEST(place_is_free_before_it_is_taken_again),
            SHMEM_TEST(changes_and_mappings_share_the_channel),
            SHMEM_TEST(read_only_mapping_says_so),
            SHMEM_TEST(channel_of_before_replies_were_agreed_is_asked),
            SHMEM_TEST(as_many_as_a_device_may_have_come_and_go),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
