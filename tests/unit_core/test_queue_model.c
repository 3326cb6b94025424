/* The queue against a model driver: random requests, direct and indirect, completed out of order, suspended
 * and resumed, over the wrap of the indices. The driver knows what it posted and believes nothing.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit_core/guest.h"

#define SIZE         64u
#define MAX_SEGMENTS 6u
#define N_REQUESTS   100000u
#define SLOT_BYTES   1024u   /* of buffer memory that belongs to one head */
#define TABLES       SCRATCH /* one indirect table of eight for each head */

/* What the driver knows of one head. */
struct posted {
        bool busy, taken;
        bool indirect;
        uint16_t n_readable, n_writable;
        struct segment segments[MAX_SEGMENTS];
        uint16_t descriptors[MAX_SEGMENTS]; /* of the ring; all of them go back to the free list */
        uint32_t used_len;
};

struct model {
        struct guest *guest;
        uint64_t seed;
        struct posted posted[SIZE];
        uint16_t free[SIZE];
        unsigned n_free;
        uint16_t taken[SIZE]; /* heads the device holds */
        unsigned n_taken;
        uint16_t seen; /* the driver's used index */
        unsigned n_posted, n_done;
        bool fresh;  /* no publish since the start */
        bool asleep; /* the device was told that it may sleep */
        uint16_t asleep_at;
};

static uint64_t slot_address(uint16_t head)
{
        return LARGE + (uint64_t)head * SLOT_BYTES;
}

/* Bytes of the readable part depend on head, place and round, so that a wrong copy shows. */
static uint8_t pattern(const struct model *model, uint16_t head, uint32_t i)
{
        (void)model;
        return (uint8_t)(head * 13 + i * 5 + 1);
}

static void make_segments(struct model *model, uint16_t head, struct posted *posted)
{
        uint64_t at = slot_address(head);

        posted->n_readable = (uint16_t)random_below(&model->seed, 4);
        posted->n_writable = (uint16_t)random_below(&model->seed, 3);
        if (posted->n_readable + posted->n_writable == 0)
                posted->n_readable = 1;
        for (unsigned i = 0; i < (unsigned)posted->n_readable + posted->n_writable; i++) {
                uint32_t len = 1 + random_below(&model->seed, 100);

                posted->segments[i] = (struct segment){.at = GPA(at), .len = len};
                for (uint32_t k = 0; i < posted->n_readable && k < len; k++)
                        *guest_at(model->guest, at + k) = pattern(model, head, i * 100 + k);
                at += len;
        }
}

static void describe_direct(struct model *model, struct posted *posted, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                unsigned flags = (i >= posted->n_readable ? WRITE : 0) | (i + 1 < n ? NEXT : 0);

                guest_describe(model->guest, posted->descriptors[i], posted->segments[i].at.v,
                               posted->segments[i].len, flags,
                               i + 1 < n ? posted->descriptors[i + 1] : 0xffff);
        }
}

static void describe_indirect(struct model *model, uint16_t head, const struct posted *posted, unsigned n)
{
        uint64_t table = TABLES + head * 16u * 8u;

        for (unsigned i = 0; i < n; i++) {
                unsigned flags = (i >= posted->n_readable ? WRITE : 0) | (i + 1 < n ? NEXT : 0);

                guest_describe_in(model->guest, table, i, posted->segments[i].at.v, posted->segments[i].len,
                                  flags, (uint16_t)(i + 1));
        }
        guest_describe(model->guest, head, table, 16 * n, INDIRECT, 0xffff);
}

/* Must the driver kick after its index went one up? (virtio 1.3, 2.7.10) */
static bool driver_kicks(const struct model *model)
{
        if (!model->guest->features.event_idx)
                return (guest_get16(model->guest, model->guest->layout.used.v) & 1) == 0;
        return guest_get16(model->guest, avail_event_at(model->guest)) ==
               (uint16_t)(model->guest->avail_index - 1);
}

static void driver_posts(struct model *model)
{
        uint16_t head = model->n_free ? model->free[model->n_free - 1] : 0;
        struct posted *posted = &model->posted[head];
        unsigned n, n_ring;

        if (model->n_free == 0)
                return;
        assert_false(posted->busy);
        *posted = (struct posted){.busy = true};
        make_segments(model, head, posted);
        n = (unsigned)posted->n_readable + posted->n_writable;
        posted->indirect = n > model->n_free || random_below(&model->seed, 2) == 0;
        n_ring = posted->indirect ? 1 : n;
        for (unsigned i = 0; i < n_ring; i++)
                posted->descriptors[i] = model->free[--model->n_free];
        if (posted->indirect)
                describe_indirect(model, head, posted, n);
        else
                describe_direct(model, posted, n);
        guest_post(model->guest, head);
        model->n_posted++;
        if (model->asleep) {
                assert_true(driver_kicks(model)); /* else the device would sleep for ever */
                model->asleep = false;
        }
}

static void device_takes(struct model *model)
{
        struct guest *guest = model->guest;
        struct posted *posted;
        bool seen = queue_has_chain(&guest->queue);
        int r = guest_pop(guest, MAX_SEGMENTS);

        assert_int_equal(seen, r != 0);
        assert_true(r >= 0);
        if (r == 0) {
                assert_int_equal(model->n_posted - model->n_done, model->n_taken);
                return;
        }
        posted = &model->posted[guest->chain.head];
        assert_true(posted->busy && !posted->taken);
        posted->taken = true;
        assert_int_equal(guest->chain.n_readable, posted->n_readable);
        assert_int_equal(guest->chain.n_writable, posted->n_writable);
        for (unsigned i = 0; i < (unsigned)posted->n_readable + posted->n_writable; i++) {
                uint8_t bytes[100];

                assert_true(guest->segments[i].at.v == posted->segments[i].at.v);
                assert_int_equal(guest->segments[i].len, posted->segments[i].len);
                if (i >= posted->n_readable)
                        continue;
                assert_int_equal(
                    guest_memory_read(guest->memory, guest->segments[i].at, bytes, posted->segments[i].len),
                    0);
                for (uint32_t k = 0; k < posted->segments[i].len; k++)
                        assert_int_equal(bytes[k], pattern(model, guest->chain.head, i * 100 + k));
        }
        model->taken[model->n_taken++] = guest->chain.head;
}

