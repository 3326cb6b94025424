/* workers/console: a guest that is out of order, by name, against a whole worker: what becomes of each request, and that the
 * next one is served. And floods, and a host that has nothing left.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/console_guest.h"
#include "workers/console/console_port.h"

#define ALL     (CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT)
#define IN(p)   ((p) == 0 ? 0u : 2 + 2 * (p)) /* console_port.h, for tables */
#define OUT(p)  (IN(p) + 1)
#define SAYS    CONSOLE_QUEUE_CONTROL_OUT
#define HEARS   CONSOLE_QUEUE_CONTROL_IN
#define OK      WIRE_STATUS_OK
#define REFUSED WIRE_STATUS_PROTOCOL /* the device is broken until its reset */
#define WORDS   2000u                /* of a flood */

static struct console_guest guest;
static uint8_t zeros[LIMIT_CONSOLE_OUTPUT + 1];

static void begin(void)
{
        guest_begin(&guest, ALL, 0);
        guest_greet(&guest);
}

/* The broker would break the queue after a refusal; the worker itself goes on. */
static void end(void)
{
        guest_settle(&guest);
        guest_end(&guest);
}

/* Readable and writable bytes of one request, and what becomes of it. */
struct bad_request {
        const char *name;
        uint32_t queue, readable, writable, status;
};

static const struct bad_request bad_requests[] = {
    {"a word without a byte", SAYS, 0, 0, REFUSED},
    {"a word of one byte", SAYS, 1, 0, REFUSED},
    {"a word of a port alone", SAYS, 4, 0, REFUSED},
    {"a word without a value", SAYS, 6, 0, REFUSED},
    {"a word without its last byte", SAYS, 7, 0, REFUSED},
    {"a word and a byte", SAYS, 9, 0, OK},
    {"a word and a page", SAYS, 4104, 0, OK},
    {"a word and a megabyte", SAYS, 1u << 20, 0, OK},
    {"a word that is room alone", SAYS, 0, 8, REFUSED},
    {"a word with room for an answer", SAYS, 8, 8, REFUSED},
    {"a word with a byte of room", SAYS, 8, 1, REFUSED},
    {"a short word with room", SAYS, 7, 1, REFUSED},
    {"output of the console without a byte", OUT(0), 0, 0, OK},
    {"output of the console with room", OUT(0), 1, 1, REFUSED},
    {"output of the console that is room alone", OUT(0), 0, 512, REFUSED},
    {"the longest output of the console", OUT(0), LIMIT_CONSOLE_OUTPUT, 0, OK},
    {"output of the console that is too long", OUT(0), LIMIT_CONSOLE_OUTPUT + 1, 0, REFUSED},
    {"output of a port without a byte", OUT(1), 0, 0, OK},
    {"output of a port with room", OUT(1), 1, 1, REFUSED},
    {"output of a port that is room alone", OUT(1), 0, 512, REFUSED},
    {"the longest output of a port", OUT(1), LIMIT_CONSOLE_OUTPUT, 0, OK},
    {"output of a port that is too long", OUT(1), LIMIT_CONSOLE_OUTPUT + 1, 0, REFUSED},
    {"output of the last port with room", OUT(2), 4096, 4, REFUSED},
};

static void requests_out_of_order_are_refused_and_the_next_is_served(void **state)
{
        uint8_t room[512];

        (void)state;
        for (size_t i = 0; i < array_size(bad_requests); i++) {
                const struct bad_request *bad = &bad_requests[i];
                struct fake_request request = {.id = 1,
                                               .queue = bad->queue,
                                               .readable = zeros,
                                               .n_readable = bad->readable,
                                               .writable = room,
                                               .n_writable = bad->writable,
                                               .inlined = FAKE_INLINE_ALL};

                begin();
                fake_send_requests(&guest.broker, 0, &request, 1);
                guest_await(&guest, &request);
                if (request.status != bad->status || request.used != 0)
                        fail_msg("%s: status %u, %u bytes used", bad->name, request.status, request.used);
                guest_print(&guest, OUT(0), "next");
                end();
        }
}

