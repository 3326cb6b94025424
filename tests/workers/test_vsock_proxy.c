/* workers/vsock_proxy: a whole proxy between a scripted worker and programs of the host.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/proxy_stage.h"

static struct proxy_stage stage;

static void send_data(uint32_t stream, const void *bytes, uint32_t len, uint16_t flags)
{
        stage_send(
            &stage,
            (struct vsock_frame){.kind = VSOCK_FRAME_DATA, .flags = flags, .len = len, .stream = stream},
            bytes);
}

static void send_plain(enum vsock_frame_kind kind, uint32_t stream, uint16_t flags)
{
        stage_send(&stage, (struct vsock_frame){.kind = kind, .flags = flags, .stream = stream}, NULL);
}

static void hear_data(uint32_t stream, const char *text)
{
        struct vsock_frame frame = stage_expect(&stage, VSOCK_FRAME_DATA, stream);

        assert_int_equal(frame.len, strlen(text));
        assert_memory_equal(stage.payload, text, frame.len);
}

static void start(void)
{
        stage_start(&stage);
        stage_hello(&stage, 7);
}

static void bytes_of_a_connection_of_the_guest_go_both_ways(void **state)
{
        int listener, host;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        send_data(3, "to the host", 11, 0);
        stage_hear(host, "to the host");
        stage_say(host, "to the guest");
        hear_data(3, "to the guest");
        close(host);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        send_plain(VSOCK_FRAME_END, 3, 0);
        host = stage_open(&stage, 3, listener, false); /* the number is free again */
        close(host);
        close(listener);
        stage_end(&stage);
}

static void bytes_of_a_client_go_both_ways(void **state)
{
        uint32_t stream;
        int client;

        (void)state;
        start();
        client = stage_offer(&stage, false, &stream);
        assert_true(stream >= LIMIT_VSOCK_STREAMS);
        stage_say(client, "hello");
        hear_data(stream, "hello");
        send_data(stream, "there", 5, 0);
        stage_hear(client, "there");
        send_plain(VSOCK_FRAME_END, stream, 0);
        assert_true(stage_is_closed(client));
        stage_expect(&stage, VSOCK_FRAME_END, stream);
        close(client);
        stage_end(&stage);
}

/* What a client sends behind its line, before it was answered, is the guest's. */
static void bytes_behind_the_line_are_the_guests(void **state)
{
        struct vsock_frame frame;
        int client;

        (void)state;
        start();
        client = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);
        stage_say(client, "CONN");
        stage_expect_silence(&stage);
        stage_say(client, "ECT 4294967294\nnext");
        assert_true(stage_next(&stage, &frame));
        assert_int_equal(frame.kind, VSOCK_FRAME_OFFER);
        assert_int_equal(frame.a, 4294967294u);
        send_plain(VSOCK_FRAME_ACCEPT, frame.stream, 0);
        stage_send(&stage,
                   (struct vsock_frame){.kind = VSOCK_FRAME_CREDIT, .stream = frame.stream, .a = 2, .b = 2},
                   NULL);
        hear_data(frame.stream, "ne");
        stage_expect_silence(&stage);
        stage_send(&stage,
                   (struct vsock_frame){.kind = VSOCK_FRAME_CREDIT, .stream = frame.stream, .a = 4, .b = 2},
                   NULL);
        hear_data(frame.stream, "xt");
        close(client);
        stage_end(&stage);
}

static void a_client_that_says_something_else_is_closed(void **state)
{
        static const char *const lines[] = {"\n",
                                            "GET / HTTP/1.1\r\n",
                                            "CONNECT\n",
                                            "CONNECT \n",
                                            "CONNECT x\n",
                                            "CONNECT -1\n",
                                            "CONNECT +1\n",
                                            "CONNECT 1 \n",
                                            "CONNECT  1\n",
                                            "CONNECT 1\r\n",
                                            "CONNECT 0x1\n",
                                            "connect 1\n",
                                            "CONNECT 4294967295\n",
                                            "CONNECT 4294967296\n",
                                            "CONNECT 99999999999\n",
                                            "CONNECT 18446744073709551617\n",
                                            "CONNECT 000000000000000000000000000000000001\n",
                                            "CONNECT 11111111111111111111111111111111111111"};

        (void)state;
        start();
        for (size_t i = 0; i < array_size(lines); i++) {
                int client = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);

                stage_say(client, lines[i]);
                assert_true(stage_is_closed(client));
                close(client);
                client = stage_connect(&stage, STAGE_NAME ".seqpacket", SOCK_SEQPACKET);
                stage_say(client, lines[i]);
                assert_true(stage_is_closed(client));
                close(client);
        }
        stage_expect_silence(&stage);
        stage_end(&stage);
}

