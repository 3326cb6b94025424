/* End to end: a console's control messages and output, cut into descriptors at every byte, through a running broker.
 * BULKHEAD_CONSOLE_SOCKET: the device's socket, BULKHEAD_CONSOLE_PORTS: where its ports' sockets begin, of "console" and "data";
 * without them everything is skipped.
 * TRUST: bytes are the device's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "tests/harness/front_ring.h"

#define DEADLINE_MS   5000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define MULTIPORT     (1u << 1)
#define PIECES        12u
#define MESSAGE       8u
#define LONGEST       64u /* of a control message, with what is behind it */
#define ROOM          65536u
#define BUFFER        64u
#define BUFFERS       8u
#define PORTS         2u

enum {
        INPUT_0 = 0,
        OUTPUT_0,
        CONTROL_IN,
        CONTROL_OUT,
        INPUT_1,
        OUTPUT_1,
        RINGS,
};

enum {
        DEVICE_READY = 0,
        DEVICE_ADD,
        DEVICE_REMOVE,
        PORT_READY,
        CONSOLE_PORT,
        RESIZE,
        PORT_OPEN,
        PORT_NAME,
};

static const char *const names[PORTS] = {"console", "data"};

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct split_ring rings[RINGS];
        uint64_t out, control, input; /* offsets: of what is said, of what is lent */
} guest;

static uint8_t bytes[ROOM];

static void publish(unsigned ring)
{
        assert_int_equal(front_ring_show(&guest.front, ring, &guest.rings[ring]), 0);
}

/* The next used chain of a ring. */
static uint8_t *take(unsigned ring, uint32_t *ret_len)
{
        void *cookie;

        assert_int_equal(front_ring_await(&guest.front, ring, &guest.rings[ring], &cookie, ret_len), 0);
        return cookie;
}

static void lend(unsigned ring, uint64_t at)
{
        const struct split_segment segment = {at, BUFFER};

        assert_int_equal(split_ring_add(&guest.rings[ring], &segment, 0, 1, guest.ram.base + at), 0);
        publish(ring);
}

/* Shows the first `len` of `bytes`, with or without room behind them. */
static void put(unsigned ring, uint32_t len, uint32_t writable, unsigned n, uint32_t first)
{
        struct split_segment segments[PIECES + 1];
        unsigned n_out = split_ring_cut(segments, guest.out, len, n, first);

        split_ring_write(&guest.rings[ring], segments, n_out, bytes);
        segments[n_out] = (struct split_segment){guest.out + len, writable};
        assert_int_equal(split_ring_add(&guest.rings[ring], segments, n_out, writable > 0, &guest), 0);
        publish(ring);
}

static void put_and_take(unsigned ring, uint32_t len, unsigned n, uint32_t first)
{
        uint32_t used;

        put(ring, len, 0, n, first);
        take(ring, &used);
        assert_int_equal(used, 0);
}

