/* The packed queue against a model driver: random requests, direct and indirect, completed out of order, in
 * batches, suspended and resumed, in rings of odd sizes, over many turns. The driver knows what it posted and
 * believes nothing.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/unit_core/packed_pen.h"

#define SIZE_MAX_    64u
#define MAX_SEGMENTS 6u
#define N_REQUESTS   30000u
#define TABLES       SCRATCH /* one indirect table of eight for each id */

/* What the driver knows of one buffer id. */
struct posted {
        bool busy, taken;
        uint16_t n_readable, n_writable, n_ring;
        struct segment segments[MAX_SEGMENTS];
        uint32_t used_len;
};

struct model {
        struct guest *guest;
        uint64_t seed;
        uint16_t size;
        struct posted posted[SIZE_MAX_];
        uint16_t n_free; /* descriptors that the driver has */
        uint16_t taken[SIZE_MAX_];
        unsigned n_taken;
        uint16_t pushed[SIZE_MAX_]; /* in the order of their completion, not seen by the driver */
        unsigned n_pushed;
        uint16_t used; /* the driver's place */
        bool used_wrap;
        unsigned n_posted, n_done;
        bool fresh, asleep;
};

/* ---- the driver ---- */

static int free_id(struct model *model)
{
        unsigned from = random_below(&model->seed, model->size);

        for (unsigned i = 0; i < model->size; i++)
                if (!model->posted[(from + i) % model->size].busy)
                        return (int)((from + i) % model->size);
        return -1;
}

static void make_segments(struct model *model, struct posted *posted)
{
        posted->n_readable = (uint16_t)random_below(&model->seed, 4);
        posted->n_writable = (uint16_t)random_below(&model->seed, 3);
        if (posted->n_readable + posted->n_writable == 0)
                posted->n_writable = 1;
        for (unsigned i = 0; i < (unsigned)posted->n_readable + posted->n_writable; i++)
                posted->segments[i] =
                    (struct segment){.at = GPA(LARGE + random_below(&model->seed, 1u << 20)),
                                     .len = 1 + random_below(&model->seed, 5000)};
}

/* Behind the first: the device must not see half a chain. Here it cannot: one thread. */
static void describe(struct model *model, uint16_t id, bool indirect)
{
        struct posted *posted = &model->posted[id];
        unsigned n = (unsigned)posted->n_readable + posted->n_writable;

        for (unsigned i = 0; i < n; i++) {
                const struct segment *segment = &posted->segments[i];
                unsigned write = i >= posted->n_readable ? WRITE : 0;

                if (indirect)
                        packed_describe(model->guest, TABLES + id * 16u * 8u, i, segment->at.v, segment->len,
                                        (uint16_t)random_next(&model->seed), write);
                else
                        packed_add(model->guest, segment->at.v, segment->len, write | (i + 1 < n ? NEXT : 0),
                                   i + 1 < n ? (uint16_t)random_next(&model->seed) : id);
        }
        if (indirect)
                packed_add(model->guest, TABLES + id * 16u * 8u, 16 * n, INDIRECT, id);
}

/* Must the driver kick for the descriptors from `place` on? (virtio 1.3, 2.8.10) */
static bool driver_kicks(const struct model *model, uint16_t place, bool wrap)
{
        uint32_t event = packed_event(model->guest, PACKED_DEVICE);

        if (event >> 16 == EVENT_DISABLE)
                return false;
        return event >> 16 == EVENT_ENABLE || (event & 0xffff) == (place | (wrap ? EVENT_WRAP : 0u));
}

static void driver_posts(struct model *model)
{
        int id = free_id(model);
        struct posted *posted = &model->posted[MAX(id, 0)];
        uint16_t place = model->guest->avail_index;
        bool wrap = model->guest->avail_wrap, indirect;
        unsigned n;

        if (id < 0 || model->n_free == 0)
                return;
        *posted = (struct posted){.busy = true};
        make_segments(model, posted);
        n = (unsigned)posted->n_readable + posted->n_writable;
        while (n > model->size) { /* neither the ring nor a table holds more */
                make_segments(model, posted);
                n = (unsigned)posted->n_readable + posted->n_writable;
        }
        indirect = n > model->n_free || random_below(&model->seed, 2) == 0;
        posted->n_ring = indirect ? 1 : (uint16_t)n;
        model->n_free = (uint16_t)(model->n_free - posted->n_ring);
        describe(model, (uint16_t)id, indirect);
        model->n_posted++;
        if (model->asleep) {
                assert_true(driver_kicks(model, place, wrap)); /* else the device would sleep for ever */
                model->asleep = false;
        }
}

/* Takes what was shown, in the order of completion. */
static unsigned driver_reaps(struct model *model)
{
        unsigned n = 0;

        while (model->n_free < model->size && packed_is_used(model->guest, model->used, model->used_wrap)) {
                struct packed_used used = packed_used_at(model->guest, model->used);
                struct posted *posted = &model->posted[used.id % SIZE_MAX_];

                assert_true(model->n_pushed > 0);
                assert_int_equal(used.id, model->pushed[0]);
                memmove(model->pushed, model->pushed + 1, --model->n_pushed * sizeof(model->pushed[0]));
                assert_int_equal(used.len, posted->used_len);
                assert_int_equal((used.flags & WRITE) != 0, used.len > 0);
                posted->busy = false;
                model->n_free = (uint16_t)(model->n_free + posted->n_ring);
                model->used = (uint16_t)(model->used + posted->n_ring);
                if (model->used >= model->size) {
                        model->used = (uint16_t)(model->used - model->size);
                        model->used_wrap = !model->used_wrap;
                }
                n++;
        }
        return n;
}

