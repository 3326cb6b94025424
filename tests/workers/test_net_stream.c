/* workers/net by a stream: frames both ways, what a peer may say and not say, and what a dead worker leaves behind.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/net_rig.h"
#include "workers/runtime/request.h"

#define EARLY      30u    /* frames that a socket holds, however small */
#define STREAM_MAX 69632u /* that a peer may announce (net_stream.c) */

static struct net_rig rig;
static uint8_t frame[NET_FRAME_MAX + 1], got[NET_FRAME_MAX + 1];

static void start(unsigned n_queues, uint32_t mtu)
{
        rig = (struct net_rig){.carrier = NET_CARRIER_STREAM, .n_queues = n_queues, .mtu = mtu};
        rig_start(&rig);
}

static void feed_bytes(const void *bytes, size_t len)
{
        assert_int_equal(send(rig.host[0], bytes, len, MSG_NOSIGNAL), len);
}

static void feed_prefix(uint32_t len)
{
        const uint32_t prefix = htobe32(len);

        feed_bytes(&prefix, sizeof(prefix));
}

/* A frame still comes through. */
static void require_alive(unsigned seed)
{
        unsigned i = rig_lend(&rig, 0, 1, 2048);

        rig_frame(frame, 100, seed);
        rig_feed_stream(&rig, frame, 100);
        rig_came(&rig, i, frame, 100);
}

/* The guest has been told that its cable is out. */
static void require_link(unsigned want)
{
        struct control_to_broker said;

        do
                assert_true(fake_next_control(&rig.broker, &said));
        while (said.kind != CONTROL_CONFIG_SPACE);
        assert_int_equal(said.config_space.value[6], want);
}

static void hello_is_that_of_a_network_device(void **state)
{
        const struct control_hello *hello = &rig.broker.hello;

        (void)state;
        start(3, 9000);
        assert_int_equal(hello->device_type, 1);
        assert_int_equal(hello->n_queues, 3);
        assert_int_equal(hello->queue_kind[0], QUEUE_SUPPLY);
        assert_int_equal(hello->queue_kind[1], QUEUE_WORK);
        assert_int_equal(hello->queue_kind[2], QUEUE_WORK);
        assert_int_equal(hello->queue_replay[1], REPLAY_AT_MOST_ONCE);
        assert_int_equal(
            hello->features & (NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_HOST_TSO4 | NET_F_MAC | NET_F_MQ), 0);
        assert_int_equal(hello->features & NET_F_CTRL_VQ, NET_F_CTRL_VQ);
        assert_int_equal(hello->fields[6].value, 1);
        assert_int_equal(hello->fields[8].value, 9000);
        rig_end(&rig);
}

static void frames_go_both_ways(void **state)
{
        static const uint32_t lens[] = {14, 15, 60, 1000, 1514, 1518};

        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < array_size(lens); i++) {
                unsigned lent = rig_lend(&rig, 0, 1, 2048);

                rig_frame(frame, lens[i], i);
                rig_feed_stream(&rig, frame, lens[i]);
                rig_came(&rig, lent, frame, lens[i]);
                rig_send(&rig, 1, NULL, frame, lens[i]);
                assert_int_equal(rig_take_stream(&rig, got), lens[i]);
                assert_memory_equal(got, frame, lens[i]);
        }
        rig_end(&rig);
}

static void frames_that_come_before_buffers_wait(void **state)
{
        unsigned first;

        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < EARLY; i++) {
                rig_frame(frame, 200, i);
                rig_feed_stream(&rig, frame, 200);
        }
        rig_settle(&rig);
        first = rig_lend(&rig, 0, EARLY, 2048);
        for (unsigned i = 0; i < EARLY; i++) {
                rig_frame(frame, 200, i);
                rig_came(&rig, first + i, frame, 200);
        }
        rig_end(&rig);
}

/* ---- what a peer says ---- */

static void frames_of_a_wrong_length_are_passed_over(void **state)
{
        static const uint32_t lens[] = {0, 1, 13, 1519, 9000, 65554, STREAM_MAX};
        static uint8_t long_frame[STREAM_MAX];

        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < array_size(lens); i++) {
                feed_prefix(lens[i]);
                if (lens[i] > 0)
                        feed_bytes(long_frame, lens[i]);
                require_alive(i);
        }
        rig_end(&rig);
}

