/* A queue in translated memory, split and packed: parked while pages of its rings or of the next chain are missing, and as it was
 * when they come. I/O virtual addresses are the guest's own here; what is missing is not.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/iotlb.h"
#include "broker/core/queue_walk.h"
#include "tests/unit_core/packed_pen.h"

#define PAGE LIMIT_IOTLB_PAGE
#define RW   (IOTLB_READ | IOTLB_WRITE)
#define SIZE 8u

/* Everything but the page of `without` (0: all; 1: nothing at all). */
static struct guest_memory *view(const struct guest *guest, uint64_t without)
{
        struct guest_memory *memory;
        struct iotlb table;

        assert_int_equal(iotlb_init(&table), 0);
        for (uint64_t at = RINGS; at < HOLE && without != 1; at += PAGE)
                if (at != without)
                        assert_int_equal(iotlb_update(&table, &(struct iotlb_entry){at, PAGE, at, RW}), 0);
        assert_int_equal(guest_memory_translate(guest->memory, table.entries, &memory), 0);
        iotlb_done(&table);
        return memory;
}

static int rebind(struct guest *guest, uint64_t without)
{
        struct guest_memory *memory = view(guest, without);
        int r = queue_rebind(&guest->queue, memory);

        guest_memory_unref(memory);
        return r;
}

static int start(struct guest *guest, uint64_t without, uint32_t base)
{
        struct guest_memory *memory = view(guest, without);
        int r = queue_start(&guest->queue, memory, &guest->layout, &guest->features, base);

        guest_memory_unref(memory);
        return r;
}

/* Nothing works, and nothing is wrong. */
static void assert_parked(struct guest *guest)
{
        struct queue *queue = &guest->queue;

        assert_true(queue->started);
        assert_true(queue->parked);
        assert_true(queue->miss.n > 0);
        assert_int_equal(guest_pop(guest, 4), 0);
        assert_false(queue_has_chain(queue));
        assert_int_equal(queue_want_kicks(queue), 0);
        assert_int_equal(queue_no_kicks(queue), 0);
        assert_int_equal(queue->fault, QUEUE_FAULT_NONE);
}

static void split_ring_that_is_missing_parks_and_is_taken_up_where_it_was(void **state)
{
        struct guest *guest = *state;
        uint32_t id, len;

        guest_layout(guest, SIZE);
        guest->features = (struct queue_features){.indirect = true, .event_idx = true};
        guest_put16(guest, RING_AVAIL + 2, 0xfffe);
        guest_put16(guest, RING_USED + 2, 0xfffe);
        guest->avail_index = 0xfffe;
        assert_int_equal(start(guest, 1, 0xfffe), 0);
        assert_parked(guest);
        assert_true(miss_list_has(&guest->queue.miss, RING_USED & ~UINT64_C(0xfff), IOTLB_WRITE));
        for (uint64_t part = RING_DESC; part <= RING_USED; part += part == RING_DESC ? 0x4000 : 0x1000) {
                assert_int_equal(rebind(guest, part), 0);
                assert_parked(guest);
                assert_int_equal(guest->queue.miss.n, 1);
        }
        assert_int_equal(rebind(guest, 0), 0);
        assert_false(guest->queue.parked);
        for (unsigned i = 0; i < 4; i++) { /* over the end of 16 bits, its ring away each time */
                guest_take(guest, (uint16_t)i);
                assert_int_equal(queue_push(&guest->queue, (uint16_t)i, 7 + i), 0);
                assert_true(queue_publish(&guest->queue) >= 0);
                used_element(guest, (uint16_t)(0xfffe + i), &id, &len);
                assert_int_equal(id, i);
                assert_int_equal(len, 7 + i);
                assert_int_equal(rebind(guest, RING_USED), 0);
                assert_parked(guest);
                assert_int_equal(queue_publish(&guest->queue), 0);
                assert_int_equal(rebind(guest, 0), 0);
        }
        assert_int_equal(used_index(guest), 2);
        assert_int_equal(queue_stop(&guest->queue), 2);
}

