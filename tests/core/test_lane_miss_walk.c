/* A lane at random: a driver that maps what it posts and unmaps what it has got back, a keeper that takes back what it likes when it
 * likes, a worker that answers in pieces, in any order, and dies. Every byte is right, wherever its page is by then, and no page
 * is touched that is not lent.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/iova_space.h"
#include "tests/core/lane_bench.h"

#define PAGE       LIMIT_IOTLB_PAGE
#define RW         (IOTLB_READ | IOTLB_WRITE)
#define QUEUES     3u
#define SLOTS      56u
#define SLOT_PAGES 34u /* I/O virtual: readable and writable bytes, in ranges of their own */
#define PART_PAGES (SLOT_PAGES / 2)
#define PART_BYTES ((PART_PAGES - 1) * PAGE)
#define CANARY     0xc5
#define NOISE      65536u
_Static_assert(SLOTS *SLOT_PAGES <= IOVA_PAGES, "each has pages");

enum slot_state {
        SLOT_FREE = 0, /* nothing is mapped there */
        SLOT_POSTED,
        SLOT_STALE, /* unmapped, but the keeper has not taken it back yet: its pages are nobody's */
};

struct slot {
        enum slot_state state;
        unsigned queue;
        uint16_t head;
        uint32_t seed, readable, writable, read_at, write_at; /* offsets in the slot's two parts */
};

/* What the worker has. */
struct held {
        uint64_t id;
        struct slot *slot;
        uint32_t heard, written; /* bytes of both parts */
        bool asked;              /* a MemRead is under way */
        uint32_t asked_len;
};

static struct lane_bench bench;
static struct iova_space space;
static struct iotlb table;
static struct slot slots[SLOTS];
static struct held held[128];
static unsigned n_held, n_used, n_lost, n_answers, n_deaths;
static uint16_t spare[IOVA_PAGES]; /* pages of the guest that nothing is mapped to */
static unsigned n_spare;
static uint64_t state;
static bool lazy;
static uint32_t seq;
static uint8_t noise[NOISE + NOISE / 2 + PART_BYTES];

static uint32_t below(uint32_t n)
{
        return random_below(&state, n);
}

static uint64_t slot_at(const struct slot *slot, bool write)
{
        return IOVA_BUFFERS + (uint64_t)(slot - slots) * SLOT_PAGES * PAGE + (write ? PART_PAGES * PAGE : 0);
}

/* Noise, from a place of the request's own. */
static const uint8_t *pattern(const struct slot *slot, bool write)
{
        return noise + slot->seed % NOISE + (write ? NOISE / 2 : 0);
}

static bool is_canary(const uint8_t *bytes, uint64_t len)
{
        static uint8_t canary[PAGE];

        memset(canary, CANARY, sizeof(canary));
        return memcmp(bytes, canary, len) == 0;
}

/* ---- the keeper ---- */

static void show(void)
{
        struct guest_memory *view;

        assert_int_equal(guest_memory_translate(bench.guest.memory, table.entries, &view), 0);
        lane_set_memory(&bench.lane, view);
        guest_memory_unref(view);
}

static unsigned rights_of(uint64_t iova)
{
        if (iova >= IOVA_RINGS)
                return RW;
        return (iova - IOVA_BUFFERS) / PAGE % SLOT_PAGES < PART_PAGES ? IOTLB_READ : IOTLB_WRITE;
}

static bool is_mapped(uint64_t iova)
{
        return iova >= IOVA_RINGS || slots[(iova - IOVA_BUFFERS) / PAGE / SLOT_PAGES].state == SLOT_POSTED;
}

static void keeper_answers(unsigned most)
{
        struct miss_list list = {.n = 0};

        lane_miss_collect(&bench.lane, &list);
        for (unsigned i = 0; i < list.n && i < most; i++) {
                const struct miss_page *page = &list.pages[i];
                const struct iotlb_entry entry = iova_entry(&space, page->iova, rights_of(page->iova));

                assert_true(is_mapped(page->iova));                /* only what is posted is asked for, ... */
                assert_int_equal(page->rights & ~entry.rights, 0); /* ... with the rights that it has */
                assert_int_equal(iotlb_update(&table, &entry), 0);
                n_answers++;
        }
        if (list.n > 0)
                show();
}

