/* A lane: the life of requests between the rings and the worker.
 * Owns its queues, the table of outstanding requests, the ends of the worker's pipes and the kick and call
 * descriptors of its queues; called by lane_thread.c. TRUST: guest bytes come judged from queue_pop, worker
 * bytes judged from lane_rx.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/core/lane_age.h"
#include "broker/core/lane_batch.h"
#include "broker/core/lane_fail.h"
#include "broker/core/lane_supply.h"
#include "broker/core/memory_service.h"
#include "broker/core/lane_wait.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/status.h"

static void lane_close(struct lane *lane, int *fd)
{
        if (*fd < 0)
                return;
        if (lane->events.closing)
                lane->events.closing(lane, *fd);
        close(take_fd(fd));
}

int lane_init(struct lane *lane, const struct lane_events *events, unsigned first, unsigned step,
              unsigned n_device_queues)
{
        unsigned n = (n_device_queues - first + step - 1) / step;
        int r;

        assert(first < n_device_queues); /* no lane without a queue: vm_config_judge */
        *lane = (struct lane){.events = *events, .ends = {-1, -1}, .place.at = PLACE_FREE};
        lane_set_max_age(lane, LIMIT_REQUEST_AGE_MS);
        lane_stay_init(&lane->stay, step);
        quota_lane_reset(&lane->quota);
        lane->queues = calloc(n, sizeof(lane->queues[0]));
        if (!lane->queues)
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++) {
                lane->queues[i] =
                    (struct lane_queue){.index = first + i * step, .kick_fd = -1, .call_fd = -1};
                queue_init(&lane->queues[i].ring);
        }
        lane->n_queues = n;
        fair_init(&lane->fair, n);
        r = lane_tx_init(&lane->tx);
        if (r == 0)
                r = lane_rx_init(&lane->rx);
        return r;
}

void lane_done(struct lane *lane)
{
        lane_detach(lane);
        for (unsigned i = 0; i < lane->n_queues; i++) {
                lane_queue_stop(lane, &lane->queues[i]);
                queue_done(&lane->queues[i].ring);
        }
        free(lane->queues);
        lane->queues = NULL;
        lane->n_queues = 0;
        request_table_done(&lane->requests);
        lane->memory = guest_memory_unref(lane->memory);
        lane_tx_done(&lane->tx);
        lane_rx_done(&lane->rx);
}

int lane_configure(struct lane *lane, const struct control_hello *hello)
{
        lane->credit_requests = hello->credit_requests;
        lane->credit_bytes = hello->credit_bytes;
        lane->max_inline = hello->max_inline;
        fair_set_credits(&lane->fair, hello->credit_requests);
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];

                queue->replay = hello->queue_replay[queue->index];
                queue->supply = hello->queue_kind[queue->index] == QUEUE_SUPPLY;
                fair_set_supply(&lane->fair, i, queue->supply);
        }
        return request_table_init(&lane->requests, hello->credit_requests, hello->max_segments);
}

struct lane_queue *lane_queue_find(struct lane *lane, unsigned queue)
{
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane->queues[i].index == queue)
                        return &lane->queues[i];
        return NULL;
}

bool lane_is_spent(const struct lane_queue *queue, const struct request *request)
{
        return queue->replay == REPLAY_AT_MOST_ONCE && request->attempt > 0 &&
               (!queue->supply || request->chain.readable > 0);
}

/* What the last worker held goes back to waiting, in its old order. */
static void lane_recall(struct lane *lane)
{
        for (struct request *request = lane->requests.oldest; request; request = request->newer) {
                struct lane_queue *queue = lane_queue_find(lane, request->queue);

                if (request->state != REQUEST_SENT)
                        continue;
                if (!request->waits) /* it was not alone, but it was not at work */
                        lane_blame(lane, request);
                request->state = REQUEST_QUEUED;
                request->attempt++;
                request->written = 0;
                request->completing = false;
                lane_wait_end(lane, request);
                direct_forget(request);
                if (lane_is_spent(queue, request))
                        request->must_fail = true;
                lane->n_unsent++;
        }
        lane->used_requests = 0;
        lane->used_bytes = 0;
        quota_lane_reset(&lane->quota);
        lane->n_aging = 0;
        lane->isolation = LANE_OPEN; /* the next worker begins with a count of suspects */
        for (unsigned i = 0; i < lane->n_queues; i++)
                if (lane->queues[i].supply && lane->queues[i].draining)
                        lane_supply_recall(lane, &lane->queues[i]);
}

