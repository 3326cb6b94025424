/* Chains that are taken back, unused: both layouts.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit_core/packed_pen.h"

#define SIZE 8u

/* Takes the next chain and keeps what queue_unpop needs of it. */
static struct chain take(struct guest *guest)
{
        assert_int_equal(guest_pop(guest, LIMIT_RING_SIZE), 1);
        return guest->chain;
}

static void post_split(struct guest *guest, uint16_t head)
{
        guest_describe(guest, head, BUFFERS + head * 64u, 1, 0, 0);
        guest_post(guest, head);
}

static void the_youngest_can_be_taken_back_and_is_found_again(void **state)
{
        struct guest *guest = *state;
        struct chain a, b;

        guest_start(guest, SIZE, 0xffff); /* over the wrap of the index */
        post_split(guest, 3);
        post_split(guest, 5);
        a = take(guest);
        b = take(guest);
        assert_false(queue_unpop(&guest->queue, &a)); /* b is younger */
        assert_true(queue_unpop(&guest->queue, &b));
        assert_false(queue_unpop(&guest->queue, &b)); /* it is not outstanding any more */
        assert_true(queue_unpop(&guest->queue, &a));
        assert_int_equal(guest->queue.outstanding, 0);
        assert_int_equal(take(guest).head, 3);
        assert_int_equal(take(guest).head, 5);
        assert_int_equal(guest_pop(guest, LIMIT_RING_SIZE), 0);
        assert_int_equal(queue_stop(&guest->queue), 1);
}

static void one_that_is_older_than_a_used_one_cannot(void **state)
{
        struct guest *guest = *state;
        struct chain a, b, c;

        guest_start(guest, SIZE, 0);
        for (uint16_t i = 0; i < 3; i++)
                post_split(guest, i);
        a = take(guest);
        b = take(guest);
        c = take(guest);
        assert_int_equal(queue_push(&guest->queue, b.head, 1), 0);
        assert_true(queue_unpop(&guest->queue, &c));
        assert_false(queue_unpop(&guest->queue, &a));
        assert_int_equal(queue_push(&guest->queue, a.head, 0), 0);
        assert_int_equal(queue_stop(&guest->queue), 2);
}

/* Its number has come round, its turn has not. */
static void an_old_one_is_not_mistaken_for_the_youngest(void **state)
{
        struct guest *guest = *state;
        struct chain old;

        guest_start(guest, SIZE, 0);
        post_split(guest, 7);
        old = take(guest);
        for (uint32_t i = 0; i < 0x10000; i++) {
                post_split(guest, 1);
                assert_int_equal(queue_push(&guest->queue, take(guest).head, 0), 0);
        }
        assert_int_equal(guest->queue.last_avail, (uint16_t)(old.place + 1));
        assert_false(queue_unpop(&guest->queue, &old));
        assert_int_equal(guest->queue.outstanding, 1);
}

static void nothing_is_taken_back_from_a_queue_that_is_stopped(void **state)
{
        struct guest *guest = *state;
        struct chain a;

        guest_start(guest, SIZE, 0);
        post_split(guest, 0);
        a = take(guest);
        queue_stop(&guest->queue);
        assert_false(queue_unpop(&guest->queue, &a));
        assert_int_equal(guest->queue.outstanding, 1);
}

/* ---- packed ---- */

/* A chain of n descriptors with this id. */
static void post_packed(struct guest *guest, uint16_t id, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                packed_add(guest, BUFFERS + id * 256u + i * 64u, 1, i + 1 < n ? NEXT : 0, id);
}

static void packed_chains_go_back_over_the_end_of_the_ring(void **state)
{
        struct guest *guest = *state;
        struct chain a, b, c;

        packed_start(guest, SIZE, packed_base(5, true, 5, true));
        post_packed(guest, 1, 2);
        post_packed(guest, 2, 3); /* goes over the end */
        post_packed(guest, 3, 1);
        a = take(guest);
        b = take(guest);
        c = take(guest);
        assert_true(queue_unpop(&guest->queue, &c));
        assert_true(queue_unpop(&guest->queue, &b));
        assert_int_equal(queue_push(&guest->queue, a.head, 1), 0);
        queue_publish(&guest->queue);
        assert_int_equal(take(guest).head, 2);
        assert_int_equal(take(guest).head, 3);
        assert_true(queue_unpop(&guest->queue, &guest->chain));
        assert_int_equal(queue_stop(&guest->queue), packed_base(2, false, 7, true));
}

static void packed_ring_that_was_written_over_keeps_what_is_younger(void **state)
{
        struct guest *guest = *state;
        struct chain a, b, c;

        packed_start_fresh(guest, SIZE);
        post_packed(guest, 1, 1);
        post_packed(guest, 2, 3);
        post_packed(guest, 3, 2);
        a = take(guest);
        b = take(guest);
        c = take(guest);
        assert_int_equal(queue_push(&guest->queue, b.head, 9), 0); /* written where a was */
        queue_publish(&guest->queue);
        assert_true(queue_unpop(&guest->queue, &c));
        assert_false(queue_unpop(&guest->queue, &a));
        assert_int_equal(queue_push(&guest->queue, a.head, 0), 0);
        queue_publish(&guest->queue);
        assert_int_equal(packed_used_at(guest, 0).id, 2);
        assert_int_equal(packed_used_at(guest, 3).id, 1);
        assert_int_equal(take(guest).head, 3);
        assert_int_equal(guest->chain.n_readable, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(the_youngest_can_be_taken_back_and_is_found_again),
            CASE(one_that_is_older_than_a_used_one_cannot),
            CASE(an_old_one_is_not_mistaken_for_the_youngest),
            CASE(nothing_is_taken_back_from_a_queue_that_is_stopped),
            CASE(packed_chains_go_back_over_the_end_of_the_ring),
            CASE(packed_ring_that_was_written_over_keeps_what_is_younger),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