static void slot_free(struct slot *slot)
{
        for (unsigned i = 0; i < SLOT_PAGES; i++) {
                uint16_t *page = &space.page[(size_t)(slot - slots) * SLOT_PAGES + i];

                model_fill(&bench.guest, MODEL_BUFFERS + (uint64_t)*page * PAGE, PAGE, CANARY);
                spare[n_spare++] = *page;
        }
        slot->state = SLOT_FREE;
}

static void flush(void)
{
        assert_int_equal(iotlb_invalidate(&table, 0, 0), 0);
        show();
        for (unsigned i = 0; i < SLOTS; i++)
                if (slots[i].state == SLOT_STALE)
                        slot_free(&slots[i]);
        n_lost++;
}

static void keeper_takes_a_range(void)
{
        uint64_t first = IOVA_BUFFERS + (uint64_t)below(SLOTS * SLOT_PAGES) * PAGE;

        if (below(4) == 0)
                first = IOVA_RINGS + (uint64_t)below(QUEUES * 16) * PAGE;
        assert_int_equal(iotlb_invalidate(&table, first, (1 + below(64)) * (uint64_t)PAGE), 0);
        show();
}

/* ---- the driver ---- */

static struct slot *slot_find(void)
{
        for (unsigned i = 0; i < SLOTS; i++)
                if (slots[i].state == SLOT_FREE)
                        return &slots[i];
        return NULL;
}

/* Pages of the guest that nobody had: as they were left. */
static void slot_map(struct slot *slot)
{
        for (unsigned i = 0; i < SLOT_PAGES; i++) {
                unsigned which = below(n_spare);
                uint16_t page = spare[which];

                spare[which] = spare[--n_spare];
                space.page[(size_t)(slot - slots) * SLOT_PAGES + i] = page;
                assert_true(is_canary(model_at(&bench.guest, MODEL_BUFFERS + (uint64_t)page * PAGE), PAGE));
        }
}

static unsigned cut(uint64_t at, uint32_t len, bool write, struct model_buffer *ret_buffers)
{
        unsigned n = 0;

        while (len > 0) {
                uint32_t piece = n == 3 ? len : 1 + below(len);

                ret_buffers[n++] = (struct model_buffer){at, piece, write};
                at += piece;
                len -= piece;
        }
        return n;
}

static void driver_posts(void)
{
        struct slot *slot = slot_find();
        struct model_buffer buffers[8];
        unsigned n, queue = below(QUEUES);

        if (!slot || bench.guest.queues[queue].n_free < 8)
                return;
        slot_map(slot);
        *slot = (struct slot){.state = SLOT_POSTED, .queue = queue, .seed = (uint32_t)random_next(&state)};
        slot->readable = below(4) == 0 ? 1 + below(PART_BYTES) : 1 + below(2000);
        slot->writable = below(4) == 0 ? 1 + below(PART_BYTES) : 1 + below(2000);
        slot->read_at = below(PAGE);
        slot->write_at = below(PAGE);
        iova_put(&space, slot_at(slot, false) + slot->read_at, pattern(slot, false), slot->readable);
        n = cut(slot_at(slot, false) + slot->read_at, slot->readable, false, buffers);
        n += cut(slot_at(slot, true) + slot->write_at, slot->writable, true, buffers + n);
        slot->head = model_post(&bench.guest, queue, buffers, n);
}

static struct slot *slot_of(unsigned queue, uint16_t head)
{
        for (unsigned i = 0; i < SLOTS; i++)
                if (slots[i].state == SLOT_POSTED && slots[i].queue == queue && slots[i].head == head)
                        return &slots[i];
        return NULL;
}

/* What is before and behind the bytes is as it was. */
static void judge_used(const struct slot *slot, uint32_t len)
{
        uint64_t at = slot_at(slot, true), end = slot->write_at + slot->writable;

        assert_int_equal(len, slot->writable);
        assert_true(iova_holds(&space, at + slot->write_at, pattern(slot, true), len));
        assert_true(is_canary(iova_at(&space, at), slot->write_at));
        assert_true(end % PAGE == 0 || is_canary(iova_at(&space, at + end), PAGE - end % PAGE));
        for (end = (end + PAGE - 1) / PAGE * PAGE; end < PART_PAGES * PAGE; end += PAGE)
                assert_true(is_canary(iova_at(&space, at + end), PAGE));
        assert_true(
            iova_holds(&space, slot_at(slot, false) + slot->read_at, pattern(slot, false), slot->readable));
}

