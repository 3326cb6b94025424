/* One queue under load. Owns the layout of its buffers, its map of stamps while it runs, and its counts; ring and ram
 * are the session's. Runs in a thread of its own. TRUST: statuses, lengths and data are the device's, and are judged.
 *
 * How it works. Like a guest with an asynchronous reader or writer of depth N: what has completed is taken in one go,
 * as many requests are posted again, they are shown to the device together, and it is kicked once if it asks for that.
 * Only with nothing left to take does the client ask for an interrupt, look again, and sleep on the call descriptor;
 * while it is awake it wants no interrupts (event index). Time is read once a turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/blk_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/harness/blk_front.h"

#define HEAD_BYTES   64u /* a cache line: header, then status, as Linux has them in one struct */
#define STATUS_AT    16u
#define MIXED_READS  7u /* of ten */
#define SPINS_A_LOOK 4096u

struct blk_header {
        uint32_t type, reserved;
        uint64_t sector;
};

static uint64_t now_ns(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned n_segments(const struct blk_load_plan *plan)
{
        return 2 + (plan->work.block + plan->segment - 1) / plan->segment;
}

/* A page between two buffers: at strides of a power of two they would share few sets of a cache. */
static uint64_t data_stride(const struct blk_load_plan *plan)
{
        uint64_t pages = (plan->work.block + 4095u) / 4096u * 4096u;

        return plan->work.block > 4096 ? pages + 4096 : pages;
}

uint64_t blk_load_ram(const struct blk_load_plan *plan)
{
        uint64_t tables = UINT64_C(16) * SPLIT_RING_MAX * (n_segments(plan) + 8);

        return plan->work.depth * (data_stride(plan) + HEAD_BYTES) + tables + (1u << 20);
}

int blk_load_init(struct blk_load *load, uint64_t first_block, uint64_t n_blocks)
{
        const struct bench_case *work = &load->plan->work;
        int r = blk_ring_init(&load->ring, load->ram, load->front->offered, work->packed, work->depth,
                              n_segments(load->plan));

        load->first_block = first_block;
        load->n_blocks = n_blocks;
        load->chance = UINT64_C(0x2545f4914f6cdd1d) * (load->queue + 1);
        for (unsigned i = 0; i < work->depth && r == 0; i++) {
                load->slots[i].head = guest_ram_alloc(load->ram, HEAD_BYTES, HEAD_BYTES);
                load->slots[i].data = guest_ram_alloc(load->ram, data_stride(load->plan), 4096);
                /* Not zeros: pages that nobody has touched cost the first who does. */
                memset(load->ram->base + load->slots[i].data, (int)i + 1, work->block);
        }
        return r;
}

static int fail(struct blk_load *load, int error, const char *what, uint64_t value)
{
        if (load->error == 0) {
                snprintf(load->trouble, sizeof(load->trouble), "queue %u: %s %llu", load->queue, what,
                         (unsigned long long)value);
                __atomic_store_n(&load->error, error, __ATOMIC_RELEASE);
        }
        return error;
}

/* ---- what to ask next ---- */

static uint64_t chance(struct blk_load *load)
{
        load->chance ^= load->chance << 13;
        load->chance ^= load->chance >> 7;
        load->chance ^= load->chance << 17;
        return load->chance;
}

/* The next block, from the area's first; with stamps none that another request holds. */
static uint64_t choose_block(struct blk_load *load)
{
        uint64_t at;

        do {
                if (load->plan->work.sequential || load->filling)
                        at = load->next_block++ % load->n_blocks;
                else
                        at = (uint64_t)(((unsigned __int128)chance(load) * load->n_blocks) >> 64);
        } while (load->plan->verify && load->stamps.busy[at]);
        return at;
}

static bool choose_write(struct blk_load *load)
{
        enum bench_op op = load->plan->work.op;

        return load->filling || op == BENCH_WRITE || (op == BENCH_MIXED && chance(load) % 10 >= MIXED_READS);
}

static void stamp(struct blk_load *load, const struct blk_load_slot *slot)
{
        uint8_t *data = load->ram->base + slot->data;

        load->stamps.busy[slot->at] = 1;
        if (slot->writes)
                bench_stamps_fill(&load->stamps, slot->at, data);
        else
                bench_stamps_spoil(&load->stamps, data);
}

static unsigned add_data(const struct blk_load *load, uint64_t data, struct split_segment *segments)
{
        uint32_t block = load->plan->work.block, piece = load->plan->segment;
        unsigned n = 0;

        for (uint32_t done = 0; done < block; done += piece)
                segments[n++] = (struct split_segment){data + done, MIN(piece, block - done)};
        return n;
}

static int post(struct blk_load *load, struct blk_load_slot *slot, uint64_t now)
{
        struct blk_header *header = (struct blk_header *)(load->ram->base + slot->head);
        struct split_segment segments[SPLIT_RING_SEGMENTS] __attribute__((uninitialized));
        unsigned n;

        slot->at = choose_block(load);
        slot->writes = choose_write(load);
        slot->posted_ns = now;
        if (load->plan->verify)
                stamp(load, slot);
        *header =
            (struct blk_header){.type = slot->writes ? BLK_OUT : BLK_IN,
                                .sector = (load->first_block + slot->at) * (load->plan->work.block / 512)};
        load->ram->base[slot->head + STATUS_AT] = 0xff;
        segments[0] = (struct split_segment){slot->head, sizeof(*header)};
        n = 1 + add_data(load, slot->data, segments + 1);
        segments[n] = (struct split_segment){slot->head + STATUS_AT, 1};
        load->outstanding++;
        return blk_ring_add(&load->ring, segments, slot->writes ? n : 1, slot->writes ? 1 : n, slot);
}

/* ---- what has come ---- */

static int judge(struct blk_load *load, const struct blk_load_slot *slot, uint32_t used_len)
{
        uint8_t status = load->ram->base[slot->head + STATUS_AT];
        uint64_t sector = (load->first_block + slot->at) * (load->plan->work.block / 512);

        if (status != BLK_S_OK)
                return fail(load, -EIO, "an error status for sector", sector);
        if (!load->plan->verify)
                return 0;
        load->stamps.busy[slot->at] = 0;
        if (used_len != 1 + (slot->writes ? 0 : load->plan->work.block))
                return fail(load, -EPROTO, "a used length that cannot be:", used_len);
        if (!slot->writes &&
            !bench_stamps_match(&load->stamps, slot->at, load->ram->base + slot->data, &sector))
                return fail(load, -EBADMSG, "not what was last written to sector", sector);
        return 0;
}

static void count(struct blk_load *load, const struct blk_load_slot *slot, uint64_t now)
{
        if (!load->counting)
                return;
        load->result.n++;
        load->result.bytes += load->plan->work.block;
        histogram_add(&load->result.latency, now - slot->posted_ns);
}

/* Takes what is there, at most what fits the list. Returns how many, or negative errno. */
static int take_all(struct blk_load *load, struct blk_load_slot **slots, uint64_t *ret_now)
{
        int n = 0;

        while ((unsigned)n < load->plan->work.depth) {
                uint32_t used_len;
                void *cookie;
                int r = blk_ring_take(&load->ring, &cookie, &used_len);

                if (r < 0)
                        return fail(load, r, "a used element that nobody posted, behind", load->result.n);
                if (r == 0)
                        break;
                if (n == 0)
                        *ret_now = now_ns(CLOCK_MONOTONIC);
                slots[n++] = cookie;
                load->outstanding--;
                r = judge(load, cookie, used_len);
                if (r < 0)
                        return r;
                count(load, cookie, *ret_now);
        }
        return n;
}

static int show(struct blk_load *load)
{
        if (!blk_ring_publish(&load->ring))
                return 0;
        load->result.kicks++;
        return front_end_kick(load->front, load->queue);
}

/* ---- turns ---- */

static bool may_post(const struct blk_load *load)
{
        if (load->filling)
                return load->next_block < load->n_blocks;
        return __atomic_load_n(load->phase, __ATOMIC_ACQUIRE) != BLK_PHASE_STOP;
}

/* One turn of the device: takes, posts as many again, kicks once. Returns how many were taken. */
static int turn(struct blk_load *load)
{
        struct blk_load_slot *slots[BENCH_DEPTH_MAX] __attribute__((uninitialized));
        uint64_t now = 0;
        int n = take_all(load, slots, &now), r = 0;

        for (int i = 0; i < n && r == 0 && may_post(load); i++)
                r = post(load, slots[i], now);
        if (r == 0 && n > 0)
                r = show(load);
        return r < 0 ? r : n;
}

/* By edges: each interrupt is one, so what the call descriptor counts need not be read. */
static int watch_calls(struct blk_load *load)
{
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        int r;

        load->calls = epoll_create1(EPOLL_CLOEXEC);
        if (load->calls < 0)
                return -errno;
        r = epoll_ctl(load->calls, EPOLL_CTL_ADD, load->front->rings[load->queue].call, &event);
        return r < 0 ? -errno : 0;
}

static int wait_sleeping(struct blk_load *load)
{
        struct epoll_event event;
        int r;

        if (blk_ring_want_call(&load->ring))
                return 0;
        load->result.sleeps++;
        r = epoll_wait(load->calls, &event, 1, BLK_LOAD_DEADLINE_MS);
        if (r == 0)
                return fail(load, -ETIMEDOUT, "no completion within 10 s; outstanding:", load->outstanding);
        return r < 0 && errno != EINTR ? -errno : 0;
}

static void spin_hint(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

/* Spins a while; the clock is looked at seldom. */
static int wait_polling(struct blk_load *load, unsigned *spins, uint64_t *since)
{
        uint64_t now;

        if (++*spins % SPINS_A_LOOK) {
                spin_hint();
                return 0;
        }
        now = now_ns(CLOCK_MONOTONIC);
        if (*since == 0)
                *since = now;
        if (now - *since > BLK_LOAD_DEADLINE_MS * UINT64_C(1000000))
                return fail(load, -ETIMEDOUT, "no completion within 10 s; outstanding:", load->outstanding);
        return 0;
}

static struct process_work own_use(void)
{
        struct rusage use;

        getrusage(RUSAGE_THREAD, &use);
        return (struct process_work){.cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID),
                                     .voluntary = (uint64_t)use.ru_nvcsw,
                                     .involuntary = (uint64_t)use.ru_nivcsw};
}

/* Begins and ends the counting as the phase turns. */
static void follow_phase(struct blk_load *load)
{
        bool due = __atomic_load_n(load->phase, __ATOMIC_ACQUIRE) == BLK_PHASE_COUNT && !load->filling;

        if (due == load->counting)
                return;
        load->counting = due;
        if (due) {
                memset(&load->result, 0, sizeof(load->result));
                load->client_from = own_use();
                load->counted_from = now_ns(CLOCK_MONOTONIC);
        } else {
                struct process_work use = own_use();

                load->result.elapsed_ns = now_ns(CLOCK_MONOTONIC) - load->counted_from;
                load->result.client =
                    (struct process_work){.cpu_ns = use.cpu_ns - load->client_from.cpu_ns,
                                          .voluntary = use.voluntary - load->client_from.voluntary,
                                          .involuntary = use.involuntary - load->client_from.involuntary};
        }
}

/* Posts as many as the depth allows and goes on until all have come home. */
static int serve(struct blk_load *load)
{
        uint64_t since = 0;
        unsigned spins = 0;
        int r = 0;

        for (unsigned i = 0; i < load->plan->work.depth && r == 0 && may_post(load); i++)
                r = post(load, &load->slots[i], now_ns(CLOCK_MONOTONIC));
        if (r == 0)
                r = show(load);
        while (r >= 0 && load->outstanding > 0) {
                follow_phase(load);
                r = turn(load);
                if (r > 0)
                        since = 0;
                else if (r == 0)
                        r = load->plan->poll ? wait_polling(load, &spins, &since) : wait_sleeping(load);
        }
        follow_phase(load);
        return r < 0 ? r : 0;
}

/* Every block is written once, so that every read can be judged. */
static int fill_area(struct blk_load *load)
{
        int r;

        load->filling = true;
        load->next_block = 0;
        r = serve(load);
        load->filling = false;
        load->next_block = 0;
        return r;
}

void *blk_load_run(void *context)
{
        struct blk_load *load = context;
        const struct blk_load_plan *plan = load->plan;
        int r;

        load->error = 0;
        r = watch_calls(load);
        if (r == 0 && plan->verify) {
                r = bench_stamps_init(&load->stamps, now_ns(CLOCK_REALTIME) + load->queue,
                                      load->first_block * (plan->work.block / 512), load->n_blocks,
                                      plan->work.block);
                if (r == 0)
                        r = fill_area(load);
        }
        if (r == 0) {
                sem_post(load->told);
                r = serve(load);
        }
        bench_stamps_done(&load->stamps);
        if (load->calls >= 0)
                close(load->calls);
        if (r < 0) {
                fail(load, r, "error", (uint64_t)-r);
                sem_post(load->told);
        }
        return NULL;
}
