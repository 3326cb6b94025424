/* A guest that writes while we read: whatever it does, the result is one that some single moment would have
 * given.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit_core/guest.h"

#define SIZE   8u
#define ROUNDS 60000u

/* The other thread: writes one value of `width` bytes, then the other, until it is stopped. */
struct flipper {
        void *at;
        unsigned width;
        uint64_t values[2];
        atomic_bool stop;
        pthread_t thread;
};

/* Ring memory is a race by design; only the reader is under test. */
__attribute__((no_sanitize("thread"))) static void *flip(void *argument)
{
        struct flipper *flipper = argument;

        for (unsigned i = 0; !atomic_load_explicit(&flipper->stop, memory_order_relaxed); i++) {
                uint64_t value = flipper->values[i & 1];

                if (flipper->width == 2)
                        *(volatile uint16_t *)flipper->at = (uint16_t)value;
                else if (flipper->width == 4)
                        *(volatile uint32_t *)flipper->at = (uint32_t)value;
                else
                        *(volatile uint64_t *)flipper->at = value;
        }
        return NULL;
}

static void flipper_start(struct flipper *flipper, void *at, unsigned width, uint64_t a, uint64_t b)
{
        *flipper = (struct flipper){.at = at, .width = width, .values = {a, b}};
        assert_int_equal(pthread_create(&flipper->thread, NULL, flip, flipper), 0);
}

static void flipper_end(struct flipper *flipper)
{
        atomic_store(&flipper->stop, true);
        assert_int_equal(pthread_join(flipper->thread, NULL), 0);
}

/* Takes head 0 again and again under fire; `check` judges each chain. Returns how many were accepted. */
static unsigned pop_under_fire(struct guest *guest, enum queue_fault allowed,
                               void (*check)(const struct chain *chain))
{
        unsigned accepted = 0;

        for (unsigned i = 0; i < ROUNDS; i++) {
                int r;

                guest_post(guest, 0);
                r = guest_pop(guest, SIZE);
                if (r == 1) {
                        check(&guest->chain);
                        assert_int_equal(queue_push(&guest->queue, 0, 0), 0);
                        assert_true(queue_publish(&guest->queue) >= 0);
                        accepted++;
                        continue;
                }
                assert_int_equal(r, -EPROTO);
                assert_int_equal(guest->queue.fault, allowed);
                assert_int_equal(queue_start(&guest->queue, (queue_stop(&guest->queue), guest->memory),
                                             &guest->layout, &guest->features, guest->avail_index),
                                 0);
        }
        return accepted;
}

static void is_one_good_byte_range(const struct chain *chain)
{
        assert_int_equal(chain->n_readable, 1);
        assert_int_equal(chain->n_writable, 0);
        assert_true(chain->segments[0].at.v == BUFFERS);
        assert_int_equal(chain->segments[0].len, 16);
        assert_int_equal(chain->readable, 16);
}

static void address_that_flips_to_a_hole_never_passes(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, BUFFERS, 16, 0, 0);
        flipper_start(&flipper, guest_at(guest, RING_DESC), 8, BUFFERS, HOLE);
        (void)pop_under_fire(guest, QUEUE_FAULT_ADDRESS, is_one_good_byte_range);
        flipper_end(&flipper);
        guest_free(guest);
}

static void length_that_flips_over_the_limit_never_passes(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, BUFFERS, 16, 0, 0);
        flipper_start(&flipper, guest_at(guest, RING_DESC + 8), 4, 16, UINT32_MAX);
        (void)pop_under_fire(guest, QUEUE_FAULT_LENGTH, is_one_good_byte_range);
        flipper_end(&flipper);
        guest_free(guest);
}

static void is_direct_or_indirect(const struct chain *chain)
{
        bool direct = chain->segments[0].at.v == SCRATCH && chain->segments[0].len == 16;
        bool indirect = chain->segments[0].at.v == BUFFERS && chain->segments[0].len == 99;

        assert_int_equal(chain->n_readable + chain->n_writable, 1);
        assert_true(direct || indirect);
}

static void flags_that_flip_to_indirect_give_one_or_the_other(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, SCRATCH, 16, 0, 0);
        guest_describe_in(guest, SCRATCH, 0, BUFFERS, 99, 0, 0);
        flipper_start(&flipper, guest_at(guest, RING_DESC + 12), 2, 0, INDIRECT);
        assert_int_equal(pop_under_fire(guest, QUEUE_FAULT_NONE, is_direct_or_indirect), ROUNDS);
        flipper_end(&flipper);
        guest_free(guest);
}

static void is_readable_or_writable(const struct chain *chain)
{
        assert_int_equal(chain->n_readable + chain->n_writable, 1);
        assert_int_equal(chain->readable + chain->writable, 16);
        /* The direction that was judged is the direction that is reported. */
        if (chain->n_writable)
                fail();
}

