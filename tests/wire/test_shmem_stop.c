/* Shared memory regions over vhost-user: when nothing may be said, what a stop and a reset leave, and front ends that answer wrongly
 * or not at all. TRUST: is a hostile front end in part.
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
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/shmem_peer.h"

/* ---- stops and resets ---- */

static void stop_waits_for_no_mapping(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_later(&peer, 0);
        peer_expect_map(&peer, 0, mapping);
        peer_stop(&peer); /* it is answered */
        assert_int_equal(fixture->device.shown, 1);
        assert_int_equal(fixture->device.last_error, -ECANCELED);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0); /* of the front end's own order */
        assert_true(peer_silent(&peer));
        peer_start(&peer);
        peer_unmap(&peer, 0, 1); /* the front end may have reset the device since */
        peer_hide(&peer, peer_show_now(&peer, 0));
        peer_unmap(&peer, 0, 0);
        peer_detach(&peer);
}

static void mapping_in_the_middle_of_a_stop_is_refused(void **state)
{
        struct vhost_user_vring_state ring = {0};
        struct fixture *fixture = *state;
        struct peer peer;
        struct wire_message message;

        peer_attach_and_start(&peer, fixture);
        fixture->device.hold = true;
        assert_int_equal(
            wire_send(&peer.front.wire, VHOST_USER_GET_VRING_BASE, 1, &ring, sizeof(ring), NULL, 0), 0);
        assert_true(peer_silent(&peer));
        (void)peer_show_later(&peer, 0);
        assert_int_equal(fixture->device.shown, 0); /* not from inside its own call */
        assert_true(peer_silent(&peer));
        assert_int_equal(fixture->device.shown, 1);
        assert_int_equal(fixture->device.last_error, -ECANCELED);
        fixture->device.hold = false;
        assert_int_equal(wire_receive(&peer.front.wire, &message), 0);
        assert_int_equal(message.request, VHOST_USER_GET_VRING_BASE);
        assert_true(peer_silent(&peer));
        peer_detach(&peer);
}

static void suspended_device_maps_and_unmaps_nothing(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *gone, *kept, *fresh;
        struct peer peer;
        bool shown;

        peer_attach_and_start(&peer, fixture);
        gone = peer_show_now(&peer, 0);
        kept = peer_show_now(&peer, 1);
        peer_stop(&peer);
        peer_hide(&peer, gone);
        fresh = peer_show(&peer, 0, &shown);
        assert_true(shown);
        assert_true(peer_silent(&peer));
        peer_start(&peer);
        peer_unmap(&peer, 0, 0);
        peer_map(&peer, 1, kept, 0);
        peer_map(&peer, 0, fresh, 0);
        assert_true(peer_silent(&peer));
        assert_int_equal(fixture->device.last_error, 0);
        peer_detach(&peer);
}

/* The guest's memory and a mapping, as QEMU says them to every device. */
static void share_both(struct peer *peer, const struct shmem_mapping *mapping)
{
        struct vhost_user_memory_table table = {.n_regions = 2,
                                                .regions = {{.guest_address = peer->ram.guest_address,
                                                             .size = peer->ram.size,
                                                             .user_address = peer->ram.user_address},
                                                            {.guest_address = UINT64_C(1) << 40,
                                                             .size = mapping->len,
                                                             .user_address = UINT64_C(0x7f0000000000),
                                                             .mmap_offset = mapping->fd_offset}}};
        const int fds[] = {peer->ram.fd, mapping->fd};

        assert_int_equal(
            front_end_set(&peer->front, VHOST_USER_SET_MEM_TABLE, &table, 8 + 2 * 32, fds, 2, true), 0);
}

/* So it is there, and a pause has left it. */
static void paused_guest_finds_no_hole(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        uint8_t byte = 0x5a;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_now(&peer, 0);
        for (int i = 0; i < 3; i++) {
                peer_stop(&peer);
                peer_start(&peer);
                share_both(&peer, mapping);
                peer_map(&peer, 0, mapping, 1);
                assert_true(peer_silent(&peer));
        }
        /* It is memory of its own device, whoever else is refused. */
        assert_int_equal(guest_memory_write(fixture->device.memory, GPA(UINT64_C(1) << 40), &byte, 1), 0);
        assert_int_equal(*(uint8_t *)mapping->host, byte);
        peer_hide(&peer, mapping);
        peer_unmap(&peer, 0, 0);
        assert_int_equal(fixture->device.last_error, 0);
        peer_detach(&peer);
}