void lane_attach(struct lane *lane, struct fd_duplex ends, const struct direct_peer *peer)
{
        lane_detach(lane);
        lane_fail_end(lane);
        direct_open(&lane->direct, peer);
        lane->ends = ends;
        lane->faulted = false;
        lane->completed = 0;
        for (unsigned i = 0; i < lane->n_queues; i++) {
                lane->queues[i].held = false;
                lane_raw_attach(lane, &lane->queues[i]);
        }
        lane_turn(lane);
}

void lane_detach(struct lane *lane)
{
        if (!lane_is_attached(lane))
                return;
        lane_place_end(lane);
        lane_close(lane, &lane->ends.in);
        lane_close(lane, &lane->ends.out);
        lane_tx_reset(&lane->tx);
        lane_rx_reset(&lane->rx);
        direct_close(&lane->direct);
        lane_stay_end(&lane->stay);
        lane_recall(lane);
}

void lane_worker_fault(struct lane *lane, const char *why)
{
        if (lane->faulted)
                return;
        lane->faulted = true;
        lane->events.worker_fault(lane->events.context, why);
}

/* Tells the device once that a ring has broken. */
static void lane_tell_broken(struct lane *lane, struct lane_queue *queue)
{
        if (queue->told_broken || queue->ring.fault == QUEUE_FAULT_NONE)
                return;
        queue->told_broken = true;
        lane->events.queue_broken(lane->events.context, queue->index);
}

bool lane_takes_from(const struct lane *lane, const struct lane_queue *queue)
{
        return queue->ring.started && queue->ring.fault == QUEUE_FAULT_NONE && !queue->ring.parked &&
               !queue->held && !queue->draining && lane->hold == 0 && lane->isolation == LANE_OPEN;
}

bool lane_ask_for_kicks(struct lane *lane)
{
        bool more = false;

        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];
                int r;

                if (!lane_takes_from(lane, queue) ||
                    (lane->fails ? !lane_fail_answers(lane, queue) : fair_left(&lane->fair, i)))
                        continue;
                r = queue_want_kicks(&queue->ring);
                if (r < 0)
                        lane_tell_broken(lane, queue);
                else if (r > 0)
                        more = true;
        }
        return more;
}

void lane_set_rate(struct lane *lane, struct rate_limit *rate)
{
        lane->rate = rate;
}

void lane_turn(struct lane *lane)
{
        lane->wait_ms = 0;
        if (lane->fails) {
                lane_fail_turn(lane);
                return;
        }
        lane->more = false;
        if (!lane_is_attached(lane) || lane->faulted)
                return;
        for (unsigned frames = 0;; frames++) {
                int r = lane_tx_flush(lane);

                if (r < 0) {
                        lane_worker_fault(lane, "hung up");
                        return;
                }
                if (r == 0)
                        return; /* the pipe is full: its writability is the next event */
                if (frames == LIMIT_LANE_FRAMES) {
                        lane->more = true;
                        return;
                }
                lane_isolate_step(lane);
                if (lane_tx_mem_read_reply(lane) || lane_tx_may_rest(lane) || lane_tx_recall(lane) ||
                    lane_stay_wake(lane) || lane_batch_begin(lane))
                        continue;
                if (lane->faulted)
                        return;
                if (lane->used_requests >= lane->credit_requests || lane->n_unsent > 0)
                        return; /* out of credit: a completion is the next event */
                if (lane_poll_defers(lane))
                        return;
                if (!lane_ask_for_kicks(lane) || !lane_batch_begin(lane))
                        return;
        }
}

/* What the worker has sent. Returns 0: there was nothing; positive; or negative: it is no worker of ours any more. */
static int lane_receive(struct lane *lane)
{
        const char *why = NULL;
        int r;

        if (!lane_is_attached(lane) || lane->faulted)
                return -ENOTCONN;
        r = lane_rx_run(lane, &why);
        if (r < 0)
                lane_worker_fault(lane, why);
        return r;
}

static void lane_go_on(struct lane *lane)
{
        lane_turn(lane);
        lane_place_look(lane);
        lane_place_note(lane);
}

bool lane_look(struct lane *lane)
{
        int r = lane_receive(lane);

        if (r > 0)
                lane_go_on(lane);
        return r != 0 && r != -ENOTCONN;
}

void lane_readable(struct lane *lane)
{
        if (lane_receive(lane) >= 0)
                lane_go_on(lane);
}

/* One of the first two kicks since the start. */
static void lane_first_kicks(struct lane *lane, struct lane_queue *queue)
{
        if (queue->raw)
                lane_raw_kick(lane, queue);
        else if (queue->kicks == 2 && queue->ring.started && queue_avail_is_zero(&queue->ring))
                lane->events.queue_suspicious(lane->events.context, queue->index);
}

