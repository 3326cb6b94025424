/* The session alone: negotiation, answers to the byte, acknowledgements, waiting, the back-end channel,
 * reconnecting. TRUST: sees bytes of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/wire/fixture.h"

#define DRIVER_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define PROTOCOL_OFFER  (1u << 0 | 1u << 3 | 1u << 5 | 1u << 9 | 1u << 13 | 1u << 15)

static void expect_answer(struct wire *wire, uint32_t request, const void *payload, uint32_t len)
{
        struct wire_message answer;

        assert_int_equal(wire_receive(wire, &answer), 0);
        assert_int_equal(answer.request, request);
        assert_int_equal(answer.flags, 5);
        assert_int_equal(answer.size, len);
        if (len > 0)
                assert_memory_equal(answer.payload, payload, len);
}

static void expect_u64(struct wire *wire, uint32_t request, uint64_t value)
{
        expect_answer(wire, request, &value, sizeof(value));
}

static void send_plain(struct wire *wire, uint32_t request, uint32_t flags, const void *payload, uint32_t len)
{
        assert_int_equal(wire_send(wire, request, flags, payload, len, NULL, 0), 0);
}

static void send_u64(struct wire *wire, uint32_t request, uint32_t flags, uint64_t value)
{
        send_plain(wire, request, flags, &value, sizeof(value));
}

/* In order, so that what was sent before has been served. */
static void barrier(struct wire *wire)
{
        send_plain(wire, VHOST_USER_GET_FEATURES, 1, NULL, 0);
        expect_u64(wire, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
}

static void every_dialect_negotiates(void **state)
{
        struct fixture *fixture = *state;

        for (int dialect = 0; dialect < FRONT_END_DIALECT_COUNT_; dialect++) {
                struct front_end front = {0};
                uint8_t config[64];

                fixture_negotiate(fixture, &front, (enum front_end_dialect)dialect);
                assert_int_equal(front.offered, DRIVER_FEATURES | 1u << 9 | 1u << 30);
                assert_int_equal(front.n_rings, FAKE_QUEUES);
                assert_int_equal(front_end_get_config(&front, 0, 57, config), 0);
                assert_memory_equal(config, fixture->device.config, 57);
                front_end_close(&front);
                fixture_settle(fixture);
        }
        assert_int_equal(fixture->device.resets, 0); /* the worker has seen nothing of them */
}

static void protocol_features_are_exactly_the_table(void **state)
{
        struct fixture *fixture = *state;
        struct wire wire;

        fixture_connect(fixture, &wire);
        send_plain(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0);
        expect_u64(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_OFFER);
        fixture->device.config_is_vmms = true;
        send_plain(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0);
        expect_u64(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_OFFER & ~(1u << 9));
        fixture->device.config_is_vmms = false;
        fixture->device.config_size = 0;
        send_plain(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, 1, NULL, 0);
        expect_u64(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_OFFER & ~(1u << 9));
        wire_close(&wire);
}

static void answers_are_exact(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        send_plain(&front.wire, VHOST_USER_GET_QUEUE_NUM, 1, NULL, 0);
        expect_u64(&front.wire, VHOST_USER_GET_QUEUE_NUM, FAKE_QUEUES);
        send_plain(&front.wire, VHOST_USER_GET_MAX_MEM_SLOTS, 1, NULL, 0);
        expect_u64(&front.wire, VHOST_USER_GET_MAX_MEM_SLOTS, 512);
        send_plain(&front.wire, VHOST_USER_GET_VRING_BASE, 1, &(struct vhost_user_vring_state){.index = 3},
                   8);
        expect_answer(&front.wire, VHOST_USER_GET_VRING_BASE, &(struct vhost_user_vring_state){.index = 3},
                      8);
        front_end_close(&front);
}

static void need_reply_changes_no_answer(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        send_plain(&front.wire, VHOST_USER_GET_FEATURES, 9, NULL, 0);
        expect_u64(&front.wire, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
        send_plain(&front.wire, VHOST_USER_GET_VRING_BASE, 9, &(struct vhost_user_vring_state){.index = 1},
                   8);
        expect_answer(&front.wire, VHOST_USER_GET_VRING_BASE, &(struct vhost_user_vring_state){.index = 1},
                      8);
        assert_true(wire_silent(&front.wire, 20));
        front_end_close(&front);
}

static void acknowledgement_needs_both_the_feature_and_the_flag(void **state)
{
        struct fixture *fixture = *state;
        struct wire wire;

        fixture_connect(fixture, &wire);
        send_plain(&wire, VHOST_USER_SET_OWNER, 9, NULL, 0); /* asked for, not agreed */
        barrier(&wire);
        send_u64(&wire, VHOST_USER_SET_PROTOCOL_FEATURES, 1, PROTOCOL_OFFER);
        send_plain(&wire, VHOST_USER_SET_OWNER, 1, NULL, 0); /* agreed, not asked for */
        barrier(&wire);
        send_plain(&wire, VHOST_USER_SET_OWNER, 9, NULL, 0);
        expect_u64(&wire, VHOST_USER_SET_OWNER, 0);
        send_plain(&wire, VHOST_USER_RESET_OWNER, 9, NULL, 0);
        expect_u64(&wire, VHOST_USER_RESET_OWNER, 0);
        assert_true(wire_silent(&wire, 20));
        wire_close(&wire);
}

static void features_not_offered_are_masked(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        send_u64(&front.wire, VHOST_USER_SET_FEATURES, 9, UINT64_MAX);
        expect_u64(&front.wire, VHOST_USER_SET_FEATURES, 0);
        assert_int_equal(fixture->device.committed, fixture->device.features);
        front_end_close(&front);
}

static void config_reads_anywhere_within_256_bytes(void **state)
{
        static const struct {
                uint32_t offset, len;
                int result;
        } cases[] = {{0, 256, 0},
                     {255, 1, 0},
                     {256, 0, 0},
                     {3, 5, 0},

                     {256, 1, -EINVAL},
                     {1, 256, -EINVAL},
                     {UINT32_MAX, 1, -EINVAL},
                     {UINT32_MAX, 0, -EINVAL}};
        struct fixture *fixture = *state;
        struct front_end front = {0};
        uint8_t bytes[256];

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        for (size_t i = 0; i < array_size(cases); i++) {
                assert_int_equal(front_end_get_config(&front, cases[i].offset, cases[i].len, bytes),
                                 cases[i].result);
                if (cases[i].result == 0)
                        assert_memory_equal(bytes, fixture->device.config + cases[i].offset, cases[i].len);
        }
        front_end_close(&front);
}

static void config_header_alone_is_answered_in_full(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct vhost_user_config config = {.offset = 4, .size = 8};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        send_plain(&front.wire, VHOST_USER_GET_CONFIG, 1, &config, 12);
        memcpy(config.bytes, fixture->device.config + 4, 8);
        expect_answer(&front.wire, VHOST_USER_GET_CONFIG, &config, 20);
        front_end_close(&front);
}

static void config_write_parks_until_the_worker_has_it(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct vhost_user_config config = {.offset = 2, .size = 1, .bytes = {0xee}};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        fixture->device.hold = true;
        send_plain(&front.wire, VHOST_USER_SET_CONFIG, 9, &config, 13);
        send_plain(&front.wire, VHOST_USER_GET_FEATURES, 1, NULL, 0);
        assert_true(wire_silent(&front.wire, 30));
        assert_int_equal(fixture->device.writes, 1);
        fixture->device.hold = false;
        expect_u64(&front.wire, VHOST_USER_SET_CONFIG, 0);
        expect_u64(&front.wire, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
        assert_int_equal(fixture->device.config[2], 0xee);
        front_end_close(&front);
}

static void config_write_that_fails_is_refused_softly(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        uint8_t byte = 1;
        struct vhost_user_config migration = {.size = 1, .flags = 1}, outside = {.offset = 256, .size = 1};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        fixture->device.write_error = -EINVAL;
        assert_int_equal(front_end_set_config(&front, 0, 1, &byte), -EIO);
        fixture->device.write_error = 0;
        fixture->device.write_result = -EROFS;
        assert_int_equal(front_end_set_config(&front, 0, 1, &byte), -EIO);
        send_plain(&front.wire, VHOST_USER_SET_CONFIG, 9, &migration, 13);
        expect_u64(&front.wire, VHOST_USER_SET_CONFIG, 1);
        send_plain(&front.wire, VHOST_USER_SET_CONFIG, 9, &outside, 13);
        expect_u64(&front.wire, VHOST_USER_SET_CONFIG, 1);
        assert_int_equal(fixture->device.writes, 1);
        barrier(&front.wire);
        front_end_close(&front);
}

static void end_while_parked_frees_everything(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        uint8_t byte[13] = {0, 0, 0, 0, 1};

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        fixture->device.hold = true;
        send_plain(&front.wire, VHOST_USER_SET_CONFIG, 1, byte, 13);
        assert_true(wire_silent(&front.wire, 10));
        front_end_close(&front);
        fixture_settle(fixture);
        assert_int_equal(fixture->device.resets, 1); /* the worker was given a byte of it */
        fixture->device.hold = false;
        fixture_turn(fixture); /* no late callback: the reset has canceled it */
        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        front_end_close(&front);
}

static void message_may_come_byte_by_byte(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct {
                struct vhost_user_header header;
                uint64_t value;
        } __attribute__((packed)) call = {{VHOST_USER_SET_VRING_CALL, 9, 8}, 2};
        int fd = eventfd(0, EFD_CLOEXEC);

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        for (size_t i = 0; i < sizeof(call); i++) {
                assert_int_equal(wire_send_bytes(&front.wire, (uint8_t *)&call + i, 1, &fd, i == 0), 0);
                fixture_turn(fixture);
        }
        expect_u64(&front.wire, VHOST_USER_SET_VRING_CALL, 0);
        close(fd);
        front_end_close(&front);
}

static void many_messages_in_one_write_are_served_in_order(void **state)
{
        struct fixture *fixture = *state;
        struct vhost_user_header headers[100];
        struct wire wire;

        fixture_connect(fixture, &wire);
        for (size_t i = 0; i < array_size(headers); i++)
                headers[i] = (struct vhost_user_header){
                    i % 2 ? VHOST_USER_GET_PROTOCOL_FEATURES : VHOST_USER_GET_FEATURES, 1, 0};
        assert_int_equal(wire_send_bytes(&wire, headers, sizeof(headers), NULL, 0), 0);
        for (size_t i = 0; i < array_size(headers); i++) {
                if (i % 2)
                        expect_u64(&wire, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_OFFER);
                else
                        expect_u64(&wire, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
        }
        wire_close(&wire);
}

static void peer_that_does_not_read_is_dropped(void **state)
{
        struct fixture *fixture = *state;
        struct vhost_user_header headers[64];
        struct wire wire;
        int r = 0;

        fixture_connect(fixture, &wire);
        for (size_t i = 0; i < array_size(headers); i++)
                headers[i] = (struct vhost_user_header){VHOST_USER_GET_FEATURES, 1, 0};
        for (int i = 0; i < 10000 && r == 0; i++)
                r = wire_send_bytes(&wire, headers, sizeof(headers), NULL, 0);
        assert_int_equal(r, -EPIPE);
        fixture_settle(fixture);
        wire_close(&wire);
}

static void second_front_end_waits_for_the_first(void **state)
{
        struct fixture *fixture = *state;
        struct wire first, second;

        fixture_connect(fixture, &first);
        barrier(&first);
        fixture_connect(fixture, &second);
        send_plain(&second, VHOST_USER_GET_FEATURES, 1, NULL, 0);
        assert_true(wire_silent(&second, 30));
        barrier(&first);
        wire_close(&first);
        expect_u64(&second, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
        wire_close(&second);
}

static void nobody_is_accepted_before_the_device_is_ready(void **state)
{
        struct fixture *fixture = *state;
        struct wire wire;

        fixture_connect(fixture, &wire);
        barrier(&wire);
        fixture->device.ready = false;
        wire_close(&wire);
        fixture_settle(fixture);
        fixture_connect(fixture, &wire);
        send_plain(&wire, VHOST_USER_GET_FEATURES, 1, NULL, 0);
        assert_true(wire_silent(&wire, 30));
        fixture->device.ready = true;
        fixture->device.front.ready(fixture->device.front.context);
        expect_u64(&wire, VHOST_USER_GET_FEATURES, DRIVER_FEATURES | 1u << 9 | 1u << 30);
        wire_close(&wire);
}

static void thousand_reconnects_leave_nothing(void **state)
{
        struct fixture *fixture = *state;
        unsigned fds = count_fds();

        for (int i = 0; i < 1000; i++) {
                struct front_end front = {0};

                fixture_negotiate(fixture, &front, (enum front_end_dialect)(i % FRONT_END_DIALECT_COUNT_));
                front_end_close(&front);
                fixture_settle(fixture);
        }
        assert_int_equal(count_fds(), fds);
}

/* ---- the back-end channel ---- */

static void start_one_ring(struct front_end *front, struct guest_ram *ram, struct split_ring *ring)
{
        assert_int_equal(guest_ram_init(ram, 1 << 20, 0), 0);
        split_ring_init(ring, ram, 64, true, true);
        assert_int_equal(front_end_start(front, DRIVER_FEATURES, ram), 0);
        assert_int_equal(front_end_start_ring(front, 0, ring, 0), 0);
        barrier(&front->wire);
}

static void tell_config_changed(struct fixture *fixture)
{
        fixture->device.front.config_changed(fixture->device.front.context);
}

static struct wire backend_of(struct front_end *front)
{
        return (struct wire){.sock = front->backend,
                             .pump = front->wire.pump,
                             .pump_context = front->wire.pump_context,
                             .deadline_ms = WIRE_DEADLINE_MS};
}

static void expect_change(struct wire *backend, uint32_t flags)
{
        struct wire_message message;

        assert_int_equal(wire_receive(backend, &message), 0);
        assert_int_equal(message.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
        assert_int_equal(message.flags, flags);
        assert_int_equal(message.size, 0);
}

static void config_change_is_told_once_while_one_is_outstanding(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct guest_ram ram;
        struct split_ring ring;
        struct wire backend;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        backend = backend_of(&front);
        start_one_ring(&front, &ram, &ring);
        for (int i = 0; i < 10; i++)
                tell_config_changed(fixture);
        expect_change(&backend, 9);
        assert_true(wire_silent(&backend, 20));
        barrier(&front.wire); /* the main channel is served while the reply is awaited */
        send_u64(&backend, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 0);
        expect_change(&backend, 9); /* for the nine */
        send_u64(&backend, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 1);
        assert_true(wire_silent(&backend, 20));
        tell_config_changed(fixture);
        expect_change(&backend, 9);
        front_end_close(&front);
        guest_ram_done(&ram);
}

static void suspended_device_says_nothing_until_it_runs(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct guest_ram ram;
        struct split_ring ring;
        struct wire backend;
        uint16_t base;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        backend = backend_of(&front);
        tell_config_changed(fixture);
        assert_true(wire_silent(&backend, 20));
        start_one_ring(&front, &ram, &ring);
        expect_change(&backend, 9);
        send_u64(&backend, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 0);
        assert_int_equal(front_end_stop_ring(&front, 0, &base), 0);
        tell_config_changed(fixture);
        assert_true(wire_silent(&backend, 20));
        assert_int_equal(front_end_start_ring(&front, 0, &ring, base), 0);
        expect_change(&backend, 9);
        front_end_close(&front);
        guest_ram_done(&ram);
}

static void without_reply_ack_no_reply_is_asked_for(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct guest_ram ram;
        struct split_ring ring;
        struct wire backend;

        fixture_negotiate(fixture, &front, FRONT_END_CROSVM);
        backend = backend_of(&front);
        start_one_ring(&front, &ram, &ring);
        tell_config_changed(fixture);
        expect_change(&backend, 1);
        tell_config_changed(fixture);
        expect_change(&backend, 1);
        front_end_close(&front);
        guest_ram_done(&ram);
}

/* The peer shares the open file of the channel that it gives, and with it O_NONBLOCK. */
static void backend_channel_that_would_block_holds_nobody(void **state)
{
        const uint32_t half_a_reply[3] = {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 8};
        struct fixture *fixture = *state;
        struct wire wire, backend = {.sock = -1};
        int pair[2];

        fixture_connect(fixture, &wire);
        assert_int_equal(fd_stream_pair(pair), 0);
        send_u64(&wire, VHOST_USER_SET_PROTOCOL_FEATURES, 1, PROTOCOL_OFFER);
        assert_int_equal(wire_send(&wire, VHOST_USER_SET_BACKEND_REQ_FD, 1, NULL, 0, &pair[1], 1), 0);
        barrier(&wire);
        assert_int_equal(fcntl(pair[1], F_SETFL, 0), 0);
        backend = (struct wire){.sock = pair[0]};
        assert_int_equal(wire_send_bytes(&backend, half_a_reply, sizeof(half_a_reply), NULL, 0), 0);
        alarm(10); /* a session that waits is in this process */
        barrier(&wire);
        alarm(0);
        close(pair[0]);
        close(pair[1]);
        wire_close(&wire);
        fixture_settle(fixture);
}

static void bad_reply_closes_the_backend_channel_only(void **state)
{
        static const struct {
                uint32_t request, flags, size;
        } bad[] = {{2, 1, 8}, {2, 9, 8}, {2, 0xd, 8}, {2, 4, 8},
                   {3, 5, 8}, {2, 5, 4}, {2, 5, 0},   {2, 5, 5000}};
        struct fixture *fixture = *state;
        uint64_t payload[2] = {0, 0};

        for (size_t i = 0; i < array_size(bad); i++) {
                struct front_end front = {0};
                struct guest_ram ram;
                struct split_ring ring;
                struct wire backend;

                fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
                backend = backend_of(&front);
                start_one_ring(&front, &ram, &ring);
                tell_config_changed(fixture);
                expect_change(&backend, 9);
                assert_int_equal(wire_send_bytes(&backend, &bad[i], sizeof(bad[i]), NULL, 0), 0);
                (void)wire_send_bytes(&backend, payload, MIN(bad[i].size, 8u), NULL,
                                      0); /* may be closed already */
                assert_int_equal(wire_wait_closed(&backend, FIXTURE_DROP_MS), 0);
                tell_config_changed(fixture); /* nobody listens: nothing happens */
                barrier(&front.wire);
                front_end_close(&front);
                guest_ram_done(&ram);
                fixture_settle(fixture);
        }
}

static void unsolicited_reply_closes_the_backend_channel(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct wire backend;

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        backend = backend_of(&front);
        send_u64(&backend, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 5, 0);
        assert_int_equal(wire_wait_closed(&backend, FIXTURE_DROP_MS), 0);
        barrier(&front.wire);
        front_end_close(&front);
}

static void new_backend_channel_replaces_the_old(void **state)
{
        struct fixture *fixture = *state;
        struct front_end front = {0};
        struct wire backend;
        int pair[2];

        fixture_negotiate(fixture, &front, FRONT_END_QEMU_7_2);
        backend = backend_of(&front);
        for (int i = 0; i < 100; i++) {
                assert_int_equal(fd_stream_pair(pair), 0);
                assert_int_equal(
                    front_end_set(&front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, true), 0);
                close(pair[1]);
                assert_int_equal(wire_wait_closed(&backend, FIXTURE_DROP_MS), 0);
                close(front.backend);
                backend.sock = front.backend = pair[0];
        }
        front_end_close(&front);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
            WIRE_TEST(every_dialect_negotiates),
            WIRE_TEST(protocol_features_are_exactly_the_table),
            WIRE_TEST(answers_are_exact),
            WIRE_TEST(need_reply_changes_no_answer),
            WIRE_TEST(acknowledgement_needs_both_the_feature_and_the_flag),
            WIRE_TEST(features_not_offered_are_masked),
            WIRE_TEST(config_reads_anywhere_within_256_bytes),
            WIRE_TEST(config_header_alone_is_answered_in_full),
            WIRE_TEST(config_write_parks_until_the_worker_has_it),
            WIRE_TEST(config_write_that_fails_is_refused_softly),
            WIRE_TEST(end_while_parked_frees_everything),
            WIRE_TEST(message_may_come_byte_by_byte),
            WIRE_TEST(many_messages_in_one_write_are_served_in_order),
            WIRE_TEST(peer_that_does_not_read_is_dropped),
            WIRE_TEST(second_front_end_waits_for_the_first),
            WIRE_TEST(nobody_is_accepted_before_the_device_is_ready),
            WIRE_TEST(thousand_reconnects_leave_nothing),
            WIRE_TEST(config_change_is_told_once_while_one_is_outstanding),
            WIRE_TEST(suspended_device_says_nothing_until_it_runs),
            WIRE_TEST(without_reply_ack_no_reply_is_asked_for),
            WIRE_TEST(backend_channel_that_would_block_holds_nobody),
            WIRE_TEST(bad_reply_closes_the_backend_channel_only),
            WIRE_TEST(unsolicited_reply_closes_the_backend_channel),
            WIRE_TEST(new_backend_channel_replaces_the_old),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