static void mapping_in_doubt_is_made_anew(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        mapping = peer_show_now(&peer, 0);
        for (uint64_t there = 0; there < 2; there++) {
                peer_stop(&peer);
                peer_start(&peer);
                peer_map(&peer, 0, mapping, 1);
                peer_unmap(&peer, 0, !there);
                peer_map(&peer, 0, mapping, 0);
                assert_true(peer_silent(&peer));
        }
        peer_stop(&peer);
        peer_start(&peer);
        peer_map(&peer, 0, mapping, 1);
        peer_unmap(&peer, 0, 0);
        peer_map(&peer, 0, mapping, 1); /* it will not have it at all */
        assert_int_equal(fixture->device.last_error, -EIO);
        assert_true(peer_silent(&peer));
        peer_detach(&peer);
}

static void device_reset_unmaps_by_itself(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        bool shown;

        peer_attach_and_start(&peer, fixture);
        (void)peer_show_now(&peer, 0);
        mapping = peer_show_later(&peer, 1);
        peer_expect_map(&peer, 1, mapping);
        assert_int_equal(front_end_reset_device(&peer.front), 0);
        wire_barrier(&peer.front.wire);
        assert_int_equal(fixture->device.resets, 1);
        assert_int_equal(fixture->device.last_error, -ECANCELED);
        assert_true(peer_silent(&peer));
        mapping = peer_show(&peer, 0, &shown);
        assert_true(shown);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0); /* before the reset, or behind it? */
        assert_true(peer_silent(&peer));
        peer_start(&peer);
        peer_unmap(&peer, 1, 1);
        peer_map(&peer, 0, mapping, 0);
        assert_true(peer_silent(&peer));
        peer_detach(&peer);
}

static void end_of_a_session_refuses_who_waits(void **state)
{
        struct fixture *fixture = *state;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        (void)peer_show_now(&peer, 0);
        peer_expect_map(&peer, 1, peer_show_later(&peer, 1));
        (void)peer_show_later(&peer, 2);
        peer_detach(&peer);
        assert_int_equal(fixture->device.shown, 3);
        assert_int_equal(fixture->device.last_error, -ECANCELED);
        peer_attach_and_start(&peer, fixture);
        assert_true(peer_silent(&peer)); /* the reset has taken the rest */
        peer_detach(&peer);
}

/* The device is told of the first, and nothing of the others is known any more when that is done. */
static void a_worker_that_dies_of_the_first_refusal_takes_the_others_along(void **state)
{
        struct fixture *fixture = *state;
        struct peer peer;

        for (unsigned stop = 0; stop < 2; stop++) { /* the session ends, or stops */
                peer_attach_and_start(&peer, fixture);
                (void)peer_show_now(&peer, 0);
                peer_expect_map(&peer, 1, peer_show_later(&peer, 1));
                (void)peer_show_later(&peer, 2);
                (void)peer_show_later(&peer, 3);
                fixture->device.shown = 0;
                fixture->device.deaf = true;
                if (stop)
                        peer_stop(&peer);
                else
                        peer_detach(&peer);
                fixture->device.deaf = false;
                assert_int_equal(fixture->device.shown, 1);
                assert_int_equal(shmem_n_mappings(fixture->device.shmem), 0);
                if (stop)
                        peer_detach(&peer);
        }
}

/* ---- the channel ---- */

