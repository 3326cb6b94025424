/* When a packed queue signals and when it wants kicks (virtio 1.3, 2.8.10), at every place and over the wrap.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit_core/packed_pen.h"

#define SIZE 5u

static int complete_one(struct guest *guest)
{
        packed_take(guest, 0);
        assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
        return queue_publish(&guest->queue);
}

/* ---- signals ---- */

static void flags_decide_with_and_without_the_event_feature(void **state)
{
        struct guest *guest = *state;

        for (int event_idx = 0; event_idx < 2; event_idx++) {
                guest->features.event_idx = event_idx;
                packed_start_fresh(guest, SIZE);
                packed_put_event(guest, PACKED_DRIVER, 0x1234, EVENT_DISABLE);
                assert_int_equal(complete_one(guest), 0);
                packed_put_event(guest, PACKED_DRIVER, 0x1234, EVENT_ENABLE);
                assert_int_equal(complete_one(guest), 1);
                packed_put_event(guest, PACKED_DRIVER, 0x1234, 3); /* reserved */
                assert_int_equal(complete_one(guest), 1);
                packed_put_event(guest, PACKED_DRIVER, 0, 0xfff4 | EVENT_DISABLE); /* unknown bits */
                assert_int_equal(complete_one(guest), 0);
                queue_stop(&guest->queue);
        }
}

static void place_without_its_feature_is_a_wish_for_all(void **state)
{
        struct guest *guest = *state;

        guest->features.event_idx = false;
        packed_start_fresh(guest, SIZE);
        packed_put_event(guest, PACKED_DRIVER, 0x7fff, EVENT_DESC);
        for (unsigned i = 0; i < 3 * SIZE; i++)
                assert_int_equal(complete_one(guest), 1);
}

static void first_publish_after_each_start_signals(void **state)
{
        struct guest *guest = *state;
        uint32_t base;

        packed_start_fresh(guest, SIZE);
        packed_put_event(guest, PACKED_DRIVER, 4, EVENT_DESC);
        assert_int_equal(complete_one(guest), 1);
        assert_int_equal(complete_one(guest), 0);
        base = queue_stop(&guest->queue);
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        assert_int_equal(complete_one(guest), 1);
        assert_int_equal(complete_one(guest), 0);
}

/* How far `place` with its counter lies ahead of (from, wrap): 0 is the next one; behind: large. */
static unsigned ahead(unsigned place, bool wrap, unsigned from, bool from_wrap)
{
        if (wrap == from_wrap)
                return place >= from ? place - from : 1000;
        return place < from ? place + SIZE - from : 1000;
}

/* A batch of any size, from any place, signals exactly when the event is one of the places that it went over. */
static void event_place_signals_exactly_when_passed(void **state)
{
        struct guest *guest = *state;

        for (unsigned all = 0; all < 2 * SIZE * 2 * SIZE * (SIZE + 1); all++) {
                uint16_t from = (uint16_t)(all % SIZE), event = (uint16_t)(all / SIZE % SIZE);
                uint16_t batch = (uint16_t)(all / (SIZE * SIZE) % (SIZE + 1));
                bool wrap = all / (SIZE * SIZE * (SIZE + 1)) & 1,
                     event_wrap = all / (2 * SIZE * SIZE * (SIZE + 1)) & 1;
                bool passed = ahead(event, event_wrap, from, wrap) < batch;

                packed_start(guest, SIZE, packed_base(from, wrap, from, wrap));
                guest->queue.signaled_valid = true; /* as if one had been considered just before */
                packed_put_event(guest, PACKED_DRIVER, (uint16_t)(event | (event_wrap ? EVENT_WRAP : 0)),
                                 EVENT_DESC);
                for (uint16_t id = 0; id < batch; id++) {
                        packed_take(guest, id);
                        assert_int_equal(queue_push(&guest->queue, id, 0), 0);
                }
                assert_int_equal(queue_publish(&guest->queue), passed);
                queue_stop(&guest->queue);
        }
}

