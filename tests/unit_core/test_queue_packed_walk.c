/* The judge of chains of a packed ring: a table of rings that a hostile guest might write, and of odd ones that
 * are allowed. Each row is a test of its own name, at every place of the ring and for both wrap counters; each
 * refusal also proves that nothing changed but the fault.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue_walk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit_core/packed_pen.h"

#define SIZE    7u /* no power of two */
#define LIMIT   LIMIT_CHAIN_BYTES
#define TABLE   SCRATCH
#define CROSS   (BUFFERS - 24) /* a table here crosses two regions in the middle of its second descriptor */
#define BUF_END (BUFFERS + 0x10000)
#define STALE   0x10000u /* beside the flags: not marked available */

struct line {
        uint64_t addr;
        uint32_t len;
        unsigned flags;
        uint16_t id;
};

struct row {
        const char *name;
        struct line ring[SIZE + 1]; /* from the place on; ends at the first without flags and length */
        struct line table[4];
        uint64_t table_at;           /* 0: TABLE */
        uint16_t max_segments, held; /* 0: the ring size; buffers of one descriptor that are outstanding */
        bool no_indirect;
        enum queue_fault fault;
        uint16_t head, taken; /* of an accepted chain */
        uint16_t n_readable, n_writable;
        uint32_t readable, writable;
};

#define GOOD(h, n, r, w, bytes_r, bytes_w)                                                                   \
        .head = (h), .taken = (n), .n_readable = (r), .n_writable = (w), .readable = (bytes_r),              \
        .writable = (bytes_w)
#define BAD(what)  .fault = QUEUE_FAULT_##what
#define VIA(bytes) .ring = {{TABLE, (bytes), INDIRECT, 3}}
#define B          BUFFERS

