/* A lane whose memory is translated, while pages of its rings and of chains are missing: its queue is parked, and no other; what is
 * wrong is wrong all the same; what is needed is marked.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/interval_map.h"
#include "tests/core/miss_bench.h"

/* ---- rings ---- */

static void queue_starts_without_its_rings_and_goes_on_with_them(void **state)
{
        uint16_t head;

        (void)state;
        miss_bare();
        head = miss_post(0, AT(1), 64, false);
        assert_int_equal(bench_requests(&bench), 0);
        assert_true(bench.lane.queues[0].ring.parked);
        assert_true(miss_wanted().n > 0);
        miss_answer_all();
        assert_int_equal(miss_one()->readable, 64);
        miss_answer(&bench.requests[0]);
        bench_used(&bench, 0, head, 1);
        assert_int_equal(bench.broken[0], 0);
        miss_end();
}

static void ring_is_asked_for_with_the_rights_it_needs(void **state)
{
        const struct queue_layout *layout;
        struct miss_list list;

        (void)state;
        miss_bare();
        layout = &bench.lane.queues[0].ring.layout;
        list = miss_wanted();
        assert_true(miss_list_has(&list, layout->desc.v, IOTLB_READ));
        assert_false(miss_list_has(&list, layout->desc.v, IOTLB_WRITE));
        assert_false(miss_list_has(&list, layout->avail.v, IOTLB_WRITE));
        assert_true(miss_list_has(&list, layout->used.v, IOTLB_READ));
        assert_true(miss_list_has(&list, layout->used.v, IOTLB_WRITE));
        miss_tell(layout->desc.v, 0x4000);
        miss_tell(layout->avail.v, 0x4000);
        miss_tell_as(layout->used.v, 0x4000, IOTLB_WRITE); /* what may only be written cannot be read */
        assert_true(bench.lane.queues[0].ring.parked);
        miss_tell(layout->used.v, 0x4000);
        assert_false(bench.lane.queues[0].ring.parked);
        miss_end();
}

static bool no_room; /* to map anything once more */

void *__real_mremap(void *from, size_t old_len, size_t len, int flags, ...);
void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to);
void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to)
{
        return no_room ? MAP_FAILED : __real_mremap(from, old_len, len, flags, to);
}

/* A ring of 256 has used elements for more than half a page: laid over a page's end, it needs two. */
static void ring_in_pages_that_lie_apart_breaks_its_queue_if_they_cannot_be_put_side_by_side(void **state)
{
        struct lane_queue *queue;
        struct queue_layout layout;
        struct iotlb_entry entry;

        (void)state;
        miss_begin();
        queue = lane_queue_find(&bench.lane, 0);
        (void)lane_queue_stop(&bench.lane, queue);
        layout = iova_layout(&space, 0);
        layout.used.v += 0xf00;
        miss_forget(layout.used.v & ~UINT64_C(0xfff), PAGE);
        assert_int_equal(lane_queue_start(&bench.lane, queue, &layout,
                                          &(struct queue_features){.indirect = true}, 0,
                                          dup(bench.guest.queues[0].kick), -1),
                         0);
        assert_true(queue->ring.parked);
        entry = iova_entry(&space, layout.used.v, RW);
        entry.gpa -= PAGE;
        assert_int_equal(iotlb_update(&table, &entry), 0);
        no_room = true;
        miss_show();
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(queue->ring.fault, QUEUE_FAULT_SCATTERED);
        assert_string_equal(queue_fault_name(queue->ring.fault),
                            "ring in translated pages that cannot be put side by side");
        (void)lane_queue_stop(&bench.lane, queue);
        assert_int_equal(lane_queue_start(&bench.lane, queue, &layout,
                                          &(struct queue_features){.indirect = true}, 0,
                                          dup(bench.guest.queues[0].kick), -1),
                         0); /* as well when all of it is there at once */
        assert_int_equal(bench.broken[0], 2);
        no_room = false;
        (void)lane_queue_stop(&bench.lane, queue);
        assert_int_equal(lane_queue_start(&bench.lane, queue, &layout,
                                          &(struct queue_features){.indirect = true}, 0,
                                          dup(bench.guest.queues[0].kick), -1),
                         0);
        assert_int_equal(bench.broken[0], 2);
        assert_non_null(queue->ring.views[QUEUE_USED].window);
        miss_forget(layout.used.v & ~UINT64_C(0xfff), PAGE);
        assert_true(queue->ring.parked);
        assert_null(queue->ring.views[QUEUE_USED].window);
        miss_end();
}

