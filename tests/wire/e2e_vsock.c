/* End to end: packets of a driver of ours, cut into descriptors in every way, to a vsock device of a running broker.
 * BULKHEAD_VSOCK_SOCKET: the device's socket, BULKHEAD_VSOCK_PATH: where its clients connect; without them everything is skipped.
 * TRUST: bytes are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "tests/harness/front_ring.h"

#define DEADLINE_MS   20000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define RX            0u
#define TX            1u
#define EVENT         2u
#define HEADER        44u
#define PACKET        1024u /* the longest, with its header */
#define BUFFER        4096u
#define BUFFERS       16u
#define SEGMENTS      12u
#define EVENTS        2u
#define EVENT_BYTES   4u
#define CID           3u
#define PORT          77u /* of ours; nobody listens at the host's 1 */

enum {
        OP_REQUEST = 1,
        OP_RESPONSE = 2,
        OP_RST = 3,
        OP_RW = 5,
};

#define TRANSPORT_RESET 0u /* of the event queue */

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct split_ring rx, tx, event;
        uint64_t buffers, packets, events;
} guest;

static uint8_t packet[PACKET]; /* to be sent */

static void make(uint16_t op, uint32_t dst_port, uint32_t len)
{
        memset(packet, 0, HEADER);
        bytes_store64(packet, CID);
        bytes_store64(packet + 8, 2);
        bytes_store32(packet + 16, PORT);
        bytes_store32(packet + 20, dst_port);
        bytes_store32(packet + 24, len);
        bytes_store16(packet + 28, 1);
        bytes_store16(packet + 30, op);
        bytes_store32(packet + 36, 65536);
}

static void lend(uint64_t buffer)
{
        struct split_segment segment = {buffer, BUFFER};

        assert_int_equal(split_ring_add(&guest.rx, &segment, 0, 1, guest.ram.base + buffer), 0);
        assert_int_equal(front_ring_show(&guest.front, RX, &guest.rx), 0);
}

static void lend_event(uint64_t buffer)
{
        struct split_segment segment = {buffer, EVENT_BYTES};

        memset(guest.ram.base + buffer, 0xff, EVENT_BYTES);
        assert_int_equal(split_ring_add(&guest.event, &segment, 0, 1, guest.ram.base + buffer), 0);
        assert_int_equal(front_ring_show(&guest.front, EVENT, &guest.event), 0);
}

