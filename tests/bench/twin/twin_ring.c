/* One virtqueue of the twin.
 * Owns its two eventfds; called by the loop and by the device. TRUST: queue_pop judges what the guest wrote.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/twin_ring.h"

#include <errno.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

int twin_ring_init(struct twin_ring *ring, uint16_t max_segments)
{
        *ring = (struct twin_ring){.kick = -1, .call = -1};
        queue_init(&ring->queue);
        return twin_request_init(&ring->request, max_segments);
}

void twin_ring_done(struct twin_ring *ring)
{
        (void)twin_ring_stop(ring);
        twin_request_done(&ring->request);
}

int twin_ring_start(struct twin_ring *ring, struct guest_memory *memory, const struct queue_layout *layout,
                    const struct queue_features *features, uint32_t base, int kick, int call)
{
        int r = queue_start(&ring->queue, memory, layout, features, base);

        if (r < 0)
                return r;
        ring->kick = kick;
        ring->call = call;
        ring->told_broken = false;
        return 0;
}

uint32_t twin_ring_stop(struct twin_ring *ring)
{
        uint32_t base = ring->queue.started ? queue_stop(&ring->queue) : 0;

        queue_done(&ring->queue);
        cleanup_close(&ring->kick);
        cleanup_close(&ring->call);
        ring->kick = ring->call = -1;
        return base;
}

static void serve_one(struct twin_ring *ring, struct twin_disk *disk)
{
        const struct chain *chain = &ring->request.chain;
        const struct twin_reach reach = {.memory = ring->queue.memory, .dma = -1};
        int r = twin_disk_serve(disk, &reach, &ring->request);

        if (r < 0)
                (void)queue_break(&ring->queue, r == -EPROTO ? QUEUE_FAULT_DEVICE : QUEUE_FAULT_MEMORY);
        else
                (void)queue_push(&ring->queue, chain->head, chain->writable);
}

static void publish(struct twin_ring *ring)
{
        uint64_t one = 1;

        if (queue_publish(&ring->queue) > 0 && ring->call >= 0)
                (void)!write(ring->call, &one, sizeof(one)); /* a full eventfd is a pending signal already */
}

int twin_ring_serve(struct twin_ring *ring, struct twin_disk *disk, const struct twin_batch *most)
{
        const struct chain *chain = &ring->request.chain;
        unsigned n = 0;
        uint64_t bytes = 0;
        int r = 1;

        (void)queue_no_kicks(&ring->queue);
        while (n < most->chains && bytes < most->bytes &&
               (r = queue_pop(&ring->queue, &ring->request.chain)) > 0) {
                serve_one(ring, disk);
                bytes += (uint64_t)chain->readable + chain->writable;
                n++;
        }
        publish(ring);
        return r < 0 && n == 0 ? r : (int)n;
}