static void stop_returns_the_base_of_a_ring_that_never_came(void **state)
{
        struct lane_queue *queue;

        (void)state;
        miss_bare();
        queue = lane_queue_find(&bench.lane, 0);
        (void)lane_queue_stop(&bench.lane, queue);
        for (uint32_t base = 7; base < 10; base++) {
                const struct queue_layout layout = iova_layout(&space, 0);

                assert_int_equal(lane_queue_start(&bench.lane, queue, &layout,
                                                  &(struct queue_features){.indirect = true}, base,
                                                  dup(bench.guest.queues[0].kick), -1),
                                 0);
                assert_int_equal(lane_queue_stop(&bench.lane, queue), base);
        }
        miss_end();
}

/* ---- chains ---- */

static void chain_with_missing_pages_parks_its_queue_alone(void **state)
{
        uint16_t head, other;

        (void)state;
        miss_begin();
        miss_tell(AT(1900), 1);
        head = miss_post(0, AT(10) + 100, 3 * PAGE, true); /* four pages */
        other = miss_post(1, AT(1900), 64, false);
        assert_int_equal(miss_one()->queue, 1);
        assert_int_equal(bench.missing, 1);
        miss_wants(AT(10), 4, IOTLB_WRITE);
        miss_answer(&bench.requests[0]);
        bench_used(&bench, 1, other, 1);
        miss_answer_all();
        assert_int_equal(miss_one()->writable, 3 * PAGE + 1);
        miss_answer(&bench.requests[0]);
        bench_used(&bench, 0, head, 3 * PAGE + 1);
        assert_true(iova_holds(&space, AT(10) + 100, bytes, 3 * PAGE));
        miss_end();
}

static void chain_of_more_pages_than_may_be_asked_for_is_had_by_and_by(void **state)
{
        uint16_t head;

        (void)state;
        miss_begin();
        head = miss_post(0, AT(10), 200 * PAGE, false);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(AT(10), LIMIT_IOTLB_MISSES, IOTLB_READ);
        miss_answer_all();
        assert_int_equal(miss_one()->readable, 200 * PAGE);
        miss_answer(&bench.requests[0]);
        bench_used(&bench, 0, head, 1);
        miss_end();
}

static void write_only_page_is_missing_for_whoever_reads(void **state)
{
        (void)state;
        miss_begin();
        miss_tell_as(AT(10), PAGE, IOTLB_WRITE);
        miss_post(0, AT(10), 64, false);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(AT(10), 1, IOTLB_READ);
        miss_post(1, AT(10), 64, true);
        assert_int_equal(miss_one()->queue, 1);
        miss_answer_all();
        assert_int_equal(miss_one()->queue, 0);
        miss_end_alone();
}

static void put_indirect(uint64_t table_at, uint64_t buffer)
{
        struct {
                uint64_t addr;
                uint32_t len;
                uint16_t flags, next;
        } row[2] = {{buffer, 64, 1, 1}, {STATUS, 1, 2, 0}};

        iova_put(&space, table_at, row, sizeof(row));
}

/* As model_post, but for the flag. */
static void post_indirect(uint64_t table_at)
{
        uint16_t head = model_post(&bench.guest, 0, &(struct model_buffer){table_at, 32, false}, 1);
        uint16_t flags = 4;

        model_put(&bench.guest, bench.guest.queues[0].layout.desc.v + 16u * head + 12, &flags, sizeof(flags));
}

static void indirect_table_is_asked_for_before_what_it_names(void **state)
{
        (void)state;
        miss_begin();
        put_indirect(AT(10) + 4080, AT(20)); /* over the end of a page */
        post_indirect(AT(10) + 4080);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(AT(10), 2, IOTLB_READ);
        miss_answer_all();
        assert_int_equal(miss_one()->readable, 64);
        miss_end_alone();
}

