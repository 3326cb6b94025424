/* The twin that is cut in two: the process without guest memory.
 * Owns the disk and the rings; it does what its parent orders, and serves rings that were kicked. TRUST: orders are the bench's own;
 * rings are judged by walker_ring.c, requests by blk_req_check.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "tests/bench/twin/walker.h"
#include "tests/bench/twin/walker_ring.h"

#define CONTROL UINT32_MAX /* event data of the orders' socket */
#define ROUNDS  4u         /* batches of each ring between two looks at the orders */

struct process {
        int control, epoll;
        struct twin_disk disk;
        struct twin_reach reach;
        struct twin_batch batch;
        unsigned n_queues;
        struct walker_ring rings[LIMIT_QUEUES];
        uint64_t active; /* rings that may have something */
};

static struct process process;

/* ---- rings ---- */

static void ring_fails(unsigned index, int error)
{
        log_warning("queue %u is served no more: %s", index, strerror(-error));
        process.active &= ~(UINT64_C(1) << index);
}

static void serve_ring(unsigned index)
{
        struct walker_ring *ring = &process.rings[index];
        int r = 1;

        for (unsigned i = 0; i < ROUNDS && r > 0; i++)
                r = walker_ring_serve(ring, &process.disk, &process.reach, &process.batch);
        if (r == 0)
                r = walker_ring_want_kicks(ring, process.reach.dma);
        if (r < 0)
                ring_fails(index, r);
        else if (r == 0)
                process.active &= ~(UINT64_C(1) << index);
}

/* ---- orders ---- */

static int start(const struct walker_order *order, struct walker_ring *ring, struct fd_set_owned *fds)
{
        const struct walker_start *start = &order->start;
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = order->queue};
        int r;

        if (ring->running)
                return -EBUSY;
        process.disk.features = start->driver;
        process.disk.writeback_field = start->writeback;
        if (epoll_ctl(process.epoll, EPOLL_CTL_ADD, fds->fds[0], &event) < 0)
                return -errno;
        r = walker_ring_start(ring, process.reach.dma, &start->layout, &start->features,
                              (uint16_t)start->base, fds->fds[0], fds->n > 1 ? fds->fds[1] : -1);
        if (r < 0) {
                (void)epoll_ctl(process.epoll, EPOLL_CTL_DEL, fds->fds[0], NULL);
                return r;
        }
        fds->n = 0; /* they are the ring's */
        process.active |= UINT64_C(1) << order->queue;
        return 0;
}

/* The kick's open file is the front end's, too: closing ours does not end the watch. */
static int stop(unsigned queue, struct walker_ring *ring)
{
        uint64_t kicks;

        if (!ring->running)
                return -EINVAL;
        process.active &= ~(UINT64_C(1) << queue);
        (void)epoll_ctl(process.epoll, EPOLL_CTL_DEL, ring->kick, NULL);
        (void)!read(ring->kick, &kicks, sizeof(kicks)); /* nobody has read it till now */
        return walker_ring_stop(ring);
}

static int set_call(struct walker_ring *ring, struct fd_set_owned *fds)
{
        cleanup_close(&ring->call);
        ring->call = fd_set_take(fds, 0);
        return 0;
}

static int carry_out(const struct walker_order *order, struct fd_set_owned *fds)
{
        struct walker_ring *ring;

        if (order->queue >= process.n_queues || (order->verb == WALKER_START && fds->n == 0))
                return -EINVAL;
        ring = &process.rings[order->queue];
        switch (order->verb) {
        case WALKER_START:
                return start(order, ring, fds);
        case WALKER_STOP:
                return stop(order->queue, ring);
        case WALKER_SET_CALL:
                return set_call(ring, fds);
        default:
                return twin_disk_set_writeback(&process.disk, order->start.writeback);
        }
}

static int take_order(void)
{
        struct fd_set_owned fds = {.n = 0};
        struct walker_order order;
        ssize_t n = fd_pass_recv(process.control, &order, sizeof(order), &fds, 2);
        int answer;

        if (n != sizeof(order))
                return n < 0 ? (int)n : -EPIPE;
        answer = carry_out(&order, &fds);
        fd_set_close(&fds);
        return fd_write_all(process.control, &answer, sizeof(answer));
}

/* ---- the loop ---- */

static int turn(void)
{
        struct epoll_event events[LIMIT_QUEUES + 1];
        int n = epoll_wait(process.epoll, events, LIMIT_QUEUES + 1, process.active != 0 ? 0 : -1);
        int r = 0;

        if (n < 0 && errno != EINTR)
                return -errno;
        for (int i = 0; i < n && r == 0; i++) {
                if (events[i].data.u32 == CONTROL)
                        r = take_order();
                else if (process.rings[events[i].data.u32].running)
                        process.active |= UINT64_C(1) << events[i].data.u32;
        }
        for (uint64_t left = process.active; left != 0 && r == 0; left &= left - 1)
                serve_ring((unsigned)__builtin_ctzll(left));
        return r;
}

static int prepare(int control, int dma, const char *path, unsigned n_queues, const struct twin_batch *batch)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = CONTROL};
        int r;

        process = (struct process){.control = control,
                                   .epoll = epoll_create1(EPOLL_CLOEXEC),
                                   .reach = {.dma = dma, .bounce = malloc(DMA_MESSAGE_BYTES)},
                                   .batch = *batch,
                                   .n_queues = n_queues};
        if (process.epoll < 0 || !process.reach.bounce)
                return process.epoll < 0 ? -errno : -ENOMEM;
        r = twin_disk_open(&process.disk, path, n_queues, false);
        for (unsigned i = 0; i < n_queues && r == 0; i++)
                r = walker_ring_init(&process.rings[i], (uint16_t)process.disk.hello.max_segments);
        if (r == 0 && epoll_ctl(process.epoll, EPOLL_CTL_ADD, control, &event) < 0)
                r = -errno;
        return r;
}

_Noreturn void walker_main(int control, int dma, const char *path, unsigned n_queues,
                           const struct twin_batch *batch)
{
        int r = prepare(control, dma, path, n_queues, batch);

        (void)signal(SIGINT, SIG_IGN); /* of the terminal: it ends with its parent */
        while (r == 0)
                r = turn();
        if (r != -EPIPE && r != -ECONNRESET)
                log_error("the walker of %s: %s", path, strerror(-r));
        _exit(r == -EPIPE ? 0 : 1);
}
