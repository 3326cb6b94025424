/* Every value in ring memory is read once: between the walker and its reads stands this test, writes down each
 * byte that was read, and changes it right afterwards.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "tests/unit_core/packed_pen.h"

#define SIZE        8u
#define WATCH_BYTES 0x10000u /* the region of the rings */

size_t __real_fault_safe_copy(void *to, const void *from, size_t n);
size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n);
int __real_fault_safe_load16(const void *at, uint16_t *ret_value);
int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value);
int __real_fault_safe_load32(const void *at, uint32_t *ret_value);
int __wrap_fault_safe_load32(const void *at, uint32_t *ret_value);
int __real_fault_safe_load64(const void *at, uint64_t *ret_value);
int __wrap_fault_safe_load64(const void *at, uint64_t *ret_value);

static struct {
        const struct guest *guest; /* NULL: nothing is watched */
        bool change;               /* flip what was read */
        const uint8_t *view;       /* where the queue sees the region */
        uint8_t reads[WATCH_BYTES];
} watch;

static void note_read(const void *from, size_t n)
{
        size_t at = (size_t)((const uint8_t *)from - watch.view);

        if (!watch.guest || (const uint8_t *)from < watch.view || at >= WATCH_BYTES)
                return;
        for (size_t i = at; i < at + n && i < WATCH_BYTES; i++) {
                watch.reads[i]++;
                if (watch.change)
                        *guest_at(watch.guest, RINGS + i) ^= 0xa5;
        }
}

size_t __wrap_fault_safe_copy(void *to, const void *from, size_t n)
{
        size_t left = __real_fault_safe_copy(to, from, n);

        note_read(from, n - left);
        return left;
}

int __wrap_fault_safe_load16(const void *at, uint16_t *ret_value)
{
        int r = __real_fault_safe_load16(at, ret_value);

        note_read(at, sizeof(*ret_value));
        return r;
}

int __wrap_fault_safe_load32(const void *at, uint32_t *ret_value)
{
        int r = __real_fault_safe_load32(at, ret_value);

        note_read(at, sizeof(*ret_value));
        return r;
}

int __wrap_fault_safe_load64(const void *at, uint64_t *ret_value)
{
        int r = __real_fault_safe_load64(at, ret_value);

        note_read(at, sizeof(*ret_value));
        return r;
}

static void watch_start(const struct guest *guest, bool change)
{
        memset(watch.reads, 0, sizeof(watch.reads));
        watch.view = guest_memory_ring(guest->memory, GPA(RINGS), WATCH_BYTES, 1, false);
        assert_non_null(watch.view);
        watch.change = change;
        watch.guest = guest;
}

/* So many bytes were read, and none of them twice. */
static void assert_read_once(unsigned bytes)
{
        unsigned n = 0;

        watch.guest = NULL;
        for (size_t i = 0; i < WATCH_BYTES; i++) {
                assert_true(watch.reads[i] <= 1);
                n += watch.reads[i];
        }
        assert_int_equal(n, bytes);
}

/* Three buffers, in the ring or in a table. */
static void post_three(struct guest *guest, bool indirect)
{
        for (uint16_t i = 0; i < 3; i++) {
                unsigned flags = (i < 2 ? NEXT : 0) | (i > 0 ? WRITE : 0);
                uint16_t next = (uint16_t)(i + 1);

                if (indirect)
                        guest_describe_in(guest, SCRATCH, i, BUFFERS + 0x100u * i, 16u + i, flags, next);
                else
                        guest_describe(guest, i, BUFFERS + 0x100u * i, 16u + i, flags, next);
        }
        if (indirect)
                guest_describe(guest, 0, SCRATCH, 48, INDIRECT, 0);
        guest_post(guest, 0);
}

static void assert_three(const struct chain *chain)
{
        assert_int_equal(chain->n_readable, 1);
        assert_int_equal(chain->n_writable, 2);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(chain->segments[i].at.v, BUFFERS + 0x100u * i);
                assert_int_equal(chain->segments[i].len, 16u + i);
        }
}

