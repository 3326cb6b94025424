/* The judge of chains: a table of rings that a hostile guest might write, and of odd ones that are allowed.
 * Each row is a test of its own name; each refusal also proves that nothing changed but the fault.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_walk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit_core/guest.h"

#define SIZE    8u /* ring size where a row says nothing else */
#define LIMIT   LIMIT_CHAIN_BYTES
#define TABLE   SCRATCH        /* indirect table where a row says nothing else */
#define CROSS   (BUFFERS - 24) /* a table here crosses two regions in the middle of its second descriptor */
#define RO_END  (READ_ONLY + 0x1000)
#define BUF_END (BUFFERS + 0x10000)

struct line {
        uint64_t addr;
        uint32_t len;
        unsigned flags;
        uint16_t next;
};

struct row {
        const char *name;
        struct line ring[8];               /* descriptors 0..; those with no length and no flags stay zero */
        struct line table[4];              /* of the indirect table */
        uint64_t table_at;                 /* 0: TABLE */
        uint16_t size, head, max_segments; /* 0: SIZE, 0, the ring size */
        bool no_indirect;
        void (*arrange)(struct guest *guest);
        enum queue_fault fault;
        uint16_t n_readable, n_writable; /* of an accepted chain */
        uint32_t readable, writable;
};

#define GOOD(r, w, bytes_r, bytes_w)                                                                         \
        .n_readable = (r), .n_writable = (w), .readable = (bytes_r), .writable = (bytes_w)
#define BAD(what)  .fault = QUEUE_FAULT_##what
#define VIA(bytes) .ring = {{TABLE, (bytes), INDIRECT, 0}}

/* A chain of n one-byte buffers, in the ring or in a table. */
static void string_of(struct guest *guest, uint64_t table, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++)
                guest_describe_in(guest, table, i, BUFFERS + i, 1, i + 1 < n ? NEXT : 0, (uint16_t)(i + 1));
}

static void string_of_ring_size(struct guest *guest)
{
        string_of(guest, RING_DESC, guest->layout.size);
}

static void ring_that_never_ends(struct guest *guest)
{
        for (uint16_t i = 0; i < guest->layout.size; i++)
                guest_describe(guest, i, BUFFERS, 1, NEXT, (uint16_t)((i + 1) % guest->layout.size));
}

static void table_of_ring_size(struct guest *guest)
{
        string_of(guest, TABLE, guest->layout.size);
        guest_describe(guest, 0, TABLE, 16u * guest->layout.size, INDIRECT, 0);
}

static void table_of_ring_size_and_one(struct guest *guest)
{
        string_of(guest, TABLE, guest->layout.size + 1u);
        guest_describe(guest, 0, TABLE, 16u * (guest->layout.size + 1u), INDIRECT, 0);
}

/* One direct descriptor before a table that fills the ring size alone: one too many together. */
static void direct_and_full_table(struct guest *guest)
{
        string_of(guest, TABLE, guest->layout.size);
        guest_describe(guest, 0, BUFFERS, 1, NEXT, 1);
        guest_describe(guest, 1, TABLE, 16u * guest->layout.size, INDIRECT, 0);
}

static void direct_and_table_of_one_less(struct guest *guest)
{
        string_of(guest, TABLE, guest->layout.size - 1u);
        guest_describe(guest, 0, BUFFERS, 1, NEXT, 1);
        guest_describe(guest, 1, TABLE, 16u * guest->layout.size, INDIRECT, 0);
}

static void table_backwards(struct guest *guest)
{
        uint32_t n = guest->layout.size;

        guest_describe_in(guest, TABLE, 0, BUFFERS, 1, NEXT, (uint16_t)(n - 1));
        for (uint32_t i = n - 1; i > 0; i--)
                guest_describe_in(guest, TABLE, i, BUFFERS + i, 1, i > 1 ? NEXT : 0, (uint16_t)(i - 1));
        guest_describe(guest, 0, TABLE, 16u * n, INDIRECT, 0);
}

static void table_in_a_loop_over_windows(struct guest *guest)
{
        string_of(guest, TABLE, 64);
        guest_describe_in(guest, TABLE, 63, BUFFERS, 1, NEXT, 0);
        guest_describe(guest, 0, TABLE, 16 * 64, INDIRECT, 0);
}

