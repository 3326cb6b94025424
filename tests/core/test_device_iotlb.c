/* A device behind a keeper of translations: one that answers at once, late, never, twice, with too few rights, with other pages than it
 * was asked for, or that nobody translates them; one that takes everything back while requests are under way, or just what they
 * have done with. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "broker/core/interval_map.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/core/iova_space.h"
#include "tests/core/world.h"

#define PAGE   LIMIT_IOTLB_PAGE
#define RW     (IOTLB_READ | IOTLB_WRITE)
#define STATUS IOVA_BUFFERS
#define AT(i)  (IOVA_BUFFERS + UINT64_C(4096) * (i))

/* What it does with a question. */
enum keeper_way {
        KEEPS_RIGHT,   /* answers when the loop comes round */
        KEEPS_AT_ONCE, /* from inside the question */
        KEEPS_SILENT,  /* not yet: keeper_answer does */
        KEEPS_TWICE,
        KEEPS_READ_ONLY,
        KEEPS_OTHERS,  /* tells of the page behind, and then of this */
        KEEPS_NOTHING, /* nobody translates it */
        KEEPS_POISON,  /* it is where there is no memory */
};

struct keeper {
        enum keeper_way way;
        unsigned n_questions, n_open, most_open;
        struct {
                uint64_t iova;
                unsigned rights;
        } open[LIMIT_IOTLB_MISSES + 8];
};

static struct world world;
static struct iova_space space;
static struct keeper keeper;

/* ---- the keeper ---- */

static void tell(const struct iotlb_entry *entry)
{
        assert_int_equal(device_iotlb_update(world.device, entry), 0);
}

static void tell_right(uint64_t iova, unsigned rights)
{
        const struct iotlb_entry entry = iova_entry(&space, iova, rights);

        tell(&entry);
}

static void tell_range(uint64_t iova, uint64_t len)
{
        for (uint64_t at = iova; at < iova + len; at += PAGE)
                tell_right(at, RW);
}

static void keep(uint64_t iova)
{
        struct iotlb_entry entry = {.iova = iova, .len = PAGE, .gpa = MODEL_END + 0x1000000, .rights = RW};

        switch (keeper.way) {
        case KEEPS_TWICE:
                tell_right(iova, RW);
                tell_right(iova, RW);
                break;
        case KEEPS_READ_ONLY:
                tell_right(iova, iova >= IOVA_RINGS ? RW : IOTLB_READ);
                break;
        case KEEPS_OTHERS:
                if (iova < IOVA_RINGS)
                        tell_right(iova + PAGE, RW);
                tell_right(iova, RW);
                break;
        case KEEPS_NOTHING:
                device_iotlb_missed(world.device, iova + 123); /* any byte of it */
                break;
        case KEEPS_POISON:
                tell(&entry);
                break;
        default:
                tell_right(iova, RW);
                break;
        }
}

static void on_miss(void *context, uint64_t iova, unsigned rights)
{
        (void)context;
        assert_int_equal(iova % PAGE, 0);
        assert_true(rights > 0 && rights <= RW);
        for (unsigned i = 0; i < keeper.n_open; i++)
                assert_true(keeper.open[i].iova != iova); /* nothing is asked twice */
        keeper.n_questions++;
        if (keeper.way == KEEPS_AT_ONCE) {
                tell_right(iova, RW);
                return;
        }
        assert_true(keeper.n_open < LIMIT_IOTLB_MISSES);
        keeper.open[keeper.n_open].iova = iova;
        keeper.open[keeper.n_open++].rights = rights;
        keeper.most_open = MAX(keeper.most_open, keeper.n_open);
}

static void keeper_answer(void)
{
        while (keeper.n_open > 0)
                keep(keeper.open[--keeper.n_open].iova);
}

/* As world_until, and the keeper does its part. */
#define until(condition)                                                                                     \
        world_until(&world, ((keeper.way == KEEPS_SILENT ? (void)0 : keeper_answer()), (condition)))

/* ---- the world ---- */