void lane_kicked(struct lane *lane, struct lane_queue *queue, uint64_t count)
{
        bool had_initial_only = queue->kicks < 2;

        /* A VMM may kick once by itself when it starts a queue; the second kick is the driver's own, and then
         * the ring cannot be all zero unless we look at other memory than the driver does. Both may come as one
         * event: it is kicks that count, and a driver that waits for us does not kick again. */
        queue->kicks += (unsigned)MIN(count, UINT64_C(2) - queue->kicks); /* never over 2 */
        if (had_initial_only)
                lane_first_kicks(lane, queue);
        lane_turn(lane);
        lane_place_note(lane);
}

bool lane_wants_write(const struct lane *lane)
{
        return lane_is_attached(lane) && !lane->faulted && (lane_tx_busy(&lane->tx) || lane->more);
}

void lane_withdraw(struct lane *lane, struct request *request)
{
        if (request->state == REQUEST_SENT) {
                lane_wait_end(lane, request);
                lane->used_requests--;
                lane->used_bytes -= request->inlined;
                quota_lane_settle(&lane->quota, request->chain.readable, request->chain.writable);
                lane->n_aging -= request->is_work;
                direct_release(&lane->direct, request);
        } else if (request->state == REQUEST_QUEUED) {
                lane->n_unsent--;
        }
        request->state = REQUEST_RETURNED;
}

void lane_release(struct lane *lane, struct lane_queue *queue, struct request *request)
{
        lane_withdraw(lane, request);
        queue->outstanding--;
        lane->n_lent -= queue->supply;
        atomic_store_explicit(&lane->stats.lent, lane->n_lent, memory_order_relaxed);
        fair_gave(&lane->fair, (unsigned)(queue - lane->queues), request->chain.readable,
                  request->chain.writable);
        request_table_release(&lane->requests, request);
        atomic_store_explicit(&lane->stats.outstanding, lane->requests.outstanding, memory_order_relaxed);
        if (lane->miss.starved)
                lane_miss_tell(lane);
        if (queue->draining && queue->outstanding == 0)
                lane->events.queue_drained(lane->events.context, queue->index);
}

void lane_complete(struct lane *lane, struct request *request, uint32_t status)
{
        struct lane_queue *queue = lane_queue_find(lane, request->queue);
        struct queue *ring = &queue->ring;

        if (status == WIRE_STATUS_WAITING) {
                lane_wait_begin(lane, request);
                return;
        }
        lane_tx_let_go(lane, request);
        if (status == WIRE_STATUS_CANCELED) {
                lane_supply_returned(lane, queue, request);
                return;
        }
        if (!ring->used && status == WIRE_STATUS_OK &&
            (lane_raw_complete(lane, queue, request) || lane_miss_keeps(lane, request)))
                return;
        lane_finish(lane, request, status);
}

/* Bytes of it are missing: a file has been cut, or its hypervisor has made that memory inaccessible to this host. Its driver is told by
 * the device's own error. Where it cannot be, the ring breaks, but for what anybody can take away: a shared memory region's bytes, or
 * translations. */
static void tell_fault(struct lane *lane, struct request *request)
{
        uint32_t written = 0;
        bool told = lane_fail_faulted(lane, request, &written);

        if (!told && !guest_memory_is_translated(lane->memory) &&
            !memory_service_has_shmem(lane->memory, request))
                return;
        request->written = written;
        request->faulted = false;
}

void lane_finish(struct lane *lane, struct request *request, uint32_t status)
{
        struct lane_queue *queue = lane_queue_find(lane, request->queue);
        struct queue *ring = &queue->ring;

        if (request->faulted && lane->memory)
                tell_fault(lane, request);
        if (status != WIRE_STATUS_OK)
                queue_break(ring, QUEUE_FAULT_DEVICE);
        else if (request->faulted)
                queue_break(ring, QUEUE_FAULT_MEMORY);
        else
                queue_push(ring, request->chain.head, request->written);
        lane->completed++;
        atomic_fetch_add_explicit(&lane->stats.bytes_to_guest, request->written, memory_order_relaxed);
        if (lane->rate && queue->supply) /* only now it is known what came */
                rate_limit_pay(lane->rate, lane->queues[0].index, 0, request->written, lane_clock_ns());
        lane_release(lane, queue, request);
        lane_supply_step(lane, queue);
}

/* A full eventfd is a pending signal already. It does not block, so no signal of ours interrupts the write:
 * EINTR means that the peer has made it block and has filled it, and that somebody waits for this thread
 * (lane_thread_call). Nobody waits for such a peer twice. */