static void start(void)
{
        guest.front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        assert_int_equal(wire_connect(&guest.front.wire, getenv("BULKHEAD_VSOCK_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&guest.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&guest.ram, 1 << 20, 0), 0);
        split_ring_init(&guest.rx, &guest.ram, 64, false, guest.front.offered & 1u << 29);
        split_ring_init(&guest.tx, &guest.ram, 64, false, guest.front.offered & 1u << 29);
        guest.buffers = guest_ram_alloc(&guest.ram, BUFFERS * BUFFER, 4096);
        split_ring_init(&guest.event, &guest.ram, 8, false, guest.front.offered & 1u << 29);
        guest.packets = guest_ram_alloc(&guest.ram, PACKET, 64);
        guest.events = guest_ram_alloc(&guest.ram, EVENTS * EVENT_BYTES, 64);
        assert_int_equal(front_end_start(&guest.front, RING_FEATURES, &guest.ram), 0);
        assert_int_equal(front_end_start_ring(&guest.front, RX, &guest.rx, 0), 0);
        assert_int_equal(front_end_start_ring(&guest.front, TX, &guest.tx, 0), 0);
        assert_int_equal(front_end_start_ring(&guest.front, EVENT, &guest.event, 0), 0);
        for (unsigned i = 0; i < BUFFERS; i++)
                lend(guest.buffers + (uint64_t)i * BUFFER);
        for (unsigned i = 0; i < EVENTS; i++)
                lend_event(guest.events + i * EVENT_BYTES);
}

static void end(void)
{
        front_end_close(&guest.front);
        guest_ram_done(&guest.ram);
}

/* `len` bytes of the packet, cut into `n` readable descriptors as evenly as may be. */
static void put(uint32_t len, unsigned n)
{
        struct split_segment segments[SEGMENTS];
        unsigned n_out = split_ring_cut(segments, guest.packets, len, n, 0);

        split_ring_write(&guest.tx, segments, n_out, packet);
        assert_int_equal(split_ring_add(&guest.tx, segments, n_out, 0, &guest), 0);
        assert_int_equal(front_ring_show(&guest.front, TX, &guest.tx), 0);
}

static const uint8_t *hear(uint32_t *ret_len)
{
        void *cookie;

        assert_int_equal(front_ring_await(&guest.front, RX, &guest.rx, &cookie, ret_len), 0);
        return cookie;
}

static uint16_t op_of(const uint8_t *header)
{
        return bytes_load16(header + 30);
}

/* Used chains of ours come back, whenever. */
static void take_used(void)
{
        uint32_t len;
        void *cookie;

        while (split_ring_take(&guest.tx, &cookie, &len) == 1)
                assert_int_equal(len, 0);
}

/* However a header is cut, it is the same header: what nobody listens at is answered with RST. */
static void a_header_in_any_pieces_is_understood(void **state)
{
        (void)state;
        start();
        for (uint32_t payload = 0; payload < 200; payload += 66)
                for (unsigned n = 1; n <= SEGMENTS; n++) {
                        const uint8_t *header;
                        uint32_t len;

                        make(OP_RW, 1, payload);
                        put(HEADER + payload, n);
                        header = hear(&len);
                        assert_int_equal(len, HEADER);
                        assert_int_equal(op_of(header), OP_RST);
                        lend((uint64_t)(header - guest.ram.base));
                        take_used();
                }
        end();
}

/* Every length that is none, in up to twelve pieces: the ring's error descriptor says so, and the next session is served. */
static void a_header_cut_at_any_byte_breaks_the_ring(void **state)
{
        (void)state;
        for (uint32_t len = 1; len < HEADER; len++) {
                unsigned n = 1 + len % SEGMENTS;
                uint64_t count;

                start();
                make(OP_REQUEST, 1, 0);
                put(len, n);
                assert_int_equal(
                    wire_wait_event(&guest.front.wire, guest.front.rings[TX].err, DEADLINE_MS, &count), 0);
                end();
        }
        start();
        make(OP_REQUEST, 1, 0);
        put(HEADER, 1);
        assert_int_equal(op_of(hear(&(uint32_t){0})), OP_RST);
        end();
}

/* A program of the host at a port. */
static int listen_at(unsigned port)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", getenv("BULKHEAD_VSOCK_PATH"), port);
        assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        return listener;
}

/* Bytes of a connection, in pieces, come to a listener of the host; a guest that sends beyond its credit is cut off there. */
static void a_guest_that_lies_about_credit_is_cut_off(void **state)
{
        int listener = listen_at(5), host;
        uint8_t bytes[2048];
        uint32_t len, sent = 0;
        const uint8_t *header;

        (void)state;
        start();
        make(OP_REQUEST, 5, 0);
        put(HEADER, 3);
        header = hear(&len);
        assert_int_equal(op_of(header), OP_RESPONSE);
        host = accept(listener, NULL, NULL);
        assert_true(host >= 0);
        for (unsigned n = 1; n <= SEGMENTS; n++) {
                make(OP_RW, 5, 100);
                memset(packet + HEADER, (int)n, 100);
                put(HEADER + 100, n);
                assert_int_equal(recv(host, bytes, 100, MSG_WAITALL), 100);
                assert_true(bytes[0] == n && bytes[99] == n);
                take_used();
        }
        do { /* and the host reads no more */
                make(OP_RW, 5, 900);
                put(HEADER + 900, 2);
                sent += 900;
                while (guest.tx.n_free < 32)
                        take_used();
        } while (sent < 1u << 20);
        while (op_of(header = hear(&len)) != OP_RST) /* some of it the host's socket has taken */
                lend((uint64_t)(header - guest.ram.base));
        while (recv(host, bytes, sizeof(bytes), 0) > 0)
                ;
        close(host);
        close(listener);
        end();
}

/* ---- deaths ---- */

static void kill_worker(void)
{
        FILE *answer = popen(getenv("BULKHEAD_VSOCK_PID"), "r");
        int pid;

        assert_int_equal(fscanf(answer, "%d", &pid), 1);
        assert_int_equal(pclose(answer), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
}

/* Connects to the listener: the host's end. */
static int connect_host(int listener)
{
        const uint8_t *header;
        uint32_t len;
        int host;

        make(OP_REQUEST, 6, 0);
        put(HEADER, 1);
        header = hear(&len);
        assert_int_equal(op_of(header), OP_RESPONSE);
        lend((uint64_t)(header - guest.ram.base));
        host = accept(listener, NULL, NULL);
        assert_true(host >= 0);
        take_used();
        return host;
}

/* By the event queue, and by RST; the host hears the end. Then a connection of the same ports is a new one. */
static void a_guest_is_told_that_a_dead_worker_has_lost_all(void **state)
{
        int listener = listen_at(6), host;
        const uint8_t *header;
        uint32_t len;
        void *event;

        (void)state;
        start();
        for (unsigned i = 0; i < EVENTS; i++) {
                host = connect_host(listener);
                kill_worker();
                assert_int_equal(recv(host, &(uint8_t){0}, 1, 0), 0);
                close(host);
                assert_int_equal(front_ring_await(&guest.front, EVENT, &guest.event, &event, &len), 0);
                assert_int_equal(len, EVENT_BYTES);
                assert_int_equal(bytes_load32(event), TRANSPORT_RESET);
                header = hear(&len);
                assert_int_equal(op_of(header), OP_RST);
                lend((uint64_t)(header - guest.ram.base));
        }
        close(connect_host(listener));
        close(listener);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_header_in_any_pieces_is_understood),
            cmocka_unit_test(a_header_cut_at_any_byte_breaks_the_ring),
            cmocka_unit_test(a_guest_that_lies_about_credit_is_cut_off),
            cmocka_unit_test(a_guest_is_told_that_a_dead_worker_has_lost_all),
        };

        if (!getenv("BULKHEAD_VSOCK_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_VSOCK_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