static void begin_as(unsigned n_lanes, bool persists)
{
        const struct device_front front = {.iotlb_miss = on_miss, .iotlb_persists = persists};

        keeper = (struct keeper){.way = KEEPS_RIGHT};
        world_init_with(&world, n_lanes, DEVICE_TYPE_BLK, NULL, &front);
        world_serve(&world);
        iova_space_init(&space, &world.guest, 7);
        assert_int_equal(device_translate(world.device, true), 0);
}

static int start(unsigned queue, uint32_t base)
{
        const struct model_queue *model = &world.guest.queues[queue];
        const struct queue_layout layout = iova_layout(&space, queue);

        world.guest.queues[queue].event_idx = true;
        return device_queue_start(world.device, queue, &layout, base, model->kick, model->call);
}

static void begin(void)
{
        begin_as(1, false);
        assert_int_equal(start(0, 0), 0);
        assert_int_equal(start(1, 0), 0);
}

static void post(unsigned queue, uint64_t at, uint32_t len)
{
        model_post(&world.guest, queue, (struct model_buffer[]){{at, len, false}, {STATUS, 1, true}}, 2);
}

/* Posted, and answered. */
static void serve(unsigned queue, uint64_t at, uint32_t len)
{
        post(queue, at, len);
        until(world_answered(&world, queue));
}

static void end(void)
{
        world_stop_queues(&world);
        world_done(&world);
}

static struct device_misses misses(void)
{
        return device_iotlb_misses(world.device);
}

/* ---- right ways ---- */

static void device_asks_for_what_it_needs_and_for_nothing_else(void **state)
{
        (void)state;
        begin();
        serve(0, AT(1), 64);
        assert_int_equal(*iova_at(&space, STATUS), 1);
        /* two rings of three parts, of 64 each: a page a part; one page of the buffer, and the status */
        assert_int_equal(keeper.n_questions, 6 + 2);
        serve(0, AT(1) + 100, 64);
        assert_int_equal(keeper.n_questions, 8);
        assert_int_equal(misses().asked, 8);
        assert_int_equal(misses().open, 0);
        assert_int_equal(misses().refused, 0);
        assert_int_equal(world.n_broken, 0);
        end();
}

static void keeper_may_answer_from_inside_the_question(void **state)
{
        (void)state;
        begin_as(1, false);
        keeper.way = KEEPS_AT_ONCE;
        assert_int_equal(start(0, 0), 0);
        assert_int_equal(start(1, 0), 0);
        serve(0, AT(1), 100 * PAGE / 2);
        serve(1, AT(200), 64);
        assert_int_equal(world.n_broken, 0);
        end();
}

static void answers_that_come_twice_or_to_no_question_do_no_harm(void **state)
{
        (void)state;
        begin();
        keeper.way = KEEPS_TWICE;
        serve(0, AT(1), 2 * PAGE);
        keeper.way = KEEPS_OTHERS;
        serve(1, AT(10), 2 * PAGE);
        device_iotlb_missed(world.device, AT(100)); /* nobody has asked */
        serve(0, AT(20), 2 * PAGE);
        assert_int_equal(world.n_broken, 0);
        end();
}

static void question_is_open_as_long_as_it_takes(void **state)
{
        (void)state;
        begin();
        serve(1, AT(1), 64);
        keeper.way = KEEPS_SILENT;
        post(0, AT(2), 64);
        world_until(&world, keeper.n_open == 1);
        serve(1, AT(1), 64);     /* others go on */
        world_wait(&world, 800); /* over the age limit of requests */
        serve(1, AT(1), 64);
        assert_int_equal(keeper.n_questions, keeper.n_open + 8);
        assert_int_equal(world.n_spawns, 1);
        keeper.way = KEEPS_RIGHT;
        until(world_answered(&world, 0));
        end();
}

/* ---- wrong ways ---- */

static void way_breaks_the_queue(enum keeper_way way)
{
        begin();
        serve(0, AT(1), 64);
        serve(1, AT(1), 64);
        keeper.way = way;
        model_post(&world.guest, 0, &(struct model_buffer){AT(40), 64, true}, 1);
        until(world.n_broken == 1);
        assert_int_equal(misses().refused, 1);
        assert_int_equal(misses().open, 0);
        keeper.way = KEEPS_RIGHT;
        serve(1, AT(50), 64);
        assert_int_equal(world.n_broken, 1);
        end();
}