static void available_far_ahead(struct guest *guest)
{
        guest_put16(guest, RING_AVAIL + 2, (uint16_t)(guest->queue.last_avail + guest->layout.size + 1));
}

static void available_exactly_a_ring_ahead(struct guest *guest)
{
        string_of(guest, RING_DESC, 1);
        guest_put16(guest, RING_AVAIL + 2, (uint16_t)(guest->queue.last_avail + guest->layout.size));
}

static void available_one_behind(struct guest *guest)
{
        guest_put16(guest, RING_AVAIL + 2, (uint16_t)(guest->queue.last_avail - 1));
}

static void available_half_the_numbers_ahead(struct guest *guest)
{
        guest_put16(guest, RING_AVAIL + 2, (uint16_t)(guest->queue.last_avail + 0x8000));
}

static const struct row rows[] = {
    /* ---- chains that are fine ---- */
    {"one_readable_buffer", .ring = {{BUFFERS, 16, 0, 0}}, GOOD(1, 0, 16, 0)},
    {"one_writable_buffer", .ring = {{BUFFERS, 16, WRITE, 0}}, GOOD(0, 1, 0, 16)},
    {"readable_then_writable",
     .ring = {{BUFFERS, 16, NEXT, 1}, {BUFFERS, 512, NEXT | WRITE, 2}, {BUFFERS, 1, WRITE, 0}},
     GOOD(1, 2, 16, 513)},
    {"head_is_the_last_descriptor", .ring = {[7] = {BUFFERS, 1, 0, 0}}, .head = 7, GOOD(1, 0, 1, 0)},
    {"next_is_the_last_descriptor", .ring = {{BUFFERS, 1, NEXT, 7}, [7] = {BUFFERS, 2, 0, 0}},
     GOOD(2, 0, 3, 0)},
    {"next_without_its_flag_is_not_looked_at", .ring = {{BUFFERS, 1, 0, 0xffff}}, GOOD(1, 0, 1, 0)},
    {"unknown_flags_mean_nothing", .ring = {{BUFFERS, 1, 0xfff8, 0xffff}}, GOOD(1, 0, 1, 0)},
    {"same_buffer_twice_in_a_chain", .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, 0, 0}}, GOOD(2, 0, 2, 0)},
    {"chain_as_long_as_the_ring", .arrange = string_of_ring_size, GOOD(8, 0, 8, 0)},
    {"chain_as_long_as_the_largest_ring", .size = 1024, .arrange = string_of_ring_size,
     GOOD(1024, 0, 1024, 0)},
    {"ring_of_one", .size = 1, .ring = {{BUFFERS, 1, 0, 0}}, GOOD(1, 0, 1, 0)},
    {"buffer_over_two_adjacent_regions", .ring = {{BUFFERS - 8, 16, WRITE, 0}}, GOOD(0, 1, 0, 16)},
    {"indices_just_a_ring_apart", .arrange = available_exactly_a_ring_ahead, GOOD(1, 0, 1, 0)},

    /* ---- loops ---- */
    {"descriptor_that_follows_itself", .ring = {{BUFFERS, 1, NEXT, 0}}, BAD(LOOP)},
    {"writable_descriptor_that_follows_itself", .ring = {{BUFFERS, 1, NEXT | WRITE, 0}}, BAD(LOOP)},
    {"two_descriptors_in_a_circle", .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, NEXT, 0}}, BAD(LOOP)},
    {"circle_behind_a_good_start",
     .ring = {{BUFFERS, 1, NEXT, 3}, [3] = {BUFFERS, 1, NEXT, 4}, {BUFFERS, 1, NEXT, 3}}, BAD(LOOP)},
    {"last_descriptor_leads_to_the_first", .arrange = ring_that_never_ends, BAD(LOOP)},
    {"loop_through_the_largest_ring", .size = 1024, .arrange = ring_that_never_ends, BAD(LOOP)},
    {"ring_of_one_that_follows_itself", .size = 1, .ring = {{BUFFERS, 1, NEXT, 0}}, BAD(LOOP)},
    {"loop_ends_at_the_devices_segments", .ring = {{BUFFERS, 1, NEXT, 0}}, .max_segments = 3, BAD(SEGMENTS)},
    {"loop_of_large_buffers_ends_at_the_bytes", .ring = {{LARGE, LIMIT / 4, NEXT, 0}}, BAD(LENGTH)},
    {"loop_of_empty_buffers", .ring = {{BUFFERS, 0, NEXT, 0}}, BAD(LENGTH)},

    /* ---- next and head ---- */
    {"next_is_the_ring_size", .ring = {{BUFFERS, 1, NEXT, 8}}, BAD(NEXT)},
    {"next_is_one_past_the_ring_size", .ring = {{BUFFERS, 1, NEXT, 9}}, BAD(NEXT)},
    {"next_is_0xffff", .ring = {{BUFFERS, 1, NEXT, 0xffff}}, BAD(NEXT)},
    {"head_is_the_ring_size", .head = 8, BAD(HEAD)},
    {"head_is_one_past_the_ring_size", .head = 9, BAD(HEAD)},
    {"head_is_beyond_the_bitmap", .head = 1024, BAD(HEAD)},
    {"head_is_0xffff", .head = 0xffff, BAD(HEAD)},
    {"head_one_in_a_ring_of_one", .size = 1, .head = 1, BAD(HEAD)},

    /* ---- available index ---- */
    {"available_index_one_ring_and_one_ahead", .arrange = available_far_ahead, BAD(AVAIL)},
    {"available_index_one_behind", .arrange = available_one_behind, BAD(AVAIL)},
    {"available_index_half_way_round", .arrange = available_half_the_numbers_ahead, BAD(AVAIL)},
    {"available_index_ahead_of_the_largest_ring", .size = 1024, .arrange = available_far_ahead, BAD(AVAIL)},

    /* ---- indirect tables ---- */
    {"indirect_table_of_two", VIA(32), .table = {{BUFFERS, 4, NEXT, 1}, {BUFFERS, 5, WRITE, 0}},
     GOOD(1, 1, 4, 5)},
    {"indirect_table_of_one", VIA(16), .table = {{BUFFERS, 4, 0, 0}}, GOOD(1, 0, 4, 0)},
    {"indirect_with_write_flag_is_the_same", .ring = {{TABLE, 16, INDIRECT | WRITE, 0}},
     .table = {{BUFFERS, 4, 0, 0}}, GOOD(1, 0, 4, 0)},
    {"direct_descriptors_then_one_indirect", .ring = {{BUFFERS, 3, NEXT, 1}, {TABLE, 32, INDIRECT, 0}},
     .table = {{BUFFERS, 4, NEXT, 1}, {BUFFERS, 5, WRITE, 0}}, GOOD(2, 1, 7, 5)},
    {"indirect_table_need_not_be_aligned", .ring = {{TABLE + 1, 32, INDIRECT, 0}}, .table_at = TABLE + 1,
     .table = {{BUFFERS, 4, NEXT, 1}, {BUFFERS, 5, WRITE, 0}}, GOOD(1, 1, 4, 5)},
    {"indirect_table_over_two_adjacent_regions", .ring = {{CROSS, 48, INDIRECT, 0}}, .table_at = CROSS,
     .table = {{BUFFERS + 64, 4, NEXT, 1}, {BUFFERS + 68, 5, NEXT, 2}, {BUFFERS + 73, 6, WRITE, 0}},
     GOOD(2, 1, 9, 6)},
    {"indirect_table_in_read_only_memory", .ring = {{READ_ONLY, 16, INDIRECT, 0}}, .table_at = READ_ONLY,
     .table = {{BUFFERS, 4, 0, 0}}, GOOD(1, 0, 4, 0)},
    {"indirect_table_ends_with_its_region", .ring = {{BUF_END - 16, 16, INDIRECT, 0}},
     .table_at = BUF_END - 16, .table = {{BUFFERS, 4, 0, 0}}, GOOD(1, 0, 4, 0)},
    {"indirect_table_of_the_ring_size", .arrange = table_of_ring_size, GOOD(8, 0, 8, 0)},
    {"indirect_table_of_the_largest_ring_size", .size = 1024, .arrange = table_of_ring_size,
     GOOD(1024, 0, 1024, 0)},
    {"indirect_table_walked_backwards", .size = 256, .arrange = table_backwards, GOOD(256, 0, 256, 0)},
    {"direct_and_indirect_together_as_long_as_the_ring", .arrange = direct_and_table_of_one_less,
     GOOD(8, 0, 8, 0)},
    {"indirect_table_of_one_more_than_the_ring", .arrange = table_of_ring_size_and_one, BAD(INDIRECT)},
    {"direct_and_indirect_together_longer_than_the_ring", .arrange = direct_and_full_table, BAD(LOOP)},
    {"indirect_not_negotiated", VIA(16), .table = {{BUFFERS, 4, 0, 0}}, .no_indirect = true, BAD(INDIRECT)},
    {"indirect_of_no_bytes", VIA(0), BAD(INDIRECT)},
    {"indirect_of_15_bytes", VIA(15), .table = {{BUFFERS, 4, 0, 0}}, BAD(INDIRECT)},
    {"indirect_of_17_bytes", VIA(17), .table = {{BUFFERS, 4, 0, 0}}, BAD(INDIRECT)},
    {"indirect_of_all_bytes", VIA(UINT32_MAX), BAD(INDIRECT)},
    {"indirect_of_almost_all_bytes", VIA(0xfffffff0), BAD(INDIRECT)},
    {"indirect_with_next", .ring = {{TABLE, 16, INDIRECT | NEXT, 1}, {BUFFERS, 1, 0, 0}},
     .table = {{BUFFERS, 4, 0, 0}}, BAD(INDIRECT)},
    {"indirect_in_an_indirect_table", VIA(32), .table = {{BUFFERS, 4, NEXT, 1}, {TABLE, 16, INDIRECT, 0}},
     BAD(INDIRECT)},
    {"indirect_table_that_names_itself", VIA(16), .table = {{TABLE, 16, INDIRECT, 0}}, BAD(INDIRECT)},
    {"indirect_table_in_a_hole", .ring = {{HOLE, 16, INDIRECT, 0}}, BAD(ADDRESS)},
    {"indirect_table_whose_end_is_in_a_hole", .ring = {{BUF_END - 16, 32, INDIRECT, 0}},
     .table_at = BUF_END - 16, .table = {{BUFFERS, 4, 0, 0}}, BAD(ADDRESS)},
    {"indirect_table_that_wraps", .ring = {{UINT64_MAX - 15, 32, INDIRECT, 0}}, BAD(ADDRESS)},
    {"indirect_table_at_the_last_address", .ring = {{UINT64_MAX, 16, INDIRECT, 0}}, BAD(ADDRESS)},
    {"next_is_the_table_size", VIA(32), .table = {{BUFFERS, 4, NEXT, 2}}, BAD(NEXT)},
    {"next_beyond_the_table_but_inside_the_ring", VIA(16),
     .table = {{BUFFERS, 4, NEXT, 1}, {BUFFERS, 4, 0, 0}}, BAD(NEXT)},
    {"next_of_a_table_is_0xffff", VIA(32), .table = {{BUFFERS, 4, NEXT, 0xffff}}, BAD(NEXT)},
    {"table_descriptor_that_follows_itself", VIA(16), .table = {{BUFFERS, 4, NEXT, 0}}, BAD(LOOP)},
    {"two_table_descriptors_in_a_circle", VIA(32), .table = {{BUFFERS, 4, NEXT, 1}, {BUFFERS, 4, NEXT, 0}},
     BAD(LOOP)},
    {"circle_of_a_table_longer_than_the_window", .size = 64, .arrange = table_in_a_loop_over_windows,
     BAD(LOOP)},
    {"empty_buffer_in_a_table", VIA(16), .table = {{BUFFERS, 0, 0, 0}}, BAD(LENGTH)},

    /* ---- lengths ---- */
    {"buffer_of_no_bytes", .ring = {{BUFFERS, 0, 0, 0}}, BAD(LENGTH)},
    {"writable_buffer_of_no_bytes", .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 0, WRITE, 0}}, BAD(LENGTH)},
    {"buffer_of_one_byte", .ring = {{BUFFERS, 1, 0, 0}}, GOOD(1, 0, 1, 0)},
    {"bytes_one_under_the_limit", .ring = {{LARGE, LIMIT - 1, 0, 0}}, GOOD(1, 0, LIMIT - 1, 0)},
    {"bytes_at_the_limit", .ring = {{LARGE, LIMIT, WRITE, 0}}, GOOD(0, 1, 0, LIMIT)},
    {"bytes_one_over_the_limit", .ring = {{LARGE, LIMIT + 1, 0, 0}}, BAD(LENGTH)},
    {"sum_at_the_limit", .ring = {{LARGE, LIMIT - 1, NEXT, 1}, {BUFFERS, 1, WRITE, 0}},
     GOOD(1, 1, LIMIT - 1, 1)},
    {"sum_one_over_the_limit", .ring = {{LARGE, LIMIT, NEXT, 1}, {BUFFERS, 1, WRITE, 0}}, BAD(LENGTH)},
    {"three_buffers_of_all_bytes",
     .ring = {{LARGE, UINT32_MAX, NEXT, 1}, {LARGE, UINT32_MAX, NEXT, 2}, {LARGE, UINT32_MAX, 0, 0}},
     BAD(LENGTH)},
    {"sum_that_is_small_in_32_bits", .ring = {{BUFFERS, 16, NEXT, 1}, {LARGE, 0xfffffff1, 0, 0}},
     BAD(LENGTH)},

    /* ---- addresses ---- */
    {"first_byte_of_a_region", .ring = {{LARGE, 1, WRITE, 0}}, GOOD(0, 1, 0, 1)},
    {"last_byte_of_a_region", .ring = {{BUF_END - 1, 1, WRITE, 0}}, GOOD(0, 1, 0, 1)},
    {"one_byte_past_a_region", .ring = {{BUF_END, 1, 0, 0}}, BAD(ADDRESS)},
    {"one_byte_before_a_region", .ring = {{LARGE - 1, 1, 0, 0}}, BAD(ADDRESS)},
    {"buffer_that_starts_before_a_region", .ring = {{RINGS - 1, 2, 0, 0}}, BAD(ADDRESS)},
    {"buffer_that_ends_past_a_region", .ring = {{BUF_END - 1, 2, 0, 0}}, BAD(ADDRESS)},
    {"buffer_in_a_hole", .ring = {{HOLE, 16, 0, 0}}, BAD(ADDRESS)},
    {"buffer_over_a_hole", .ring = {{BUF_END - 16, 0x20000, 0, 0}}, BAD(ADDRESS)},
    {"buffer_at_address_zero", .ring = {{0, 16, 0, 0}}, BAD(ADDRESS)},
    {"buffer_that_wraps", .ring = {{UINT64_MAX, 2, 0, 0}}, BAD(ADDRESS)},
    {"buffer_at_the_last_address", .ring = {{UINT64_MAX, 1, 0, 0}}, BAD(ADDRESS)},
    {"buffer_in_the_topmost_region", .ring = {{TOP, 0x1000, WRITE, 0}}, GOOD(0, 1, 0, 0x1000)},
    {"buffer_past_the_topmost_region", .ring = {{TOP, 0x1001, WRITE, 0}}, BAD(ADDRESS)},
    {"buffer_from_the_topmost_region_over_the_top", .ring = {{TOP + 0x800, 0x1800, 0, 0}}, BAD(ADDRESS)},
    {"read_only_memory_can_be_read", .ring = {{READ_ONLY, 0x1000, 0, 0}}, GOOD(1, 0, 0x1000, 0)},
    {"read_only_memory_as_a_writable_buffer", .ring = {{READ_ONLY, 16, WRITE, 0}}, BAD(ADDRESS)},
    {"last_byte_of_read_only_memory_as_writable", .ring = {{RO_END - 1, 1, WRITE, 0}}, BAD(ADDRESS)},
    {"bad_buffer_behind_good_ones",
     .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, NEXT, 2}, {HOLE, 1, WRITE, 0}}, BAD(ADDRESS)},

    /* ---- order and segments ---- */
    {"readable_behind_writable", .ring = {{BUFFERS, 1, NEXT | WRITE, 1}, {BUFFERS, 1, 0, 0}}, BAD(ORDER)},
    {"readable_table_behind_direct_writable",
     .ring = {{BUFFERS, 1, NEXT | WRITE, 1}, {TABLE, 16, INDIRECT, 0}}, .table = {{BUFFERS, 1, 0, 0}},
     BAD(ORDER)},
    {"segments_at_the_devices_maximum", .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, WRITE, 0}},
     .max_segments = 2, GOOD(1, 1, 1, 1)},
    {"segments_one_over_the_devices_maximum",
     .ring = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, NEXT, 2}, {BUFFERS, 1, WRITE, 0}}, .max_segments = 2,
     BAD(SEGMENTS)},
    {"segments_over_the_maximum_in_a_table", VIA(32), .table = {{BUFFERS, 1, NEXT, 1}, {BUFFERS, 1, 0, 0}},
     .max_segments = 1, BAD(SEGMENTS)},
};