/* Index, element and each descriptor. */
static void each_byte_of_a_chain_is_read_once(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        post_three(guest, false);
        watch_start(guest, false);
        assert_int_equal(guest_pop(guest, 16), 1);
        assert_read_once(2 + 2 + 3 * 16);
        assert_three(&guest->chain);
}

static void each_byte_of_an_indirect_chain_is_read_once(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        post_three(guest, true);
        watch_start(guest, false);
        assert_int_equal(guest_pop(guest, 16), 1);
        assert_read_once(2 + 2 + 16 + 3 * 16);
        assert_three(&guest->chain);
}

static void a_chain_that_changes_behind_each_read_is_the_one_that_was_read(void **state)
{
        struct guest *guest = *state;

        for (unsigned indirect = 0; indirect < 2; indirect++) {
                queue_done(&guest->queue);
                guest_start(guest, SIZE, 0);
                post_three(guest, indirect == 1);
                watch_start(guest, true);
                assert_int_equal(guest_pop(guest, 16), 1);
                watch.guest = NULL;
                assert_int_equal(guest->chain.head, 0);
                assert_three(&guest->chain);
        }
}

/* None was there when the index was read; what it says afterwards is the next look's. */
static void an_index_that_runs_away_behind_its_read_gives_no_chain(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        watch_start(guest, true);
        assert_int_equal(guest_pop(guest, 16), 0);
        watch.guest = NULL;
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_NONE);
        assert_int_equal(guest_pop(guest, 16), -EPROTO); /* 0xa5a5 ahead */
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_AVAIL);
}

/* ---- packed ---- */

static void post_three_packed(struct guest *guest, bool indirect)
{
        packed_start_fresh(guest, SIZE);
        for (uint16_t i = 0; i < 3; i++) {
                unsigned flags = i > 0 ? WRITE : 0;

                if (indirect)
                        packed_describe(guest, SCRATCH, i, BUFFERS + 0x100u * i, 16u + i, 0, flags);
                else
                        packed_add(guest, BUFFERS + 0x100u * i, 16u + i, flags | (i < 2 ? NEXT : 0), 6);
        }
        if (indirect)
                packed_add(guest, SCRATCH, 48, INDIRECT, 6);
}

static void each_byte_of_a_packed_chain_is_read_once(void **state)
{
        struct guest *guest = *state;

        for (unsigned indirect = 0; indirect < 2; indirect++) {
                queue_done(&guest->queue);
                post_three_packed(guest, indirect == 1);
                watch_start(guest, false);
                assert_int_equal(guest_pop(guest, 16), 1);
                assert_read_once(indirect ? 16 + 3 * 16 : 3 * 16);
                assert_three(&guest->chain);
        }
}

static void a_packed_chain_that_changes_behind_each_read_is_the_one_that_was_read(void **state)
{
        struct guest *guest = *state;

        for (unsigned indirect = 0; indirect < 2; indirect++) {
                queue_done(&guest->queue);
                post_three_packed(guest, indirect == 1);
                watch_start(guest, true);
                assert_int_equal(guest_pop(guest, 16), 1);
                watch.guest = NULL;
                assert_int_equal(guest->chain.head, 6);
                assert_three(&guest->chain);
        }
}

/* What is written back is what was taken, not what the ring says now. */
static void a_packed_push_reads_nothing_of_the_ring(void **state)
{
        struct guest *guest = *state;

        post_three_packed(guest, false);
        assert_int_equal(guest_pop(guest, 16), 1);
        watch_start(guest, false);
        assert_int_equal(queue_push(&guest->queue, 6, 35), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_read_once(4); /* the driver's event area */
        assert_int_equal(queue_stop(&guest->queue), packed_base(3, true, 3, true));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(each_byte_of_a_chain_is_read_once),
            CASE(each_byte_of_an_indirect_chain_is_read_once),
            CASE(a_chain_that_changes_behind_each_read_is_the_one_that_was_read),
            CASE(an_index_that_runs_away_behind_its_read_gives_no_chain),
            CASE(each_byte_of_a_packed_chain_is_read_once),
            CASE(a_packed_chain_that_changes_behind_each_read_is_the_one_that_was_read),
            CASE(a_packed_push_reads_nothing_of_the_ring),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