/* One used descriptor for a chain of three goes over three places. */
static void event_inside_a_chain_is_passed_with_it(void **state)
{
        struct guest *guest = *state;

        for (uint16_t event = 0; event < SIZE; event++) {
                packed_start_fresh(guest, SIZE);
                guest->queue.signaled_valid = true;
                packed_put_event(guest, PACKED_DRIVER, (uint16_t)(event | EVENT_WRAP), EVENT_DESC);
                packed_add(guest, BUFFERS, 1, NEXT, 0);
                packed_add(guest, BUFFERS, 1, NEXT, 0);
                packed_add(guest, BUFFERS, 1, 0, 0);
                assert_int_equal(guest_pop(guest, SIZE), 1);
                assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
                assert_int_equal(queue_publish(&guest->queue), event < 3);
                queue_stop(&guest->queue);
        }
}

static void event_outside_the_ring_signals_nothing_and_harms_nothing(void **state)
{
        static const uint16_t places[] = {SIZE, SIZE + 1, 0x7fff, 0xffff, SIZE | EVENT_WRAP, 0x8fff};
        struct guest *guest = *state;

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                packed_start_fresh(guest, SIZE);
                packed_put_event(guest, PACKED_DRIVER, places[i], EVENT_DESC);
                assert_int_equal(complete_one(guest), 1); /* the first after a start */
                for (unsigned n = 0; n < 4 * SIZE; n++)
                        assert_true(complete_one(guest) >= 0);
                assert_int_equal(guest->queue.fault, QUEUE_FAULT_NONE);
                queue_stop(&guest->queue);
        }
}

/* ---- kicks ---- */

static void want_kicks_says_so_in_the_flags(void **state)
{
        struct guest *guest = *state;

        guest->features.event_idx = false;
        packed_start_fresh(guest, SIZE);
        assert_int_equal(queue_no_kicks(&guest->queue), 0);
        assert_int_equal(packed_event(guest, PACKED_DEVICE) >> 16, EVENT_DISABLE);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(packed_event(guest, PACKED_DEVICE) >> 16, EVENT_ENABLE);
}

static void want_kicks_names_the_next_place(void **state)
{
        struct guest *guest = *state;

        packed_start(guest, SIZE, packed_base(4, true, 4, true));
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(packed_event(guest, PACKED_DEVICE), EVENT_DESC << 16 | EVENT_WRAP | 4);
        packed_take(guest, 0);
        assert_int_equal(queue_no_kicks(&guest->queue), 0); /* nothing to say: it lies behind */
        assert_int_equal(packed_event(guest, PACKED_DEVICE), EVENT_DESC << 16 | EVENT_WRAP | 4);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(packed_event(guest, PACKED_DEVICE), EVENT_DESC << 16 | 0);
}

static void want_kicks_sees_a_chain_that_came_in_between(void **state)
{
        struct guest *guest = *state;

        for (int event_idx = 0; event_idx < 2; event_idx++) {
                guest->features.event_idx = event_idx;
                packed_start(guest, SIZE, packed_base(4, false, 4, false));
                packed_add(guest, BUFFERS, 1, 0, 0);
                assert_int_equal(queue_want_kicks(&guest->queue), 1);
                assert_int_equal(guest_pop(guest, SIZE), 1);
                assert_int_equal(queue_want_kicks(&guest->queue), 0);
                assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
                queue_stop(&guest->queue);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(flags_decide_with_and_without_the_event_feature),
            CASE(place_without_its_feature_is_a_wish_for_all),
            CASE(first_publish_after_each_start_signals),
            CASE(event_place_signals_exactly_when_passed),
            CASE(event_inside_a_chain_is_passed_with_it),
            CASE(event_outside_the_ring_signals_nothing_and_harms_nothing),
            CASE(want_kicks_says_so_in_the_flags),
            CASE(want_kicks_names_the_next_place),
            CASE(want_kicks_sees_a_chain_that_came_in_between),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
