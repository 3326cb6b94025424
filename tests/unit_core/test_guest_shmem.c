/* Ranges with holes in guest memory: what of a chain may lie there, what may not, and what the copies make of it.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/queue_walk.h"
#include "proto/base/limits.h"
#include "tests/unit_core/guest.h"

#define PAGE  UINT64_C(4096)
#define SHMEM UINT64_C(0x200000) /* the range, ... */
#define LEN   (8 * PAGE)
#define END   (SHMEM + LEN)
#define FIRST                                                                                                \
        (SHMEM +                                                                                             \
         PAGE) /* ... and what is mapped in it: a page, a hole of one, two of which the second cannot be written */
#define SECOND (SHMEM + 3 * PAGE)
#define FIXED  (SHMEM + 4 * PAGE)

static int add(struct guest *guest, uint64_t start, uint64_t len, uint64_t offset, bool writable)
{
        struct guest_mapping *mapping;
        struct guest_memory *with;
        int r;

        assert_int_equal(guest_mapping_new(guest->fd, offset, len, writable, &mapping), 0);
        r = guest_memory_with(
            guest->memory,
            &(struct guest_region){.start = GPA(start), .len = len, .mapping = mapping, .writable = writable},
            &with);
        guest_mapping_unref(mapping);
        if (r == 0)
                guest->memory = (guest_memory_unref(guest->memory), with);
        return r;
}

static int add_range(struct guest *guest, uint64_t start, uint64_t len)
{
        struct guest_memory *with = NULL;
        int r = guest_memory_with_shmem(guest->memory, GPA(start), len, &with);

        if (r == 0)
                guest->memory = (guest_memory_unref(guest->memory), with);
        else
                assert_null(with);
        return r;
}

static struct guest *begin(void **state)
{
        struct guest *guest = *state;

        assert_int_equal(add_range(guest, SHMEM, LEN), 0);
        assert_int_equal(add(guest, FIRST, PAGE, 0, true), 0);
        assert_int_equal(add(guest, SECOND, PAGE, PAGE, true), 0);
        assert_int_equal(add(guest, FIXED, PAGE, 2 * PAGE, false), 0);
        return guest;
}

/* ---- the table ---- */

static void a_range_goes_when_nothing_is_mapped_there(void **state)
{
        struct guest *guest = begin(state);
        struct guest_memory *without = NULL;

        assert_int_equal(guest_memory_without_shmem(guest->memory, GPA(SHMEM), LEN - PAGE, &without),
                         -ENOENT);
        assert_int_equal(guest_memory_without_shmem(guest->memory, GPA(BUFFERS), PAGE, &without), -ENOENT);
        assert_int_equal(guest_memory_without_shmem(guest->memory, GPA(SHMEM), LEN, &without), -EBUSY);
        assert_null(without);
        assert_int_equal(add_range(guest, END + PAGE, PAGE), 0);
        assert_int_equal(guest_memory_without_shmem(guest->memory, GPA(END + PAGE), PAGE, &without), 0);
        assert_false(guest_memory_covers(without, GPA(END + PAGE), 1, false));
        assert_true(guest_memory_covers(without, GPA(SHMEM), LEN, true));
        assert_true(guest_memory_covers(guest->memory, GPA(END + PAGE), PAGE, true));
        assert_int_equal(guest_memory_bytes(without), guest_memory_bytes(guest->memory));
        guest_memory_unref(without);
}

static void a_range_overlaps_nothing(void **state)
{
        struct guest *guest = begin(state);

        assert_int_equal(add_range(guest, 0, 0), -EINVAL);
        assert_int_equal(add_range(guest, UINT64_MAX - PAGE + 1, PAGE), -EINVAL);
        assert_int_equal(add_range(guest, SHMEM, LEN), -EEXIST);
        assert_int_equal(add_range(guest, END - 1, PAGE), -EEXIST);
        assert_int_equal(add_range(guest, BUFFERS - 1, 1), -EEXIST);
        assert_int_equal(add_range(guest, HOLE - 1, 2), -EEXIST);
        assert_int_equal(add_range(guest, HOLE, READ_ONLY - HOLE), 0); /* adjacent to both sides */
        assert_int_equal(add_range(guest, END, PAGE), 0);
}