/* Room that no driver lends: seen when it is wanted. */
static void room_out_of_order_is_refused_when_it_is_wanted(void **state)
{
        static const struct {
                const char *name;
                uint32_t queue, readable, writable;
        } rows[] = {
            {"room for words of no byte", HEARS, 0, 0},
            {"room for words of one byte", HEARS, 0, 1},
            {"room for words without their names", HEARS, 0, CONSOLE_CONTROL_BYTES},
            {"room for words that ends in a name", HEARS, 0, CONSOLE_MESSAGE_BYTES - 1},
            {"room for words with a byte of the guest's", HEARS, 1, 512},
            {"room for words that is none", HEARS, 512, 0},
            {"room for input of no byte", IN(0), 0, 0},
            {"room for input with a byte of the guest's", IN(0), 1, 512},
            {"room for input that is none", IN(0), 512, 0},
        };
        uint8_t room[512];

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct fake_request request = {.id = 1,
                                               .queue = rows[i].queue,
                                               .readable = zeros,
                                               .n_readable = rows[i].readable,
                                               .writable = room,
                                               .n_writable = rows[i].writable,
                                               .inlined = FAKE_INLINE_ALL};
                int fd;

                guest_begin(&guest, ALL, 0);
                if (rows[i].queue != HEARS)
                        guest_greet(&guest);
                fd = host_connect(&guest, 0);
                host_send(fd, "typed");
                fake_send_requests(&guest.broker, 0, &request, 1);
                if (rows[i].queue == HEARS)
                        guest_say(&guest, 0, CONSOLE_DEVICE_READY, 1);
                guest_await(&guest, &request);
                if (request.status != REFUSED || request.used != 0)
                        fail_msg("%s: status %u, %u bytes used", rows[i].name, request.status, request.used);
                guest_lend(&guest, rows[i].queue, 1); /* the next is good */
                while (!guest.rooms[rows[i].queue][guest.n_rooms[rows[i].queue] - 1].done &&
                       guest_nothing_came(&guest, rows[i].queue))
                        assert_true(fake_serve(&guest.broker, 0));
                close(fd);
                end();
        }
}

/* The beginning comes with the request, the rest is asked for: as a word in several descriptors, some of which are not there
 * yet. */
static void a_word_may_be_cut_at_every_byte(void **state)
{
        static const uint8_t word[CONSOLE_CONTROL_BYTES] = {1, 0, 0, 0, CONSOLE_PORT_OPEN, 0, 1, 0};

        (void)state;
        begin();
        for (uint32_t inlined = 0; inlined <= sizeof(word); inlined++) {
                struct fake_request request = {
                    .id = 1, .queue = SAYS, .readable = word, .n_readable = sizeof(word), .inlined = inlined};

                fake_send_requests(&guest.broker, 0, &request, 1);
                guest_await(&guest, &request);
                assert_int_equal(request.status, OK);
                assert_int_equal(guest_say(&guest, 1, CONSOLE_PORT_OPEN, 0), OK);
        }
        end();
}

static void output_may_be_cut_at_every_byte(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = host_connect(&guest, 1);
        guest_told(&guest, "O1");
        for (uint32_t inlined = 0; inlined <= 8; inlined++) {
                struct fake_request request = {.id = 1,
                                               .queue = OUT(1),
                                               .readable = (const uint8_t *)"pieces, ",
                                               .n_readable = 8,
                                               .inlined = inlined};

                fake_send_requests(&guest.broker, 0, &request, 1);
                guest_await(&guest, &request);
                host_hears(fd, "pieces, ");
        }
        close(fd);
        end();
}

/* The memory went away after the walk: that request is answered, no other is hurt. */
static void bytes_that_cannot_be_read_are_left_out(void **state)
{
        static const uint32_t queues[] = {SAYS, OUT(0), OUT(1)};
        int fd;

        (void)state;
        begin();
        fd = host_connect(&guest, 1);
        guest_told(&guest, "O1");
        for (size_t i = 0; i < array_size(queues); i++) {
                struct fake_request request = {
                    .id = 1, .queue = queues[i], .readable = zeros, .n_readable = 64, .inlined = 0};

                guest.broker.read_status = WIRE_STATUS_FAULT;
                fake_send_requests(&guest.broker, 0, &request, 1);
                guest_await(&guest, &request);
                guest.broker.read_status = OK;
                assert_int_equal(request.status, OK);
        }
        guest_print(&guest, OUT(1), "good");
        host_hears(fd, "good");
        close(fd);
        end();
}

/* ---- floods ---- */