static void packed_ring_that_is_missing_parks_and_is_taken_up_where_it_was(void **state)
{
        struct guest *guest = *state;
        const uint32_t base = packed_base(SIZE - 2, true, SIZE - 2, true);

        packed_layout(guest, SIZE);
        guest->avail_index = SIZE - 2; /* the pen's place */
        guest->avail_wrap = true;
        assert_int_equal(start(guest, 1, base), 0);
        assert_parked(guest);
        assert_true(miss_list_has(&guest->queue.miss, PACKED_DESC, IOTLB_WRITE));
        assert_true(miss_list_has(&guest->queue.miss, PACKED_DESC, IOTLB_READ));
        assert_int_equal(rebind(guest, PACKED_DRIVER), 0); /* both event areas lie in that page */
        assert_parked(guest);
        assert_int_equal(rebind(guest, 0), 0);
        assert_false(guest->queue.parked);
        for (uint16_t i = 0; i < 4; i++) {
                uint16_t place = (uint16_t)((SIZE - 2 + i) % SIZE);

                packed_take(guest, i);
                assert_int_equal(rebind(guest, PACKED_DESC), 0);
                assert_parked(guest);
                assert_int_equal(rebind(guest, 0), 0);
                assert_int_equal(queue_push(&guest->queue, i, 9), 0);
                assert_true(queue_publish(&guest->queue) >= 0);
                assert_int_equal(packed_used_at(guest, place).id, i);
        }
        assert_int_equal(queue_stop(&guest->queue), packed_base(2, false, 2, false));
}

static void base_of_a_parked_start_comes_back(void **state)
{
        struct guest *guest = *state;

        guest_layout(guest, SIZE);
        guest->features = (struct queue_features){0};
        assert_int_equal(start(guest, 1, 0x1234), 0);
        assert_int_equal(queue_stop(&guest->queue), 0x1234);
        assert_int_equal(start(guest, 1, 0x12345), -EINVAL); /* judged all the same */
        packed_layout(guest, SIZE);
        assert_int_equal(start(guest, 1, packed_base(3, true, 1, true)), 0);
        assert_int_equal(queue_stop(&guest->queue), packed_base(3, true, 1, true));
        assert_int_equal(start(guest, 1, packed_base(1, true, 3, true)), -EINVAL);
        assert_false(guest->queue.started);
}

/* What was pushed and not shown when the ring goes away: who calls publishes first; else it is lost, and the queue says so. */
static void head_that_comes_back_without_a_ring_breaks_the_queue(void **state)
{
        struct guest *guest = *state;

        guest_layout(guest, SIZE);
        guest->features = (struct queue_features){0};
        assert_int_equal(start(guest, 0, 0), 0);
        guest_take(guest, 1);
        assert_int_equal(rebind(guest, RING_USED), 0);
        assert_int_equal(queue_push(&guest->queue, 1, 0), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_MEMORY);
        assert_int_equal(guest->queue.outstanding, 0);
        assert_int_equal(rebind(guest, 0), -EPROTO); /* and does not mend */
}

static void split_chain_that_is_missing_waits_in_its_place(void **state)
{
        struct guest *guest = *state;

        guest_layout(guest, SIZE);
        guest->features = (struct queue_features){0};
        assert_int_equal(start(guest, BUFFERS, 0), 0);
        guest_describe(guest, 1, BUFFERS + PAGE - 8, 16, WRITE, 0); /* its first half only */
        guest_describe(guest, 0, SCRATCH, 16, NEXT, 1);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 4), 0);
        assert_parked(guest);
        assert_int_equal(guest->queue.miss.n, 1);
        assert_true(miss_list_has(&guest->queue.miss, BUFFERS, IOTLB_WRITE));
        assert_false(miss_list_has(&guest->queue.miss, BUFFERS, IOTLB_READ));
        assert_int_equal(guest->queue.outstanding, 0);
        assert_int_equal(rebind(guest, BUFFERS), 0);
        assert_int_equal(guest_pop(guest, 4), 0); /* still */
        assert_int_equal(rebind(guest, 0), 0);
        assert_int_equal(guest_pop(guest, 4), 1);
        assert_int_equal(guest->chain.readable + guest->chain.writable, 32);
        assert_int_equal(queue_push(&guest->queue, 0, 16), 0);
}

