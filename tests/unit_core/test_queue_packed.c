/* A packed queue's life: geometry, base, buffer ids, used descriptors, suspend and resume, memory that goes
 * away.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit_core/packed_pen.h"

#define SIZE 8u

static int start_with(struct guest *guest, uint32_t base)
{
        int r = queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base);

        if (r < 0) {
                assert_false(guest->queue.started);
                assert_null(guest->queue.memory);
                assert_null(guest->queue.desc);
        } else {
                queue_stop(&guest->queue);
        }
        return r;
}

/* ---- geometry and base ---- */

static void ring_of_any_size_up_to_the_limit_starts(void **state)
{
        static const struct {
                uint16_t size;
                int r;
        } rows[] = {
            {0, -EINVAL}, {1, 0},          {2, 0},           {3, 0},           {127, 0},
            {1023, 0},    {1024, 0},       {1025, -EINVAL},  {2048, -EINVAL},  {32767, -EINVAL},
            {1000, 0},    {4096, -EINVAL}, {32768, -EINVAL}, {65535, -EINVAL},
        };
        struct guest *guest = *state;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                packed_layout(guest, rows[i].size);
                assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), rows[i].r);
        }
}

static void misaligned_rings_and_event_areas_are_refused(void **state)
{
        struct guest *guest = *state;

        for (uint64_t off = 1; off < 16; off++) {
                packed_layout(guest, SIZE);
                guest->layout.desc.v += off;
                assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EINVAL);
                packed_layout(guest, SIZE);
                guest->layout.avail.v += off;
                assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), off % 4 == 0 ? 0 : -EINVAL);
                packed_layout(guest, SIZE);
                guest->layout.used.v += off;
                assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), off % 4 == 0 ? 0 : -EINVAL);
        }
}

static void each_part_must_lie_wholly_in_one_region(void **state)
{
        struct guest *guest = *state;

        packed_layout(guest, SIZE);
        guest->layout.desc = GPA(BUFFERS - 16); /* over two regions */
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        packed_layout(guest, SIZE);
        guest->layout.desc = GPA(HOLE - 16u * SIZE); /* the last place there is */
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), 0);
        guest->layout.desc.v += 16;
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        packed_layout(guest, SIZE);
        guest->layout.avail = GPA(HOLE);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        guest->layout.avail = GPA(HOLE - 4);
        guest->layout.used = GPA(HOLE);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        guest->layout.used = GPA(HOLE - 8);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), 0);
}

/* The ring is written by the device; of the event areas only its own. */
static void ring_in_read_only_memory_is_refused(void **state)
{
        struct guest *guest = *state;

        packed_layout(guest, SIZE);
        guest->layout.desc = GPA(READ_ONLY);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        packed_layout(guest, SIZE);
        guest->layout.used = GPA(READ_ONLY);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
        packed_layout(guest, SIZE);
        guest->layout.avail = GPA(READ_ONLY);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), 0);
}

static void start_on_truncated_memory_is_refused(void **state)
{
        struct guest *guest = *state;

        packed_layout(guest, SIZE);
        guest->layout.desc = GPA(LARGE);
        assert_int_equal(ftruncate(guest->fd, 0x100000), 0);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EFAULT);
}

/* Both places are inside the ring, and what lies between them is at most the ring. */
static void base_is_judged(void **state)
{
        struct guest *guest = *state;

        packed_layout(guest, SIZE);
        for (unsigned wraps = 0; wraps < 4; wraps++) {
                bool avail_wrap = wraps & 1, used_wrap = wraps & 2;

                for (uint16_t avail = 0; avail <= SIZE + 1; avail++) {
                        for (uint16_t used = 0; used <= SIZE + 1; used++) {
                                bool inside = avail < SIZE && used < SIZE;
                                bool sane = avail_wrap == used_wrap ? avail >= used : avail <= used;
                                uint32_t base = packed_base(avail, avail_wrap, used, used_wrap);

                                assert_int_equal(start_with(guest, base), inside && sane ? 0 : -EINVAL);
                        }
                }
        }
        assert_int_equal(start_with(guest, packed_base(0x7fff, true, 0, true)), -EINVAL);
        assert_int_equal(start_with(guest, packed_base(0, true, 0x7fff, true)), -EINVAL);
}

static void base_comes_back_as_it_was(void **state)
{
        struct guest *guest = *state;

        for (unsigned i = 0; i < 4; i++) {
                uint32_t base = packed_base(i < 2 ? 5 : 3, i & 1, 3, i < 2 ? i & 1 : !(i & 1));

                packed_start(guest, SIZE, base);
                assert_int_equal(queue_stop(&guest->queue), base);
        }
}