static void a_port_that_nobody_listens_at_ends_at_once(void **state)
{
        int listener;

        (void)state;
        start();
        stage_expect_silence(&stage);
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_SEQPACKET);
        send_plain(VSOCK_FRAME_OPEN, 1, 0); /* port 0 */
        stage_expect(&stage, VSOCK_FRAME_END, 1);
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = 2, .a = 1, .b = 52},
                   NULL);
        stage_expect(&stage, VSOCK_FRAME_END, 2); /* it is of the other type */
        close(listener);
        stage_end(&stage);
}

static void messages_stay_apart_both_ways(void **state)
{
        static char long_one[LIMIT_VSOCK_BUFFER], got[LIMIT_VSOCK_BUFFER + 1];
        struct vsock_frame frame;
        int listener, host;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_SEQPACKET);
        host = stage_open(&stage, 3, listener, true);
        memset(long_one, 'l', sizeof(long_one));
        send_data(3, "one", 3, VSOCK_FRAME_EOM);
        send_data(3, "t", 1, 0);
        send_data(3, "wo", 2, VSOCK_FRAME_EOM);
        assert_int_equal(recv(host, got, sizeof(got), 0), 3);
        assert_int_equal(recv(host, got, sizeof(got), 0), 3);
        assert_memory_equal(got, "two", 3);
        send_data(3, long_one, sizeof(long_one) - 6, VSOCK_FRAME_EOM);
        assert_int_equal(recv(host, got, sizeof(got), 0), sizeof(long_one) - 6);
        assert_int_equal(send(host, long_one, sizeof(long_one), 0), sizeof(long_one));
        stage_say(host, "short");
        frame = stage_expect(&stage, VSOCK_FRAME_DATA, 3);
        assert_int_equal(frame.len, sizeof(long_one));
        assert_int_equal(frame.flags, VSOCK_FRAME_EOM);
        hear_data(3, "short");
        send(host, got, sizeof(got), 0); /* one byte too long */
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* The proxy finds the socket empty again and again, and a message there a moment later. */
static void a_message_that_comes_while_it_is_looked_for_is_whole(void **state)
{
        enum { MESSAGES = 4000 };
        int listener, host;
        pid_t pid;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_SEQPACKET);
        host = stage_open(&stage, 3, listener, true);
        pid = fork();
        assert_true(pid >= 0);
        for (unsigned i = 0; pid == 0 && i < MESSAGES; i++)
                if (send(host, "whole", 5, MSG_NOSIGNAL) != 5)
                        _exit(1);
        if (pid == 0)
                _exit(0);
        for (unsigned i = 0; i < MESSAGES; i++)
                hear_data(3, "whole");
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* The guest was killed in the middle of it, say. */
static void a_message_that_is_cut_by_an_end_is_none(void **state)
{
        int listener, host;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_SEQPACKET);
        host = stage_open(&stage, 3, listener, true);
        send_data(3, "whole", 5, VSOCK_FRAME_EOM);
        send_data(3, "cut", 3, 0);
        send_plain(VSOCK_FRAME_SHUT, 3, VSOCK_FRAME_NO_SEND | VSOCK_FRAME_NO_TAKE);
        stage_hear(host, "whole");
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        assert_true(stage_is_closed(host));
        close(host);
        close(listener);
        stage_end(&stage);
}

static void a_client_may_keep_messages_apart(void **state)
{
        uint32_t stream;
        int client;

        (void)state;
        start();
        client = stage_offer(&stage, true, &stream);
        stage_say(client, "a");
        hear_data(stream, "a");
        stage_say(client, "b");
        hear_data(stream, "b");
        close(client);
        stage_expect(&stage, VSOCK_FRAME_END, stream);
        stage_end(&stage);
}