static uint64_t sum_of_memory(const struct guest *guest)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < 0x100000; i += 8) {
                uint64_t word;

                memcpy(&word, guest->bytes + i, sizeof(word));
                sum = (sum ^ word) * UINT64_C(0x100000001b3);
        }
        return sum;
}

static void arrange(struct guest *guest, const struct row *row)
{
        guest->features.indirect = !row->no_indirect;
        guest_start(guest, row->size ? row->size : SIZE, 65530);
        for (unsigned i = 0; i < 8; i++) {
                const struct line *line = &row->ring[i];

                if (line->addr || line->len || line->flags)
                        guest_describe(guest, (uint16_t)i, line->addr, line->len, line->flags, line->next);
        }
        for (unsigned i = 0; i < 4; i++) {
                const struct line *line = &row->table[i];

                if (line->addr)
                        guest_describe_in(guest, row->table_at ? row->table_at : TABLE, i, line->addr,
                                          line->len, line->flags, line->next);
        }
        guest_post(guest, row->head);
        if (row->arrange)
                row->arrange(guest);
}

/* A broken queue says so to every call, changes nothing, and is whole again after the next start. */
static void check_broken(struct guest *guest, const struct row *row)
{
        uint64_t before = sum_of_memory(guest);

        assert_string_equal(queue_fault_name(guest->queue.fault), queue_fault_name(row->fault));
        assert_int_equal(guest->queue.outstanding, 0);
        assert_int_equal(guest->queue.last_avail, 65530);
        assert_int_equal(guest_pop(guest, 8), -EPROTO);
        assert_int_equal(queue_push(&guest->queue, row->head, 0), -EPROTO);
        assert_int_equal(queue_publish(&guest->queue), -EPROTO);
        assert_int_equal(queue_want_kicks(&guest->queue), -EPROTO);
        assert_int_equal(queue_no_kicks(&guest->queue), -EPROTO);
        assert_int_equal(queue_rebind(&guest->queue, guest->memory), -EPROTO);
        assert_true(before == sum_of_memory(guest));
        assert_int_equal(queue_stop(&guest->queue), 65530);

        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, BUFFERS, 1, 0, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 8), 1);
        assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
}