/* ---- buffers ---- */

static void empty_ring_gives_nothing(void **state)
{
        struct guest *guest = *state;

        for (unsigned wrap = 0; wrap < 2; wrap++) {
                for (uint16_t place = 0; place < SIZE; place++) {
                        packed_start(guest, SIZE, packed_base(place, wrap, place, wrap));
                        assert_int_equal(guest_pop(guest, SIZE), 0);
                        queue_stop(&guest->queue);
                }
        }
}

static void buffers_come_and_go_round_the_ring(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, 5);
        for (unsigned i = 0; i < 23; i++) {
                uint16_t id = (uint16_t)(i * 3 % 5), place = (uint16_t)(i % 5);
                struct packed_used used;

                packed_take(guest, id);
                assert_int_equal(queue_push(&guest->queue, id, i), 0);
                assert_false(packed_is_used(guest, place, (i / 5) % 2 == 0));
                assert_int_equal(queue_publish(&guest->queue), 1);
                assert_true(packed_is_used(guest, place, (i / 5) % 2 == 0));
                used = packed_used_at(guest, place);
                assert_int_equal(used.id, id);
                assert_int_equal(used.len, i);
                assert_int_equal((used.flags & WRITE) != 0, i > 0); /* nothing written: no WRITE */
        }
        assert_int_equal(queue_stop(&guest->queue), packed_base(3, true, 3, true));
}

static void used_descriptor_skips_as_many_as_the_chain_had(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        for (unsigned i = 0; i < 3; i++)
                packed_add(guest, BUFFERS + i, 1, i < 2 ? NEXT : WRITE, i < 2 ? 7 : 1);
        packed_add(guest, BUFFERS, 1, NEXT, 9);
        packed_add(guest, BUFFERS, 1, 0, 2);
        assert_int_equal(guest_pop(guest, SIZE), 1);
        assert_int_equal(guest->chain.head, 1); /* the id of the last counts */
        assert_int_equal(guest_pop(guest, SIZE), 1);
        assert_int_equal(guest->chain.head, 2);
        assert_int_equal(queue_push(&guest->queue, 2, 0), 0); /* not in order */
        assert_int_equal(queue_push(&guest->queue, 1, 1), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_int_equal(packed_used_at(guest, 0).id, 2);
        assert_true(packed_is_used(guest, 0, true));
        assert_int_equal(packed_used_at(guest, 2).id, 1);
        assert_true(packed_is_used(guest, 2, true));
        assert_false(packed_is_used(guest, 1, true));
        assert_int_equal(queue_stop(&guest->queue), packed_base(5, true, 5, true));
}

/* The batch's first is what the driver waits at: it changes last. */
static void nothing_is_shown_before_publish(void **state)
{
        struct guest *guest = *state;
        struct packed_used before;

        packed_start_fresh(guest, SIZE);
        for (uint16_t id = 0; id < 3; id++)
                packed_take(guest, id);
        before = packed_used_at(guest, 0);
        for (uint16_t id = 0; id < 3; id++)
                assert_int_equal(queue_push(&guest->queue, id, 5), 0);
        assert_memory_equal(&before, &(struct packed_used[]){packed_used_at(guest, 0)}, sizeof(before));
        assert_int_equal(queue_publish(&guest->queue), 1);
        for (uint16_t place = 0; place < 3; place++)
                assert_true(packed_is_used(guest, place, true));
        assert_int_equal(queue_publish(&guest->queue), 0); /* nothing new, no signal */
}

static void id_that_is_outstanding_breaks_the_queue(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 3);
        packed_add(guest, BUFFERS, 1, 0, 3);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_DUPLICATE);
        assert_int_equal(guest->queue.outstanding, 1);
        assert_int_equal(queue_push(&guest->queue, 3, 0), -EPROTO); /* back all the same */
        assert_int_equal(guest->queue.outstanding, 0);
}

static void id_can_be_used_again_after_its_push(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 3);
        assert_int_equal(queue_push(&guest->queue, 3, 0), 0);
        packed_take(guest, 3);
        assert_int_equal(guest->queue.outstanding, 1);
}