/* clang-format off */
static const struct row rows[] = {
    /* ---- chains that are fine ---- */
    {"one_readable_buffer", .ring = {{B, 16, 0, 5}}, GOOD(5, 1, 1, 0, 16, 0)},
    {"one_writable_buffer", .ring = {{B, 16, WRITE, 0}}, GOOD(0, 1, 0, 1, 0, 16)},
    {"id_of_the_last_counts", .ring = {{B, 16, NEXT, 9}, {B, 512, NEXT | WRITE, 0xffff}, {B, 1, WRITE, 2}},
     GOOD(2, 3, 1, 2, 16, 513)},
    {"last_id_of_the_ring", .ring = {{B, 1, 0, SIZE - 1}}, GOOD(SIZE - 1, 1, 1, 0, 1, 0)},
    {"unknown_flags_mean_nothing", .ring = {{B, 1, 0x7f78, 1}}, GOOD(1, 1, 1, 0, 1, 0)},
    {"same_buffer_twice_in_a_chain", .ring = {{B, 1, NEXT, 1}, {B, 1, 0, 1}}, GOOD(1, 2, 2, 0, 2, 0)},
    {"chain_as_long_as_the_ring", .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, NEXT, 0},
     {B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, 0, 4}}, GOOD(4, 7, 7, 0, 7, 0)},
    {"chain_of_all_that_is_left", .held = 4, .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, 0, 6}},
     GOOD(6, 3, 3, 0, 3, 0)},
    {"what_follows_a_chain_is_another", .ring = {{B, 1, 0, 1}, {HOLE, 1, 0, 1}}, GOOD(1, 1, 1, 0, 1, 0)},

    /* ---- ends that are not there ---- */
    {"next_that_is_not_available", .ring = {{B, 1, NEXT, 0}, {B, 1, STALE, 0}}, BAD(NEXT)},
    {"next_of_the_turn_before", .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, STALE | NEXT, 0}}, BAD(NEXT)},
    {"ring_that_never_ends", .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, NEXT, 0},
     {B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, NEXT, 0}}, BAD(LOOP)},
    {"chain_into_what_is_held", .held = 5, .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}}, BAD(LOOP)},
    {"available_where_all_is_held", .held = SIZE, .ring = {{B, 1, 0, 0}}, BAD(AVAIL)},
    {"writable_ring_that_never_ends", .ring = {{B, 1, NEXT | WRITE, 0}, {B, 1, NEXT | WRITE, 0},
     {B, 1, NEXT | WRITE, 0}, {B, 1, NEXT | WRITE, 0}, {B, 1, NEXT | WRITE, 0}, {B, 1, NEXT | WRITE, 0},
     {B, 1, NEXT | WRITE, 0}}, BAD(LOOP)},

    /* ---- ids ---- */
    {"id_is_the_ring_size", .ring = {{B, 1, 0, SIZE}}, BAD(HEAD)},
    {"id_is_0x8000", .ring = {{B, 1, 0, 0x8000}}, BAD(HEAD)},
    {"id_is_0xffff", .ring = {{B, 1, 0, 0xffff}}, BAD(HEAD)},
    {"id_is_the_largest_ring", .ring = {{B, 1, 0, LIMIT_RING_SIZE}}, BAD(HEAD)},
    {"id_behind_a_table_is_judged", .ring = {{TABLE, 16, INDIRECT, SIZE}}, .table = {{B, 1, 0, 0}}, BAD(HEAD)},
    {"id_that_is_held", .held = 2, .ring = {{B, 1, 0, 1}}, BAD(DUPLICATE)},

    /* ---- indirect tables ---- */
    {"indirect_table_of_two", VIA(32), .table = {{B, 4, 0, 0}, {B, 5, WRITE, 0}}, GOOD(3, 1, 1, 1, 4, 5)},
    {"indirect_table_of_one", VIA(16), .table = {{B, 4, 0, 0}}, GOOD(3, 1, 1, 0, 4, 0)},
    {"indirect_with_write_flag_is_the_same", .ring = {{TABLE, 16, INDIRECT | WRITE, 3}}, .table = {{B, 4, 0, 0}},
     GOOD(3, 1, 1, 0, 4, 0)},
    {"next_means_nothing_in_a_table", VIA(32), .table = {{B, 4, 0, 0}, {B, 5, NEXT, 0}}, GOOD(3, 1, 2, 0, 9, 0)},
    {"table_is_taken_whole_without_next", VIA(48), .table = {{B, 4, 0, 9}, {B, 5, 0, 8}, {B, 6, WRITE, 7}},
     GOOD(3, 1, 2, 1, 9, 6)},
    {"availability_means_nothing_in_a_table", VIA(32), .table = {{B, 4, DESC_USED, 0}, {B, 5, DESC_AVAIL, 0}},
     GOOD(3, 1, 2, 0, 9, 0)},
    {"indirect_table_need_not_be_aligned", .ring = {{TABLE + 1, 32, INDIRECT, 3}}, .table_at = TABLE + 1,
     .table = {{B, 4, 0, 0}, {B, 5, WRITE, 0}}, GOOD(3, 1, 1, 1, 4, 5)},
    {"indirect_table_over_two_adjacent_regions", .ring = {{CROSS, 48, INDIRECT, 3}}, .table_at = CROSS,
     .table = {{B + 64, 4, 0, 0}, {B + 68, 5, 0, 0}, {B + 73, 6, WRITE, 0}}, GOOD(3, 1, 2, 1, 9, 6)},
    {"indirect_table_in_read_only_memory", .ring = {{READ_ONLY, 16, INDIRECT, 3}}, .table_at = READ_ONLY,
     .table = {{B, 4, 0, 0}}, GOOD(3, 1, 1, 0, 4, 0)},
    {"table_behind_a_direct_descriptor", .ring = {{B, 3, NEXT, 3}, {TABLE, 16, INDIRECT, 3}}, .table = {{B, 4, 0, 0}},
     BAD(INDIRECT)},
    {"indirect_with_next", .ring = {{TABLE, 16, INDIRECT | NEXT, 3}, {B, 1, 0, 3}}, .table = {{B, 4, 0, 0}},
     BAD(INDIRECT)},
    {"indirect_not_negotiated", VIA(16), .table = {{B, 4, 0, 0}}, .no_indirect = true, BAD(INDIRECT)},
    {"indirect_of_no_bytes", VIA(0), BAD(INDIRECT)},
    {"indirect_of_15_bytes", VIA(15), .table = {{B, 4, 0, 0}}, BAD(INDIRECT)},
    {"indirect_of_17_bytes", VIA(17), .table = {{B, 4, 0, 0}}, BAD(INDIRECT)},
    {"indirect_table_of_one_more_than_the_ring", VIA(16 * (SIZE + 1)), BAD(INDIRECT)},
    {"indirect_of_all_bytes", VIA(UINT32_MAX), BAD(INDIRECT)},
    {"indirect_in_an_indirect_table", VIA(32), .table = {{B, 4, 0, 0}, {TABLE, 16, INDIRECT, 0}}, BAD(INDIRECT)},
    {"indirect_table_that_names_itself", VIA(16), .table = {{TABLE, 16, INDIRECT, 0}}, BAD(INDIRECT)},
    {"indirect_table_in_a_hole", .ring = {{HOLE, 16, INDIRECT, 3}}, BAD(ADDRESS)},
    {"indirect_table_whose_end_is_in_a_hole", .ring = {{BUF_END - 16, 32, INDIRECT, 3}}, BAD(ADDRESS)},
    {"indirect_table_that_wraps", .ring = {{UINT64_MAX - 15, 32, INDIRECT, 3}}, BAD(ADDRESS)},
    {"empty_buffer_in_a_table", VIA(32), .table = {{B, 4, 0, 0}, {B, 0, WRITE, 0}}, BAD(LENGTH)},

    /* ---- what both layouts share: once each ---- */
    {"buffer_of_no_bytes", .ring = {{B, 0, WRITE, 0}}, BAD(LENGTH)},
    {"bytes_at_the_limit", .ring = {{LARGE, LIMIT, WRITE, 0}}, GOOD(0, 1, 0, 1, 0, LIMIT)},
    {"bytes_one_over_the_limit", .ring = {{LARGE, LIMIT + 1, 0, 0}}, BAD(LENGTH)},
    {"sum_one_over_the_limit", .ring = {{LARGE, LIMIT, NEXT, 0}, {B, 1, WRITE, 0}}, BAD(LENGTH)},
    {"sum_that_is_small_in_32_bits", .ring = {{B, 16, NEXT, 0}, {LARGE, 0xfffffff1, 0, 0}}, BAD(LENGTH)},
    {"buffer_in_a_hole", .ring = {{HOLE, 16, 0, 0}}, BAD(ADDRESS)},
    {"buffer_that_wraps", .ring = {{UINT64_MAX, 2, 0, 0}}, BAD(ADDRESS)},
    {"read_only_memory_as_a_writable_buffer", .ring = {{READ_ONLY, 16, WRITE, 0}}, BAD(ADDRESS)},
    {"read_only_memory_can_be_read", .ring = {{READ_ONLY, 0x1000, 0, 0}}, GOOD(0, 1, 1, 0, 0x1000, 0)},
    {"bad_buffer_behind_good_ones", .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {HOLE, 1, WRITE, 0}}, BAD(ADDRESS)},
    {"readable_behind_writable", .ring = {{B, 1, NEXT | WRITE, 0}, {B, 1, 0, 0}}, BAD(ORDER)},
    {"readable_behind_writable_in_a_table", VIA(32), .table = {{B, 1, WRITE, 0}, {B, 1, 0, 0}}, BAD(ORDER)},
    {"segments_at_the_devices_maximum", .ring = {{B, 1, NEXT, 0}, {B, 1, WRITE, 0}}, .max_segments = 2,
     GOOD(0, 2, 1, 1, 1, 1)},
    {"segments_one_over_the_devices_maximum", .ring = {{B, 1, NEXT, 0}, {B, 1, NEXT, 0}, {B, 1, WRITE, 0}},
     .max_segments = 2, BAD(SEGMENTS)},
};
/* clang-format on */

