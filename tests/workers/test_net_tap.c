/* workers/net by taps: headers pass through as agreed, and what is not agreed is finished; several pairs; a tap that goes.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/net_rig.h"

#define SEGMENT 20000u /* bytes of a long one: more than 13 buffers of a usual size hold */

static struct net_rig rig;
static uint8_t frame[NET_FRAME_MAX], got[NET_FRAME_MAX];

static void start(unsigned n_queues, uint64_t features)
{
        rig = (struct net_rig){.carrier = NET_CARRIER_TAP, .n_queues = n_queues, .features = features};
        rig_start(&rig);
}

/* A TCP segment of IPv4 whose sum, and cutting, are left to others. */
static struct net_header make_segment(uint32_t len)
{
        rig_frame(frame, len, 5);
        frame[14] = 0x45;
        frame[14 + 2] = (uint8_t)((len - 14) >> 8);
        frame[14 + 3] = (uint8_t)(len - 14);
        frame[14 + 9] = 6;
        frame[34 + 12] = 0x50;
        return (struct net_header){.flags = NET_NEEDS_CSUM,
                                   .gso_type = NET_GSO_TCPV4,
                                   .hdr_len = 54,
                                   .gso_size = 1446,
                                   .csum_start = 34,
                                   .csum_offset = 16,
                                   .n_buffers = 1};
}

static void offloads_are_offered(void **state)
{
        const uint64_t all = NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN |
                             NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN;

        (void)state;
        start(5, 0);
        assert_int_equal(rig.broker.hello.features & all, all);
        assert_int_equal(rig.broker.hello.features & NET_F_MQ, NET_F_MQ);
        assert_int_equal(rig.broker.hello.n_queues, 5);
        assert_int_equal(rig.broker.hello.fields[7].value, 2);
        rig_end(&rig);
}

static void headers_pass_through_both_ways(void **state)
{
        const struct net_header header = make_segment(SEGMENT);
        struct net_header said;
        unsigned lent;

        (void)state;
        start(2, 0);
        lent = rig_lend(&rig, 0, 1, RIG_BUFFER);
        rig_feed_tap(&rig, 0, &header, frame, SEGMENT);
        rig_came(&rig, lent, frame, SEGMENT);
        net_header_load(rig.bytes[lent], &said);
        assert_memory_equal(&said, &header, sizeof(said));
        rig_send(&rig, 1, &header, frame, SEGMENT);
        assert_int_equal(rig_take_tap(&rig, 0, &said, got), SEGMENT);
        assert_memory_equal(got, frame, SEGMENT);
        assert_int_equal(said.gso_type, NET_GSO_TCPV4);
        assert_int_equal(said.gso_size, 1446);
        assert_int_equal(said.csum_start, 34);
        rig_end(&rig);
}

static void frames_keep_their_bounds(void **state)
{
        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < 50; i++) {
                unsigned lent = rig_lend(&rig, 0, 1, 2048);
                struct net_header said;

                rig_frame(frame, 60 + 29 * i, i);
                rig_feed_tap(&rig, 0, NULL, frame, 60 + 29 * i);
                rig_came(&rig, lent, frame, 60 + 29 * i);
                rig_send(&rig, 1, NULL, frame, 60 + 29 * i);
                assert_int_equal(rig_take_tap(&rig, 0, &said, got), 60 + 29 * i);
                assert_memory_equal(got, frame, 60 + 29 * i);
        }
        rig_end(&rig);
}

/* It has left the tap already: it is kept, and comes first. */
static void a_frame_that_finds_no_room_is_kept(void **state)
{
        const struct net_header header = make_segment(SEGMENT);
        struct net_header said;
        unsigned first;

        (void)state;
        start(2, 0);
        first = rig_lend(&rig, 0, 4, 1536);
        rig_feed_tap(&rig, 0, &header, frame, SEGMENT);
        rig_settle(&rig);
        rig_lend(&rig, 0, 10, 1536);
        rig_await(&rig, first);
        net_header_load(rig.bytes[first], &said);
        assert_int_equal(said.n_buffers, (NET_HEADER + SEGMENT + 1535) / 1536);
        assert_memory_equal(rig.bytes[first] + NET_HEADER, frame, 1536 - NET_HEADER);
        assert_memory_equal(rig.bytes[first + 1], frame + 1536 - NET_HEADER, 1536);
        rig_end(&rig);
}

static uint32_t ones(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
        for (uint32_t i = 0; i < len; i++) {
                sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
                sum = (sum & 0xffff) + (sum >> 16);
        }
        return sum;
}

/* A driver of firmware: it has agreed to nothing. */
static void a_segment_is_cut_for_a_driver_that_cannot(void **state)
{
        const struct net_header header = make_segment(SEGMENT);
        uint32_t at = 54;
        unsigned first;

        (void)state;
        start(2, NET_F_MRG_RXBUF);
        first = rig_lend(&rig, 0, 20, 2048);
        rig_feed_tap(&rig, 0, &header, frame, SEGMENT);
        for (unsigned i = 0; at < SEGMENT; i++) {
                uint32_t len = rig_await(&rig, first + i) - NET_HEADER;
                const uint8_t *piece = rig.bytes[first + i] + NET_HEADER;
                struct net_header said;

                net_header_load(rig.bytes[first + i], &said);
                assert_int_equal(said.flags, 0);
                assert_int_equal(said.gso_type, NET_GSO_NONE);
                assert_memory_equal(piece + 54, frame + at, len - 54);
                assert_int_equal(ones(0, piece + 14, 20), 0xffff);
                at += len - 54;
        }
        assert_int_equal(at, SEGMENT);
        rig_end(&rig);
}