static void id_outside_the_ring_breaks_the_queue(void **state)
{
        static const uint16_t ids[] = {SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff, LIMIT_RING_SIZE};
        struct guest *guest = *state;

        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
                packed_start_fresh(guest, SIZE);
                packed_add(guest, BUFFERS, 1, 0, ids[i]);
                assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
                assert_int_equal(guest->queue.fault, QUEUE_FAULT_HEAD);
                assert_int_equal(guest->queue.outstanding, 0);
                assert_int_equal(queue_push(&guest->queue, ids[i], 0), -EPROTO);
                queue_stop(&guest->queue);
        }
}

static void push_of_what_is_not_outstanding_is_refused(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 3);
        assert_int_equal(queue_push(&guest->queue, 2, 0), -EINVAL);
        assert_int_equal(queue_push(&guest->queue, SIZE, 0), -EINVAL);
        assert_int_equal(queue_push(&guest->queue, 0xffff, 0), -EINVAL);
        assert_int_equal(queue_publish(&guest->queue), 0);
        assert_int_equal(queue_push(&guest->queue, 3, 0), 0);
        assert_int_equal(queue_push(&guest->queue, 3, 0), -EINVAL);
}

static void every_id_of_the_largest_ring_can_be_outstanding(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, LIMIT_RING_SIZE);
        for (uint16_t id = 0; id < LIMIT_RING_SIZE; id++)
                packed_take(guest, (uint16_t)(LIMIT_RING_SIZE - 1 - id));
        assert_int_equal(guest->queue.outstanding, LIMIT_RING_SIZE);
        assert_int_equal(guest_pop(guest, SIZE), 0);
        for (uint16_t id = 0; id < LIMIT_RING_SIZE; id++)
                assert_int_equal(queue_push(&guest->queue, id, 0), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_int_equal(queue_stop(&guest->queue), packed_base(0, false, 0, false));
}

/* The whole ring is the device's; what looks available in it now is none that the driver has got back. */
static void driver_that_runs_ahead_breaks_the_queue(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        for (uint16_t id = 0; id < SIZE - 1; id++)
                packed_take(guest, id);
        packed_add(guest, BUFFERS, 1, 0, SIZE - 1);
        assert_int_equal(guest_pop(guest, SIZE), 1);
        assert_int_equal(guest_pop(guest, SIZE), 0);
        assert_int_equal(queue_push(&guest->queue, 5, 0), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        packed_add(guest, BUFFERS, 1, 0, 5); /* one is back */
        assert_int_equal(guest_pop(guest, SIZE), 1);
        packed_add(guest, BUFFERS, 1, 0, 0);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_AVAIL);
}

/* A used descriptor that has not been shown is not the driver's to give again, and would be overwritten. */
static void driver_that_runs_over_what_was_not_shown_breaks_the_queue(void **state)
{
        struct guest *guest = *state;

        for (uint16_t size = 1; size < 4; size++) {
                packed_start_fresh(guest, size);
                for (uint16_t id = 0; id < size; id++)
                        packed_take(guest, id);
                assert_int_equal(queue_push(&guest->queue, 0, 7), 0);
                packed_add(guest, BUFFERS, 1, 0, 0);
                assert_int_equal(guest_pop(guest, size), -EPROTO);
                assert_int_equal(guest->queue.fault, QUEUE_FAULT_AVAIL);
                queue_stop(&guest->queue);
                queue_forget(&guest->queue);
        }
}

static void stopped_queue_does_nothing(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 1);
        assert_int_equal(queue_stop(&guest->queue), packed_base(1, true, 0, true));
        assert_int_equal(guest_pop(guest, SIZE), 0);
        assert_int_equal(queue_publish(&guest->queue), 0);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(queue_no_kicks(&guest->queue), 0);
        assert_int_equal(queue_push(&guest->queue, 1, 0), -EINVAL);
        assert_false(queue_avail_is_zero(&guest->queue));
        assert_int_equal(queue_stop(&guest->queue), packed_base(1, true, 0, true));
}

/* ---- suspend and resume ---- */

