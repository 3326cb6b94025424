/* End to end: entropy from a running broker. BULKHEAD_RNG_SOCKET: the device's socket; without it
 * everything is skipped. TRUST: bytes are the broker's, and are what is tested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/front_ring.h"

#define DEADLINE_MS   5000
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define LEN           4096u

static void buffers_come_back_filled(void **state)
{
        struct front_end front = {.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        uint8_t last[LEN] = {0}, zeroes[64] = {0};
        struct split_ring ring;
        struct guest_ram ram;
        uint64_t buffer;

        (void)state;
        assert_int_equal(wire_connect(&front.wire, getenv("BULKHEAD_RNG_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&front, FRONT_END_QEMU_7_2, false), 0);
        assert_int_equal(guest_ram_init(&ram, 1 << 20, 0), 0);
        split_ring_init(&ring, &ram, 4, front.offered & 1u << 28, front.offered & 1u << 29);
        buffer = guest_ram_alloc(&ram, LEN, 64);
        assert_int_equal(front_end_start(&front, RING_FEATURES, &ram), 0);
        assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
        for (int i = 0; i < 100; i++) {
                struct split_segment segment = {buffer, LEN};
                uint32_t len = 0;
                void *cookie;

                assert_int_equal(split_ring_add(&ring, &segment, 0, 1, &ring), 0);
                assert_int_equal(front_ring_show(&front, 0, &ring), 0);
                assert_int_equal(front_ring_await(&front, 0, &ring, &cookie, &len), 0);
                assert_true(len > 0 && len <= LEN);
                assert_true(len < 64 || memcmp(ram.base + buffer, zeroes, 64) != 0);
                assert_memory_not_equal(ram.base + buffer, last, len < 64 ? 64 : len);
                memcpy(last, ram.base + buffer, LEN);
                memset(ram.base + buffer, 0, LEN);
        }
        front_end_close(&front);
        guest_ram_done(&ram);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(buffers_come_back_filled)};

        if (!getenv("BULKHEAD_RNG_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_RNG_SOCKET is not set\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
