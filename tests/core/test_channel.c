/* A framed connection: cut anywhere, with descriptors, with a peer that is slow, wrong or dead.
 * TRUST: a peer's bytes and descriptors, good and bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/limits.h"
#include "proto/frame.h"
#include "tests/core/model_guest.h"

static struct test {
        uv_loop_t loop;
        struct channel *channel;
        int peer;
        unsigned n_frames, n_ended, n_fds[16], free_at, fail_at;
        size_t len[16];
        uint8_t first[16];
        int error;
        bool send_inside;
        unsigned fds_before;
} test;

static int on_frame(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds)
{
        unsigned i = test.n_frames++;

        assert_ptr_equal(context, &test);
        test.len[i % 16] = len;
        test.first[i % 16] = header[0];
        test.n_fds[i % 16] = fds->n;
        if (test.send_inside)
                assert_int_equal(channel_send(test.channel, header, len), 0);
        if (test.n_frames == test.free_at)
                test.channel = channel_free(test.channel);
        return test.n_frames == test.fail_at ? -EPROTO : 0;
}

static void on_ended(void *context, int error)
{
        assert_ptr_equal(context, &test);
        test.n_ended++;
        test.error = error;
        test.channel = channel_free(test.channel);
}

static const struct channel_ops ops = {.max_fds = 3, .frame = on_frame, .ended = on_ended};

static void begin(void)
{
        uv_loop_t warm;
        int fds[2];

        assert_int_equal(uv_loop_init(&warm), 0);
        assert_int_equal(uv_loop_close(&warm), 0);
        test = (struct test){.fds_before = count_fds()};
        assert_int_equal(uv_loop_init(&test.loop), 0);
        assert_int_equal(fd_stream_pair(fds), 0);
        test.peer = fds[1];
        assert_int_equal(channel_new(&test.loop, fds[0], &ops, &test, &test.channel), 0);
}

static void run(void)
{
        for (unsigned i = 0; i < 20; i++)
                uv_run(&test.loop, UV_RUN_NOWAIT);
}

static void end(void)
{
        test.channel = channel_free(test.channel);
        run();
        assert_int_equal(uv_loop_close(&test.loop), 0);
        if (test.peer >= 0)
                close(test.peer);
        assert_int_equal(count_fds(), test.fds_before);
}

static size_t make(uint8_t *buf, uint8_t first, uint32_t len)
{
        frame_head_make(&(struct frame_head){.header_len = len}, buf);
        memset(buf + FRAME_HEAD_BYTES, first, len);
        return FRAME_HEAD_BYTES + len;
}

static void send_fds(const void *bytes, size_t len, unsigned n_fds)
{
        struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
        int fds[8];

        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = test.peer;
        assert_int_equal(fd_pass_send(test.peer, &iov, 1, fds, n_fds), len);
}

static void frames_come_whole_however_they_are_cut(void **state)
{
        uint8_t buf[200];
        size_t len;

        (void)state;
        len = make(buf, 'a', 5);
        len += make(buf + len, 'b', 1);
        len += make(buf + len, 'c', 100);
        for (size_t step = 1; step <= len; step++) {
                begin();
                for (size_t at = 0; at < len; at += step) {
                        size_t n = at + step <= len ? step : len - at;

                        assert_int_equal(send(test.peer, buf + at, n, 0), n);
                        uv_run(&test.loop, UV_RUN_NOWAIT);
                }
                run();
                assert_int_equal(test.n_frames, 3);
                assert_memory_equal(test.first, "abc", 3);
                assert_int_equal(test.len[0], 5);
                assert_int_equal(test.len[1], 1);
                assert_int_equal(test.len[2], 100);
                assert_int_equal(test.n_ended, 0);
                end();
        }
}

static void the_largest_frame_passes_and_a_larger_one_does_not(void **state)
{
        static uint8_t buf[FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER];
        uint8_t head[FRAME_HEAD_BYTES];
        size_t at = 0;

        (void)state;
        begin();
        fcntl(test.peer, F_SETFL, O_NONBLOCK);
        make(buf, 'x', LIMIT_FRAME_HEADER);
        while (at < sizeof(buf)) {
                ssize_t n = send(test.peer, buf + at, sizeof(buf) - at, 0);

                if (n > 0)
                        at += (size_t)n;
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        run();
        assert_int_equal(test.n_frames, 1);
        assert_int_equal(test.len[0], LIMIT_FRAME_HEADER);
        frame_head_make(&(struct frame_head){.header_len = LIMIT_FRAME_HEADER + 1}, head);
        assert_int_equal(send(test.peer, head, sizeof(head), 0), sizeof(head));
        run();
        assert_int_equal(test.n_ended, 1);
        assert_int_equal(test.error, -EPROTO);
        end();
}

/* However much has come: others have their turn in between. */
static void a_turn_takes_a_bounded_amount_and_the_rest_is_not_forgotten(void **state)
{
        enum { LEN = FRAME_HEAD_BYTES + 2, N = 3 * LIMIT_CONTROL_TURN / LEN };
        uint8_t buf[N * LEN];
        unsigned before, turns = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < N; i++)
                make(buf + i * LEN, 'x', 2);
        assert_int_equal(send(test.peer, buf, sizeof(buf), 0), sizeof(buf));
        do {
                before = test.n_frames;
                uv_run(&test.loop, UV_RUN_NOWAIT);
                assert_true(test.n_frames - before <= LIMIT_CONTROL_TURN / LEN + 1);
                turns++;
        } while (test.n_frames > before);
        assert_int_equal(test.n_frames, N);
        assert_int_equal(turns, 4);
        end();
}

