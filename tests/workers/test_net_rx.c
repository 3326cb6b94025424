/* workers/net, frames to the guest: how they are shared out over lent buffers, and what finds no room. By a stream, whose frames
 * wait in its socket.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/status.h"
#include "tests/workers/net_rig.h"
#include "workers/runtime/request.h"

static struct net_rig rig;
static uint8_t frame[NET_FRAME_MAX + 1];

static void start(unsigned n_queues, uint32_t mtu)
{
        rig = (struct net_rig){.carrier = NET_CARRIER_STREAM, .n_queues = n_queues, .mtu = mtu};
        rig_start(&rig);
}

#define SHORT 260u /* bytes of a buffer: more of them than go into a usual message */

/* All of a packet's buffers come in one message, in their order. */
static void a_long_frame_is_shared_out(void **state)
{
        const uint32_t len = 9018, n = (NET_HEADER + len + SHORT - 1) / SHORT;
        struct net_header header;
        uint32_t at = 0;
        unsigned first;

        (void)state;
        start(2, 9000);
        first = rig_lend(&rig, 0, n + 2, SHORT);
        rig_frame(frame, len, 1);
        rig_feed_stream(&rig, frame, len);
        rig_await(&rig, first);
        net_header_load(rig.bytes[first], &header);
        assert_int_equal(header.n_buffers, n);
        for (unsigned i = 0; i < n; i++) {
                uint32_t skip = i == 0 ? NET_HEADER : 0;

                assert_true(rig.lent[first + i].done);
                assert_memory_equal(rig.bytes[first + i] + skip, frame + at, rig.lent[first + i].used - skip);
                at += rig.lent[first + i].used - skip;
        }
        assert_int_equal(at, len);
        assert_false(rig.lent[first + n].done);
        rig_end(&rig);
}

static void a_frame_waits_for_as_many_buffers_as_it_needs(void **state)
{
        unsigned first;

        (void)state;
        start(2, 9000);
        first = rig_lend(&rig, 0, 2, 1526);
        rig_frame(frame, 4000, 1);
        rig_feed_stream(&rig, frame, 4000);
        rig_settle(&rig);
        assert_false(rig.lent[first].done);
        rig_lend(&rig, 0, 1, 1526);
        rig_await(&rig, first);
        assert_true(rig.lent[first + 2].done);
        rig_end(&rig);
}

/* Other queues of a lane may hold what it would need: it must not wait for ever. */
static void a_frame_that_never_finds_room_goes_nowhere(void **state)
{
        unsigned first;

        (void)state;
        start(2, 9000);
        first = rig_lend(&rig, 0, 2, 1526);
        rig_frame(frame, 9018, 1);
        rig_feed_stream(&rig, frame, 9018);
        rig_frame(frame, 100, 2);
        rig_feed_stream(&rig, frame, 100);
        rig_came(&rig, first, frame, 100);
        rig_end(&rig);
}

/* Six of eight buffers are used, and the next frame needs more than the other two. */
static unsigned start_with_little_room(void)
{
        unsigned first;

        start(2, 9000);
        first = rig_lend(&rig, 0, 8, 1526);
        for (unsigned i = 0; i < 6; i++) {
                rig_frame(frame, 1000, i);
                rig_feed_stream(&rig, frame, 1000);
                rig_came(&rig, first + i, frame, 1000);
        }
        rig_frame(frame, 8000, 9);
        rig_feed_stream(&rig, frame, 8000);
        return first + 6;
}

static void a_frame_waits_for_a_guest_that_is_slow(void **state)
{
        struct pollfd never = {.fd = -1};
        struct net_header header;
        unsigned next;

        (void)state;
        next = start_with_little_room();
        poll(&never, 1, 400); /* is what is tested */
        rig_lend(&rig, 0, 4, 1526);
        rig_await(&rig, next);
        net_header_load(rig.bytes[next], &header);
        assert_int_equal(header.n_buffers, 6);
        rig_end(&rig);
}

static void a_guest_that_stays_slow_loses_the_frame(void **state)
{
        unsigned next;

        (void)state;
        next = start_with_little_room();
        rig_frame(frame, 100, 1);
        rig_feed_stream(&rig, frame, 100);
        rig_came(&rig, next, frame, 100);
        rig_end(&rig);
}

static void without_mergeable_buffers_a_frame_has_one(void **state)
{
        unsigned first;

        (void)state;
        rig = (struct net_rig){
            .carrier = NET_CARRIER_STREAM, .n_queues = 2, .mtu = 9000, .features = ~NET_F_MRG_RXBUF};
        rig_start(&rig);
        first = rig_lend(&rig, 0, 4, 1526);
        rig_frame(frame, 1515, 1);
        rig_feed_stream(&rig, frame, 1515); /* a byte too long for any */
        rig_frame(frame, 1514, 2);
        rig_feed_stream(&rig, frame, 1514);
        rig_came(&rig, first, frame, 1514);
        rig_end(&rig);
}

static void a_packet_of_too_many_buffers_goes_nowhere(void **state)
{
        unsigned first;

        (void)state;
        start(2, 0);
        first = rig_lend(&rig, 0, REQUEST_TOGETHER + 1, NET_HEADER);
        rig_frame(frame, NET_HEADER * (REQUEST_TOGETHER - 1) + 1, 1);
        rig_feed_stream(&rig, frame, NET_HEADER * (REQUEST_TOGETHER - 1) + 1);
        rig_frame(frame, NET_HEADER * (REQUEST_TOGETHER - 1), 2); /* all but the header's */
        rig_feed_stream(&rig, frame, NET_HEADER * (REQUEST_TOGETHER - 1));
        rig_await(&rig, first + REQUEST_TOGETHER - 1);
        assert_false(rig.lent[first + REQUEST_TOGETHER].done);
        assert_memory_equal(rig.bytes[first + 1], frame, NET_HEADER);
        rig_end(&rig);
}

static void a_buffer_that_nobody_may_lend_breaks_the_device(void **state)
{
        (void)state;
        start(2, 0);
        rig_lend(&rig, 0, 1, NET_HEADER - 1);
        rig_frame(frame, 100, 1);
        rig_feed_stream(&rig, frame, 100);
        while (!rig.lent[0].done)
                assert_true(fake_serve(&rig.broker, 0));
        assert_int_equal(rig.lent[0].status, WIRE_STATUS_PROTOCOL);
        rig_end(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_long_frame_is_shared_out),
            cmocka_unit_test(a_frame_waits_for_as_many_buffers_as_it_needs),
            cmocka_unit_test(a_frame_that_never_finds_room_goes_nowhere),
            cmocka_unit_test(a_frame_waits_for_a_guest_that_is_slow),
            cmocka_unit_test(a_guest_that_stays_slow_loses_the_frame),
            cmocka_unit_test(without_mergeable_buffers_a_frame_has_one),
            cmocka_unit_test(a_packet_of_too_many_buffers_goes_nowhere),
            cmocka_unit_test(a_buffer_that_nobody_may_lend_breaks_the_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