static void page_that_nobody_translates_breaks_its_queue(void **state)
{
        (void)state;
        way_breaks_the_queue(KEEPS_NOTHING);
}

static void page_with_too_few_rights_breaks_its_queue(void **state)
{
        (void)state;
        way_breaks_the_queue(KEEPS_READ_ONLY);
}

static void page_without_memory_breaks_its_queue(void **state)
{
        (void)state;
        way_breaks_the_queue(KEEPS_POISON);
}

static void ring_that_nobody_translates_breaks_its_queue(void **state)
{
        (void)state;
        begin_as(1, false);
        keeper.way = KEEPS_NOTHING;
        assert_int_equal(start(0, 0), 0);
        until(world.n_broken == 1);
        keeper.way = KEEPS_RIGHT;
        assert_int_equal(start(1, 0), 0);
        serve(1, AT(1), 64);
        end();
}

static void without_anybody_to_ask_what_is_missing_is_wrong(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        iova_space_init(&space, &world.guest, 7);
        assert_int_equal(device_translate(world.device, true), 0);
        assert_int_equal(start(0, 0), 0);
        world_until(&world, world.n_broken == 1);
        end();
}

static void entries_out_of_shape_are_refused(void **state)
{
        static const struct iotlb_entry rows[] = {
            {AT(1) + 1, PAGE, MODEL_LOW, RW},
            {AT(1), PAGE - 1, MODEL_LOW, RW},
            {AT(1), 0, MODEL_LOW, RW},
            {AT(1), PAGE, MODEL_LOW + 1, RW},
            {UINT64_MAX - 4095, 2 * PAGE, MODEL_LOW, RW},
            {AT(1), PAGE, UINT64_MAX - 4095, RW},
            {AT(1), PAGE, MODEL_LOW, 0},
            {AT(1), PAGE, MODEL_LOW, 4},
        };

        (void)state;
        begin();
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                assert_int_equal(device_iotlb_update(world.device, &rows[i]), -EINVAL);
        assert_int_equal(device_iotlb_invalidate(world.device, 1, PAGE), -EINVAL);
        serve(0, AT(1), 64);
        assert_int_equal(world.n_broken, 0);
        end();
}

static void device_that_does_not_translate_takes_nothing(void **state)
{
        const struct iotlb_entry entry = {AT(1), PAGE, MODEL_LOW, RW};

        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        assert_int_equal(device_iotlb_update(world.device, &entry), -EPERM);
        assert_int_equal(device_iotlb_invalidate(world.device, 0, 0), -EPERM);
        device_iotlb_missed(world.device, AT(1));
        assert_null(device_iotlb(world.device));
        world_start_queue(&world, 0, 0);
        assert_int_equal(device_translate(world.device, true), -EBUSY);
        world_post(&world, 0, 64);
        world_until(&world, world_answered(&world, 0));
        device_queue_stop(world.device, 0, world_stopped, &world);
        world_until(&world, world.n_stopped == 1);
        world_done(&world);
}

/* A guest that posts more chains than can be asked for, each of other pages. */
static void flood_of_misses_is_bounded(void **state)
{
        (void)state;
        begin();
        serve(0, AT(1), 64);
        serve(1, AT(1), 64);
        keeper.way = KEEPS_SILENT;
        for (unsigned queue = 0; queue < 2; queue++)
                post(queue, AT(100 + queue * 600), 400 * PAGE);
        world_until(&world, keeper.n_open == LIMIT_IOTLB_MISSES);
        world_wait(&world, 50);
        assert_int_equal(misses().open, LIMIT_IOTLB_MISSES);
        keeper.way = KEEPS_RIGHT;
        until(world_answered(&world, 0));
        until(world_answered(&world, 1));
        assert_int_equal(keeper.most_open, LIMIT_IOTLB_MISSES);
        assert_int_equal(keeper.n_questions, 8 + 2 * 400);
        end();
}

/* ---- invalidations ---- */

