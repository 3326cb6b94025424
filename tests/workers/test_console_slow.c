/* workers/console: who does not read, a queue that stops, and a console's successors; a whole worker.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/console_guest.h"
#include "workers/console/console_port.h"

#define ALL     (CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT)
#define CONSOLE 0u
#define AGENT   1u
#define DATA    2u
#define IN(p)   console_input_queue(p)
#define OUT(p)  console_output_queue(p)
#define LONG    (32u << 10) /* bytes of Linux's largest write to a port */
#define MANY    64u         /* of these fill any socket's buffer several times */

static struct console_guest guest;

/* The n-th byte of any stream. */
static uint8_t stream_byte(size_t n)
{
        return (uint8_t)(n * 31 + n / 256 * 7);
}

static void fill(uint8_t *bytes, size_t from, size_t len)
{
        for (size_t i = 0; i < len; i++)
                bytes[i] = stream_byte(from + i);
}

static void begin(void)
{
        guest_begin(&guest, ALL, 4096);
        guest_greet(&guest);
}

/* ---- who does not read ---- */

static uint8_t sent[MANY][LONG];
static struct fake_request sends[MANY], prints[MANY];

static void send_many(uint32_t queue)
{
        for (unsigned i = 0; i < MANY; i++) {
                fill(sent[i], (size_t)i * LONG, LONG);
                guest_send(&guest, &sends[i], queue, sent[i], LONG);
        }
}

static unsigned count_done(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < MANY; i++)
                n += sends[i].done;
        return n;
}

/* Reads from `at` on while the worker is served, until `end` of the stream has come. */
static void host_hears_stream(int fd, size_t at, size_t end)
{
        static uint8_t got[65536], want[65536];

        while (at < end) {
                struct pollfd wait[] = {{.fd = fd, .events = POLLIN},
                                        {.fd = guest.broker.lanes[0].in, .events = POLLIN}};
                ssize_t n;

                if (fake_ready(guest.broker.lanes[0])) {
                        assert_true(fake_serve(&guest.broker, 0));
                        continue;
                }
                assert_true(poll(wait, 2, FAKE_DEADLINE_S * 1000) > 0);
                if (!wait[0].revents)
                        continue;
                n = recv(fd, got, MIN(sizeof(got), end - at), MSG_DONTWAIT);
                assert_true(n > 0);
                fill(want, at, (size_t)n);
                assert_memory_equal(got, want, (size_t)n);
                at += (size_t)n;
        }
}

static void output_of_a_named_port_waits_for_its_reader(void **state)
{
        int slow, quick;

        (void)state;
        begin();
        slow = guest_open_agent(&guest);
        quick = host_connect(&guest, DATA);
        guest_told(&guest, "O2");
        send_many(OUT(AGENT));
        guest_print(&guest, OUT(DATA), "meanwhile");
        host_hears(quick, "meanwhile");
        guest_settle(&guest);
        assert_in_range(count_done(), 1, MANY / 2);
        host_hears_stream(slow, 0, MANY * LONG);
        for (unsigned i = 0; i < MANY; i++)
                guest_await(&guest, &sends[i]);
        close(slow);
        close(quick);
        guest_end(&guest);
}