static void a_region_lies_wholly_in_a_range_or_outside(void **state)
{
        struct guest *guest = begin(state);

        assert_int_equal(add(guest, SHMEM - PAGE, 2 * PAGE, 0, true), -EINVAL);
        assert_int_equal(add(guest, END - PAGE, 2 * PAGE, 0, true), -EINVAL);
        assert_int_equal(add(guest, SHMEM - PAGE, LEN + 2 * PAGE, 0, true), -EINVAL);
        assert_int_equal(add(guest, FIRST, PAGE, 0, true), -EEXIST);
        assert_int_equal(add(guest, SHMEM, PAGE, 0, true), 0);
        assert_int_equal(add(guest, SHMEM - PAGE, PAGE, 0, true), 0);
        assert_int_equal(add(guest, END - PAGE, PAGE, 0, true), 0);
        assert_int_equal(add(guest, END, PAGE, 0, true), 0);
}

static void ranges_stay_when_regions_come_and_go(void **state)
{
        struct guest *guest = begin(state);
        struct guest_memory *without;

        assert_int_equal(guest_memory_without(guest->memory, GPA(FIRST), PAGE, &without), 0);
        assert_true(guest_memory_covers(without, GPA(SHMEM), LEN, true));
        assert_int_equal(guest_memory_bytes(without) + PAGE, guest_memory_bytes(guest->memory));
        guest_memory_unref(without);
}

static void a_table_holds_exactly_the_limit_of_ranges(void **state)
{
        struct guest *guest = *state;

        for (uint64_t i = 0; i < LIMIT_REGIONS; i++)
                assert_int_equal(add_range(guest, SHMEM + 2 * i * PAGE, PAGE), 0);
        assert_int_equal(add_range(guest, SHMEM + 2 * LIMIT_REGIONS * PAGE, PAGE), -E2BIG);
}

/* ---- what may lie there ---- */

static void a_buffer_may_lie_in_a_range_whatever_is_mapped(void **state)
{
        const struct guest *guest = begin(state);
        static const struct {
                uint64_t at, len;
                bool covers, has;
        } rows[] = {
            {SHMEM, LEN, true, true},     {SHMEM, 1, true, true},           {END - 1, 1, true, true},
            {FIXED, 1, true, true}, /* also to be written: that is found by the copy */
            {SHMEM - 1, 1, false, false}, {SHMEM - 1, 2, false, true},      {END - 1, 2, false, true},
            {END, 1, false, false},       {SHMEM, UINT64_MAX, false, true}, {UINT64_MAX, 1, false, false},
            {BUFFERS, 64, true, false},   {RINGS, 0x20000, true, false},    {HOLE - 1, 2, false, false},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(guest_memory_covers(guest->memory, GPA(rows[i].at), rows[i].len, true),
                                 rows[i].covers);
                assert_int_equal(guest_memory_has_shmem(guest->memory, GPA(rows[i].at), rows[i].len),
                                 rows[i].has);
                assert_int_equal(guest_memory_covers_whole(guest->memory, GPA(rows[i].at), rows[i].len, true),
                                 rows[i].covers && !rows[i].has);
        }
}

/* RAM, a range right behind it, and RAM again. */
static void a_buffer_may_go_from_memory_into_a_range_and_out_again(void **state)
{
        struct guest *guest = *state;

        assert_int_equal(add_range(guest, HOLE, READ_ONLY - HOLE), 0);
        assert_true(guest_memory_covers(guest->memory, GPA(RINGS), READ_ONLY + PAGE - RINGS, false));
        assert_false(guest_memory_covers(guest->memory, GPA(RINGS), READ_ONLY + PAGE - RINGS, true));
        assert_true(guest_memory_covers(guest->memory, GPA(RINGS), READ_ONLY - RINGS, true));
        assert_false(guest_memory_covers(guest->memory, GPA(RINGS), READ_ONLY + PAGE - RINGS + 1, false));
}

static void no_ring_lies_in_a_range(void **state)
{
        const struct guest *guest = begin(state);

        assert_null(guest_memory_ring(guest->memory, GPA(FIRST), 16, 16, true));
        assert_null(guest_memory_ring(guest->memory, GPA(FIXED), 16, 16, false));
        assert_null(guest_memory_ring(guest->memory, GPA(SHMEM), 16, 16, false));
        assert_non_null(guest_memory_ring(guest->memory, GPA(RINGS), 16, 16, true));
}