/* Each changes what a successor must know, and yet the broker is not told more than it takes. */
static void a_flood_of_words_is_answered_and_saved_in_turn(void **state)
{
        static struct fake_request requests[64];
        static uint8_t words[2][CONSOLE_CONTROL_BYTES] = {{1, 0, 0, 0, CONSOLE_PORT_OPEN, 0, 0, 0},
                                                          {1, 0, 0, 0, CONSOLE_PORT_OPEN, 0, 1, 0}};
        unsigned before, n = 0;

        (void)state;
        begin();
        guest_settle(&guest);
        before = guest.n_states;
        while (n < WORDS) {
                for (unsigned i = 0; i < array_size(requests); i++, n++)
                        requests[i] = (struct fake_request){.id = 100 + i,
                                                            .queue = SAYS,
                                                            .readable = words[n & 1],
                                                            .n_readable = CONSOLE_CONTROL_BYTES,
                                                            .inlined = FAKE_INLINE_ALL};
                fake_send_requests(&guest.broker, 0, requests, array_size(requests));
                for (unsigned i = 0; i < array_size(requests); i++)
                        guest_await(&guest, &requests[i]);
        }
        guest_settle(&guest);
        assert_in_range(guest.n_states - before, 1, WORDS / array_size(requests) + 2);
        end();
}

/* What is to be told waits for room, and is never more than each port's words. */
static void a_flood_without_room_owes_each_word_once(void **state)
{
        (void)state;
        guest_begin(&guest, ALL, 0);
        for (unsigned i = 0; i < WORDS / 10; i++) {
                guest_say(&guest, 0, CONSOLE_DEVICE_READY, 1);
                for (uint32_t port = 0; port < GUEST_PORTS; port++)
                        guest_say(&guest, port, CONSOLE_PORT_READY, 1);
        }
        guest_lend(&guest, HEARS, 20);
        guest_told(&guest, "A0 A1 A2"); /* a port that was not told of cannot be ready */
        for (unsigned i = 0; i < WORDS / 10; i++)
                guest_say(&guest, 0, CONSOLE_PORT_READY, 1);
        guest_end(&guest);
}

static void a_flood_of_words_that_mean_nothing_changes_nothing(void **state)
{
        unsigned before;

        (void)state;
        begin();
        guest_settle(&guest);
        before = guest.n_states;
        for (unsigned i = 0; i < WORDS; i++)
                assert_int_equal(guest_say(&guest, i * 77777, (uint16_t)(i % 256 + 8), (uint16_t)i), OK);
        guest_told(&guest, "");
        assert_int_equal(guest.n_states, before);
        end();
}

/* ---- a host without descriptors ---- */

/* Shared with the worker: who could be accepted is looked for, and is not while there is nothing left. */
static struct host {
        sem_t looks;
        bool has_nothing;
} * host;

int __real_accept4(int listener, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *len, int flags)
{
        if (!host || !host->has_nothing)
                return __real_accept4(listener, address, len, flags);
        sem_post(&host->looks);
        errno = ENFILE;
        return -1;
}

static uint64_t now_ms(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void clients_that_cannot_be_accepted_wait(void **state)
{
        struct timespec deadline = {.tv_sec = (time_t)(now_ms(CLOCK_REALTIME) / 1000) + FAKE_DEADLINE_S};
        uint64_t began;
        int fd;

        (void)state;
        host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(host, MAP_FAILED);
        assert_int_equal(sem_init(&host->looks, 1, 0), 0);
        host->has_nothing = true;
        begin();
        began = now_ms(CLOCK_MONOTONIC);
        fd = host_connect(&guest, 1);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(sem_timedwait(&host->looks, &deadline), 0);
        assert_true(now_ms(CLOCK_MONOTONIC) - began >= 2 * LIMIT_ACCEPT_RETRY_MS);
        host->has_nothing = false;
        guest_told(&guest, "O1");
        end();
        close(fd);
        munmap(host, sizeof(*host));
        host = NULL;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests_out_of_order_are_refused_and_the_next_is_served),
            cmocka_unit_test(room_out_of_order_is_refused_when_it_is_wanted),
            cmocka_unit_test(a_word_may_be_cut_at_every_byte),
            cmocka_unit_test(output_may_be_cut_at_every_byte),
            cmocka_unit_test(bytes_that_cannot_be_read_are_left_out),
            cmocka_unit_test(a_flood_of_words_is_answered_and_saved_in_turn),
            cmocka_unit_test(a_flood_without_room_owes_each_word_once),
            cmocka_unit_test(a_flood_of_words_that_mean_nothing_changes_nothing),
            cmocka_unit_test(clients_that_cannot_be_accepted_wait),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
