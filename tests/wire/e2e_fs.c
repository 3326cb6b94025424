/* End to end: requests to a shared directory, cut into descriptors at every byte, through a running broker.
 * BULKHEAD_FS_SOCKET: the device's socket; without it everything is skipped. TRUST: bytes are the device's, and are what is
 * tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include <cmocka.h>

#include "tests/harness/front_ring.h"
#include "tests/workers/fs_malformed.h"

#define DEADLINE_MS   5000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define PIECES        12u
#define REQUESTS      1u /* the queue of requests */

static struct front_end front;
static struct guest_ram ram;
static struct split_ring rings[2]; /* of forgets, of requests */
static uint64_t in, out;           /* offsets in the ram */
static uint8_t request[MALFORMED_MAX];

static int begin(void **state)
{
        (void)state;
        front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        assert_int_equal(wire_connect(&front.wire, getenv("BULKHEAD_FS_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&front, FRONT_END_QEMU_7_2, false), 0);
        assert_int_equal(guest_ram_init(&ram, 8 << 20, 0), 0);
        in = guest_ram_alloc(&ram, MALFORMED_MAX, 64);
        out = guest_ram_alloc(&ram, MALFORMED_MAX, 64);
        for (unsigned i = 0; i < 2; i++)
                split_ring_init(&rings[i], &ram, 64, front.offered & 1u << 28, front.offered & 1u << 29);
        assert_int_equal(front_end_start(&front, RING_FEATURES, &ram), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(front_end_start_ring(&front, i, &rings[i], 0), 0);
        return 0;
}

static int end(void **state)
{
        (void)state;
        front_end_close(&front);
        guest_ram_done(&ram);
        return 0;
}

/* The first `len` of `request`: the error of the answer, and its length. */
static int ask(uint32_t len, uint32_t writable, unsigned n, uint32_t first, uint32_t *ret_used)
{
        struct split_segment segments[2 * PIECES];
        struct split_ring *ring = &rings[REQUESTS];
        unsigned n_out = split_ring_cut(segments, in, len, n, first), n_in;
        struct fuse_out_header header;
        void *cookie;

        n_in = split_ring_cut(segments + n_out, out, writable, n, MIN(first, writable));
        split_ring_write(ring, segments, n_out, request);
        memset(ram.base + out, 0xee, writable);
        assert_int_equal(split_ring_add(ring, segments, n_out, n_in, ring), 0);
        assert_int_equal(front_ring_show(&front, REQUESTS, ring), 0);
        assert_int_equal(front_ring_await(&front, REQUESTS, ring, &cookie, ret_used), 0);
        split_ring_read(ring, segments + n_out, n_in, &header, sizeof(header));
        if (*ret_used < sizeof(header))
                return 0;
        assert_int_equal(header.len, *ret_used);
        return header.error;
}

static uint32_t make(const struct malformed *row)
{
        return malformed_make(row, request);
}

static void mount_share(void)
{
        const struct malformed init = {.opcode = FUSE_INIT, .body = BODY_INIT, .major = 7, .b = 38, .a = 16};
        uint32_t used;

        assert_int_equal(ask(make(&init), 4096, 2, 0, &used), 0);
        assert_int_equal(used, sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out));
}

/* Wherever it is cut, and into however many pieces, it is the same request with the same answer. */
static void requests_are_the_same_however_they_are_cut(void **state)
{
        static const struct malformed lookup = {
            .opcode = FUSE_LOOKUP, .body = BODY_TEXTS, .first = "missing"};
        static const struct malformed getattr = {.opcode = FUSE_GETATTR, .body = BODY_ZEROS, .n = 16};
        uint32_t len, used;

        (void)state;
        mount_share();
        for (unsigned n = 1; n <= PIECES; n++) {
                len = make(&lookup);
                for (uint32_t first = 0; first < len; first++) {
                        assert_int_equal(ask(len, 4096, n, first, &used), -ENOENT);
                        assert_int_equal(used, sizeof(struct fuse_out_header));
                }
                len = make(&getattr);
                for (uint32_t first = 0; first < len; first += 3) {
                        assert_int_equal(ask(len, 16 + 104, n, first, &used), 0);
                        assert_int_equal(used, 16 + 104);
                }
        }
}

/* But those that break the device: nothing is answered after them. */
static void malformed_requests_are_answered_however_they_are_cut(void **state)
{
        uint32_t used;

        (void)state;
        mount_share();
        for (size_t i = 0; i < n_malformed; i++) {
                const struct malformed *row = &malformed[i];
                uint32_t len = make(row);

                if (row->want == MALFORMED_REFUSED || len == 0)
                        continue;
                for (unsigned n = 1; n <= PIECES; n++) {
                        int r = ask(len, malformed_writable(row), n, n == 1 ? 0 : MIN(n * 7, len), &used);

                        assert_int_equal(r, row->want == MALFORMED_SILENT ? 0 : row->want);
                        assert_int_equal(used, row->want == MALFORMED_SILENT ? 0 : 16);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(requests_are_the_same_however_they_are_cut, begin, end),
            cmocka_unit_test_setup_teardown(malformed_requests_are_answered_however_they_are_cut, begin, end),
        };

        if (!getenv("BULKHEAD_FS_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_FS_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