static void an_empty_frame_and_a_payload_are_refused(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                begin();
                assert_int_equal(
                    send(test.peer, i == 0 ? "\0\0\0\0\0\0\0\0" : "\1\0\0\0\1\0\0\0a", 9 - (i == 0), 0),
                    9 - (i == 0));
                run();
                assert_int_equal(test.n_ended, 1);
                assert_int_equal(test.error, -EPROTO);
                assert_int_equal(test.n_frames, 0);
                end();
        }
}

/* The kernel joins bytes without descriptors to the ones behind them that have some. */
static void descriptors_belong_to_the_frame_they_came_with(void **state)
{
        uint8_t buf[64];
        size_t len;

        (void)state;
        begin();
        len = make(buf, 'a', 4);
        assert_int_equal(send(test.peer, buf, len, 0), len);
        len = make(buf, 'b', 4);
        assert_int_equal(send(test.peer, buf, len, 0), len);
        len = make(buf, 'c', 4);
        send_fds(buf, len, 2);
        len = make(buf, 'd', 4);
        assert_int_equal(send(test.peer, buf, len, 0), len);
        len = make(buf, 'e', 4);
        send_fds(buf, len, 3);
        run();
        assert_int_equal(test.n_frames, 5);
        assert_memory_equal(test.first, "abcde", 5);
        assert_int_equal(test.n_fds[0], 0);
        assert_int_equal(test.n_fds[1], 0);
        assert_int_equal(test.n_fds[2], 2);
        assert_int_equal(test.n_fds[3], 0);
        assert_int_equal(test.n_fds[4], 3);
        end(); /* and what was not taken is closed */
}

static void descriptors_wait_for_the_end_of_their_frame(void **state)
{
        uint8_t buf[64];
        size_t len;

        (void)state;
        for (size_t cut = 1; cut < FRAME_HEAD_BYTES + 4; cut++) {
                begin();
                len = make(buf, 'a', 4);
                send_fds(buf, cut, 2);
                run();
                assert_int_equal(test.n_frames, 0);
                len += make(buf + len, 'b', 4);
                assert_int_equal(send(test.peer, buf + cut, len - cut, 0), len - cut);
                run();
                assert_int_equal(test.n_frames, 2);
                assert_int_equal(test.n_fds[0], 2);
                assert_int_equal(test.n_fds[1], 0);
                end();
        }
}

/* Both at once would be more than may come with one. */
static void descriptors_of_the_next_frame_are_not_read_with_a_rest(void **state)
{
        uint8_t buf[64];
        size_t len;

        (void)state;
        for (size_t cut = 1; cut < FRAME_HEAD_BYTES + 4; cut++) {
                begin();
                len = make(buf, 'a', 4);
                send_fds(buf, cut, 3);
                run();
                assert_int_equal(send(test.peer, buf + cut, len - cut, 0), len - cut);
                len = make(buf, 'b', 4);
                send_fds(buf, len, 3);
                run();
                assert_int_equal(test.n_frames, 2);
                assert_int_equal(test.n_fds[0], 3);
                assert_int_equal(test.n_fds[1], 3);
                assert_int_equal(test.n_ended, 0);
                end();
        }
}

static void too_many_descriptors_end_the_connection_and_none_leaks(void **state)
{
        uint8_t buf[64];
        size_t len = make(buf, 'a', 4);

        (void)state;
        begin();
        send_fds(buf, len, 4);
        run();
        assert_int_equal(test.n_ended, 1);
        assert_int_equal(test.n_frames, 0);
        end();
        begin(); /* also when the frame never ends */
        send_fds(buf, 3, 2);
        run();
        end();
}