static void output_that_waits_is_lost_with_its_reader(void **state)
{
        int slow;

        (void)state;
        begin();
        slow = guest_open_agent(&guest);
        send_many(OUT(AGENT));
        guest_settle(&guest);
        assert_in_range(count_done(), 1, MANY / 2);
        close(slow);
        for (unsigned i = 0; i < MANY; i++)
                guest_await(&guest, &sends[i]);
        guest_told(&guest, "o1");
        guest_end(&guest);
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A guest's kernel stands still while its console does. */
static void the_console_does_not_wait_long(void **state)
{
        uint64_t began;
        int slow;

        (void)state;
        begin();
        slow = host_connect(&guest, CONSOLE);
        close(guest_open_agent(&guest));
        guest_told(&guest, "o1"); /* by now it has been accepted */
        began = now_ms();
        send_many(OUT(CONSOLE));
        for (unsigned i = 0; i < MANY; i++)
                guest_await(&guest, &sends[i]);
        assert_true(now_ms() - began >= LIMIT_CONSOLE_STALL_MS); /* it has waited, but once: */
        began = now_ms();
        guest_print(&guest, OUT(CONSOLE), "lost");
        assert_true(now_ms() - began < LIMIT_CONSOLE_STALL_MS || getenv("BULKHEAD_TIME_FACTOR"));
        guest_end(&guest);
        close(slow);
}

/* While it waits, another port's client goes, and one that has not read for a while reads again. */
static void the_console_does_not_wait_longer_for_others(void **state)
{
        int slow, agent, reader;
        uint8_t byte;

        (void)state;
        begin();
        slow = host_connect(&guest, CONSOLE);
        agent = guest_open_agent(&guest);
        reader = host_connect(&guest, DATA);
        guest_told(&guest, "O2");
        send_many(OUT(DATA));
        guest_settle(&guest);
        assert_in_range(count_done(), 1, MANY / 2);
        for (unsigned i = 0; i < MANY; i++)
                guest_send(&guest, &prints[i], OUT(CONSOLE), sent[0], LONG);
        guest_settle(&guest);
        close(agent);
        guest_told(&guest, "o1");
        assert_int_equal(recv(reader, &byte, 1, 0), 1);
        host_hears_stream(reader, 1, MANY * LONG);
        for (unsigned i = 0; i < MANY; i++)
                guest_await(&guest, &prints[i]);
        guest_end(&guest);
        close(reader);
        close(slow);
}

static void a_console_that_is_read_again_goes_on(void **state)
{
        static uint8_t got[65536];
        int slow;

        (void)state;
        begin();
        slow = host_connect(&guest, CONSOLE);
        close(guest_open_agent(&guest));
        guest_told(&guest, "o1");
        send_many(OUT(CONSOLE));
        for (unsigned i = 0; i < MANY; i++)
                guest_await(&guest, &sends[i]);
        while (recv(slow, got, sizeof(got), MSG_DONTWAIT) > 0)
                ;
        /* The worker sees that there is room before it serves the next request, or with it. */
        for (;;) {
                guest_print(&guest, OUT(CONSOLE), "again");
                if (recv(slow, got, sizeof(got), MSG_DONTWAIT) > 0)
                        break;
        }
        guest_print(&guest, OUT(CONSOLE), "!");
        guest_end(&guest);
        close(slow);
}

static void floods_of_a_client_wait_in_its_socket(void **state)
{
        static uint8_t bytes[512];
        size_t written = 0, read = 0;
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        for (;;) {
                ssize_t n;

                fill(bytes, written, sizeof(bytes));
                n = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0)
                        break;
                written += (size_t)n;
        }
        assert_int_equal(errno, EAGAIN);
        while (read < MIN(written, (size_t)GUEST_ROOMS * GUEST_ROOM)) {
                uint8_t want[GUEST_ROOM];
                const uint8_t *got;
                uint32_t len;

                guest_lend(&guest, IN(AGENT), 1);
                got = guest_came(&guest, IN(AGENT), &len);
                fill(want, read, len);
                assert_memory_equal(got, want, len);
                read += len;
        }
        close(fd);
        guest_end(&guest);
}

/* ---- a queue that stops ---- */

static void recall(uint32_t queue)
{
        const struct lane_to_worker message = {.kind = LANE_RECALL, .recall = {.queue = queue}};
        uint8_t header[64];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(guest.broker.lanes[0], header, (uint32_t)len, NULL, 0);
}

/* What has been begun is finished, what has not comes back; and no byte is lost or doubled when it is sent again. */
static void a_stop_in_the_middle_loses_nothing(void **state)
{
        unsigned first;
        int slow;

        (void)state;
        begin();
        slow = guest_open_agent(&guest);
        send_many(OUT(AGENT));
        guest_settle(&guest);
        first = count_done();
        assert_in_range(first, 1, MANY / 2);
        recall(OUT(AGENT));
        for (unsigned i = first; i < MANY; i++) {
                guest_await(&guest, &sends[i]);
                assert_int_equal(sends[i].status, i == first ? WIRE_STATUS_OK : WIRE_STATUS_CANCELED);
        }
        for (unsigned i = first + 1; i < MANY; i++)
                guest_send(&guest, &sends[i], OUT(AGENT), sent[i], LONG);
        host_hears_stream(slow, 0, MANY * LONG);
        close(slow);
        guest_end(&guest);
}