static void an_impossible_length_ends_the_stream(void **state)
{
        static const uint32_t lens[] = {STREAM_MAX + 1, 1u << 24, INT32_MAX, UINT32_MAX};

        (void)state;
        for (unsigned i = 0; i < array_size(lens); i++) {
                start(2, 0);
                require_alive(1);
                rig_lend(&rig, 0, 1, 2048);
                feed_prefix(lens[i]);
                require_link(0);
                rig_frame(frame, 60, 1);
                rig_send(&rig, 1, NULL, frame, 60); /* answered, and goes nowhere */
                assert_int_equal(recv(rig.host[0], got, sizeof(got), 0), 0);
                rig_end(&rig);
        }
}

/* Every part of a frame, down to its last byte. The device serves meanwhile. */
static void a_frame_may_come_in_two(void **state)
{
        static const uint32_t cuts[] = {1, 3, 4, 5, 17, 18, 103};
        uint8_t bytes[104] = {0, 0, 0, 100};

        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < array_size(cuts); i++) {
                unsigned lent = rig_lend(&rig, 0, 1, 2048);

                rig_frame(bytes + 4, 100, i);
                feed_bytes(bytes, cuts[i]);
                for (unsigned k = 0; k < 5; k++)
                        rig_settle(&rig);
                assert_false(rig.lent[lent].done);
                feed_bytes(bytes + cuts[i], sizeof(bytes) - cuts[i]);
                rig_came(&rig, lent, bytes + 4, 100);
        }
        rig_end(&rig);
}

/* What has come of a second one stays in the socket when the first is taken. */
static void a_frame_may_come_with_the_beginning_of_the_next(void **state)
{
        uint8_t bytes[2 * 104] = {0, 0, 0, 100};
        unsigned lent;

        (void)state;
        start(2, 0);
        lent = rig_lend(&rig, 0, 2, 2048);
        rig_frame(bytes + 4, 100, 1);
        bytes[104 + 3] = 100;
        rig_frame(bytes + 108, 100, 2);
        feed_bytes(bytes, 150);
        rig_came(&rig, lent, bytes + 4, 100);
        rig_settle(&rig);
        feed_bytes(bytes + 150, sizeof(bytes) - 150);
        rig_came(&rig, lent + 1, bytes + 108, 100);
        rig_end(&rig);
}

static uint64_t cpu_ticks(pid_t pid)
{
        unsigned long user, kernel;
        char path[64], text[1024] = {0};
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
        fclose(file);
        assert_int_equal(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &kernel),
                         2);
        return user + kernel;
}

/* The socket is readable all the time. */
static void a_frame_that_is_never_finished_costs_nothing(void **state)
{
        struct pollfd never = {.fd = -1};
        uint64_t before;

        (void)state;
        start(2, 0);
        rig_lend(&rig, 0, 1, 2048);
        feed_prefix(1000);
        rig_settle(&rig);
        before = cpu_ticks(rig.broker.pid);
        poll(&never, 1, 1000); /* what is measured is this second */
        assert_true(cpu_ticks(rig.broker.pid) - before < 20);
        rig_end(&rig);
}

static void a_peer_that_leaves_is_a_cable_that_is_out(void **state)
{
        (void)state;
        start(2, 0);
        require_alive(1);
        close(rig.host[0]);
        rig.host[0] = -1;
        require_link(0);
        rig_frame(frame, 60, 1);
        rig_send(&rig, 1, NULL, frame, 60);
        rig_end(&rig);
}

/* No buffer is there, and its last frame waits in the socket. */
static void a_peer_that_leaves_unread_is_noticed(void **state)
{
        (void)state;
        start(2, 0);
        rig_frame(frame, 60, 1);
        rig_feed_stream(&rig, frame, 60);
        close(rig.host[0]);
        rig.host[0] = -1;
        require_link(0);
        rig_end(&rig);
}