static void bad_answers_close_the_channel_only(void **state)
{
        static const struct {
                uint32_t request, flags, size;
                bool fd;
        } bad[] = {{10, 5, 8, false}, {2, 5, 8, false},  {9, 1, 8, false},
                   {9, 13, 8, false}, {9, 5, 0, false},  {9, 5, 40, false},
                   {9, 5, 8, true},   {11, 5, 8, false}, {9, 6, 8, false}};
        struct fixture *fixture = *state;

        for (size_t i = 0; i < array_size(bad); i++) {
                uint8_t bytes[12 + 40] = {0};
                struct shmem_mapping *mapping;
                struct peer peer;

                peer_attach_and_start(&peer, fixture);
                mapping = peer_show_later(&peer, 0);
                peer_expect_map(&peer, 0, mapping);
                memcpy(bytes, &bad[i], 12);
                assert_int_equal(
                    wire_send_bytes(&peer.backend, bytes, 12 + bad[i].size, &mapping->fd, bad[i].fd), 0);
                assert_int_equal(wire_wait_closed(&peer.backend, FIXTURE_DROP_MS), 0);
                fixture_turn(fixture);
                assert_int_equal(fixture->device.last_error, -ECONNRESET);
                assert_int_equal(fixture->device.shown, i + 1);
                wire_barrier(&peer.front.wire);
                peer_detach(&peer);
        }
}

static void second_answer_closes_the_channel(void **state)
{
        struct fixture *fixture = *state;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        (void)peer_show_now(&peer, 0);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        assert_int_equal(wire_wait_closed(&peer.backend, FIXTURE_DROP_MS), 0);
        (void)peer_show_later(&peer, 1);
        fixture_turn(fixture);
        assert_int_equal(fixture->device.last_error, -ENOTCONN);
        wire_barrier(&peer.front.wire);
        peer_detach(&peer);
}

/* What the old channel left open is settled on the new one. */
static void new_channel_goes_on(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *first, *second, *third;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        first = peer_show_now(&peer, 0);
        second = peer_show_later(&peer, 1);
        peer_expect_map(&peer, 1, second);
        close(peer.front.backend);
        peer.front.backend = -1;
        for (int i = 0; i < 3; i++)
                fixture_turn(fixture);
        assert_int_equal(fixture->device.last_error, -ECONNRESET);
        peer_hide(&peer, first);
        peer_replace_channel(&peer);
        peer_unmap(&peer, 0, 0);
        peer_unmap(&peer, 1, 0); /* nobody knows whether it had come */
        third = peer_show_later(&peer, 1);
        peer_expect_map(&peer, 1, third);
        peer_replace_channel(&peer);
        peer_unmap(&peer, 1, 0);
        assert_true(peer_silent(&peer));
        peer_detach(&peer);
}

/* A channel that takes no byte holds neither the worker's neighbours nor the session up. */
static void channel_that_is_not_read_holds_nobody(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        int pair[2], size = 4608;
        uint8_t filler[4096] = {0};

        peer_attach_and_start(&peer, fixture);
        assert_int_equal(fd_stream_pair(pair), 0);
        assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        while (send(pair[1], filler, sizeof(filler), MSG_DONTWAIT) > 0)
                ;
        assert_int_equal(
            front_end_set(&peer.front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, true), 0);
        mapping = peer_show_later(&peer, 0);
        wire_barrier(&peer.front.wire);
        assert_int_equal(fixture->device.shown, 0);
        peer_hide(&peer, mapping); /* while it is on its way: the descriptor that it needs is kept */
        wire_barrier(&peer.front.wire);
        while (recv(pair[0], filler, sizeof(filler), MSG_DONTWAIT) == sizeof(filler))
                ;
        close(peer.front.backend);
        peer.front.backend = pair[0];
        peer_backend_opened(&peer);
        peer_expect_map(&peer, 0, NULL);
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        peer_unmap(&peer, 0, 0);
        close(pair[1]);
        peer_detach(&peer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define SHMEM_TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, fixture_teardown)
            SHMEM_TEST(stop_waits_for_no_mapping),
            SHMEM_TEST(mapping_in_the_middle_of_a_stop_is_refused),
            SHMEM_TEST(suspended_device_maps_and_unmaps_nothing),
            SHMEM_TEST(paused_guest_finds_no_hole),
            SHMEM_TEST(mapping_in_doubt_is_made_anew),
            SHMEM_TEST(device_reset_unmaps_by_itself),
            SHMEM_TEST(end_of_a_session_refuses_who_waits),
            SHMEM_TEST(a_worker_that_dies_of_the_first_refusal_takes_the_others_along),
            SHMEM_TEST(bad_answers_close_the_channel_only),
            SHMEM_TEST(second_answer_closes_the_channel),
            SHMEM_TEST(new_channel_goes_on),
            SHMEM_TEST(channel_that_is_not_read_holds_nobody),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