/* ---- successors ---- */

static void a_successor_tells_nothing_twice_and_its_clients_come_back(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        guest_told(&guest, "");
        guest_die(&guest);
        host_hears_end(fd);
        close(fd);
        guest_go_on(&guest);
        guest_told(&guest, "o1 o2"); /* the guest may have heard more than was saved */
        fd = host_connect(&guest, AGENT);
        guest_told(&guest, "O1");
        guest_lend(&guest, IN(AGENT), 1);
        host_send(fd, "again");
        guest_came_text(&guest, IN(AGENT), "again");
        close(fd);
        guest_end(&guest);
}

static void what_must_fail_is_not_sent(void **state)
{
        struct fake_request request;
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        for (uint32_t port = 0; port < GUEST_PORTS; port++) {
                request = (struct fake_request){.id = 9000 + port,
                                                .queue = OUT(port),
                                                .readable = (const uint8_t *)"twice",
                                                .n_readable = 5,
                                                .must_fail = true};
                fake_send_requests(&guest.broker, 0, &request, 1);
                guest_await(&guest, &request);
                assert_int_equal(request.status, WIRE_STATUS_OK);
        }
        guest_print(&guest, OUT(AGENT), "once");
        host_hears(fd, "once");
        guest_log_holds(&guest, AGENT, "once");
        guest_log_holds(&guest, CONSOLE, "");
        close(fd);
        guest_end(&guest);
}

/* For a while: whoever reads the port was not asked whether it wanted another worker. */
static void output_waits_for_a_client_to_come_back(void **state)
{
        struct fake_request request;
        int fd;

        (void)state;
        begin();
        close(guest_open_agent(&guest));
        guest_told(&guest, "o1");
        fd = host_connect(&guest, AGENT);
        guest_told(&guest, "O1");
        guest_die(&guest);
        close(fd);
        guest_go_on(&guest);
        guest_send(&guest, &request, OUT(AGENT), "kept", 4);
        guest_told(&guest, "o1 o2");
        fd = host_connect(&guest, AGENT);
        host_hears(fd, "kept");
        guest_await(&guest, &request);
        close(fd);
        guest_end(&guest);
}

static void output_waits_not_for_ever_for_a_client_to_come_back(void **state)
{
        struct fake_request request;

        (void)state;
        begin();
        close(guest_open_agent(&guest));
        guest_told(&guest, "o1");
        (void)!host_connect(&guest, AGENT);
        guest_told(&guest, "O1");
        guest_die(&guest);
        guest_go_on(&guest);
        guest_send(&guest, &request, OUT(AGENT), "lost", 4);
        guest_await(&guest, &request);
        guest_end(&guest);
}

static void a_state_that_cannot_be_is_refused(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_RESTORE_STATE};

        (void)state;
        guest_begin(&guest, ALL, 0);
        message.restore_state.bytes = (const uint8_t *)"nonsense";
        message.restore_state.len = 8;
        assert_int_equal(guest_ask(&guest, &message), -EPROTO);
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 8);
        guest_say(&guest, 0, CONSOLE_DEVICE_READY, 1);
        guest_told(&guest, "A0 A1 A2");
        guest_end(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(output_of_a_named_port_waits_for_its_reader),
            cmocka_unit_test(output_that_waits_is_lost_with_its_reader),
            cmocka_unit_test(the_console_does_not_wait_long),
            cmocka_unit_test(the_console_does_not_wait_longer_for_others),
            cmocka_unit_test(a_console_that_is_read_again_goes_on),
            cmocka_unit_test(floods_of_a_client_wait_in_its_socket),
            cmocka_unit_test(a_stop_in_the_middle_loses_nothing),
            cmocka_unit_test(a_successor_tells_nothing_twice_and_its_clients_come_back),
            cmocka_unit_test(what_must_fail_is_not_sent),
            cmocka_unit_test(output_waits_for_a_client_to_come_back),
            cmocka_unit_test(output_waits_not_for_ever_for_a_client_to_come_back),
            cmocka_unit_test(a_state_that_cannot_be_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