static void driver_reaps(void)
{
        for (unsigned queue = 0; queue < QUEUES; queue++) {
                uint16_t head;
                uint32_t len;

                while (model_reap(&bench.guest, queue, &head, &len)) {
                        struct slot *slot = slot_of(queue, head);

                        assert_non_null(slot);
                        judge_used(slot, len);
                        n_used++;
                        slot->state = SLOT_STALE;
                        if (lazy)
                                continue;
                        assert_int_equal(
                            iotlb_invalidate(&table, slot_at(slot, false), SLOT_PAGES * (uint64_t)PAGE), 0);
                        show();
                        slot_free(slot);
                }
        }
}

/* ---- the worker ---- */

/* Which it is says its length and its first bytes: no two are alike for long. */
static struct slot *slot_guess(unsigned queue, uint32_t readable, uint32_t writable)
{
        for (unsigned i = 0; i < SLOTS; i++) {
                struct slot *slot = &slots[i];
                bool taken = false;

                for (unsigned k = 0; k < n_held; k++)
                        taken |= held[k].slot == slot;
                if (!taken && slot->state == SLOT_POSTED && slot->queue == queue &&
                    slot->readable == readable && slot->writable == writable)
                        return slot;
        }
        return NULL;
}

static void judge_heard(struct held *request, const uint8_t *bytes, uint32_t len)
{
        assert_memory_equal(bytes, pattern(request->slot, false) + request->heard, len);
        request->heard += len;
}

static void worker_takes(const struct lane_requests *requests, const uint8_t *payload)
{
        for (size_t i = 0; i < requests->n; i++) {
                struct held *request = &held[n_held];

                assert_true(n_held < sizeof(held) / sizeof(held[0]));
                *request = (struct held){.id = requests->id[i]};
                request->slot = slot_guess(requests->queue[i], requests->readable[i], requests->writable[i]);
                assert_non_null(request->slot);
                assert_false(requests->must_fail[i]);
                judge_heard(request, payload, requests->inlined[i]);
                payload += requests->inlined[i];
                n_held++;
        }
}

static void worker_hears(void)
{
        struct fake_frame frame;

        while (fake_worker_next(&bench.worker, &frame)) {
                struct held *request = NULL;

                if (frame.message.kind == LANE_REQUESTS) {
                        worker_takes(&frame.message.requests, frame.payload);
                        continue;
                }
                assert_int_equal(frame.message.kind, LANE_MEM_READ_REPLY);
                assert_int_equal(frame.message.mem_read_reply.status[0], WIRE_STATUS_OK);
                for (unsigned i = 0; i < n_held && !request; i++)
                        if (held[i].asked)
                                request = &held[i]; /* one at a time */
                assert_non_null(request);
                assert_int_equal(frame.payload_len, request->asked_len);
                judge_heard(request, frame.payload, frame.payload_len);
                request->asked = false;
        }
}

static bool any_asked(void)
{
        for (unsigned i = 0; i < n_held; i++)
                if (held[i].asked)
                        return true;
        return false;
}

/* One more thing of one request. */
static void worker_works(void)
{
        struct held *request;
        const uint8_t *bytes;
        uint32_t left;

        if (n_held == 0 || bench.worker.tx_len - bench.worker.tx_pos > 256 * 1024)
                return;
        request = &held[below(n_held)];
        left = request->slot->readable - request->heard;
        if (request->asked || (left > 0 && any_asked()))
                return;
        if (left > 0) {
                request->asked = true;
                request->asked_len = left;
                fake_worker_read(&bench.worker, seq++, request->id, request->heard, left);
                return;
        }
        left = request->slot->writable - request->written;
        bytes = pattern(request->slot, true) + request->written;
        if (left > 1 && below(3) == 0) {
                uint32_t len = 1 + below(left - 1);

                fake_worker_write(&bench.worker, request->id, request->written, bytes, len);
                request->written += len;
                return;
        }
        fake_worker_complete(&bench.worker, request->id, request->written, bytes, left);
        *request = held[--n_held];
}

static void worker_dies(void)
{
        bench_die(&bench);
        n_held = 0;
        n_deaths++;
        bench_attach(&bench);
}

/* ---- the walk ---- */