static void packed_chain_that_is_missing_waits_in_its_place(void **state)
{
        struct guest *guest = *state;

        packed_layout(guest, SIZE);
        guest->avail_index = 0;
        guest->avail_wrap = true;
        assert_int_equal(start(guest, BUFFERS, QUEUE_PACKED_BASE), 0);
        packed_add(guest, SCRATCH, 16, NEXT, 5);
        packed_add(guest, BUFFERS, 3 * PAGE, WRITE, 5);
        assert_int_equal(guest_pop(guest, 4), 0);
        assert_parked(guest);
        assert_true(miss_list_has(&guest->queue.miss, BUFFERS, IOTLB_WRITE));
        assert_int_equal(rebind(guest, 0), 0);
        assert_int_equal(guest_pop(guest, 4), 1);
        assert_int_equal(guest->chain.head, 5);
        assert_int_equal(queue_push(&guest->queue, 5, 1), 0);
        assert_true(queue_publish(&guest->queue) >= 0);
        assert_int_equal(packed_used_at(guest, 0).id, 5);
}

/* A parked queue tells what its chain needs, and takes nothing by that. */
static void parked_chain_can_be_seen(void **state)
{
        struct guest *guest = *state;
        struct segment segments[4];
        struct chain chain = {.max_segments = 4, .segments = segments};

        guest_layout(guest, SIZE);
        guest->features = (struct queue_features){0};
        assert_int_equal(start(guest, BUFFERS, 0), 0);
        assert_false(queue_see_parked(&guest->queue, &chain));
        guest_describe(guest, 0, SCRATCH, 16, NEXT, 1);
        guest_describe(guest, 1, BUFFERS, 16, NEXT, 2);
        guest_describe(guest, 2, BUFFERS + PAGE, 16, WRITE, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 4), 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(queue_see_parked(&guest->queue, &chain));
                assert_int_equal(chain.n_readable, 2);
                assert_int_equal(chain.n_writable, 1);
                assert_int_equal(segments[2].at.v, BUFFERS + PAGE);
                assert_parked(guest);
        }
        guest_describe(guest, 0, SCRATCH, 16, 0,
                       0); /* the driver has thought better of it: not before the next snapshot */
        assert_true(queue_see_parked(&guest->queue, &chain));
        assert_parked(guest);
        assert_int_equal(guest->queue.outstanding, 0);
        assert_int_equal(rebind(guest, 0), 0);
        assert_int_equal(guest_pop(guest, 4), 1);
        assert_int_equal(guest->chain.writable, 0);
}

static void plain_memory_never_parks(void **state)
{
        struct guest *guest = *state;
        struct guest_memory *some = guest_snapshot(guest, 1);

        guest_start(guest, SIZE, 0);
        guest_describe(guest, 0, HOLE, 16, 0, 0);
        guest_post(guest, 0);
        assert_int_equal(guest_pop(guest, 4), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
        assert_int_equal(queue_rebind(&guest->queue, some), -EPROTO);
        assert_false(guest->queue.parked);
        guest_memory_unref(some);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(split_ring_that_is_missing_parks_and_is_taken_up_where_it_was),
            CASE(packed_ring_that_is_missing_parks_and_is_taken_up_where_it_was),
            CASE(base_of_a_parked_start_comes_back),
            CASE(head_that_comes_back_without_a_ring_breaks_the_queue),
            CASE(split_chain_that_is_missing_waits_in_its_place),
            CASE(packed_chain_that_is_missing_waits_in_its_place),
            CASE(parked_chain_can_be_seen),
            CASE(plain_memory_never_parks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