/* Its other direction is open still, and the socket readable for ever. */
static void a_stream_that_ends_in_the_middle_is_a_cable_that_is_out(void **state)
{
        (void)state;
        start(2, 0);
        feed_prefix(1000);
        rig_settle(&rig);
        assert_int_equal(shutdown(rig.host[0], SHUT_WR), 0);
        require_link(0);
        rig_end(&rig);
}

/* ... and writable for ever. */
static void a_peer_that_takes_nothing_more_is_a_cable_that_is_out(void **state)
{
        (void)state;
        start(2, 0);
        require_alive(1);
        assert_int_equal(shutdown(rig.host[0], SHUT_RD), 0);
        require_alive(2);
        rig_frame(frame, 60, 1);
        rig_send(&rig, 1, NULL, frame, 60);
        require_link(0);
        rig_end(&rig);
}

/* ---- what the guest says ---- */

static void frames_of_the_guest_that_are_bad_go_nowhere(void **state)
{
        const struct net_header sum = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};

        (void)state;
        start(2, 0);
        rig_frame(frame, 2000, 1);
        rig_send(&rig, 1, NULL, frame, 0);
        rig_send(&rig, 1, NULL, frame, 13);
        rig_send(&rig, 1, NULL, frame, 1519);
        rig_send(&rig, 1, &sum, frame, 100);
        rig_settle(&rig);
        rig_send(&rig, 1, NULL, frame, 99);
        assert_int_equal(rig_take_stream(&rig, got), 99);
        rig_end(&rig);
}

/* Nothing of it came with the request: its bytes are asked for. */
/* The worker's counters, as it tells them once in a while: until this one has that value. */
static void require_counter(enum net_counter counter, uint64_t want)
{
        struct control_to_broker said;

        do
                assert_true(fake_next_control(&rig.broker, &said));
        while (said.kind != CONTROL_STATS || said.stats.counter[counter] < want);
        assert_int_equal(said.stats.n, NET_COUNTER_COUNT_);
        assert_int_equal(said.stats.counter[counter], want);
}

static void what_goes_nowhere_is_counted_by_its_way_and_reason(void **state)
{
        static uint8_t long_frame[STREAM_MAX];
        const struct net_header sum = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};

        (void)state;
        start(2, 0);
        rig_lend(&rig, 0, 1, 2048);
        feed_prefix(13);
        feed_bytes(long_frame, 13);
        feed_prefix(STREAM_MAX);
        feed_bytes(long_frame, STREAM_MAX);
        require_counter(NET_COUNTER_IN_LONG, 1);
        for (unsigned i = 1; i <= 3; i++) {
                rig_send(&rig, 1, NULL, frame, 13);
                rig_send(&rig, 1, NULL, frame, 1519);
                rig_send(&rig, 1, &sum, frame, 100);
                require_counter(NET_COUNTER_OUT_OFFLOAD, i); /* the first two were counted before it */
        }
        feed_prefix(0);
        require_counter(NET_COUNTER_IN_SHORT, 2);
        rig_end(&rig);
}

static void frames_that_are_not_inlined_are_fetched(void **state)
{
        static uint8_t bytes[3][NET_HEADER + 1500];
        struct fake_request requests[3];

        (void)state;
        start(2, 0);
        for (unsigned i = 0; i < 3; i++) {
                rig_frame(bytes[i] + NET_HEADER, 1500, i);
                requests[i] = (struct fake_request){.id = i + 1,
                                                    .queue = 1,
                                                    .readable = bytes[i],
                                                    .n_readable = sizeof(bytes[i]),
                                                    .inlined = i == 1 ? 600 : FAKE_INLINE_ALL};
        }
        fake_send_requests(&rig.broker, 0, requests, 3);
        fake_drain(&rig.broker, 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(rig_take_stream(&rig, got), 1500);
                assert_memory_equal(got, bytes[i] + NET_HEADER, 1500);
        }
        requests[0].inlined = 100;
        requests[0].done = false;
        rig.broker.read_status = WIRE_STATUS_FAULT; /* its memory is gone */
        fake_send_requests(&rig.broker, 0, requests, 1);
        fake_drain(&rig.broker, 0);
        rig.broker.read_status = WIRE_STATUS_OK;
        requests[2].done = false;
        fake_send_requests(&rig.broker, 0, requests + 2, 1);
        fake_drain(&rig.broker, 0);
        assert_int_equal(rig_take_stream(&rig, got), 1500);
        assert_memory_equal(got, bytes[2] + NET_HEADER, 1500);
        rig_end(&rig);
}