static void direction_that_flips_never_opens_read_only_memory(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, READ_ONLY, 16, 0, 0);
        flipper_start(&flipper, guest_at(guest, RING_DESC + 12), 2, 0, WRITE);
        (void)pop_under_fire(guest, QUEUE_FAULT_ADDRESS, is_readable_or_writable);
        flipper_end(&flipper);
        guest_free(guest);
}

static void is_within_a_table_of_two(const struct chain *chain)
{
        assert_int_equal(chain->n_readable + chain->n_writable, 2);
}

static void next_that_flips_out_of_the_table_never_passes(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 65530);
        guest_describe(guest, 0, SCRATCH, 32, INDIRECT, 0);
        guest_describe_in(guest, SCRATCH, 0, BUFFERS, 99, NEXT, 1);
        guest_describe_in(guest, SCRATCH, 1, BUFFERS, 99, 0, 0);
        flipper_start(&flipper, guest_at(guest, SCRATCH + 14), 2, 1, 0xffff);
        (void)pop_under_fire(guest, QUEUE_FAULT_NEXT, is_within_a_table_of_two);
        flipper_end(&flipper);
        guest_free(guest);
}

/* 0x00ff and 0x0100 are both fine; half of one and half of the other is not. */
static void available_index_is_never_torn(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;

        (void)state;
        guest_start(guest, SIZE, 0xf8);
        flipper_start(&flipper, guest_at(guest, RING_AVAIL + 2), 2, 0x00ff, 0x0100);
        for (unsigned i = 0; i < 10 * ROUNDS; i++)
                assert_true(queue_want_kicks(&guest->queue) >= 0);
        flipper_end(&flipper);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_NONE);
        guest_free(guest);
}

static void head_that_flips_out_of_the_ring_never_passes(void **state)
{
        struct guest *guest = guest_new();
        struct flipper flipper;
        unsigned broken = 0;

        (void)state;
        guest_start(guest, SIZE, 0);
        for (uint16_t i = 0; i < SIZE; i++)
                guest_describe(guest, i, BUFFERS, 1, 0, 0);
        guest_put16(guest, RING_AVAIL + 4, 7);
        guest_put16(guest, RING_AVAIL + 2, 1);
        flipper_start(&flipper, guest_at(guest, RING_AVAIL + 4), 2, 7, 0x4007);
        for (unsigned i = 0; i < ROUNDS; i++) {
                if (guest_pop(guest, SIZE) == 1) {
                        assert_int_equal(guest->chain.head, 7);
                        assert_int_equal(queue_push(&guest->queue, 7, 0), 0);
                } else {
                        assert_int_equal(guest->queue.fault, QUEUE_FAULT_HEAD);
                        broken++;
                }
                queue_stop(&guest->queue);
                assert_int_equal(
                    queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, 0), 0);
        }
        flipper_end(&flipper);
        assert_true(broken <= ROUNDS);
        guest_free(guest);
}

/* The other side of the world: the file shrinks and grows while the queue runs. */
static void *shrink(void *argument)
{
        struct guest *guest = argument;

        for (unsigned i = 0; i < 500; i++) {
                if (ftruncate(guest->fd, 0x100000) < 0 || ftruncate(guest->fd, 0x4100000) < 0)
                        return argument;
        }
        return NULL;
}

static void file_that_shrinks_under_the_ring_breaks_it_and_no_more(void **state)
{
        struct guest *guest = guest_new();
        pthread_t thread;
        void *failed;

        (void)state;
        guest_layout(guest, SIZE);
        guest->layout.desc = GPA(LARGE);
        guest->layout.avail = GPA(LARGE + 0x1000);
        guest->layout.used = GPA(LARGE + 0x2000);
        assert_int_equal(pthread_create(&thread, NULL, shrink, guest), 0);
        for (unsigned i = 0; i < 3000; i++) {
                /* Zeroes come back with the file: a head 0 with an empty descriptor breaks it too. */
                if (queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, 0xffff) < 0)
                        continue;
                if (guest_pop(guest, SIZE) == 1)
                        (void)queue_push(&guest->queue, 0, 0);
                (void)queue_publish(&guest->queue);
                (void)queue_want_kicks(&guest->queue);
                queue_stop(&guest->queue);
                queue_done(&guest->queue);
        }
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        guest_free(guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(address_that_flips_to_a_hole_never_passes),
            cmocka_unit_test(length_that_flips_over_the_limit_never_passes),
            cmocka_unit_test(flags_that_flip_to_indirect_give_one_or_the_other),
            cmocka_unit_test(direction_that_flips_never_opens_read_only_memory),
            cmocka_unit_test(next_that_flips_out_of_the_table_never_passes),
            cmocka_unit_test(available_index_is_never_torn),
            cmocka_unit_test(head_that_flips_out_of_the_ring_never_passes),
            cmocka_unit_test(file_that_shrinks_under_the_ring_breaks_it_and_no_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