static void each_direction_is_shut_by_itself(void **state)
{
        struct vsock_frame frame;
        int listener, host;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        stage_say(host, "last words");
        shutdown(host, SHUT_WR);
        hear_data(3, "last words");
        frame = stage_expect(&stage, VSOCK_FRAME_SHUT, 3);
        assert_int_equal(frame.flags, VSOCK_FRAME_NO_SEND);
        send_data(3, "still", 5, 0);
        stage_hear(host, "still");
        send_plain(VSOCK_FRAME_SHUT, 3, VSOCK_FRAME_NO_SEND);
        assert_true(stage_is_closed(host));
        send_plain(VSOCK_FRAME_SHUT, 3, VSOCK_FRAME_NO_TAKE);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* Waits until the host has taken so many bytes of a stream. */
static void await_consumed(uint32_t stream, uint32_t bytes)
{
        struct vsock_frame frame;

        do {
                frame = stage_expect(&stage, VSOCK_FRAME_CONSUMED, stream);
        } while (frame.a < bytes);
}

/* The guest has closed: all that it sent before is the host's nevertheless. */
static void what_was_sent_before_an_end_arrives(void **state)
{
        static char bytes[LIMIT_VSOCK_BUFFER];
        uint32_t sent = 0, came = 0;
        int listener, host;
        ssize_t n;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        for (unsigned i = 0; i < 2; i++) {
                send_data(3, bytes, sizeof(bytes), 0); /* into the socket ... */
                sent += sizeof(bytes);
                await_consumed(3, sent);
        }
        send_data(3, bytes, sizeof(bytes), 0); /* ... and then, in part, into the proxy */
        sent += sizeof(bytes);
        send_plain(VSOCK_FRAME_SHUT, 3, VSOCK_FRAME_NO_SEND | VSOCK_FRAME_NO_TAKE);
        while ((n = recv(host, bytes, sizeof(bytes), 0)) > 0)
                came += (uint32_t)n;
        assert_int_equal(came, sent);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* A host program that does not read holds up nobody; what it was sent is counted, and not a byte more is taken. */
static void a_slow_reader_stalls_its_own_stream_only(void **state)
{
        static char bytes[LIMIT_VSOCK_BUFFER];
        struct vsock_frame frame;
        uint32_t sent = 0, consumed = 0, came = 0;
        int listener, slow, other;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        slow = stage_open(&stage, 1, listener, false);
        other = stage_open(&stage, 2, listener, false);
        for (;;) {
                send_data(1, bytes, sizeof(bytes) / 4, 0);
                sent += sizeof(bytes) / 4;
                send_data(2, "on", 2, 0);
                stage_hear(other, "on");
                while (sent - consumed + sizeof(bytes) / 4 > LIMIT_VSOCK_BUFFER) {
                        stage_say(other, "tick");
                        assert_true(stage_next(&stage, &frame));
                        if (frame.kind != VSOCK_FRAME_CONSUMED)
                                goto stalled;
                        if (frame.stream == 1)
                                consumed = frame.a;
                }
        }
stalled:
        assert_int_equal(frame.stream, 2);
        assert_true(sent - consumed <= LIMIT_VSOCK_BUFFER && sent > LIMIT_VSOCK_BUFFER);
        while (came < sent) {
                ssize_t n = recv(slow, bytes, sizeof(bytes), 0);

                assert_true(n > 0);
                came += (uint32_t)n;
        }
        stage_say(other, "done");
        close(slow);
        close(other);
        close(listener);
        stage_end(&stage);
}

static void a_successor_hears_which_streams_are_lost(void **state)
{
        struct vsock_frame frame;
        struct vsock_lost lost;
        uint32_t stream;
        int listener, host, client, waiting;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        client = stage_offer(&stage, false, &stream);
        waiting = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);
        stage_say(waiting, "CONNECT 9\n");
        do {
                assert_true(stage_next(&stage, &frame));
        } while (frame.kind != VSOCK_FRAME_OFFER);

        stage_hello(&stage, 8);
        frame = stage_expect(&stage, VSOCK_FRAME_LOST, 0);
        assert_int_equal(frame.len, 3 * VSOCK_LOST_BYTES);
        assert_int_equal(vsock_lost_check(stage.payload, &lost), 0);
        assert_int_equal(lost.guest_port, 1024 + 3);
        assert_int_equal(lost.host_port, 52);
        assert_true(stage_is_closed(host));
        assert_true(stage_is_closed(client));

        assert_true(stage_next(&stage, &frame)); /* who was not answered is offered to the successor */
        assert_int_equal(frame.kind, VSOCK_FRAME_OFFER);
        assert_int_equal(frame.a, 9);
        send_plain(VSOCK_FRAME_ACCEPT, frame.stream, 0);
        stage_hear(waiting, "OK ");
        host = stage_open(&stage, 3, listener, false);
        close(host);
        close(client);
        close(waiting);
        close(listener);
        stage_end(&stage);
}

/* A worker that has said nothing may have died before its guest was told. */
static void what_a_silent_successor_was_told_the_next_one_hears_too(void **state)
{
        struct vsock_frame frame;
        int listener, host;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        for (uint32_t number = 8; number < 11; number++) {
                stage_hello(&stage, number);
                frame = stage_expect(&stage, VSOCK_FRAME_LOST, 0);
                assert_int_equal(frame.len, VSOCK_LOST_BYTES);
        }
        stage_expect_silence(&stage); /* this one speaks */
        stage_hello(&stage, 11);
        stage_expect_silence(&stage);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* As many as may be lost at once, however often: a worker takes no more. */
static void waiting_clients_of_silent_workers_do_not_add_up(void **state)
{
        struct vsock_frame frame;
        uint32_t n = 0;
        int waiting[8];

        (void)state;
        start();
        for (unsigned i = 0; i < array_size(waiting); i++) {
                waiting[i] = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);
                stage_say(waiting[i], "CONNECT 9\n");
                stage_expect(&stage, VSOCK_FRAME_OFFER, LIMIT_VSOCK_STREAMS + 1 + i);
        }
        for (uint32_t number = 8; number < 8 + 2 * VSOCK_FRAME_IDS / array_size(waiting); number++)
                stage_hello(&stage, number);
        while (stage_next(&stage, &frame) && frame.kind == VSOCK_FRAME_LOST)
                n += frame.len / VSOCK_LOST_BYTES;
        assert_int_equal(n, VSOCK_FRAME_IDS);
        for (unsigned i = 0; i < array_size(waiting); i++)
                close(waiting[i]);
        stage_end(&stage);
}

/* Everything that a worker must not say, each in a session of its own with one proxy. */
static const struct wrong {
        const char *name;
        struct vsock_frame frame;
} wrongs[] = {
    {"bytes of no stream", {.kind = VSOCK_FRAME_DATA, .stream = 5, .len = 1}},
    {"credit of no stream", {.kind = VSOCK_FRAME_CREDIT, .stream = 5, .a = 1}},
    {"end of no stream", {.kind = VSOCK_FRAME_END, .stream = 5}},
    {"shut of no stream", {.kind = VSOCK_FRAME_SHUT, .stream = 5, .flags = VSOCK_FRAME_NO_SEND}},
    {"a stream opened twice", {.kind = VSOCK_FRAME_OPEN, .stream = 3, .b = 52}},
    {"a stream of the proxy's", {.kind = VSOCK_FRAME_OPEN, .stream = LIMIT_VSOCK_STREAMS, .b = 52}},
    {"an answer to nothing", {.kind = VSOCK_FRAME_ACCEPT, .stream = LIMIT_VSOCK_STREAMS + 9}},
    {"an answer twice", {.kind = VSOCK_FRAME_ACCEPT, .stream = LIMIT_VSOCK_STREAMS + 1}},
    {"a word for the worker", {.kind = VSOCK_FRAME_CONSUMED, .stream = 3}},
    {"an end of a message in a stream",
     {.kind = VSOCK_FRAME_DATA, .stream = 3, .len = 1, .flags = VSOCK_FRAME_EOM}},
    {"too much credit", {.kind = VSOCK_FRAME_CREDIT, .stream = 3, .a = 262144 + LIMIT_VSOCK_WINDOW + 1}},
    {"credit taken back", {.kind = VSOCK_FRAME_CREDIT, .stream = 3, .a = 262143}},
    {"too large a window",
     {.kind = VSOCK_FRAME_CREDIT, .stream = 3, .a = 262144, .b = LIMIT_VSOCK_WINDOW + 1}},
    {"no such stream", {.kind = VSOCK_FRAME_END, .stream = UINT32_MAX}},
    {"no such kind", {.kind = VSOCK_FRAME_KIND_COUNT_}},
    {"an empty frame of bytes", {.kind = VSOCK_FRAME_DATA, .stream = 3}},
};

static void a_worker_that_errs_is_not_heard_before_its_successor(void **state)
{
        static const uint8_t byte;
        int listener, host, client;
        uint32_t stream;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        for (uint32_t i = 0; i < array_size(wrongs); i++) {
                print_message("%s\n", wrongs[i].name);
                host = stage_open(&stage, 3, listener, false);
                do {
                        client = stage_offer(&stage, false, &stream);
                } while (stream < LIMIT_VSOCK_STREAMS + 1);
                stage_send(&stage, wrongs[i].frame, &byte);
                assert_true(stage_is_closed(host));
                assert_true(stage_is_closed(client));
                send_plain(VSOCK_FRAME_OPEN, 77, 0); /* unheard */
                stage_hello(&stage, 100 + i);
                stage_expect(&stage, VSOCK_FRAME_LOST, 0);
                stage_expect_silence(&stage);
                close(host);
                close(client);
        }
        close(listener);
        stage_end(&stage);
}

/* 64 KiB more than there is room for: counted, not stored. */
static void a_worker_that_sends_beyond_its_room_is_not_heard(void **state)
{
        static uint8_t bytes[LIMIT_VSOCK_BUFFER];
        int listener, host;
        unsigned n = 0;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        host = stage_open(&stage, 3, listener, false);
        for (unsigned i = 0; i < 64; i++) /* its socket takes some of them */
                send_data(3, bytes, sizeof(bytes), 0);
        while (recv(host, bytes, sizeof(bytes), 0) > 0)
                n++;
        assert_true(n < 63);
        stage_hello(&stage, 9);
        stage_expect(&stage, VSOCK_FRAME_LOST, 0);
        close(host);
        close(listener);
        stage_end(&stage);
}

/* 10,000 clients that say nothing: the oldest go, and one that knows what it wants is served. */
static void clients_that_say_nothing_lock_nobody_out(void **state)
{
        static int clients[512];
        uint32_t stream;
        int client;

        (void)state;
        start();
        for (unsigned i = 0; i < 10000; i++) {
                unsigned at = i % array_size(clients);

                if (i >= array_size(clients))
                        close(clients[at]);
                clients[at] = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);
        }
        client = stage_offer(&stage, false, &stream);
        close(client);
        for (unsigned i = 0; i < array_size(clients); i++)
                close(clients[i]);
        stage_end(&stage);
}