static void what_a_dead_worker_held_is_not_sent(void **state)
{
        uint8_t bytes[NET_HEADER + 100] = {0};
        struct fake_request request = {.id = 7,
                                       .queue = 1,
                                       .readable = bytes,
                                       .n_readable = sizeof(bytes),
                                       .inlined = FAKE_INLINE_ALL,
                                       .must_fail = true};

        (void)state;
        start(2, 0);
        fake_send_requests(&rig.broker, 0, &request, 1);
        fake_drain(&rig.broker, 0);
        assert_int_equal(request.status, WIRE_STATUS_OK);
        rig_frame(frame, 99, 1);
        rig_send(&rig, 1, NULL, frame, 99);
        assert_int_equal(rig_take_stream(&rig, got), 99);
        rig_end(&rig);
}

/* ---- pace ---- */

#define FLOOD 512u

/* The guest sends more than the peer takes: frames wait, then some are lost, and whole ones come out in order. */
static void a_peer_that_takes_nothing_stops_nobody(void **state)
{
        static uint8_t bytes[FLOOD][NET_HEADER + 1500];
        static struct fake_request requests[FLOOD];
        uint32_t last = 0, n = 0;
        struct pollfd wait;

        (void)state;
        start(2, 0);
        for (uint32_t i = 0; i < FLOOD; i++) {
                rig_frame(bytes[i] + NET_HEADER, 1500, i);
                memcpy(bytes[i] + NET_HEADER + 20, &i, 4);
                requests[i] = (struct fake_request){.id = i + 1,
                                                    .queue = 1,
                                                    .readable = bytes[i],
                                                    .n_readable = sizeof(bytes[i]),
                                                    .inlined = FAKE_INLINE_ALL};
        }
        for (unsigned i = 0; i < FLOOD; i += 64) {
                fake_send_requests(&rig.broker, 0, requests + i, 64);
                fake_drain(&rig.broker, 0); /* every one is answered, whatever became of it */
        }
        wait = (struct pollfd){.fd = rig.host[0], .events = POLLIN};
        for (; poll(&wait, 1, 200) == 1; n++) {
                uint32_t i;

                assert_int_equal(rig_take_stream(&rig, got), 1500);
                memcpy(&i, got + 20, 4);
                assert_true(n == 0 || i > last);
                assert_memory_equal(got, bytes[i] + NET_HEADER, 1500);
                last = i;
        }
        assert_in_range(n, 40, FLOOD - 1);
        rig_frame(frame, 99, 1);
        rig_send(&rig, 1, NULL, frame, 99);
        assert_int_equal(rig_take_stream(&rig, got), 99);
        rig_end(&rig);
}

/* The longest frames are taken whole by the socket whenever it is writable at all: what net_stream.c relies on. */
static void a_burst_is_taken_whole(void **state)
{
        static uint8_t burst[4 + NET_FRAME_MAX];
        int pair[2], size = 0;
        socklen_t len = sizeof(size);

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
        for (int bytes = 131072 / 2; bytes <= size; bytes += 16384) { /* the kernel doubles it */
                assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
                for (unsigned round = 0; round < 200; round++) {
                        struct pollfd out = {.fd = pair[0], .events = POLLOUT};
                        size_t drain = 1 + (round * 7919u) % sizeof(burst);

                        if (poll(&out, 1, 0) == 1)
                                assert_int_equal(write(pair[0], burst, sizeof(burst)), sizeof(burst));
                        else
                                assert_true(read(pair[1], got, MIN(drain, sizeof(got))) > 0);
                }
        }
        close(pair[0]);
        close(pair[1]);
}

/* ---- death ---- */

