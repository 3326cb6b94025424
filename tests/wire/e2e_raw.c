/* End to end: a device whose worker walks its own ring by messages, from a running broker, over vhost-user. BULKHEAD_RAW_SOCKET: the
 * device's socket; BULKHEAD_RAW_PID: a command that prints its worker's pid; without them everything is skipped. Memory lies at 1 MiB, and
 * the device's window is its first MiB. BULKHEAD_RAW_REACHES: the worker is one that has been taken over (reaching.c). TRUST: answers are the device's, and are what is tested.
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

#include "proto/base/bytes.h"
#include "proto/device/sample.h"
#include "tests/harness/front_ring.h"
#include "tests/integration/workers/reaching.h"

#define DEADLINE_MS   10000
#define RAM_START     0x100000
#define WINDOW        0x100000u
#define RING_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define RING          16u
#define RECORD        64u
#define REQUEST       ((uint32_t)sizeof(struct sample_request) + 8 + RECORD)
#define ANSWER        ((uint32_t)sizeof(struct sample_answer))

static struct front_end front;
static struct split_ring ring;
static struct guest_ram ram;
static uint64_t request, answer;

static void begin(void)
{
        front = (struct front_end){.wire = {.sock = -1, .deadline_ms = DEADLINE_MS}};
        assert_int_equal(wire_connect(&front.wire, getenv("BULKHEAD_RAW_SOCKET")), 0);
        assert_int_equal(front_end_negotiate(&front, FRONT_END_QEMU_7_2, false), 0);
        assert_int_equal(guest_ram_init(&ram, 2 * WINDOW, RAM_START), 0);
        split_ring_init_tables(&ring, &ram, RING, 0, false);
        request = guest_ram_alloc(&ram, 4096, 64);
        answer = guest_ram_alloc(&ram, 4096, 64);
        assert_int_equal(front_end_start(&front, RING_FEATURES, &ram), 0);
}

static void end(void)
{
        front_end_close(&front);
        guest_ram_done(&ram);
}

static void post(uint64_t at)
{
        const struct split_segment segments[] = {{at, REQUEST}, {answer, ANSWER}};
        uint8_t *bytes = ram.base + at;

        memset(bytes, 0, REQUEST);
        bytes_store32(bytes, SAMPLE_APPEND);
        bytes_store32(bytes + sizeof(struct sample_request), RECORD);
        memset(ram.base + answer, 0xff, ANSWER);
        assert_int_equal(split_ring_add(&ring, segments, 1, 1, &ring), 0);
        assert_int_equal(front_ring_show(&front, 0, &ring), 0);
}

/* Returns how many records its worker has taken. */
static uint64_t take(void)
{
        void *cookie;
        uint32_t len;

        assert_int_equal(front_ring_await(&front, 0, &ring, &cookie, &len), 0);
        assert_int_equal(len, ANSWER);
        assert_int_equal(ram.base[answer], SAMPLE_OK);
        return bytes_load64(ram.base + answer + 8);
}

static void its_ring_is_plain_and_its_requests_are_answered(void **state)
{
        uint64_t before;

        (void)state;
        begin();
        assert_int_equal(front.offered & (UINT64_C(1) << 34 | 1u << 29 | 1u << 28), 0);
        assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
        post(request);
        before = take();
        for (unsigned i = 1; i <= 200; i++) {
                post(request);
                assert_int_equal(take(), before + i);
        }
        end();
}

static void a_stop_gives_its_place_and_it_goes_on_there(void **state)
{
        uint16_t base = 77;

        (void)state;
        begin();
        assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
        for (unsigned i = 0; i < 5; i++) {
                post(request);
                take();
        }
        assert_int_equal(front_end_stop_ring(&front, 0, &base), 0);
        assert_int_equal(base, 5);
        assert_int_equal(front_end_start_ring(&front, 0, &ring, base), 0);
        post(request);
        take();
        assert_int_equal(front_end_stop_ring(&front, 0, &base), 0);
        assert_int_equal(base, 6);
        end();
}

static pid_t worker(void)
{
        FILE *words = popen(getenv("BULKHEAD_RAW_PID"), "re");
        int pid = 0;

        assert_non_null(words);
        if (fscanf(words, "%d", &pid) != 1)
                pid = 0;
        pclose(words);
        return pid;
}