/* Linux without iommu.strict: everything is taken back every few milliseconds, whatever is under way. */
static void everything_taken_back_under_way_is_asked_for_again(void **state)
{
        (void)state;
        begin();
        world.idle = true;
        for (unsigned i = 0; i < 8; i++)
                post(0, AT(10 + 4 * i), 3 * PAGE);
        until(world.n_seen == 8);
        for (unsigned i = 0; i < 8; i++) {
                assert_int_equal(device_iotlb_invalidate(world.device, 0, 0), 0);
                assert_int_equal(iotlb_n(device_iotlb(world.device)), 0);
                fake_worker_complete(&world.puppet.lanes[0], world.seen[i].id, 0, "\1", 1);
                until(world_answered(&world, 0));
        }
        assert_int_equal(world.n_broken, 0);
        world.idle = false;
        end();
}

/* With it: each request's pages are taken back when it is done. */
static void what_a_request_is_done_with_is_taken_back(void **state)
{
        (void)state;
        begin();
        for (unsigned i = 0; i < 50; i++) {
                serve(i % 2, AT(10 + i), PAGE);
                assert_int_equal(device_iotlb_invalidate(world.device, AT(10 + i), PAGE), 0);
                assert_int_equal(device_iotlb_invalidate(world.device, STATUS, PAGE), 0);
        }
        assert_int_equal(keeper.n_questions, 6 + 2 * 50);
        assert_int_equal(world.n_broken, 0);
        end();
}

static void look(struct lane *lane, void *argument)
{
        *(bool *)argument = guest_memory_covers(lane->memory, GPA(AT(10)), PAGE, true);
}

static bool lane_sees_it(void)
{
        bool sees;

        lane_thread_call(world.device->lanes[0], look, &sees);
        return sees;
}

/* When it returns, nothing is read or written by what was taken back. */
static void what_was_taken_back_is_left_alone(void **state)
{
        uint64_t before, behind;

        (void)state;
        begin();
        world.idle = true;
        model_post(&world.guest, 0, &(struct model_buffer){AT(10), PAGE, true}, 1);
        until(world.n_seen == 1);
        before = iova_gpa(&space, AT(10));
        keeper.way = KEEPS_SILENT;
        assert_true(lane_sees_it());
        assert_int_equal(device_iotlb_invalidate(world.device, AT(10), PAGE), 0);
        assert_false(lane_sees_it());
        model_fill(&world.guest, before, PAGE, 0xaa);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "hello", 5);
        world_wait(&world, 20);
        assert_int_equal(keeper.n_open, 1);
        space.page[10] = space.page[700]; /* the guest has moved it */
        keeper.way = KEEPS_RIGHT;
        until(world_answered(&world, 0));
        behind = iova_gpa(&space, AT(10));
        assert_true(model_is(&world.guest, before, PAGE, 0xaa));
        assert_memory_equal(model_at(&world.guest, behind), "hello", 5);
        end();
}

static void count_views(struct lane *lane, void *argument)
{
        for (unsigned i = 0; i < lane->n_queues; i++)
                for (unsigned k = 0; k < QUEUE_PARTS_; k++)
                        *(unsigned *)argument += lane->queues[i].ring.views[k].window != NULL;
}

static unsigned views(void)
{
        unsigned n = 0;

        lane_thread_call(world.device->lanes[0], count_views, &n);
        return n;
}

/* Two rings of three parts, each of which is mapped once more; none when an invalidation has returned that takes them back. */
static void rings_in_scattered_pages_are_left_alone_too(void **state)
{
        (void)state;
        begin_as(1, false);
        iova_scatter(&space, &world.guest);
        assert_int_equal(start(0, 0), 0);
        assert_int_equal(start(1, 0), 0);
        for (unsigned i = 0; i < 200; i++) {
                serve(0, AT(10 + i), PAGE);
                serve(1, AT(10 + i), 2 * PAGE);
                assert_int_equal(views(), 2 * QUEUE_PARTS_);
                assert_int_equal(device_iotlb_invalidate(world.device, AT(10 + i), PAGE), 0);
                if (i % 10 == 9) {
                        assert_int_equal(device_iotlb_invalidate(world.device, 0, 0), 0);
                        assert_int_equal(views(), 0);
                }
        }
        assert_int_equal(world.n_broken, 0);
        world_stop_queues(&world);
        assert_int_equal(views(), 0);
        end();
}

