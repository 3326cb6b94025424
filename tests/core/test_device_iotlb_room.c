/* A device whose table of translations is full: what nobody needs makes room, and what needs more waits until others are done. And what
 * an operator is shown of tables.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "proto/admin.h"
#include "tests/core/world.h"

#define PAGE   LIMIT_IOTLB_PAGE
#define RW     (IOTLB_READ | IOTLB_WRITE)
#define RINGS  UINT64_C(0xfff0000000000)                            /* of MODEL_LOW */
#define STATUS UINT64_C(0x100000000)                                /* a page of its own */
#define AT(i)  (UINT64_C(0x200000000) + UINT64_C(0x10000000) * (i)) /* a buffer of any length */
#define PAGES  7000u                                                /* of one: two of them fill the table */
_Static_assert(2 * PAGES < LIMIT_IOTLB_ENTRIES && 3 * PAGES > LIMIT_IOTLB_ENTRIES, "as said");

static struct world world;
static uint64_t asked[LIMIT_IOTLB_MISSES];
static unsigned n_asked;

static void on_miss(void *context, uint64_t iova, unsigned rights)
{
        (void)context;
        (void)rights;
        assert_true(n_asked < LIMIT_IOTLB_MISSES);
        asked[n_asked++] = iova;
}

/* Each page is an entry of its own: all of a buffer is one page of the guest's, again and again. */
static void tell(uint64_t iova)
{
        const struct iotlb_entry entry = {.iova = iova,
                                          .len = PAGE,
                                          .gpa = iova >= RINGS ? iova - RINGS + MODEL_LOW
                                                               : MODEL_BUFFERS + (iova == STATUS ? PAGE : 0),
                                          .rights = RW};

        assert_int_equal(device_iotlb_update(world.device, &entry), 0);
}

static void answer(void)
{
        while (n_asked > 0)
                tell(asked[--n_asked]);
}

#define until(condition) world_until(&world, (answer(), (condition)))

static void be_patient(struct device_config *config)
{
        config->memory.iotlb = true;
        config->request_timeout = 60;
}

static void begin(void)
{
        n_asked = 0;
        world_init_with(&world, 1, DEVICE_TYPE_BLK, be_patient,
                        &(struct device_front){.iotlb_miss = on_miss});
        world_serve(&world);
        assert_int_equal(device_translate(world.device, true), 0);
        for (unsigned i = 0; i < 2; i++) {
                struct model_queue *model = &world.guest.queues[i];
                struct queue_layout layout = model->layout;

                layout.desc.v += RINGS - MODEL_LOW;
                layout.avail.v += RINGS - MODEL_LOW;
                layout.used.v += RINGS - MODEL_LOW;
                model->event_idx = true;
                assert_int_equal(device_queue_start(world.device, i, &layout, 0, model->kick, model->call),
                                 0);
        }
}

static void end(void)
{
        for (unsigned i = 0; i < 2; i++)
                device_queue_stop(world.device, i, world_stopped, &world);
        world_until(&world, world.n_stopped == 2);
        assert_int_equal(world.n_broken, 0);
        world_done(&world);
}

static void post(unsigned queue, uint64_t at, uint32_t len)
{
        model_post(&world.guest, queue, (struct model_buffer[]){{at, len, false}, {STATUS, 1, true}}, 2);
}

static void serve(unsigned queue, uint64_t at, uint32_t len)
{
        post(queue, at, len);
        until(world_answered(&world, queue));
}

static size_t known(void)
{
        return iotlb_n(device_iotlb(world.device));
}

/* What is dropped is dropped when the next page is asked for, or told of. */
static void what_nobody_needs_makes_room(void **state)
{
        (void)state;
        begin();
        serve(0, AT(0), 64);
        for (unsigned i = 0; i < LIMIT_IOTLB_ENTRIES - 16; i++)
                tell(AT(1) + (uint64_t)i * PAGE);
        assert_true(known() > LIMIT_IOTLB_ENTRIES - 16);
        serve(0, AT(20), 64);
        serve(0, AT(21), 400 * PAGE);
        assert_true(known() < 1000);
        for (unsigned i = 0; i < LIMIT_IOTLB_ENTRIES; i++)
                tell(AT(1) + (uint64_t)i * PAGE);
        serve(1, AT(20), 64);
        end();
}

struct stillness {
        uint64_t n_changes, since; /* since: ns */
        unsigned n_steps;
};

/* Whether the table has been left alone for a while: it changes each time that it is thinned out. */
static bool is_left_alone(struct stillness *still)
{
        uint64_t n = world.device->iotlb.table.n_changes, now = uv_hrtime();

        if (n != still->n_changes)
                *still = (struct stillness){.n_changes = n, .since = now};
        still->n_steps++;
        return still->n_steps > 20 && now > still->since + 20000000;
}

static void chain_waits_for_room_until_others_are_done(void **state)
{
        struct stillness still = {0};

        (void)state;
        begin();
        world.idle = true;
        post(0, AT(0), PAGES * PAGE);
        post(0, AT(1), PAGES * PAGE);
        until(world.n_seen == 2);
        assert_true(known() >= 2 * PAGES);
        post(0, AT(2), PAGES * PAGE);
        until(world.device->iotlb.starved && known() == LIMIT_IOTLB_ENTRIES - 1);
        until(is_left_alone(&still)); /* nobody is busy with waiting */
        assert_true(known() <= LIMIT_IOTLB_ENTRIES);
        assert_int_equal(world.n_seen, 2);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[1].id, 0, "\1", 1);
        until(world.n_seen == 3);
        assert_true(world_answered(&world, 0));
        fake_worker_complete(&world.puppet.lanes[0], world.seen[2].id, 0, "\1", 1);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "\1", 1);
        until(world_answered(&world, 0));
        until(world_answered(&world, 0));
        end();
}

static struct admin_translations shown(void)
{
        struct admin_translations ret;

        device_iotlb_status(world.device, &ret);
        return ret;
}

/* Two rings of three parts, the buffer and the status. */
static void what_was_told_is_counted_over_all_tables(void **state)
{
        enum { NEEDED = 8 };

        (void)state;
        begin();
        serve(0, AT(0), 64);
        assert_true(shown().may && shown().on);
        assert_int_equal(shown().held, known());
        assert_int_equal(shown().open, 0);
        assert_int_equal(shown().asked, NEEDED);
        assert_int_equal(shown().n_updates, NEEDED);
        assert_int_equal(device_iotlb_invalidate(world.device, AT(0), PAGE), 0);
        post(0, AT(0), 64);
        world_until(&world, n_asked == 1);
        assert_int_equal(shown().open, 1);
        until(world_answered(&world, 0));
        for (unsigned i = 0; i < 2; i++)
                device_queue_stop(world.device, i, world_stopped, &world);
        world_until(&world, world.n_stopped == 2);
        assert_int_equal(device_translate(world.device, false), 0);
        assert_true(shown().may && !shown().on);
        assert_int_equal(shown().held, 0);
        assert_int_equal(shown().asked, NEEDED + 1);
        assert_int_equal(shown().n_updates, NEEDED + 1);
        assert_int_equal(shown().n_invalidations, 1);
        assert_int_equal(device_translate(world.device, true), 0);
        tell(AT(0));
        assert_int_equal(shown().n_updates, NEEDED + 2);
        assert_int_equal(shown().refused, 0);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_nobody_needs_makes_room),
            cmocka_unit_test(chain_waits_for_room_until_others_are_done),
            cmocka_unit_test(what_was_told_is_counted_over_all_tables),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