/* What was posted while nobody was there is answered by the successor, and nothing twice: a driver would notice. */
static void it_goes_on_when_its_worker_dies(void **state)
{
        (void)state;
        begin();
        assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
        for (unsigned i = 0; i < 4; i++) {
                pid_t pid;

                post(request);
                take();
                pid = worker();
                assert_true(pid > 0);
                kill(pid, SIGKILL);
                post(request);
                assert_true(take() >= 1);
                post(request);
                take();
        }
        end();
}

static void what_lies_outside_of_its_window_breaks_it(void **state)
{
        uint64_t count = 0;

        (void)state;
        begin();
        assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
        post(request);
        take();
        post(WINDOW - REQUEST); /* its last bytes */
        take();
        post(WINDOW - REQUEST + 1);
        assert_int_equal(wire_wait_event(&front.wire, front.rings[0].err, DEADLINE_MS, &count), 0);
        assert_int_equal(ram.base[answer], 0xff);
        end();
        begin(); /* and so does a ring; another session begins anew */
        (void)guest_ram_alloc(&ram, WINDOW, 4096);
        split_ring_init_tables(&ring, &ram, RING, 0, false);
        assert_true(ring.desc >= WINDOW);
        (void)front_end_start_ring(&front, 0, &ring, 0);
        post(request);
        assert_int_equal(wire_wait_event(&front.wire, front.rings[0].err, DEADLINE_MS, &count), 0);
        assert_int_equal(ram.base[answer], 0xff);
        end();
}

static void command(uint32_t what, uint64_t at, uint32_t len)
{
        uint8_t *bytes = ram.base + (REACHING_COMMAND - RAM_START);

        bytes_store64(bytes + 8, at);
        bytes_store32(bytes + 4, len);
        bytes_store32(bytes, what);
}

/* By both ways; whatever is there: the next device's buffers, a hole, the last address. */
static void who_reaches_outside_is_killed_and_nothing_has_changed(void **state)
{
        static const struct {
                uint64_t at;
                uint32_t len;
                bool inside;
        } rows[] = {
            {RAM_START, 64, true},
            {RAM_START + WINDOW - 8, 8, true},
            {RAM_START + WINDOW - 8, 9, false},
            {RAM_START + WINDOW, 1, false},
            {RAM_START - 1, 1, false},
            {RAM_START - 1, 2, false},
            {RAM_START + 2 * WINDOW, 8, false},
            {UINT64_MAX, 1, false},
            {0, 4096, false},
        };
        static uint8_t before[WINDOW];

        (void)state;
        for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
                const uint32_t what = i % 2 ? REACHING_WRITE : REACHING_READ;
                pid_t pid;

                begin();
                (void)guest_ram_alloc(&ram, 8192, 64); /* what lies at the beginning is nobody's */
                memset(ram.base + WINDOW, 0x5c, WINDOW);
                memcpy(before, ram.base + WINDOW, WINDOW);
                assert_int_equal(front_end_start_ring(&front, 0, &ring, 0), 0);
                post(request);
                take();
                pid = worker();
                if (!rows[i / 2].inside || what == REACHING_READ)
                        command(what, rows[i / 2].at, rows[i / 2].len);
                post(request);
                take();
                if (rows[i / 2].inside)
                        assert_int_equal(worker(), pid);
                else
                        assert_int_not_equal(worker(), pid);
                assert_memory_equal(ram.base + WINDOW, before, WINDOW);
                end();
        }
}

static int run_reaching(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(who_reaches_outside_is_killed_and_nothing_has_changed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(its_ring_is_plain_and_its_requests_are_answered),
            cmocka_unit_test(a_stop_gives_its_place_and_it_goes_on_there),
            cmocka_unit_test(it_goes_on_when_its_worker_dies),
            cmocka_unit_test(what_lies_outside_of_its_window_breaks_it),
        };

        if (!getenv("BULKHEAD_RAW_SOCKET")) {
                fprintf(stderr, "skipped: BULKHEAD_RAW_SOCKET is not set\n");
                return 77;
        }
        if (getenv("BULKHEAD_RAW_REACHES"))
                return run_reaching();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