static void resume_goes_on_where_the_suspend_was(void **state)
{
        struct guest *guest = *state;
        uint32_t base;

        packed_start(guest, SIZE, packed_base(6, true, 6, true));
        packed_take(guest, 3);
        packed_add(guest, BUFFERS, 1, NEXT, 0);
        packed_add(guest, BUFFERS, 1, 0, 4); /* round the edge */
        assert_int_equal(guest_pop(guest, SIZE), 1);
        assert_int_equal(queue_push(&guest->queue, 4, 44), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        base = queue_stop(&guest->queue);
        assert_int_equal(base, packed_base(1, false, 0, false));
        assert_int_equal(start_with(guest, packed_base(0, false, 0, false)), -EINVAL); /* one is kept */
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        assert_int_equal(guest->queue.outstanding, 1);
        packed_take(guest, 4);
        assert_int_equal(queue_push(&guest->queue, 3, 33), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_true(packed_is_used(guest, 0, false));
        assert_int_equal(packed_used_at(guest, 0).id, 3);
        assert_int_equal(packed_used_at(guest, 0).len, 33);
}

/* They were given up; the driver thinks that we have them, and works with the rest of its ring. */
static void forgotten_buffers_stay_away_and_the_rest_serves(void **state)
{
        struct guest *guest = *state;
        uint32_t base;

        packed_start_fresh(guest, SIZE);
        for (uint16_t id = 0; id < 3; id++)
                packed_take(guest, id);
        base = queue_stop(&guest->queue);
        queue_forget(&guest->queue);
        assert_int_equal(base, packed_base(3, true, 0, true));
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        for (uint16_t i = 0; i < 20; i++) {
                packed_take(guest, (uint16_t)(3 + i % 5));
                assert_int_equal(queue_push(&guest->queue, (uint16_t)(3 + i % 5), 0), 0);
                assert_true(queue_publish(&guest->queue) >= 0);
                assert_true(packed_is_used(guest, (uint16_t)(i % SIZE), (i / SIZE) % 2 == 0));
        }
        assert_int_equal(queue_stop(&guest->queue), packed_base(7, true, 4, true));
}

static void kept_buffer_must_exist_in_the_ring_that_goes_on(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 7);
        queue_stop(&guest->queue);
        guest->layout.size = 7;
        assert_int_equal(start_with(guest, packed_base(1, true, 0, true)), -EINVAL);
        guest->layout.size = 9;
        assert_int_equal(start_with(guest, packed_base(1, true, 0, true)), 0);
        guest->layout.size = SIZE;
        guest->features.packed = false; /* nor in the other layout */
        guest_layout(guest, SIZE);
        assert_int_equal(start_with(guest, 1), -EINVAL);
        queue_forget(&guest->queue);
        assert_int_equal(start_with(guest, 1), 0);
}

static void split_queue_refuses_the_base_of_a_packed_one(void **state)
{
        struct guest *guest = *state;

        guest_layout(guest, SIZE);
        assert_int_equal(start_with(guest, QUEUE_PACKED_BASE), -EINVAL);
        assert_int_equal(start_with(guest, 0x10000), -EINVAL);
        assert_int_equal(start_with(guest, 0xffff), 0);
}

static void stop_shows_what_was_pushed(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 0);
        packed_take(guest, 1);
        assert_int_equal(queue_push(&guest->queue, 1, 9), 0);
        assert_int_equal(queue_stop(&guest->queue), packed_base(2, true, 1, true));
        assert_true(packed_is_used(guest, 0, true));
        assert_int_equal(packed_used_at(guest, 0).id, 1);
        assert_int_equal(packed_used_at(guest, 0).len, 9);
}

/* ---- memory that changes ---- */

static void rebind_goes_on_in_the_new_snapshot(void **state)
{
        struct guest *guest = *state;
        struct guest_memory *other = guest_snapshot(guest, 1u << 0 | 1u << 1);

        packed_start_fresh(guest, SIZE);
        packed_take(guest, 0);
        assert_int_equal(queue_push(&guest->queue, 0, 0), 0); /* kept back over the change */
        assert_int_equal(queue_rebind(&guest->queue, other), 0);
        (void)guest_memory_unref(guest->memory);
        guest->memory = other;
        assert_int_equal(guest_count_mappings(), 1 + 2); /* the guest's own and the two left */
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_true(packed_is_used(guest, 0, true));
        packed_take(guest, 1);
        packed_add(guest, LARGE, 1, 0, 2);
        assert_int_equal(guest_pop(guest, SIZE), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_ADDRESS);
}

static void rebind_to_read_only_memory_breaks(void **state)
{
        struct guest *guest = *state;
        struct guest_memory *without;

        packed_start_fresh(guest, SIZE);
        without = guest_snapshot(guest, 1u << 1);
        assert_int_equal(queue_rebind(&guest->queue, without), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_MEMORY);
        assert_false(queue_avail_is_zero(&guest->queue));
        assert_int_equal(queue_stop(&guest->queue), QUEUE_PACKED_BASE);
        (void)guest_memory_unref(without);
}

