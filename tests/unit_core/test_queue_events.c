/* When a queue signals and when it wants kicks (virtio 1.3, 2.7.7 and 2.7.10), over the wrap of the indices.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit_core/guest.h"

#define SIZE 8u

/* ---- signals ---- */

static int complete_one(struct guest *guest)
{
        guest_take(guest, 0);
        assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
        return queue_publish(&guest->queue);
}

static void nothing_is_shown_before_publish(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        for (uint16_t head = 0; head < 3; head++)
                guest_take(guest, head);
        for (uint16_t head = 0; head < 3; head++)
                assert_int_equal(queue_push(&guest->queue, head, 0), 0);
        assert_int_equal(used_index(guest), 0);
        assert_int_equal(queue_publish(&guest->queue), 1);
        assert_int_equal(used_index(guest), 3);
        assert_int_equal(queue_publish(&guest->queue), 0); /* nothing new, no signal */
}

static void flag_decides_without_event_index(void **state)
{
        struct guest *guest = *state;

        guest->features.event_idx = false;
        guest_start(guest, SIZE, 65530);
        for (unsigned i = 0; i < 20; i++) {
                uint16_t flags = (uint16_t)random_next(&(uint64_t){i});

                guest_put16(guest, RING_AVAIL, flags);
                assert_int_equal(complete_one(guest), (flags & 1) == 0);
        }
}

static void flag_means_nothing_with_event_index(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        guest_put16(guest, RING_AVAIL, 1);
        guest_put16(guest, used_event_at(guest), 1);
        assert_int_equal(complete_one(guest), 1); /* the first after a start */
        assert_int_equal(complete_one(guest), 1); /* passes index 1 */
        assert_int_equal(complete_one(guest), 0);
}

static void first_publish_after_each_start_signals(void **state)
{
        struct guest *guest = *state;
        uint32_t base;

        guest_start(guest, SIZE, 0);
        guest_put16(guest, used_event_at(guest), 0x8000);
        assert_int_equal(complete_one(guest), 1);
        assert_int_equal(complete_one(guest), 0);
        base = queue_stop(&guest->queue);
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        assert_int_equal(complete_one(guest), 1);
        assert_int_equal(complete_one(guest), 0);
}

/* A batch from index `from` to `to` signals exactly when the event lies in it: at every place around the
 * wrap. */
static void event_index_signals_exactly_when_passed(void **state)
{
        struct guest *guest = *state;

        for (uint32_t start = 65530; start < 65530 + 12; start++) {
                for (uint16_t batch = 1; batch <= SIZE; batch++) {
                        for (int32_t offset = -4; offset < 12; offset++) {
                                uint16_t event = (uint16_t)((int32_t)start + offset);

                                guest_start(guest, SIZE, (uint16_t)start);
                                guest->queue.signaled_valid =
                                    true; /* as if one had been considered just before */
                                guest_put16(guest, used_event_at(guest), event);
                                for (uint16_t head = 0; head < batch; head++) {
                                        guest_take(guest, head);
                                        assert_int_equal(queue_push(&guest->queue, head, 0), 0);
                                }
                                assert_int_equal(queue_publish(&guest->queue), offset >= 0 && offset < batch);
                                queue_stop(&guest->queue);
                        }
                }
        }
}

/* A driver that polls for more than 2^16 completions and then asks for a signal must get it. */
static void long_silence_does_not_lose_a_signal(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        guest_put16(guest, used_event_at(guest), 0);
        assert_int_equal(complete_one(guest), 1);
        for (uint32_t i = 0; i < 65534; i++) {
                guest_put16(guest, used_event_at(guest), (uint16_t)(guest->queue.used_next - 2));
                assert_int_equal(complete_one(guest), 0);
        }
        guest_put16(guest, used_event_at(guest), guest->queue.used_next);
        assert_int_equal(complete_one(guest), 1);
}

/* ---- kicks ---- */

static void want_kicks_says_so_in_the_flag(void **state)
{
        struct guest *guest = *state;

        guest->features.event_idx = false;
        guest_start(guest, SIZE, 0);
        assert_int_equal(queue_no_kicks(&guest->queue), 0);
        assert_int_equal(guest_get16(guest, RING_USED), 1);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(guest_get16(guest, RING_USED), 0);
}

static void want_kicks_says_so_in_the_event_index(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 65535);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(guest_get16(guest, avail_event_at(guest)), 65535);
        guest_take(guest, 0);
        assert_int_equal(queue_no_kicks(&guest->queue), 0);
        assert_int_equal(guest_get16(guest, avail_event_at(guest)), 65535);
        assert_int_equal(queue_want_kicks(&guest->queue), 0);
        assert_int_equal(guest_get16(guest, avail_event_at(guest)), 0);
        assert_int_equal(guest_get16(guest, RING_USED), 0);
}

static void want_kicks_sees_a_chain_that_came_in_between(void **state)
{
        struct guest *guest = *state;

        for (int event_idx = 0; event_idx < 2; event_idx++) {
                guest->features.event_idx = event_idx;
                guest_start(guest, SIZE, 65535);
                guest_describe(guest, 0, BUFFERS, 1, 0, 0);
                guest_post(guest, 0);
                assert_int_equal(queue_want_kicks(&guest->queue), 1);
                assert_int_equal(guest_pop(guest, SIZE), 1);
                assert_int_equal(queue_want_kicks(&guest->queue), 0);
                assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
                queue_stop(&guest->queue);
        }
}

static void want_kicks_judges_the_index_too(void **state)
{
        struct guest *guest = *state;

        guest_start(guest, SIZE, 0);
        guest_put16(guest, RING_AVAIL + 2, SIZE + 1);
        assert_int_equal(queue_want_kicks(&guest->queue), -EPROTO);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_AVAIL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CASE(nothing_is_shown_before_publish),
            CASE(flag_decides_without_event_index),
            CASE(flag_means_nothing_with_event_index),
            CASE(first_publish_after_each_start_signals),
            CASE(event_index_signals_exactly_when_passed),
            CASE(long_silence_does_not_lose_a_signal),
            CASE(want_kicks_says_so_in_the_flag),
            CASE(want_kicks_says_so_in_the_event_index),
            CASE(want_kicks_sees_a_chain_that_came_in_between),
            CASE(want_kicks_judges_the_index_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