/* Descriptors that are outstanding stand before what the row writes: ids 0, 1, ... */
static void arrange(struct guest *guest, const struct row *row, uint16_t place, bool wrap)
{
        guest->features.indirect = !row->no_indirect;
        packed_start(guest, SIZE, packed_base(place, wrap, place, wrap));
        for (uint16_t id = 0; id < row->held; id++)
                packed_take(guest, id);
        for (unsigned i = 0; i <= SIZE && (row->ring[i].len || row->ring[i].flags); i++) {
                const struct line *line = &row->ring[i];
                uint16_t at = guest->avail_index;

                packed_add(guest, line->addr, line->len, line->flags & 0xffff, line->id);
                if (line->flags & STALE)
                        packed_describe(guest, PACKED_DESC, at, line->addr, line->len, line->id, 0);
        }
        for (unsigned i = 0; i < 4; i++)
                if (row->table[i].addr)
                        packed_describe(guest, row->table_at ? row->table_at : TABLE, i, row->table[i].addr,
                                        row->table[i].len, row->table[i].id, row->table[i].flags);
}

static void check_broken(struct guest *guest, const struct row *row, uint16_t last_avail)
{
        uint8_t before[16 * SIZE], after[16 * SIZE];

        guest_get(guest, PACKED_DESC, before, sizeof(before));
        assert_string_equal(queue_fault_name(guest->queue.fault), queue_fault_name(row->fault));
        assert_int_equal(guest->queue.outstanding, row->held);
        assert_int_equal(guest->queue.last_avail, last_avail);
        assert_int_equal(guest_pop(guest, 8), -EPROTO);
        assert_int_equal(queue_push(&guest->queue, 0, 0), -EPROTO);
        assert_int_equal(queue_publish(&guest->queue), -EPROTO);
        assert_int_equal(queue_want_kicks(&guest->queue), -EPROTO);
        guest_get(guest, PACKED_DESC, after, sizeof(after));
        assert_memory_equal(before, after, sizeof(before));
}