static void check_chain(struct guest *guest, const struct row *row)
{
        const struct chain *chain = &guest->chain;
        uint64_t sums[2] = {0, 0};

        assert_int_equal(chain->head, row->head);
        assert_int_equal(chain->n_readable, row->n_readable);
        assert_int_equal(chain->n_writable, row->n_writable);
        assert_int_equal(chain->readable, row->readable);
        assert_int_equal(chain->writable, row->writable);
        for (unsigned i = 0; i < (unsigned)chain->n_readable + chain->n_writable; i++) {
                assert_true(chain->segments[i].len > 0);
                sums[i >= chain->n_readable] += chain->segments[i].len;
        }
        assert_true(sums[0] == row->readable && sums[1] == row->writable);
        assert_int_equal(guest->queue.outstanding, 1);
        assert_int_equal(guest->queue.last_avail, 65531);
        assert_int_equal(queue_push(&guest->queue, row->head, row->writable), 0);
        assert_int_equal(guest->queue.outstanding, 0);
}

static void check_row(void **state)
{
        const struct row *row = *state;
        struct guest *guest = guest_new();
        uint16_t max_segments = row->max_segments ? row->max_segments : LIMIT_RING_SIZE;
        uint64_t before;

        arrange(guest, row);
        before = sum_of_memory(guest);
        if (row->fault == QUEUE_FAULT_NONE) {
                assert_int_equal(guest_pop(guest, max_segments), 1);
                check_chain(guest, row);
        } else {
                assert_int_equal(guest_pop(guest, max_segments), -EPROTO);
                assert_true(before == sum_of_memory(guest));
                check_broken(guest, row);
        }
        guest_free(guest);
}