/* Killed in the middle of traffic both ways, again and again: no frame is cut, and all are in order. */
static void a_killed_worker_leaves_the_stream_in_step(void **state)
{
        unsigned seed = 0, seen = 0;

        (void)state;
        start(2, 9000);
        for (unsigned life = 0; life < 20; life++) {
                static uint8_t bytes[64][NET_HEADER + 9018];
                static struct fake_request requests[64];
                struct pollfd wait = {.fd = rig.host[0], .events = POLLIN};

                rig_lend(&rig, 0, 200, 1526);
                for (unsigned i = 0; i < 10; i++, seed++) {
                        rig_frame(frame, 3000 + 500 * i, seed);
                        rig_feed_stream(&rig, frame, 3000 + 500 * i);
                }
                for (unsigned i = 0; i < 16; i++) {
                        rig_frame(bytes[i] + NET_HEADER, 500 + 400 * i, i);
                        requests[i] = (struct fake_request){.id = 5000 + i,
                                                            .queue = 1,
                                                            .readable = bytes[i],
                                                            .n_readable = NET_HEADER + 500 + 400 * i,
                                                            .inlined = FAKE_INLINE_ALL};
                }
                fake_send_requests(&rig.broker, 0, requests, 16);
                if (life % 2 == 0)
                        assert_true(fake_serve(&rig.broker, 0));
                if (life % 4 == 0)
                        assert_int_equal(poll(&wait, 1, 20000), 1); /* it has begun to send */
                rig_kill(&rig);
                for (; poll(&wait, 1, 0) == 1; seen++) {
                        uint32_t len = rig_take_stream(&rig, got);

                        assert_int_equal((len - 500) % 400, 0);
                        rig_frame(frame, len, (len - 500) / 400);
                        assert_memory_equal(got, frame, len);
                }
                rig_start(&rig);
        }
        assert_true(seen > 0);
        /* What is left of what was fed comes whole. */
        for (unsigned i = 0; i < 30; i++) {
                unsigned lent = rig_lend(&rig, 0, 8, 1526);
                struct net_header header;

                rig_frame(frame, 200, 9999);
                rig_feed_stream(&rig, frame, 200);
                while (rig_await(&rig, lent) != NET_HEADER + 200) {
                        net_header_load(rig.bytes[lent], &header);
                        assert_in_range(header.n_buffers, 2, 6);
                        lent += header.n_buffers;
                        rig_lend(&rig, 0, 8, 1526);
                }
                if (memcmp(rig.bytes[lent] + NET_HEADER, frame, 200) == 0)
                        break;
                assert_true(i < 29);
        }
        rig_end(&rig);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hello_is_that_of_a_network_device),
            cmocka_unit_test(frames_go_both_ways),
            cmocka_unit_test(frames_that_come_before_buffers_wait),
            cmocka_unit_test(frames_of_a_wrong_length_are_passed_over),
            cmocka_unit_test(an_impossible_length_ends_the_stream),
            cmocka_unit_test(a_frame_may_come_in_two),
            cmocka_unit_test(a_frame_may_come_with_the_beginning_of_the_next),
            cmocka_unit_test(a_frame_that_is_never_finished_costs_nothing),
            cmocka_unit_test(a_peer_that_leaves_is_a_cable_that_is_out),
            cmocka_unit_test(a_peer_that_leaves_unread_is_noticed),
            cmocka_unit_test(a_stream_that_ends_in_the_middle_is_a_cable_that_is_out),
            cmocka_unit_test(a_peer_that_takes_nothing_more_is_a_cable_that_is_out),
            cmocka_unit_test(frames_of_the_guest_that_are_bad_go_nowhere),
            cmocka_unit_test(what_goes_nowhere_is_counted_by_its_way_and_reason),
            cmocka_unit_test(frames_that_are_not_inlined_are_fetched),
            cmocka_unit_test(what_a_dead_worker_held_is_not_sent),
            cmocka_unit_test(a_peer_that_takes_nothing_stops_nobody),
            cmocka_unit_test(a_burst_is_taken_whole),
            cmocka_unit_test(a_killed_worker_leaves_the_stream_in_step),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