static void check_good(struct guest *guest, const struct row *row, uint16_t place)
{
        const struct chain *chain = &guest->chain;

        assert_int_equal(chain->head, row->head);
        assert_int_equal(chain->n_readable, row->n_readable);
        assert_int_equal(chain->n_writable, row->n_writable);
        assert_int_equal(chain->readable, row->readable);
        assert_int_equal(chain->writable, row->writable);
        assert_int_equal(guest->queue.last_avail, ((unsigned)place + row->held + row->taken) % SIZE);
        for (uint16_t id = 0; id < row->held; id++)
                assert_int_equal(queue_push(&guest->queue, id, 0), 0);
        assert_int_equal(queue_push(&guest->queue, row->head, 1), 0);
        assert_true(queue_publish(&guest->queue) >= 0);
        assert_int_equal(guest->queue.used_next, guest->queue.last_avail);
        assert_int_equal(guest->queue.used_wrap, guest->queue.avail_wrap);
}

static void check_row(void **state)
{
        const struct row *row = *state;
        struct guest *guest = guest_new();

        for (uint16_t place = 0; place < SIZE; place++) {
                for (unsigned wrap = 0; wrap < 2; wrap++) {
                        uint16_t last_avail;
                        int r;

                        arrange(guest, row, place, wrap);
                        last_avail = guest->queue.last_avail;
                        r = guest_pop(guest, row->max_segments ? row->max_segments : SIZE);
                        assert_int_equal(r, row->fault == QUEUE_FAULT_NONE ? 1 : -EPROTO);
                        if (r == 1)
                                check_good(guest, row, place);
                        else
                                check_broken(guest, row, last_avail);
                        queue_stop(&guest->queue);
                        queue_forget(&guest->queue);
                }
        }
        guest_free(guest);
}

/* A window of the table is copied at a time: the whole of the largest table arrives in order. */
static void largest_table_is_read_in_order(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        packed_start_fresh(guest, LIMIT_RING_SIZE);
        for (uint32_t i = 0; i < LIMIT_RING_SIZE; i++)
                packed_describe(guest, LARGE, i, LARGE + 0x100000 + i, 1 + i % 7, 0, 0);
        packed_add(guest, LARGE, 16 * LIMIT_RING_SIZE, INDIRECT, 1);
        assert_int_equal(guest_pop(guest, LIMIT_RING_SIZE), 1);
        for (uint32_t i = 0; i < LIMIT_RING_SIZE; i++)
                assert_true(guest->segments[i].at.v == LARGE + 0x100000 + i &&
                            guest->segments[i].len == 1 + i % 7);
        guest_free(guest);
}

/* Every bit of two descriptors flipped: the outcome is a chain that memory covers, nothing, or a fault. */
static void flipped_bits_never_pass_the_judge(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        for (unsigned bit = 0; bit < 256; bit++) {
                int r;

                packed_start_fresh(guest, SIZE);
                packed_add(guest, BUFFERS, 16, NEXT, 2);
                packed_add(guest, BUFFERS + 16, 512, WRITE, 2);
                *guest_at(guest, PACKED_DESC + bit / 8) ^= (uint8_t)(1u << (bit % 8));
                r = guest_pop(guest, SIZE);
                assert_true(r == 0 || r == 1 || r == -EPROTO);
                assert_int_equal(r == -EPROTO, guest->queue.fault != QUEUE_FAULT_NONE);
                assert_int_equal(guest->queue.outstanding, r == 1);
                for (unsigned i = 0;
                     r == 1 && i < (unsigned)guest->chain.n_readable + guest->chain.n_writable; i++)
                        assert_true(guest_memory_covers(guest->memory, guest->segments[i].at,
                                                        guest->segments[i].len,
                                                        i >= guest->chain.n_readable));
                queue_stop(&guest->queue);
                queue_forget(&guest->queue);
        }
        guest_free(guest);
}

static void table_in_memory_that_was_truncated_breaks_the_queue(void **state)
{
        struct guest *guest = guest_new();

        (void)state;
        packed_start_fresh(guest, SIZE);
        packed_add(guest, LARGE, 16, INDIRECT, 0);
        packed_describe(guest, LARGE, 0, BUFFERS, 1, 0, 0);
        assert_int_equal(ftruncate(guest->fd, 0x100000), 0);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
        guest_free(guest);
}

int main(void)
{
        const size_t n_rows = sizeof(rows) / sizeof(rows[0]);
        struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0]) + 3];
        const struct CMUnitTest more[] = {
            cmocka_unit_test(largest_table_is_read_in_order),
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