static void start(void)
{
        guest.front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        assert_int_equal(wire_connect(&guest.front.wire, getenv("BULKHEAD_CONSOLE_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&guest.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&guest.ram, 1 << 20, 0), 0);
        for (unsigned i = 0; i < RINGS; i++)
                split_ring_init(&guest.rings[i], &guest.ram, 16, true, guest.front.offered & 1u << 29);
        guest.out = guest_ram_alloc(&guest.ram, ROOM + BUFFER, 64);
        guest.control = guest_ram_alloc(&guest.ram, BUFFERS * BUFFER, 64);
        guest.input = guest_ram_alloc(&guest.ram, PORTS * BUFFER, 64);
        assert_int_equal(front_end_start(&guest.front, RING_FEATURES | MULTIPORT, &guest.ram), 0);
        for (unsigned i = 0; i < RINGS; i++)
                assert_int_equal(front_end_start_ring(&guest.front, i, &guest.rings[i], 0), 0);
        for (unsigned i = 0; i < BUFFERS; i++)
                lend(CONTROL_IN, guest.control + (uint64_t)i * BUFFER);
}

static void end(void)
{
        front_end_close(&guest.front);
        guest_ram_done(&guest.ram);
}

static void expect_broken(unsigned ring)
{
        uint64_t count;

        assert_int_equal(wire_wait_event(&guest.front.wire, guest.front.rings[ring].err, DEADLINE_MS, &count),
                         0);
        end();
}

/* ---- control ---- */

static void make(uint32_t port, uint16_t event, uint16_t value)
{
        memset(bytes, 0xff, LONGEST);
        bytes_store32(bytes, port);
        bytes_store16(bytes + 4, event);
        bytes_store16(bytes + 6, value);
}

static void hear(uint32_t port, uint16_t event, uint16_t value, const char *name)
{
        uint32_t len;
        uint8_t *message = take(CONTROL_IN, &len);

        assert_int_equal(len, MESSAGE + strlen(name));
        assert_int_equal(bytes_load32(message), port);
        assert_int_equal(bytes_load16(message + 4), event);
        assert_int_equal(bytes_load16(message + 6), value);
        assert_memory_equal(message + MESSAGE, name, strlen(name));
        lend(CONTROL_IN, (uint64_t)(message - guest.ram.base));
}

/* A driver's first words, each of so many bytes in so many pieces, and the device's answers. Nobody is at the second port, or
 * somebody is. */
static void talk(uint32_t len, unsigned n, uint32_t first, bool somebody)
{
        make(0xffffffff, DEVICE_READY, 1);
        put_and_take(CONTROL_OUT, len, n, first);
        hear(0, DEVICE_ADD, 1, "");
        hear(1, DEVICE_ADD, 1, "");
        make(0, PORT_READY, 1);
        put_and_take(CONTROL_OUT, len, n, first);
        hear(0, CONSOLE_PORT, 1, "");
        hear(0, PORT_NAME, 1, names[0]);
        hear(0, PORT_OPEN, 1, "");
        make(1, PORT_READY, 1);
        put_and_take(CONTROL_OUT, len, n, first);
        hear(1, PORT_NAME, 1, names[1]);
        if (somebody)
                hear(1, PORT_OPEN, 1, "");
}

/* What is behind the eight bytes says nothing. */
static void a_message_cut_at_any_byte_is_understood(void **state)
{
        (void)state;
        start();
        for (unsigned n = 1; n <= PIECES; n++) {
                for (uint32_t first = 0; first < MESSAGE; first++)
                        talk(MESSAGE, n, first, false);
                talk(MESSAGE + n, n, n, false);
        }
        talk(LONGEST, PIECES, 0, false);
        end();
}

/* The ring's error descriptor says so, and the next session is served. */
static void a_message_cut_short_breaks_the_ring(void **state)
{
        (void)state;
        for (uint32_t len = 1; len < MESSAGE; len++) {
                start();
                make(0, DEVICE_READY, 1);
                put(CONTROL_OUT, len, 0, 1 + len / 2, 0);
                expect_broken(CONTROL_OUT);
        }
        start();
        make(0, DEVICE_READY, 1);
        put(CONTROL_OUT, MESSAGE, BUFFER, 3, 0);
        expect_broken(CONTROL_OUT);
        start();
        talk(MESSAGE, 3, 0, false);
        end();
}

static void messages_that_mean_nothing_are_forgotten(void **state)
{
        static const struct {
                uint32_t port;
                uint16_t event, value;
        } rows[] = {
            {2, PORT_READY, 1},
            {2, PORT_OPEN, 1},
            {8, PORT_READY, 1},
            {0x80000000, PORT_OPEN, 1},
            {UINT32_MAX, PORT_READY, 1},
            {UINT32_MAX, PORT_OPEN, 0},
            {0, DEVICE_ADD, 1},
            {1, DEVICE_REMOVE, 1},
            {0, CONSOLE_PORT, 1},
            {0, RESIZE, 0},
            {1, PORT_NAME, 1},
            {0, 8, 1},
            {0, 0x100, 1},
            {0, UINT16_MAX, 1},
            {0, DEVICE_READY, 2},
            {0, DEVICE_READY, UINT16_MAX},
            {1, PORT_READY, 2},
            {1, PORT_OPEN, 0x100},
            {UINT32_MAX, UINT16_MAX, UINT16_MAX},
            {1, PORT_READY, 1},
            {1, PORT_OPEN, 1}, /* before it has been told of the port */
        };

        (void)state;
        for (unsigned twice = 0; twice < 2; twice++) {
                start();
                for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) - (twice ? 2 : 0); i++)
                        for (unsigned n = 1; n <= PIECES; n++) {
                                if (twice && n == 1)
                                        talk(MESSAGE, 1, 0, false);
                                make(rows[i].port, rows[i].event, rows[i].value);
                                put_and_take(CONTROL_OUT, n % 2 ? MESSAGE : 20, n, n % MESSAGE);
                        }
                talk(MESSAGE, 2, 3, false);
                end();
        }
}

/* ---- ports ---- */

static int client(unsigned port)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};
        int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s.%s.sock", getenv("BULKHEAD_CONSOLE_PORTS"),
                 names[port]);
        assert_int_equal(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
        return sock;
}