static void mistake_behind_a_missing_page_is_a_mistake(void **state)
{
        const struct model_buffer buffers[] = {{AT(10), 64, true}, {AT(11), 64, false}};

        (void)state;
        miss_begin();
        model_post(&bench.guest, 0, buffers, 2);
        assert_int_equal(bench_requests(&bench), 0);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.lane.queues[0].ring.fault, QUEUE_FAULT_ORDER);
        miss_wants_nothing();
        miss_end();
}

static void buffer_that_wraps_is_a_mistake_and_one_that_ends_there_is_none(void **state)
{
        (void)state;
        miss_begin();
        miss_post(0, UINT64_MAX - 63, 64, false);
        assert_int_equal(bench_requests(&bench), 0);
        miss_wants(UINT64_MAX - 4095, 1, IOTLB_READ);
        miss_post(1, UINT64_MAX - 63, 65, false);
        assert_int_equal(bench_requests(&bench), 0);
        assert_int_equal(bench.lane.queues[1].ring.fault, QUEUE_FAULT_ADDRESS);
        assert_int_equal(bench.broken[0], 0);
        miss_end_alone();
}

/* ---- making room ---- */

static bool marked(const uint64_t *marks, uint64_t iova)
{
        const struct interval *item = interval_map_find(table.entries, iova);
        size_t i;

        assert_non_null(item);
        i = (size_t)(item - interval_map_at(table.entries, 0));
        return marks[i / 64] >> (i % 64) & 1;
}

static void what_is_needed_is_marked_and_nothing_else(void **state)
{
        uint64_t marks[LIMIT_IOTLB_ENTRIES / 64] = {0};

        (void)state;
        miss_begin();
        miss_tell(AT(10), 4 * PAGE);
        miss_tell(AT(30), 2 * PAGE);
        miss_tell(AT(40), PAGE);
        miss_post(1, AT(10) + 10, PAGE, true); /* pages 10 and 11 */
        miss_one();
        put_indirect(AT(40), AT(50));
        post_indirect(AT(40)); /* its table is there, its buffer is not */
        assert_int_equal(bench_requests(&bench), 0);
        lane_miss_mark(&bench.lane, table.entries, marks);
        for (unsigned i = 0; i < 2; i++) {
                assert_true(marked(marks, iova_layout(&space, i).desc.v));
                assert_true(marked(marks, iova_layout(&space, i).used.v));
        }
        assert_true(marked(marks, STATUS));
        assert_true(marked(marks, AT(10)));
        assert_true(marked(marks, AT(11)));
        assert_false(marked(marks, AT(12)));
        assert_false(marked(marks, AT(30)));
        assert_true(marked(marks, AT(40)));
        iotlb_keep(&table, marks);
        miss_show();
        miss_wants(AT(50), 1, IOTLB_READ);
        miss_tell(AT(50), PAGE);
        assert_int_equal(miss_one()->readable, 64);
        miss_end_alone();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(queue_starts_without_its_rings_and_goes_on_with_them),
            cmocka_unit_test(ring_is_asked_for_with_the_rights_it_needs),
            cmocka_unit_test(
                ring_in_pages_that_lie_apart_breaks_its_queue_if_they_cannot_be_put_side_by_side),
            cmocka_unit_test(stop_returns_the_base_of_a_ring_that_never_came),
            cmocka_unit_test(chain_with_missing_pages_parks_its_queue_alone),
            cmocka_unit_test(chain_of_more_pages_than_may_be_asked_for_is_had_by_and_by),
            cmocka_unit_test(write_only_page_is_missing_for_whoever_reads),
            cmocka_unit_test(indirect_table_is_asked_for_before_what_it_names),
            cmocka_unit_test(mistake_behind_a_missing_page_is_a_mistake),
            cmocka_unit_test(buffer_that_wraps_is_a_mistake_and_one_that_ends_there_is_none),
            cmocka_unit_test(what_is_needed_is_marked_and_nothing_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