static void a_listener_whose_queue_is_full_is_asked_again(void **state)
{
        int listener, fillers[8], host;
        unsigned n = 0;

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM); /* a queue of 5 */
        for (n = 0; n < 5; n++)
                fillers[n] = stage_connect(&stage, STAGE_NAME "_52", SOCK_STREAM);
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = 3, .a = 1, .b = 52},
                   NULL);
        stage_expect_silence(&stage);
        close(stage_accept(listener));
        stage_expect(&stage, VSOCK_FRAME_OPENED, 3);
        for (unsigned i = 1; i < n; i++)
                close(stage_accept(listener));
        host = stage_accept(listener);
        send_data(3, "here", 4, 0);
        stage_hear(host, "here");
        for (unsigned i = 0; i < n; i++)
                close(fillers[i]);
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = 4, .a = 1, .b = 52},
                   NULL);
        stage_expect(&stage, VSOCK_FRAME_OPENED, 4);
        close(host);
        close(listener);
        stage_end(&stage);
}

static void a_listener_that_never_accepts_is_given_up(void **state)
{
        int listener, fillers[5];

        (void)state;
        start();
        listener = stage_listen(&stage, STAGE_NAME "_52", SOCK_STREAM);
        for (unsigned i = 0; i < array_size(fillers); i++)
                fillers[i] = stage_connect(&stage, STAGE_NAME "_52", SOCK_STREAM);
        stage_send(&stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = 3, .a = 1, .b = 52},
                   NULL);
        stage_expect(&stage, VSOCK_FRAME_END, 3);
        for (unsigned i = 0; i < array_size(fillers); i++)
                close(fillers[i]);
        close(listener);
        stage_end(&stage);
}