void lane_signal(struct lane_queue *queue)
{
        uint64_t one = 1;

        if (queue->call_fd < 0)
                return;
        if (queue->interrupt_status)
                atomic_fetch_or(queue->interrupt_status, LANE_USED_BUFFER);
        if (write(queue->call_fd, &one, sizeof(one)) >= 0 || errno != EINTR)
                return;
        cleanup_close(&queue->call_fd);
        queue->call_fd = -1;
        queue_break(&queue->ring, QUEUE_FAULT_CALL);
}

void lane_publish(struct lane *lane)
{
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];
                int r;

                if (!queue->ring.started)
                        continue;
                r = queue_publish(&queue->ring);
                if (r > 0)
                        lane_signal(queue);
                lane_tell_broken(lane, queue);
        }
}

void lane_set_failure(struct lane *lane, const struct lane_failure *failure)
{
        lane->failure = *failure;
}

void lane_set_memory(struct lane *lane, struct guest_memory *memory)
{
        lane_tx_spill(lane);
        guest_memory_unref(lane->memory);
        lane->memory = memory ? guest_memory_ref(memory) : NULL;
        for (unsigned i = 0; i < lane->n_queues; i++) {
                struct lane_queue *queue = &lane->queues[i];

                if (!queue->ring.started)
                        continue;
                if (queue->raw)
                        lane_raw_rebind(lane, queue);
                else
                        queue_rebind(&queue->ring, memory);
                lane_tell_broken(lane, queue);
        }
        lane_miss_renew(lane);
        lane_turn(lane);
}

int lane_queue_start(struct lane *lane, struct lane_queue *queue, const struct queue_layout *layout,
                     const struct queue_features *features, uint32_t base, int kick_fd, int call_fd)
{
        int r;

        if (!lane->memory)
                return -EFAULT;
        r = lane->raw.size > 0 ? lane_raw_start(lane, queue, layout, features, base)
                               : queue_start(&queue->ring, lane->memory, layout, features, base);
        if (r < 0)
                return r;
        queue->held = true;
        queue->draining = false;
        queue->told_broken = false;
        queue->recall = RECALL_NONE;
        queue->n_returned = 0;
        queue->kicks = 0;
        queue->kick_fd = kick_fd;
        queue->call_fd = call_fd;
        lane_tell_broken(lane, queue);
        if (queue->ring.parked && !queue->raw)
                lane_miss_tell(lane);
        return 0;
}

void lane_queue_release(struct lane *lane, struct lane_queue *queue)
{
        queue->held = false;
        lane_raw_step(lane, queue);
        lane_turn(lane);
}

void lane_queue_set_call(struct lane_queue *queue, int call_fd)
{
        cleanup_close(&queue->call_fd);
        queue->call_fd = call_fd;
        /* A completion may have been signaled to the old descriptor just before it was replaced. */
        if (queue->ring.started && queue->ring.fault == QUEUE_FAULT_NONE)
                lane_signal(queue);
}

void lane_queue_drain(struct lane *lane, struct lane_queue *queue)
{
        queue->draining = true;
        if (queue->outstanding == 0)
                lane->events.queue_drained(lane->events.context, queue->index);
        else if (queue->supply)
                lane_supply_recall(lane, queue);
        else
                lane_wait_recall(lane, queue);
        lane_supply_step(lane, queue);
}

void lane_fail_draining(struct lane *lane)
{
        for (struct request *request = lane->requests.oldest; request; request = request->newer)
                if (lane_queue_find(lane, request->queue)->draining)
                        request->must_fail = true;
}

static void lane_forget(struct lane *lane, struct lane_queue *queue)
{
        struct request *request = lane->requests.oldest;

        queue->draining = false;
        while (request) {
                struct request *newer = request->newer;

                if (request->queue == queue->index)
                        lane_release(lane, queue, request);
                request = newer;
        }
}

uint32_t lane_queue_stop(struct lane *lane, struct lane_queue *queue)
{
        uint32_t base = queue->ring.started ? queue_stop(&queue->ring) : 0;

        assert(queue->outstanding == 0 || !lane_is_attached(lane));
        lane_raw_stop(lane, queue);
        lane_forget(lane, queue);
        lane_place_rest(lane);
        queue_init(&queue->ring); /* the ring forgets too: what was outstanding may be posted again */
        lane_close(lane, &queue->kick_fd);
        lane_close(lane, &queue->call_fd);
        queue->interrupt_status = NULL;
        queue->held = false;
        return base;
}

void lane_queue_break(struct lane *lane, struct lane_queue *queue, enum queue_fault fault)
{
        if (!queue->ring.started)
                return;
        queue_break(&queue->ring, fault);
        lane_tell_broken(lane, queue);
}