static void step(void)
{
        switch (below(24)) {
        case 0 ... 5:
                driver_posts();
                break;
        case 6 ... 12:
                worker_works();
                break;
        case 13 ... 17:
                keeper_answers(1 + below(LIMIT_IOTLB_MISSES));
                break;
        case 18:
                if (below(4) == 0)
                        flush();
                break;
        case 19:
                if (below(4) == 0)
                        keeper_takes_a_range();
                break;
        case 20:
                bench.worker.step = below(2) ? 0 : 1 + below(5000);
                break;
        case 21:
                if (below(100) == 0)
                        worker_dies();
                break;
        default:
                fake_worker_pump(&bench.worker);
                if (lane_is_attached(&bench.lane) && !bench.lane.rx.parked)
                        lane_readable(&bench.lane);
                break;
        }
        bench.lane.quota.turns = (uint64_t)LIMIT_QUOTA_SHORT_TURNS * LIMIT_QUOTA_TURN;
        if (below(2) == 0)
                bench_run(&bench);
        worker_hears();
        driver_reaps();
        assert_int_equal(bench.faults, 0);
        for (unsigned i = 0; i < QUEUES; i++)
                assert_int_equal(bench.broken[i], 0);
}

static bool all_done(void)
{
        for (unsigned i = 0; i < SLOTS; i++)
                if (slots[i].state == SLOT_POSTED)
                        return false;
        return true;
}

static void begin(uint64_t seed)
{
        struct bench_options options = bench_defaults;

        options.n_queues = QUEUES;
        options.max_inline = 4096;
        options.credit_requests = 24;
        bench_init(&bench, &options);
        bench.may_drip = true;
        state = seed;
        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (uint8_t)random_next(&state);
        seq = 0;
        n_held = n_spare = n_used = n_lost = n_answers = n_deaths = 0;
        memset(slots, 0, sizeof(slots));
        iova_space_init(&space, &bench.guest, seed);
        assert_int_equal(iotlb_init(&table), 0);
        for (unsigned i = 0; i < SLOTS; i++)
                slot_free(&slots[i]);
        for (unsigned i = SLOTS * SLOT_PAGES; i < IOVA_PAGES; i++)
                model_fill(&bench.guest, MODEL_BUFFERS + (uint64_t)(spare[n_spare++] = space.page[i]) * PAGE,
                           PAGE, CANARY);
        for (unsigned i = 0; i < QUEUES; i++) {
                struct lane_queue *queue = lane_queue_find(&bench.lane, i);
                const struct queue_layout layout = iova_layout(&space, i);

                (void)lane_queue_stop(&bench.lane, queue);
                if (i == 0)
                        show();
                assert_int_equal(lane_queue_start(&bench.lane, queue, &layout, &(struct queue_features){0}, 0,
                                                  dup(bench.guest.queues[i].kick),
                                                  dup(bench.guest.queues[i].call)),
                                 0);
                lane_queue_release(&bench.lane, queue);
        }
}

/* All that is posted is answered, now that nobody disturbs it. */
static void end(void)
{
        bench.worker.step = 0;
        for (unsigned i = 0; !all_done(); i++) {
                assert_true(i < 100000);
                keeper_answers(LIMIT_IOTLB_MISSES);
                worker_works();
                bench_run(&bench);
                worker_hears();
                driver_reaps();
        }
        iotlb_done(&table);
        bench_done(&bench);
        printf("%u answered, %u pages told, %u times everything taken back, %u deaths\n", n_used, n_answers,
               n_lost, n_deaths);
        assert_true(n_used > 1000 && n_answers > n_used && n_lost > 100 && n_deaths > 1);
}

static void walk(bool is_lazy, uint64_t seed)
{
        const char *wish = getenv("BULKHEAD_STEPS");
        unsigned steps = wish ? (unsigned)atoi(wish) : 50000;

        lazy = is_lazy;
        begin(seed);
        for (unsigned i = 0; i < steps; i++)
                step();
        end();
}

static void every_byte_is_right_when_pages_are_unmapped_one_by_one(void **cmocka_state)
{
        (void)cmocka_state;
        walk(false, 20);
}

static void every_byte_is_right_when_all_pages_are_taken_back_together(void **cmocka_state)
{
        (void)cmocka_state;
        walk(true, 21);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_byte_is_right_when_pages_are_unmapped_one_by_one),
            cmocka_unit_test(every_byte_is_right_when_all_pages_are_taken_back_together),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