/* What a client says comes to the guest: so the device knows of both. */
static void open_port(unsigned port, int sock)
{
        unsigned ring = port == 0 ? INPUT_0 : INPUT_1;
        uint32_t used;

        make(port, PORT_OPEN, 1);
        put_and_take(CONTROL_OUT, MESSAGE, 2, 5);
        lend(ring, guest.input + (uint64_t)port * BUFFER);
        assert_int_equal(send(sock, "?", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(*take(ring, &used), '?');
        assert_int_equal(used, 1);
}

static void say(unsigned port, int sock, uint32_t len, unsigned n, uint32_t first)
{
        static uint8_t heard[ROOM];
        static uint32_t number;

        number++;
        for (uint32_t i = 0; i < len; i++)
                bytes[i] = (uint8_t)(number * 7 + i * 13 + (i >> 8));
        put_and_take(port == 0 ? OUTPUT_0 : OUTPUT_1, len, n, first);
        assert_int_equal(recv(sock, heard, len, MSG_WAITALL), len);
        assert_memory_equal(heard, bytes, len);
}

static void output_cut_at_any_byte_comes_in_order(void **state)
{
        int socks[PORTS];

        (void)state;
        start();
        for (unsigned i = 0; i < PORTS; i++)
                socks[i] = client(i);
        talk(MESSAGE, 1, 0, true);
        for (unsigned i = 0; i < PORTS; i++)
                open_port(i, socks[i]);
        for (unsigned n = 1; n <= PIECES; n++)
                for (unsigned port = 0; port < PORTS; port++) {
                        for (uint32_t first = 0; first < 64; first++)
                                say(port, socks[port], 64, n, first);
                        say(port, socks[port], n, n, 0);
                        say(port, socks[port], 4096 + n, n, 0);
                        say(port, socks[port], 32768, n, n);
                }
        end();
        for (unsigned i = 0; i < PORTS; i++)
                close(socks[i]);
}

/* Output with room behind it. */
static void output_with_room_behind_it_breaks_the_ring(void **state)
{
        static const unsigned rings[] = {OUTPUT_0, OUTPUT_1};

        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                start();
                put(rings[i], 64, BUFFER, PIECES, 0);
                expect_broken(rings[i]);
        }
        start();
        talk(MESSAGE, 3, 0, false);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_message_cut_at_any_byte_is_understood),
            cmocka_unit_test(a_message_cut_short_breaks_the_ring),
            cmocka_unit_test(messages_that_mean_nothing_are_forgotten),
            cmocka_unit_test(output_cut_at_any_byte_comes_in_order),
            cmocka_unit_test(output_with_room_behind_it_breaks_the_ring),
        };

        if (!getenv("BULKHEAD_CONSOLE_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_CONSOLE_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