static void what_the_peer_does_not_read_is_kept_up_to_the_limit(void **state)
{
        static uint8_t header[1000], got[FRAME_HEAD_BYTES + 1000];
        unsigned sent = 0, received = 0;
        size_t have = 0;
        int r;

        (void)state;
        begin();
        memset(header, 'q', sizeof(header));
        while ((r = channel_send(test.channel, header, sizeof(header))) == 0)
                sent++;
        assert_int_equal(r, -ENOBUFS);
        assert_true(channel_unsent(test.channel) <= CHANNEL_TX_LIMIT);
        assert_true(channel_unsent(test.channel) + sizeof(got) > CHANNEL_TX_LIMIT);
        fcntl(test.peer, F_SETFL, O_NONBLOCK);
        while (received < sent) {
                ssize_t n = recv(test.peer, got + have, sizeof(got) - have, 0);

                if (n > 0)
                        have += (size_t)n;
                if (have == sizeof(got)) {
                        assert_memory_equal(got + FRAME_HEAD_BYTES, header, sizeof(header));
                        received++;
                        have = 0;
                }
                uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(channel_unsent(test.channel), 0);
        assert_int_equal(channel_send(test.channel, header, sizeof(header)), 0);
        assert_int_equal(test.n_ended, 0);
        end();
}

static void it_may_be_freed_inside_its_callback_and_is_silent_from_then_on(void **state)
{
        uint8_t buf[64];
        size_t len = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < 4; i++)
                len += make(buf + len, (uint8_t)('a' + i), 4);
        test.free_at = 2;
        send_fds(buf, len, 1);
        close(test.peer);
        test.peer = -1;
        run();
        assert_int_equal(test.n_frames, 2);
        assert_int_equal(test.n_ended, 0);
        end();
}

static void a_refused_frame_ends_the_connection_and_the_next_ones_are_not_seen(void **state)
{
        uint8_t buf[64];
        size_t len = 0;

        (void)state;
        begin();
        for (unsigned i = 0; i < 4; i++)
                len += make(buf + len, (uint8_t)('a' + i), 4);
        test.fail_at = 2;
        assert_int_equal(send(test.peer, buf, len, 0), len);
        run();
        assert_int_equal(test.n_frames, 2);
        assert_int_equal(test.n_ended, 1);
        assert_int_equal(test.error, -EPROTO);
        end();
}

static void an_orderly_end_is_told_once(void **state)
{
        (void)state;
        begin();
        close(test.peer);
        test.peer = -1;
        run();
        assert_int_equal(test.n_ended, 1);
        assert_int_equal(test.error, 0);
        end();
}

/* A peer that dies with our bytes unread is an error event: what it said before must be heard. */
static void the_last_words_of_a_dead_peer_are_heard(void **state)
{
        uint8_t buf[64];
        size_t len = 0;

        (void)state;
        begin();
        assert_int_equal(channel_send(test.channel, (const uint8_t *)"unread", 6), 0);
        for (unsigned i = 0; i < 3; i++)
                len += make(buf + len, (uint8_t)('a' + i), 4);
        assert_int_equal(send(test.peer, buf, len, 0), len);
        close(test.peer);
        test.peer = -1;
        run();
        assert_int_equal(test.n_frames, 3);
        assert_int_equal(test.n_ended, 1);
        assert_true(test.error == 0 || test.error == -ECONNRESET);
        end();
}

static void sending_inside_a_callback_and_after_the_end(void **state)
{
        uint8_t buf[64];
        size_t len = make(buf, 'a', 4);

        (void)state;
        begin();
        test.send_inside = true;
        assert_int_equal(send(test.peer, buf, len, 0), len);
        run();
        assert_int_equal(recv(test.peer, buf, sizeof(buf), 0), len);
        close(test.peer);
        test.peer = -1;
        assert_int_equal(channel_send(test.channel, (const uint8_t *)"x", 1), -EPIPE);
        assert_int_equal(test.n_ended, 0); /* never from channel_send */
        run();
        assert_int_equal(test.n_ended, 1);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(frames_come_whole_however_they_are_cut),
            cmocka_unit_test(the_largest_frame_passes_and_a_larger_one_does_not),
            cmocka_unit_test(a_turn_takes_a_bounded_amount_and_the_rest_is_not_forgotten),
            cmocka_unit_test(an_empty_frame_and_a_payload_are_refused),
            cmocka_unit_test(descriptors_belong_to_the_frame_they_came_with),
            cmocka_unit_test(descriptors_wait_for_the_end_of_their_frame),
            cmocka_unit_test(descriptors_of_the_next_frame_are_not_read_with_a_rest),
            cmocka_unit_test(too_many_descriptors_end_the_connection_and_none_leaks),
            cmocka_unit_test(what_the_peer_does_not_read_is_kept_up_to_the_limit),
            cmocka_unit_test(it_may_be_freed_inside_its_callback_and_is_silent_from_then_on),
            cmocka_unit_test(a_refused_frame_ends_the_connection_and_the_next_ones_are_not_seen),
            cmocka_unit_test(an_orderly_end_is_told_once),
            cmocka_unit_test(the_last_words_of_a_dead_peer_are_heard),
            cmocka_unit_test(sending_inside_a_callback_and_after_the_end),
        };

        return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