static void memory_that_changes_under_translations_is_seen(void **state)
{
        struct guest_memory *low;

        (void)state;
        begin();
        for (uint64_t seed = 1;
             iova_gpa(&space, AT(0)) >= MODEL_HIGH || iova_gpa(&space, AT(1)) >= MODEL_HIGH ||
             iova_gpa(&space, AT(10)) < MODEL_HIGH;
             seed++)
                iova_space_init(&space, &world.guest, seed);
        serve(0, AT(10), 64);
        low = model_guest_snapshot(&world.guest, false);
        assert_int_equal(device_set_memory(world.device, low), 0);
        guest_memory_unref(low);
        serve(1, AT(1), 0x40);
        assert_int_equal(world.n_broken, 0);
        post(0, AT(10), 64); /* translated to where there is nothing any more */
        until(world.n_broken == 1);
        end();
}

/* ---- stops, resets, ends ---- */

static void stop_while_a_question_is_open_ends_within_its_time(void **state)
{
        uint64_t from;

        (void)state;
        begin();
        serve(0, AT(1), 64);
        serve(1, AT(1), 64);
        world.idle = true;
        model_post(&world.guest, 0, (struct model_buffer[]){{AT(20), PAGE, true}, {STATUS, 1, true}}, 2);
        until(world.n_seen == 3);
        keeper.way = KEEPS_SILENT;
        assert_int_equal(device_iotlb_invalidate(world.device, AT(20), PAGE), 0);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[2].id, PAGE, "\1", 1);
        post(1, AT(30), 64); /* the other queue is parked, too */
        world_until(&world, keeper.n_open == 2);
        from = uv_hrtime();
        world_stop_queues(&world);
        assert_true(uv_hrtime() - from < UINT64_C(1000000) * LIMIT_DRAIN_MS);
        assert_int_equal(world.n_spawns, 1); /* the worker was not to blame */
        assert_true(world_answered(&world, 0));
        assert_int_equal(*iova_at(&space, STATUS), 1); /* VIRTIO_BLK_S_IOERR: its bytes are not there */
        assert_int_equal(world.n_broken, 0);
        world.idle = false;
        world_done(&world);
}

static void queue_that_was_stopped_without_its_ring_goes_on(void **state)
{
        (void)state;
        begin_as(1, false);
        keeper.way = KEEPS_SILENT;
        assert_int_equal(start(0, 5), 0);
        world_until(&world, keeper.n_open > 0);
        world_stop_queues(&world);
        assert_int_equal(world.base, 5);
        keeper.way = KEEPS_RIGHT;
        assert_int_equal(start(0, 0), 0);
        serve(0, AT(1), 64);
        end();
}

static void reset_forgets_translations_that_do_not_persist(void **state)
{
        (void)state;
        begin();
        serve(0, AT(1), 64);
        keeper.way = KEEPS_SILENT;
        device_reset(world.device);
        assert_int_equal(iotlb_n(device_iotlb(world.device)), 0);
        model_queue_reset(&world.guest, 0);
        assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        assert_int_equal(start(0, 0), 0);
        post(0, AT(1), 64);
        world_until(&world, keeper.n_open == 3); /* the ring's parts: all is asked for anew */
        world_wait(&world, 20);
        assert_false(world_answered(&world, 0));
        keeper.way = KEEPS_RIGHT;
        until(world_answered(&world, 0));
        end();
}

/* Its driver maps once, and never again. */
static void reset_keeps_translations_that_persist(void **state)
{
        (void)state;
        begin_as(1, true);
        tell_range(IOVA_RINGS, 0x20000);
        tell_range(AT(0), 8 * PAGE);
        keeper.way = KEEPS_NOTHING;
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(start(0, 0), 0);
                serve(0, AT(1), 64);
                device_reset(world.device);
                model_queue_reset(&world.guest, 0);
                assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        }
        assert_int_equal(keeper.n_questions, 0);
        assert_int_equal(world.n_broken, 0);
        world_attach(&world, &(struct device_front){.iotlb_miss = on_miss, .iotlb_persists = true});
        assert_null(device_iotlb(world.device)); /* but never over the front end that knows of them */
        assert_int_equal(device_translate(world.device, true), 0);
        assert_int_equal(iotlb_n(device_iotlb(world.device)), 0);
        world_done(&world);
}

