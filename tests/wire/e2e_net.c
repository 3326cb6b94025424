/* End to end: frames of a driver of ours, cut into descriptors at every byte, to a network device of a running broker whose
 * other end is this test.
 *     e2e_net COMMAND [ARG...]   listens at a socket of its own and runs the command: with_broker, and this again
 *     e2e_net                    the tests, where BULKHEAD_NET_SOCKET is the device's socket and E2E_NET_LISTENER the
 * descriptor that the device has connected to; without them everything is skipped.
 * TRUST: bytes are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "tests/harness/front_ring.h"

#define DEADLINE_MS   5000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define MERGEABLE     (1u << 15)
#define RX            0u
#define TX            1u
#define PIECES        12u
#define HEADER        12u
#define ETHERNET      14u
#define LONGEST       1518u /* of a frame: the MTU of the script, addresses and type, and a tag */
#define FRAME_ROOM    70000u
#define BUFFERS       32u /* lent at once */
#define BUFFER        4096u

static struct {
        struct front_end front;
        struct guest_ram ram;
        struct split_ring rings[2];
        uint64_t packet, buffers;
} guest;

static int peer; /* the other end of the network */
static uint8_t bytes[HEADER + FRAME_ROOM];

static void start(uint64_t features, bool indirect)
{
        guest.front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        assert_int_equal(wire_connect(&guest.front.wire, getenv("BULKHEAD_NET_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&guest.front, FRONT_END_QEMU_7_2, true), 0);
        assert_int_equal(guest_ram_init(&guest.ram, 1 << 20, 0), 0);
        for (unsigned i = 0; i < 2; i++)
                split_ring_init(&guest.rings[i], &guest.ram, 64, indirect, guest.front.offered & 1u << 29);
        guest.packet = guest_ram_alloc(&guest.ram, HEADER + FRAME_ROOM, 64);
        guest.buffers = guest_ram_alloc(&guest.ram, BUFFERS * BUFFER, 4096);
        assert_int_equal(front_end_start(&guest.front, RING_FEATURES | features, &guest.ram), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(front_end_start_ring(&guest.front, i, &guest.rings[i], 0), 0);
}

static void end(void)
{
        front_end_close(&guest.front);
        guest_ram_done(&guest.ram);
}

/* ---- rings ---- */

static void publish(unsigned ring)
{
        assert_int_equal(front_ring_show(&guest.front, ring, &guest.rings[ring]), 0);
}

/* The next used chain of a ring. */
static void *take(unsigned ring, uint32_t *ret_len)
{
        void *cookie;

        assert_int_equal(front_ring_await(&guest.front, ring, &guest.rings[ring], &cookie, ret_len), 0);
        return cookie;
}

/* The first `len` of `bytes` are to be sent, and come back used. */
static void transmit(uint32_t len, uint32_t writable, unsigned n, uint32_t first)
{
        struct split_segment segments[PIECES + 1];
        unsigned n_out = split_ring_cut(segments, guest.packet, len, n, first);
        uint32_t used;

        split_ring_write(&guest.rings[TX], segments, n_out, bytes);
        segments[n_out] = (struct split_segment){guest.buffers, writable};
        assert_int_equal(split_ring_add(&guest.rings[TX], segments, n_out, writable > 0, &guest), 0);
        publish(TX);
        take(TX, &used);
        assert_int_equal(used, 0);
}

/* ---- frames ---- */

/* No two are alike. */
static void make_frame(uint32_t len)
{
        static uint32_t number;

        memset(bytes, 0, HEADER);
        number++;
        for (uint32_t i = 0; i < len; i++)
                bytes[HEADER + i] = (uint8_t)(number * 7 + i * 13 + (i >> 8) + (number >> 8) * i);
}

/* The next that the peer hears is the frame in `bytes`, whole. */
static bool peer_hears(uint32_t len)
{
        static uint8_t heard[FRAME_ROOM];
        uint32_t said;

        assert_int_equal(recv(peer, &said, sizeof(said), MSG_WAITALL), sizeof(said));
        if (be32toh(said) != len)
                return false;
        if (len > 0)
                assert_int_equal(recv(peer, heard, len, MSG_WAITALL), len);
        return memcmp(heard, bytes + HEADER, len) == 0;
}

static void peer_says(uint32_t len)
{
        uint32_t said = htobe32(len);

        assert_int_equal(send(peer, &said, sizeof(said), MSG_NOSIGNAL | (len > 0 ? MSG_MORE : 0)),
                         sizeof(said));
        if (len > 0)
                assert_int_equal(send(peer, bytes + HEADER, len, MSG_NOSIGNAL), len);
}

static void good_frame_passes(const char *after)
{
        make_frame(60);
        transmit(HEADER + 60, 0, 3, 5);
        if (!peer_hears(60))
                fail_msg("%s: the peer has heard of it, or of no good frame behind it", after);
}

static void frames_cut_at_any_byte_arrive_whole(void **state)
{
        static const uint32_t lens[] = {0, 1, 46, 1500, LONGEST - ETHERNET};

        (void)state;
        for (unsigned indirect = 0; indirect < 2; indirect++) {
                start(MERGEABLE, indirect);
                for (unsigned n = 1; n <= PIECES; n++) {
                        for (uint32_t first = 0; first < HEADER + 60; first++) {
                                make_frame(60);
                                transmit(HEADER + 60, 0, n, first);
                                assert_true(peer_hears(60));
                        }
                        for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                                make_frame(ETHERNET + lens[i]);
                                transmit(HEADER + ETHERNET + lens[i], 0, n, n * 3);
                                assert_true(peer_hears(ETHERNET + lens[i]));
                        }
                }
                end();
        }
}

/* A header alone, or less, or with less than Ethernet's addresses behind it. */
static void headers_cut_short_at_any_byte_are_dropped(void **state)
{
        (void)state;
        start(MERGEABLE, true);
        for (uint32_t len = 1; len < HEADER + ETHERNET; len++)
                for (unsigned n = 1; n <= MIN(PIECES, len); n++) {
                        make_frame(ETHERNET);
                        transmit(len, 0, n, 0);
                        good_frame_passes("a short one");
                }
        end();
}

/* A chain of no bytes is no request: the ring's error descriptor says so, and the next session is served. */
static void a_chain_of_nothing_breaks_the_ring(void **state)
{
        const struct split_segment nothing = {guest.packet, 0};
        uint64_t count;

        (void)state;
        start(MERGEABLE, true);
        assert_int_equal(split_ring_add(&guest.rings[TX], &nothing, 1, 0, &guest), 0);
        publish(TX);
        assert_int_equal(wire_wait_event(&guest.front.wire, guest.front.rings[TX].err, DEADLINE_MS, &count),
                         0);
        end();
        start(MERGEABLE, true);
        good_frame_passes("nothing");
        end();
}

struct lie {
        const char *name;
        uint8_t header
            [HEADER]; /* flags, gso_type, then le16: hdr_len, gso_size, csum_start, csum_offset, n_buffers */
        uint32_t len, writable;
};

static const struct lie dropped[] = {
    {"a sum that was not agreed", {1, 0, 0, 0, 0, 0, 34, 0, 16}, 60, 0},
    {"a sum that starts before the addresses' end", {1, 0, 0, 0, 0, 0, 13, 0, 0}, 60, 0},
    {"a sum that starts behind the frame", {1, 0, 0, 0, 0, 0, 60, 0, 0}, 60, 0},
    {"a sum that ends behind the frame", {1, 0, 0, 0, 0, 0, 34, 0, 25}, 60, 0},
    {"a sum whose place wraps", {1, 0, 0, 0, 0, 0, 255, 255, 255, 255}, 60, 0},
    {"segments for TCPv4", {1, 1, 54, 0, 180, 5, 34, 0, 16}, 1514, 0},
    {"segments for TCPv6", {1, 4, 74, 0, 180, 5, 54, 0, 16}, 1514, 0},
    {"segments for UDP, as they were", {1, 3, 42, 0, 180, 5, 34, 0, 6}, 1514, 0},
    {"segments for UDP", {1, 5, 42, 0, 180, 5, 34, 0, 6}, 1514, 0},
    {"segments without a sum", {0, 1, 54, 0, 180, 5}, 1514, 0},
    {"segments of no bytes", {1, 1, 54, 0, 0, 0, 34, 0, 16}, 1514, 0},
    {"segments whose headers are longer than the frame", {1, 1, 255, 255, 180, 5, 34, 0, 16}, 60, 0},
    {"segments of nothing, marked", {0, 0x80}, 60, 0},
    {"segments of all kinds", {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, 60, 0},
    {"segments of a frame as long as any", {1, 1, 54, 0, 180, 5, 34, 0, 16}, 65553, 0},
    {"segments of a longer one", {1, 1, 54, 0, 180, 5, 34, 0, 16}, 65554, 0},
    {"a frame one byte too long", {0}, LONGEST + 1, 0},
    {"a frame of two", {0}, 2 * LONGEST, 0},
    {"a frame as long as any", {0}, 65553, 0},
    {"a longer one", {0}, FRAME_ROOM, 0},
    {"a frame with room behind it", {0}, 60, 1},
    {"a frame with a page behind it", {0}, 60, BUFFER},
};

/* What nobody has asked about means nothing (virtio 1.3, 5.1.6.2.2). */
static const struct lie ignored[] = {
    {"flags of the receiving side", {2}, 60, 0},
    {"flags that are none", {0xfc}, 60, 0},
    {"a number of buffers", {[10] = 255, [11] = 255}, 60, 0},
    {"lengths of nothing", {0, 0, 255, 255, 255, 255}, 60, 0},
    {"places of no sum", {0, 0, 0, 0, 0, 0, 255, 255, 255, 255}, 60, 0},
};

static void tell_lie(const struct lie *lie, unsigned n)
{
        make_frame(lie->len);
        memcpy(bytes, lie->header, HEADER);
        transmit(HEADER + lie->len, lie->writable, n, n % HEADER);
}

static void headers_that_lie_are_dropped_however_they_are_cut(void **state)
{
        (void)state;
        start(MERGEABLE, true);
        for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
                for (unsigned n = 1; n <= PIECES; n++) {
                        tell_lie(&dropped[i], n);
                        good_frame_passes(dropped[i].name);
                }
        transmit(0, BUFFER, 1, 0);
        good_frame_passes("room alone");
        for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
                for (unsigned n = 1; n <= PIECES; n++) {
                        tell_lie(&ignored[i], n);
                        if (!peer_hears(ignored[i].len))
                                fail_msg("%s: the peer has not heard of it", ignored[i].name);
                }
        end();
}

/* ---- to the guest ---- */

static uint64_t buffer_at(unsigned i)
{
        return guest.buffers + (uint64_t)i * BUFFER;
}

/* Buffers of `size` bytes, each in so many pieces; the guest sees all of them at once, as the device does. */
static void lend(unsigned n_buffers, uint32_t size, unsigned n)
{
        static uint8_t cookies[BUFFERS];

        for (unsigned i = 0; i < n_buffers; i++) {
                struct split_segment segments[PIECES];
                unsigned n_in = split_ring_cut(segments, buffer_at(i), size, n, 0);

                assert_int_equal(split_ring_add(&guest.rings[RX], segments, 0, n_in, &cookies[i]), 0);
                cookies[i] = (uint8_t)i;
        }
        publish(RX);
}

/* Bytes of a lent buffer, in the order of its pieces. */
static void read_buffer(unsigned i, uint32_t size, unsigned n, uint32_t len, uint8_t *ret_bytes)
{
        struct split_segment segments[PIECES];
        unsigned n_in = split_ring_cut(segments, buffer_at(i), size, n, 0);

        split_ring_read(&guest.rings[RX], segments, n_in, ret_bytes, len);
}

/* The frame in `bytes` is in the lent buffers, and says in how many. */
static void guest_hears(uint32_t len, unsigned n_buffers, uint32_t size, unsigned n)
{
        static uint8_t heard[HEADER + FRAME_ROOM];
        uint32_t left = HEADER + len, used;

        for (unsigned i = 0; i < n_buffers; i++) {
                const uint8_t *cookie = take(RX, &used);

                assert_int_equal(*cookie, i);
                assert_int_equal(used, MIN(left, size));
                read_buffer(i, size, n, used, heard + HEADER + len - left);
                left -= used;
        }
        assert_int_equal(left, 0);
        assert_int_equal(bytes_load16(heard + 10), n_buffers);
        assert_memory_equal(heard + HEADER, bytes + HEADER, len);
}

static void frames_are_whole_in_buffers_of_any_size_and_pieces(void **state)
{
        (void)state;
        start(MERGEABLE, true);
        for (uint32_t size = HEADER; size <= BUFFER; size += size < 80 ? 1 : 251)
                for (unsigned n = 1; n <= PIECES; n++) {
                        uint32_t len = MIN(1514u, (BUFFERS - 1) * size - HEADER + n);
                        unsigned n_buffers = (HEADER + len + size - 1) / size;

                        lend(n_buffers, size, n);
                        make_frame(len);
                        peer_says(len);
                        guest_hears(len, n_buffers, size, n);
                }
        lend(1, BUFFER, 1);
        make_frame(100);
        peer_says(100);
        guest_hears(100, 1, BUFFER, 1);
        end();
}

/* Less than a header fits into, and what has bytes to be read: the ring's error descriptor says so, and the next session is
 * served. The frame is lost. */
static void buffers_without_room_for_a_header_break_the_ring(void **state)
{
        uint64_t count;

        (void)state;
        for (uint32_t size = 1; size <= HEADER; size++) {
                struct split_segment segments[] = {{guest.packet, size}, {guest.buffers, BUFFER}};

                start(MERGEABLE, true);
                if (size < HEADER)
                        lend(1, size, size);
                else
                        assert_int_equal(split_ring_add(&guest.rings[RX], segments, 1, 1, &guest), 0);
                publish(RX);
                make_frame(60);
                peer_says(60);
                assert_int_equal(
                    wire_wait_event(&guest.front.wire, guest.front.rings[RX].err, DEADLINE_MS, &count), 0);
                end();
        }
        start(MERGEABLE, true);
        good_frame_passes("a buffer of no driver");
        end();
}

/* Frames of the peer's that are none, and one that fits into no buffer where they cannot be merged. */
static void frames_of_a_peer_that_do_not_fit_are_dropped(void **state)
{
        static const uint32_t lens[] = {
            LONGEST + 1, 2 * LONGEST, 65553, 65554, 69632, 500 - HEADER + 1,
        };

        (void)state;
        start(0, true);
        lend(1, 500, 4);
        for (uint32_t len = 0; len < ETHERNET; len++)
                peer_says(len);
        for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
                peer_says(lens[i]);
        make_frame(500 - HEADER);
        peer_says(500 - HEADER);
        guest_hears(500 - HEADER, 1, 500, 4);
        end();
}

/* ---- the stream ---- */

static int accept_device(void **state)
{
        struct pollfd listener = {.fd = atoi(getenv("E2E_NET_LISTENER")), .events = POLLIN};
        struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};

        (void)state;
        if (poll(&listener, 1, DEADLINE_MS) != 1)
                return -1;
        peer = accept(listener.fd, NULL, NULL);
        if (setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0)
                return -1;
        return setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
}

/* The device connects when the broker starts, so that somebody must listen before. */
static int run_listening(char **argv)
{
        char folder[] = "/tmp/bulkhead-e2e-net.XXXXXX", number[16];
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), status = 1;
        pid_t child;

        if (!mkdtemp(folder))
                return 1;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/peer.sock", folder);
        snprintf(number, sizeof(number), "%d", listener);
        setenv("E2E_NET_LISTENER", number, 1);
        setenv("WITH_BROKER_NET", address.sun_path, 1);
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 4) == 0) {
                child = fork();
                if (child == 0) {
                        execv(argv[0], argv);
                        _exit(127);
                }
                if (child < 0 || waitpid(child, &status, 0) != child)
                        status = 1;
        }
        unlink(address.sun_path);
        rmdir(folder);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(frames_cut_at_any_byte_arrive_whole),
            cmocka_unit_test(headers_cut_short_at_any_byte_are_dropped),
            cmocka_unit_test(a_chain_of_nothing_breaks_the_ring),
            cmocka_unit_test(headers_that_lie_are_dropped_however_they_are_cut),
            cmocka_unit_test(frames_are_whole_in_buffers_of_any_size_and_pieces),
            cmocka_unit_test(frames_of_a_peer_that_do_not_fit_are_dropped),
            cmocka_unit_test(buffers_without_room_for_a_header_break_the_ring),
        };

        if (argc > 1)
                return run_listening(argv + 1);
        if (!getenv("BULKHEAD_NET_SOCKET") || !getenv("E2E_NET_LISTENER")) {
                fprintf(stderr, "skipped: BULKHEAD_NET_SOCKET or E2E_NET_LISTENER is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, accept_device, NULL);
}