static void a_sum_is_completed_for_a_driver_that_cannot(void **state)
{
        const struct net_header header = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
        unsigned lent;

        (void)state;
        start(2, NET_F_MRG_RXBUF);
        lent = rig_lend(&rig, 0, 1, 2048);
        rig_frame(frame, 101, 1);
        memset(frame + 40, 0, 2);
        rig_feed_tap(&rig, 0, &header, frame, 101);
        assert_int_equal(rig_await(&rig, lent), NET_HEADER + 101);
        assert_int_equal(rig.bytes[lent][0], 0);
        assert_int_equal(ones(0, rig.bytes[lent] + NET_HEADER + 34, 101 - 34), 0xffff);
        rig_end(&rig);
}

static void what_was_not_agreed_is_not_sent(void **state)
{
        struct net_header header = make_segment(1000), said;

        (void)state;
        start(2, NET_F_MRG_RXBUF);
        rig_send(&rig, 1, &header, frame, 1000);
        header.gso_type = NET_GSO_NONE;
        rig_send(&rig, 1, &header, frame, 1000);
        rig_send(&rig, 1, NULL, frame, 99);
        assert_int_equal(rig_take_tap(&rig, 0, &said, got), 99);
        rig_end(&rig);
}

static void bad_frames_of_the_host_go_nowhere(void **state)
{
        const struct net_header sum = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
        unsigned lent;

        (void)state;
        start(2, 0);
        lent = rig_lend(&rig, 0, 1, RIG_BUFFER);
        rig_frame(frame, 2000, 1);
        assert_int_equal(send(rig.host[0], frame, 5, 0), 5); /* not even a header */
        rig_feed_tap(&rig, 0, NULL, frame, 0);
        rig_feed_tap(&rig, 0, NULL, frame, 13);
        rig_feed_tap(&rig, 0, NULL, frame, 1519);
        rig_feed_tap(&rig, 0, &sum, frame, 51);
        rig_feed_tap(&rig, 0, NULL, frame, 99);
        rig_came(&rig, lent, frame, 99);
        rig_end(&rig);
}

/* ---- pairs ---- */

static void pair_goes_to(unsigned end, uint32_t queue)
{
        unsigned lent = rig_lend(&rig, queue, 1, 2048);

        rig_frame(frame, 77, end);
        rig_feed_tap(&rig, end, NULL, frame, 77);
        rig_came(&rig, lent, frame, 77);
}

static void each_pair_has_its_tap(void **state)
{
        struct net_header said;

        (void)state;
        start(4, 0);
        rig_lend(&rig, 2, 1, 2048); /* who lends uses it */
        rig_lend(&rig, 0, 1, 2048);
        rig_settle(&rig);
        rig_frame(frame, 70, 1);
        rig_feed_tap(&rig, 1, NULL, frame, 70);
        rig_came(&rig, 0, frame, 70);
        rig_feed_tap(&rig, 0, NULL, frame, 70);
        rig_came(&rig, 1, frame, 70);
        for (unsigned i = 0; i < 2; i++) {
                pair_goes_to(i, 2 * i);
                rig_frame(frame, 80 + i, i);
                rig_send(&rig, 2 * i + 1, NULL, frame, 80 + i);
                assert_int_equal(rig_take_tap(&rig, i, &said, got), 80 + i);
        }
        rig_end(&rig);
}

/* Both taps are there, and the kernel puts frames into either. */
static void frames_of_a_pair_that_is_not_used_go_to_another(void **state)
{
        (void)state;
        start(4, 0);
        pair_goes_to(0, 0);
        pair_goes_to(1, 0);
        rig_end(&rig);
        start(5, 0); /* the driver says how many */
        pair_goes_to(1, 0);
        assert_int_equal(rig_command(&rig, "\4\0\2\0", 4), NET_ACK_OK);
        pair_goes_to(1, 2);
        pair_goes_to(0, 0);
        assert_int_equal(rig_command(&rig, "\4\0\3\0", 4), NET_ACK_ERR);
        assert_int_equal(rig_command(&rig, "\4\0\1\0", 4), NET_ACK_OK);
        pair_goes_to(1, 0);
        rig_end(&rig);
}

static void a_tap_that_goes_is_a_cable_that_is_out(void **state)
{
        struct control_to_broker said;

        (void)state;
        start(2, 0);
        rig_lend(&rig, 0, 1, 2048);
        close(rig.host[0]);
        rig.host[0] = -1;
        do
                assert_true(fake_next_control(&rig.broker, &said));
        while (said.kind != CONTROL_CONFIG_SPACE);
        assert_int_equal(said.config_space.value[6], 0);
        rig_frame(frame, 60, 1);
        rig_send(&rig, 1, NULL, frame, 60);
        rig_end(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(offloads_are_offered),
            cmocka_unit_test(headers_pass_through_both_ways),
            cmocka_unit_test(frames_keep_their_bounds),
            cmocka_unit_test(a_frame_that_finds_no_room_is_kept),
            cmocka_unit_test(a_segment_is_cut_for_a_driver_that_cannot),
            cmocka_unit_test(a_sum_is_completed_for_a_driver_that_cannot),
            cmocka_unit_test(what_was_not_agreed_is_not_sent),
            cmocka_unit_test(bad_frames_of_the_host_go_nowhere),
            cmocka_unit_test(each_pair_has_its_tap),
            cmocka_unit_test(frames_of_a_pair_that_is_not_used_go_to_another),
            cmocka_unit_test(a_tap_that_goes_is_a_cable_that_is_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