/* Each reset forgets whom it has asked: the limit would not be one. */
static void resets_do_not_make_room_for_more_questions(void **state)
{
        (void)state;
        begin();
        serve(0, AT(1), 64);
        keeper.way = KEEPS_SILENT;
        for (unsigned i = 0; i < 4; i++) {
                post(0, AT(100 + 100 * i), 99 * PAGE);
                world_until(&world, keeper.n_open >= (i == 0 ? LIMIT_IOTLB_MISSES : 3));
                device_reset(world.device);
                model_queue_reset(&world.guest, 0);
                assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
                assert_int_equal(start(0, 0), 0);
                world_wait(&world, 10);
        }
        assert_int_equal(keeper.most_open, LIMIT_IOTLB_MISSES);
        keeper.way = KEEPS_RIGHT;
        serve(0, AT(1), 64);
        end();
}

static void device_that_translates_no_more_is_plain_again(void **state)
{
        (void)state;
        begin();
        serve(0, AT(1), 64);
        assert_int_equal(device_translate(world.device, false), -EBUSY);
        world_stop_queues(&world);
        assert_int_equal(device_translate(world.device, false), 0);
        model_queue_reset(&world.guest, 0);
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 64);
        world_until(&world, world_answered(&world, 0));
        end();
}

/* ---- workers ---- */

static void worker_killed_while_nobody_listens_to_it_is_replaced(void **state)
{
        (void)state;
        begin();
        world.idle = true;
        model_post(&world.guest, 0, (struct model_buffer[]){{AT(20), PAGE, true}, {STATUS, 1, true}}, 2);
        until(world.n_seen == 1);
        keeper.way = KEEPS_SILENT;
        assert_int_equal(device_iotlb_invalidate(world.device, 0, 0), 0);
        fake_worker_complete(&world.puppet.lanes[0], world.seen[0].id, 0, "\1", 1);
        world_wait(&world, 20);
        world.idle = false;
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        keeper.way = KEEPS_RIGHT;
        until(world_answered(&world, 0));
        assert_int_equal(world.n_seen, 2);
        assert_int_equal(world.seen[1].attempt, 1);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(device_asks_for_what_it_needs_and_for_nothing_else),
            cmocka_unit_test(keeper_may_answer_from_inside_the_question),
            cmocka_unit_test(answers_that_come_twice_or_to_no_question_do_no_harm),
            cmocka_unit_test(question_is_open_as_long_as_it_takes),
            cmocka_unit_test(page_that_nobody_translates_breaks_its_queue),
            cmocka_unit_test(page_with_too_few_rights_breaks_its_queue),
            cmocka_unit_test(page_without_memory_breaks_its_queue),
            cmocka_unit_test(ring_that_nobody_translates_breaks_its_queue),
            cmocka_unit_test(without_anybody_to_ask_what_is_missing_is_wrong),
            cmocka_unit_test(entries_out_of_shape_are_refused),
            cmocka_unit_test(device_that_does_not_translate_takes_nothing),
            cmocka_unit_test(flood_of_misses_is_bounded),
            cmocka_unit_test(everything_taken_back_under_way_is_asked_for_again),
            cmocka_unit_test(what_a_request_is_done_with_is_taken_back),
            cmocka_unit_test(what_was_taken_back_is_left_alone),
            cmocka_unit_test(rings_in_scattered_pages_are_left_alone_too),
            cmocka_unit_test(memory_that_changes_under_translations_is_seen),
            cmocka_unit_test(stop_while_a_question_is_open_ends_within_its_time),
            cmocka_unit_test(queue_that_was_stopped_without_its_ring_goes_on),
            cmocka_unit_test(reset_forgets_translations_that_do_not_persist),
            cmocka_unit_test(reset_keeps_translations_that_persist),
            cmocka_unit_test(resets_do_not_make_room_for_more_questions),
            cmocka_unit_test(device_that_translates_no_more_is_plain_again),
            cmocka_unit_test(worker_killed_while_nobody_listens_to_it_is_replaced),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