/* A ring in memory that is truncated after the start: each call meets it alone. */
enum touched {
        TOUCH_POP,
        TOUCH_PUSH_SECOND,
        TOUCH_PUBLISH,
        TOUCH_WANT_KICKS,
        TOUCH_NO_KICKS,
        TOUCH_COUNT_,
};

static int touch(struct guest *guest, enum touched call)
{
        switch (call) {
        case TOUCH_POP:
                return guest_pop(guest, SIZE);
        case TOUCH_PUSH_SECOND:
                return queue_push(&guest->queue, 0, 0);
        case TOUCH_PUBLISH:
                return queue_publish(&guest->queue);
        case TOUCH_WANT_KICKS:
                return queue_want_kicks(&guest->queue);
        default:
                return queue_no_kicks(&guest->queue);
        }
}

static void start_in_large(struct guest *guest)
{
        packed_layout(guest, SIZE);
        guest->layout.desc = GPA(LARGE);
        guest->layout.avail = GPA(LARGE + 0x1000);
        guest->layout.used = GPA(LARGE + 0x2000);
        assert_int_equal(
            queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, QUEUE_PACKED_BASE),
            0);
        for (uint16_t id = 0; id < 2; id++) {
                packed_describe(guest, LARGE, id, BUFFERS, 1, id, DESC_AVAIL);
                assert_int_equal(guest_pop(guest, SIZE), 1);
        }
        assert_int_equal(queue_push(&guest->queue, 1, 0), 0);
}

static void truncated_rings_break_the_queue(void **state)
{
        struct guest *guest = *state;

        guest->features.event_idx = false;
        for (int call = 0; call < TOUCH_COUNT_; call++) {
                assert_int_equal(ftruncate(guest->fd, 0x4100000), 0);
                start_in_large(guest);
                assert_int_equal(ftruncate(guest->fd, 0x100000), 0);
                assert_int_equal(touch(guest, (enum touched)call), -EPROTO);
                assert_int_equal(guest->queue.fault, QUEUE_FAULT_MEMORY);
                assert_false(queue_avail_is_zero(&guest->queue));
                queue_stop(&guest->queue);
                queue_done(&guest->queue);
        }
}

static void all_zero_ring_is_told_apart(void **state)
{
        struct guest *guest = *state;

        packed_start_fresh(guest, SIZE);
        for (uint64_t i = 0; i < 16u * SIZE; i++)
                *guest_at(guest, PACKED_DESC + i) = 0;
        assert_true(queue_avail_is_zero(&guest->queue));
        for (uint64_t i = 0; i < 16u * SIZE; i++) {
                *guest_at(guest, PACKED_DESC + i) = 1;
                assert_false(queue_avail_is_zero(&guest->queue));
                *guest_at(guest, PACKED_DESC + i) = 0;
        }
        *guest_at(guest, PACKED_DESC + 16u * SIZE) = 1;
        assert_true(queue_avail_is_zero(&guest->queue));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(ring_of_any_size_up_to_the_limit_starts),
            CASE(misaligned_rings_and_event_areas_are_refused),
            CASE(each_part_must_lie_wholly_in_one_region),
            CASE(ring_in_read_only_memory_is_refused),
            CASE(start_on_truncated_memory_is_refused),
            CASE(base_is_judged),
            CASE(base_comes_back_as_it_was),
            CASE(empty_ring_gives_nothing),
            CASE(buffers_come_and_go_round_the_ring),
            CASE(used_descriptor_skips_as_many_as_the_chain_had),
            CASE(nothing_is_shown_before_publish),
            CASE(id_that_is_outstanding_breaks_the_queue),
            CASE(id_can_be_used_again_after_its_push),
            CASE(id_outside_the_ring_breaks_the_queue),
            CASE(push_of_what_is_not_outstanding_is_refused),
            CASE(every_id_of_the_largest_ring_can_be_outstanding),
            CASE(driver_that_runs_ahead_breaks_the_queue),
            CASE(driver_that_runs_over_what_was_not_shown_breaks_the_queue),
            CASE(stopped_queue_does_nothing),
            CASE(resume_goes_on_where_the_suspend_was),
            CASE(forgotten_buffers_stay_away_and_the_rest_serves),
            CASE(kept_buffer_must_exist_in_the_ring_that_goes_on),
            CASE(split_queue_refuses_the_base_of_a_packed_one),
            CASE(stop_shows_what_was_pushed),
            CASE(rebind_goes_on_in_the_new_snapshot),
            CASE(rebind_to_read_only_memory_breaks),
            CASE(truncated_rings_break_the_queue),
            CASE(all_zero_ring_is_told_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