static void a_queue_whose_ring_lies_in_a_range_does_not_start(void **state)
{
        struct guest *guest = begin(state);
        struct queue_layout *const layout = &guest->layout;
        gpa_t *const parts[] = {&layout->desc, &layout->avail, &layout->used};

        guest_layout(guest, 8);
        for (unsigned i = 0; i < 3; i++) {
                gpa_t before = *parts[i];

                *parts[i] = GPA(FIRST);
                assert_int_equal(queue_start(&guest->queue, guest->memory, layout, &guest->features, 0),
                                 -EFAULT);
                *parts[i] = before;
        }
        assert_int_equal(queue_start(&guest->queue, guest->memory, layout, &guest->features, 0), 0);
}

static void the_walk_takes_buffers_there_and_no_tables(void **state)
{
        struct guest *guest = begin(state);

        guest_start(guest, 8, 0);
        guest_describe(guest, 0, SHMEM, (uint32_t)LEN, WRITE, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 8), 1);
        assert_int_equal(guest->chain.writable, LEN);
        guest_describe_in(guest, SCRATCH, 0, FIRST, 8, 0, 0);
        guest_describe(guest, 1, SCRATCH, 16, INDIRECT, 0);
        guest_post(guest, 1);
        assert_int_equal(guest_pop(guest, 8), 1);
        guest_describe(guest, 2, FIRST, 16, INDIRECT, 0); /* a table that would be there */
        guest_post(guest, 2);
        assert_int_equal(guest_pop(guest, 8), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
}

static void the_walk_takes_no_buffer_that_goes_over_the_end(void **state)
{
        struct guest *guest = begin(state);

        guest_start(guest, 8, 0);
        guest_describe(guest, 0, END - 1, 2, WRITE, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 8), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
}

/* ---- copies ---- */

static void copies_find_what_is_mapped_and_fail_at_holes(void **state)
{
        const struct guest *guest = begin(state);
        static const struct {
                uint64_t at, len;
                bool read, write;
        } rows[] = {
            {FIRST, PAGE, true, true},    {FIRST, PAGE + 1, false, false},
            {FIRST - 1, 2, false, false}, {FIRST + PAGE, PAGE, false, false},
            {SECOND, PAGE, true, true},   {SECOND, 2 * PAGE, true, false},
            {FIXED, 1, true, false},      {FIXED + PAGE - 1, 2, false, false},
            {SHMEM, 1, false, false},     {END - 1, 1, false, false},
        };
        static uint8_t bytes[LEN];
        struct iovec iov[4];

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                const struct guest_memory *memory = guest->memory;
                gpa_t at = GPA(rows[i].at);
                size_t n = 0;

                assert_int_equal(guest_memory_read(memory, at, bytes, rows[i].len),
                                 rows[i].read ? 0 : -EFAULT);
                assert_int_equal(guest_memory_write(memory, at, bytes, rows[i].len),
                                 rows[i].write ? 0 : -EFAULT);
                assert_int_equal(guest_memory_zero(memory, at, rows[i].len), rows[i].write ? 0 : -EFAULT);
                assert_int_equal(guest_memory_iovec(memory, at, rows[i].len, false, iov, 4, &n),
                                 rows[i].read ? (int64_t)rows[i].len : -EFAULT);
                assert_true(rows[i].read || n == 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(a_range_overlaps_nothing),
            CASE(a_range_goes_when_nothing_is_mapped_there),
            CASE(a_region_lies_wholly_in_a_range_or_outside),
            CASE(ranges_stay_when_regions_come_and_go),
            CASE(a_table_holds_exactly_the_limit_of_ranges),
            CASE(a_buffer_may_lie_in_a_range_whatever_is_mapped),
            CASE(a_buffer_may_go_from_memory_into_a_range_and_out_again),
            CASE(no_ring_lies_in_a_range),
            CASE(a_queue_whose_ring_lies_in_a_range_does_not_start),
            CASE(the_walk_takes_buffers_there_and_no_tables),
            CASE(the_walk_takes_no_buffer_that_goes_over_the_end),
            CASE(copies_find_what_is_mapped_and_fail_at_holes),
        };

        return cmocka_run_group_tests_name("guest_shmem", tests, NULL, NULL);
}