/* ---- the device ---- */

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
        assert_true(guest->chain.head < model->size);
        posted = &model->posted[guest->chain.head];
        assert_true(posted->busy && !posted->taken);
        posted->taken = true;
        assert_int_equal(guest->chain.n_readable, posted->n_readable);
        assert_int_equal(guest->chain.n_writable, posted->n_writable);
        for (unsigned i = 0; i < (unsigned)posted->n_readable + posted->n_writable; i++) {
                assert_true(guest->segments[i].at.v == posted->segments[i].at.v);
                assert_int_equal(guest->segments[i].len, posted->segments[i].len);
        }
        model->taken[model->n_taken++] = guest->chain.head;
}

static void device_completes(struct model *model)
{
        unsigned i = model->n_taken ? random_below(&model->seed, model->n_taken) : 0;
        uint16_t id = model->taken[i];

        if (model->n_taken == 0)
                return;
        model->taken[i] = model->taken[--model->n_taken];
        model->posted[id].used_len = random_below(&model->seed, 3) * random_below(&model->seed, 1u << 30);
        assert_int_equal(queue_push(&model->guest->queue, id, model->posted[id].used_len), 0);
        model->pushed[model->n_pushed++] = id;
        model->n_done++;
}

/* Nothing of a batch is seen before, all of it after; with a place as event, the signal follows from it. */
static void device_publishes(struct model *model)
{
        bool any = model->n_pushed > 0, wants_all = random_below(&model->seed, 2);
        int r;

        packed_put_event(model->guest, PACKED_DRIVER,
                         (uint16_t)(model->used | (model->used_wrap ? EVENT_WRAP : 0)),
                         !wants_all && model->guest->features.event_idx ? EVENT_DESC : EVENT_ENABLE);
        assert_int_equal(driver_reaps(model), 0);
        r = queue_publish(&model->guest->queue);
        assert_int_equal(r, any); /* the driver waits at the first */
        (void)driver_reaps(model);
        assert_int_equal(model->n_pushed, 0);
        model->fresh = false;
}

static void device_sleeps(struct model *model)
{
        int r = queue_want_kicks(&model->guest->queue);

        assert_int_equal(r, model->n_posted - model->n_done != model->n_taken);
        model->asleep = r == 0;
        if (r == 1)
                (void)queue_no_kicks(&model->guest->queue);
}

static void device_suspends_and_resumes(struct model *model)
{
        struct guest *guest = model->guest;
        bool shown = random_below(&model->seed, 2);
        uint32_t base;

        if (shown)
                device_publishes(model);
        base = queue_stop(&guest->queue);
        (void)driver_reaps(model); /* a stop shows all that was pushed */
        assert_int_equal(model->n_pushed, 0);
        assert_int_equal(base >> 16, model->used | (model->used_wrap ? EVENT_WRAP : 0u));
        assert_int_equal(queue_start(&guest->queue, guest->memory, &guest->layout, &guest->features, base),
                         0);
        assert_int_equal(guest->queue.outstanding, model->n_taken);
        model->asleep = false;
}

static void step(struct model *model)
{
        uint32_t what = random_below(&model->seed, 1000);

        if (what < 330 && model->n_posted < N_REQUESTS)
                driver_posts(model);
        else if (what < 660)
                device_takes(model);
        else if (what < 920)
                device_completes(model);
        else if (what < 970)
                device_publishes(model);
        else if (what < 995)
                device_sleeps(model);
        else
                device_suspends_and_resumes(model);
}

static void run_in(uint16_t size, bool event_idx, bool scattered)
{
        struct model *model = calloc(1, sizeof(*model));

        assert_non_null(model);
        model->guest = guest_new();
        model->guest->features.event_idx = event_idx;
        if (scattered)
                guest_scatter_backwards(model->guest);
        model->size = model->n_free = size;
        model->used_wrap = true;
        model->seed = 7u + event_idx + size;
        packed_start_fresh(model->guest, size);
        while (model->n_posted < N_REQUESTS || model->n_done < model->n_posted)
                step(model);
        device_publishes(model);
        assert_int_equal(model->n_free, size);
        assert_int_equal(model->guest->queue.outstanding, 0);
        assert_int_equal(
            queue_stop(&model->guest->queue),
            packed_base(model->guest->avail_index, model->guest->avail_wrap, model->used, model->used_wrap));
        guest_free(model->guest);
        free(model);
}

static void run(uint16_t size, bool event_idx)
{
        run_in(size, event_idx, false);
}

static void model_driver_gets_every_request_back_once_with_event_places(void **state)
{
        (void)state;
        run(SIZE_MAX_, true);
        run(37, true);
        run(3, true);
}

static void model_driver_gets_every_request_back_once_with_flags(void **state)
{
        (void)state;
        run(SIZE_MAX_, false);
        run(37, false);
        run(1, false);
}

static void model_driver_may_have_its_ring_in_scattered_pages(void **state)
{
        (void)state;
        run_in(SIZE_MAX_, true, true);
        run_in(37, false, true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(model_driver_gets_every_request_back_once_with_event_places),
            cmocka_unit_test(model_driver_gets_every_request_back_once_with_flags),
            cmocka_unit_test(model_driver_may_have_its_ring_in_scattered_pages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