static void device_completes(struct model *model)
{
        unsigned i = model->n_taken ? random_below(&model->seed, model->n_taken) : 0;
        uint16_t head = model->taken[i];

        if (model->n_taken == 0)
                return;
        model->taken[i] = model->taken[--model->n_taken];
        model->posted[head].used_len = (uint32_t)random_next(&model->seed);
        assert_int_equal(queue_push(&model->guest->queue, head, model->posted[head].used_len), 0);
        model->n_done++;
}

/* Takes what was shown; returns the heads to the free list. */
static void driver_reaps(struct model *model)
{
        uint16_t index = used_index(model->guest);

        for (; model->seen != index; model->seen++) {
                struct posted *posted;
                uint32_t id, len;

                used_element(model->guest, model->seen, &id, &len);
                assert_true(id < SIZE);
                posted = &model->posted[id];
                assert_true(posted->busy && posted->taken);
                assert_int_equal(len, posted->used_len);
                posted->busy = false;
                for (unsigned i = 0;
                     i < (posted->indirect ? 1u : (unsigned)posted->n_readable + posted->n_writable); i++)
                        model->free[model->n_free++] = posted->descriptors[i];
        }
}

/* By the words of 2.7.7.2: a signal is due when the element at index used_event has just been shown. */
static bool signal_is_due(const struct model *model, uint16_t from, uint16_t to, uint16_t event,
                          uint16_t flags)
{
        if (from == to)
                return false;
        if (!model->guest->features.event_idx)
                return (flags & 1) == 0;
        if (model->fresh)
                return true;
        for (uint16_t i = from; i != to; i++) {
                if (i == event)
                        return true;
        }
        return false;
}

static void device_publishes(struct model *model)
{
        struct guest *guest = model->guest;
        uint16_t from = used_index(guest);
        uint16_t event = (uint16_t)(from + random_below(&model->seed, 12) - 4);
        uint16_t flags = (uint16_t)random_below(&model->seed, 2);
        int r;

        guest_put16(guest, used_event_at(guest), event);
        guest_put16(guest, guest->layout.avail.v, flags);
        r = queue_publish(&guest->queue);
        assert_int_equal(r, signal_is_due(model, from, used_index(guest), event, flags));
        if (from != used_index(guest))
                model->fresh = false;
        driver_reaps(model);
}

static void device_sleeps(struct model *model)
{
        int r = queue_want_kicks(&model->guest->queue);

        assert_int_equal(r, model->guest->avail_index != model->guest->queue.last_avail);
        model->asleep = r == 0;
        if (r == 1)
                (void)queue_no_kicks(&model->guest->queue);
}

static void device_suspends_and_resumes(struct model *model)
{
        struct guest *guest = model->guest;
        uint32_t base;

        device_publishes(model);
        base = queue_stop(&guest->queue);
        assert_int_equal(base, (uint16_t)(65530 + model->n_done + model->n_taken));
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        assert_int_equal(guest->queue.outstanding, model->n_taken);
        model->fresh = true;
        model->asleep = false;
}

static void run(bool event_idx, bool scattered)
{
        struct model *model = calloc(1, sizeof(*model));

        assert_non_null(model);
        model->guest = guest_new();
        model->guest->features.event_idx = event_idx;
        if (scattered)
                guest_scatter_backwards(model->guest);
        guest_start(model->guest, SIZE, 65530);
        model->seed = 7 + event_idx;
        model->seen = 65530;
        model->fresh = true;
        for (uint16_t i = 0; i < SIZE; i++)
                model->free[model->n_free++] = i;
        while (model->n_posted < N_REQUESTS || model->n_done < model->n_posted) {
                uint32_t what = random_below(&model->seed, 1000);

                if (what < 330 && model->n_posted < N_REQUESTS)
                        driver_posts(model);
                else if (what < 660)
                        device_takes(model);
                else if (what < 920)
                        device_completes(model);
                else if (what < 970)
                        device_publishes(model);
                else if (what < 998)
                        device_sleeps(model);
                else
                        device_suspends_and_resumes(model);
        }
        device_publishes(model);
        assert_int_equal(model->n_free, SIZE);
        assert_int_equal(model->guest->queue.outstanding, 0);
        assert_int_equal(used_index(model->guest), (uint16_t)(65530 + N_REQUESTS));
        guest_free(model->guest);
        free(model);
}

static void model_driver_gets_every_request_back_once_with_event_index(void **state)
{
        (void)state;
        run(true, false);
}

static void model_driver_gets_every_request_back_once_with_flags(void **state)
{
        (void)state;
        run(false, false);
}

static void model_driver_may_have_its_ring_in_scattered_pages(void **state)
{
        (void)state;
        run(true, true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(model_driver_gets_every_request_back_once_with_event_index),
            cmocka_unit_test(model_driver_gets_every_request_back_once_with_flags),
            cmocka_unit_test(model_driver_may_have_its_ring_in_scattered_pages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
