/* A bench whose lane's memory is translated. Owns the bench, the guest's addresses and the device's table. TRUST: it plays device, guest
 * and worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/miss_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t error[] = {IOERR};
static const struct lane_failure failure = {.error = error, .len = sizeof(error)};

struct lane_bench bench;
struct iova_space space;
struct iotlb table;
uint8_t bytes[256 * K];

/* ---- the device's part ---- */

void miss_show(void)
{
        struct guest_memory *view;

        assert_int_equal(guest_memory_translate(bench.guest.memory, table.entries, &view), 0);
        lane_set_memory(&bench.lane, view);
        guest_memory_unref(view);
}

void miss_tell_as(uint64_t iova, uint64_t len, unsigned rights)
{
        for (uint64_t at = iova & ~(uint64_t)(PAGE - 1); at < iova + len; at += PAGE) {
                const struct iotlb_entry entry = iova_entry(&space, at, rights);

                assert_int_equal(iotlb_update(&table, &entry), 0);
        }
        miss_show();
}

void miss_tell(uint64_t iova, uint64_t len)
{
        miss_tell_as(iova, len, RW);
}

void miss_tell_rings(void)
{
        miss_tell(IOVA_RINGS, MODEL_BUFFERS - MODEL_LOW);
}

void miss_forget(uint64_t iova, uint64_t len)
{
        assert_int_equal(iotlb_invalidate(&table, iova, len), 0);
        miss_show();
}

void miss_forget_all(void)
{
        miss_forget(0, 0);
}

struct miss_list miss_wanted(void)
{
        struct miss_list list = {.n = 0};

        lane_miss_collect(&bench.lane, &list);
        return list;
}

void miss_wants_nothing(void)
{
        assert_int_equal(miss_wanted().n, 0);
}

/* These pages, in any order, and no others. */
void miss_wants(uint64_t iova, unsigned n, unsigned rights)
{
        const struct miss_list list = miss_wanted();

        assert_int_equal(list.n, n);
        for (unsigned i = 0; i < n; i++) {
                assert_true(miss_list_has(&list, iova + (uint64_t)i * PAGE, rights));
                assert_false(miss_list_has(&list, iova + (uint64_t)i * PAGE, RW & ~rights));
        }
}

/* Everything that is wanted is translated, until nothing is. */
void miss_answer_all(void)
{
        for (struct miss_list list = miss_wanted(); list.n > 0; list = miss_wanted())
                for (unsigned i = 0; i < list.n; i++)
                        miss_tell(list.pages[i].iova, 1);
}

void miss_begin_with(const struct bench_options *options)
{
        bench_init(&bench, options);
        lane_set_failure(&bench.lane, &failure);
        iova_space_init(&space, &bench.guest, 1);
        assert_int_equal(iotlb_init(&table), 0);
        for (unsigned i = 0; i < options->n_queues; i++) {
                struct lane_queue *queue = lane_queue_find(&bench.lane, i);
                const struct queue_layout layout = iova_layout(&space, i);
                const struct queue_features features = {.indirect = true};

                (void)lane_queue_stop(&bench.lane, queue);
                if (i == 0)
                        miss_show();
                assert_int_equal(lane_queue_start(&bench.lane, queue, &layout, &features, 0,
                                                  dup(bench.guest.queues[i].kick),
                                                  dup(bench.guest.queues[i].call)),
                                 0);
                lane_queue_release(&bench.lane, queue);
        }
        bench.missing = 0;
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
}

void miss_bare(void)
{
        struct bench_options options = bench_defaults;

        options.n_queues = 2; /* the second is an innocent neighbour */
        miss_begin_with(&options);
}

/* Rings are translated, and the status byte. */
void miss_begin_as(enum queue_kind kind, bool direct)
{
        struct bench_options options = bench_defaults;

        options.n_queues = 2;
        options.kind = kind;
        options.area_len = direct ? LIMIT_AREA : 0;
        options.area_out = direct;
        miss_begin_with(&options);
        miss_tell_rings();
        miss_tell(STATUS, 1);
        miss_wants_nothing(); /* from now on it tells of what is missing */
        bench.missing = 0;
}

void miss_begin(void)
{
        miss_begin_as(QUEUE_WORK, false);
}

uint16_t miss_post(unsigned queue, uint64_t at, uint32_t len, bool write)
{
        const struct model_buffer buffers[] = {{at, len, write}, {STATUS, 1, true}};

        return model_post(&bench.guest, queue, buffers, 2);
}

const struct bench_request *miss_one(void)
{
        assert_int_equal(bench_requests(&bench), 1);
        return &bench.requests[0];
}

void miss_answer(const struct bench_request *request)
{
        bytes[request->writable - 1] = 0;
        fake_worker_complete(&bench.worker, request->id, 0, bytes, request->writable);
}

/* The neighbour has noticed nothing, and neither has the worker. */
void miss_end_alone(void)
{
        assert_int_equal(bench.faults, 0);
        iotlb_done(&table);
        bench_done(&bench);
}

void miss_end(void)
{
        uint16_t head;

        miss_tell_rings();
        miss_tell(AT(1900), PAGE);
        miss_tell(STATUS, 1);
        head = miss_post(1, AT(1900), PAGE, true);
        miss_answer(miss_one());
        bench_used(&bench, 1, head, PAGE + 1);
        assert_true(iova_holds(&space, AT(1900), bytes, PAGE));
        assert_int_equal(bench.broken[1], 0);
        miss_end_alone();
}