/* Segments in full, where the rows only count. */
static void table_over_two_regions_is_read_right(void **state)
{
        static const uint32_t lens[] = {4, 5, 6, 7};

        (void)state;
        for (uint64_t at = BUFFERS - 80; at <= BUFFERS + 16; at++) {
                struct guest *guest = guest_new();

                guest_start(guest, SIZE, 0);
                for (uint32_t i = 0; i < 4; i++)
                        guest_describe_in(guest, at, i, LARGE + i, lens[i], i < 3 ? NEXT : WRITE,
                                          (uint16_t)(i + 1));
                guest_describe(guest, 5, at, 64, INDIRECT, 0);
                guest_post(guest, 5);
                assert_int_equal(guest_pop(guest, 4), 1);
                for (uint32_t i = 0; i < 4; i++)
                        assert_true(guest->segments[i].at.v == LARGE + i &&
                                    guest->segments[i].len == lens[i]);
                guest_free(guest);
        }
}

/* What an earlier walk has read must not stand in for the descriptors that are not there. */
static void empty_table_reads_nothing_left_over(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        guest_start(guest, SIZE, 0);
        guest_describe_in(guest, TABLE, 0, BUFFERS, 1, 0, 0);
        guest_describe(guest, 0, TABLE, 16, INDIRECT, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, SIZE), 1);
        guest_describe(guest, 1, TABLE, 0, INDIRECT, 0);
        guest_post(guest, 1);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_INDIRECT);
        guest_free(guest);
}