static void a_directory_that_is_removed_costs_connections_only(void **state)
{
        char command[256];
        uint32_t stream;
        int client;

        (void)state;
        start();
        client = stage_offer(&stage, false, &stream);
        snprintf(command, sizeof(command), "rm -rf %s", stage.folder);
        assert_int_equal(system(command), 0);
        stage_expect_silence(&stage);
        stage_say(client, "still here");
        hear_data(stream, "still here");
        close(client);
        assert_int_equal(mkdir(stage.folder, 0700), 0);
        stage_end(&stage);
}

static void streams_are_as_many_as_there_may_be(void **state)
{
        static int clients[LIMIT_VSOCK_STREAMS];
        static uint32_t streams[LIMIT_VSOCK_STREAMS];
        int one_more;

        (void)state;
        start();
        for (unsigned i = 0; i < LIMIT_VSOCK_STREAMS; i++)
                clients[i] = stage_offer(&stage, false, &streams[i]);
        one_more = stage_connect(&stage, STAGE_NAME, SOCK_STREAM);
        stage_say(one_more, "CONNECT 7\n");
        assert_true(stage_is_closed(one_more));
        close(one_more);
        close(clients[5]);
        stage_expect(&stage, VSOCK_FRAME_END, streams[5]);
        send_plain(VSOCK_FRAME_END, streams[5], 0);
        stage_expect_silence(&stage);
        clients[5] = stage_offer(&stage, false, &streams[5]);
        for (unsigned i = 0; i < LIMIT_VSOCK_STREAMS; i++)
                close(clients[i]);
        stage_end(&stage);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bytes_of_a_connection_of_the_guest_go_both_ways),
            cmocka_unit_test(bytes_of_a_client_go_both_ways),
            cmocka_unit_test(bytes_behind_the_line_are_the_guests),
            cmocka_unit_test(a_client_that_says_something_else_is_closed),
            cmocka_unit_test(a_port_that_nobody_listens_at_ends_at_once),
            cmocka_unit_test(messages_stay_apart_both_ways),
            cmocka_unit_test(a_message_that_comes_while_it_is_looked_for_is_whole),
            cmocka_unit_test(a_message_that_is_cut_by_an_end_is_none),
            cmocka_unit_test(a_client_may_keep_messages_apart),
            cmocka_unit_test(each_direction_is_shut_by_itself),
            cmocka_unit_test(what_was_sent_before_an_end_arrives),
            cmocka_unit_test(a_slow_reader_stalls_its_own_stream_only),
            cmocka_unit_test(a_successor_hears_which_streams_are_lost),
            cmocka_unit_test(what_a_silent_successor_was_told_the_next_one_hears_too),
            cmocka_unit_test(waiting_clients_of_silent_workers_do_not_add_up),
            cmocka_unit_test(a_worker_that_errs_is_not_heard_before_its_successor),
            cmocka_unit_test(a_worker_that_sends_beyond_its_room_is_not_heard),
            cmocka_unit_test(clients_that_say_nothing_lock_nobody_out),
            cmocka_unit_test(a_listener_whose_queue_is_full_is_asked_again),
            cmocka_unit_test(a_listener_that_never_accepts_is_given_up),
            cmocka_unit_test(a_directory_that_is_removed_costs_connections_only),
            cmocka_unit_test(streams_are_as_many_as_there_may_be),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