/* Every bit of a descriptor flipped: the outcome is a chain that memory covers, or a fault; never anything
 * else. */
static void flipped_bits_never_pass_the_judge(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        for (unsigned bit = 0; bit < 128; bit++) {
                guest_start(guest, SIZE, 0);
                guest_describe(guest, 0, BUFFERS, 16, NEXT, 1);
                guest_describe(guest, 1, BUFFERS + 16, 512, WRITE, 0);
                *guest_at(guest, RING_DESC + bit / 8) ^= (uint8_t)(1u << (bit % 8));
                guest_post(guest, 0);
                if (guest_pop(guest, SIZE) == 1) {
                        for (unsigned i = 0; i < (unsigned)guest->chain.n_readable + guest->chain.n_writable;
                             i++)
                                assert_true(guest_memory_covers(guest->memory, guest->segments[i].at,
                                                                guest->segments[i].len,
                                                                i >= guest->chain.n_readable));
                        assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
                } else {
                        assert_int_not_equal(guest->queue.fault, QUEUE_FAULT_NONE);
                        assert_int_equal(guest->queue.outstanding, 0);
                }
                queue_stop(&guest->queue);
        }
        guest_free(guest);
}

static void table_in_memory_that_was_truncated_breaks_the_queue(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        guest_start(guest, SIZE, 0);
        guest_describe(guest, 0, LARGE, 16, INDIRECT, 0);
        guest_describe_in(guest, LARGE, 0, BUFFERS, 1, 0, 0);
        guest_post(guest, 0);
        assert_int_equal(ftruncate(guest->fd, 0x100000), 0);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
        guest_free(guest);
}

int main(void)
{
        const size_t n_rows = sizeof(rows) / sizeof(rows[0]);
        struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0]) + 4];
        const struct CMUnitTest more[] = {
            cmocka_unit_test(table_over_two_regions_is_read_right),
            cmocka_unit_test(empty_table_reads_nothing_left_over),
            cmocka_unit_test(flipped_bits_never_pass_the_judge),
            cmocka_unit_test(table_in_memory_that_was_truncated_breaks_the_queue),
        };

        for (size_t i = 0; i < n_rows; i++)
                tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                               .test_func = check_row,
                                               .initial_state = (void *)(uintptr_t)&rows[i]};
        memcpy(&tests[n_rows], more, sizeof(more));
        return cmocka_run_group_tests(tests, NULL, NULL);
}
