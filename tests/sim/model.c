/* The model of requests.
 * Owns the records of what is posted; called by the driver, the fake worker and the front end. TRUST: none:
 * the product is what is judged here.
 *
 * How it works: a record is made when the guest posts a chain and found again by its place in the available
 * ring when a worker sees a request for the first time, because first sights come in the order of posting;
 * from then on by its id. What a worker writes is kept in the record. When the guest gets the head back, the
 * worker that saw it last must have answered it, and the bytes must be that worker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/sim/bytes.h"
#include "tests/sim/clock.h"
#include "tests/sim/driver.h"
#include "tests/sim/trace.h"

#define CLOCK_MS 5u /* by how much a loop's clock may be behind */

uint64_t key_of_guest(const struct posting *posting)
{
        return posting->serial << 8 | 0xff;
}

uint64_t key_of_worker(const struct posting *posting, unsigned incarnation)
{
        return posting->serial << 8 | (incarnation & 0x7f);
}

struct posting *posting_new(struct sim_device *dev)
{
        struct posting *posting;
        uint8_t *bytes;

        if (dev->n_free == 0)
                return NULL;
        posting = &dev->postings[dev->free_postings[--dev->n_free]];
        bytes = posting->bytes;
        *posting = (struct posting){.serial = ++dev->next_serial, .bytes = bytes};
        dev->outstanding++;
        return posting;
}

/* The lanes know of it before the device has told. */
static bool is_quarantined(const struct sim_device *dev)
{
        return dev->quarantined || device_supervisor(dev->device)->state == WORKER_QUARANTINED;
}

/* ---- records by id ---- */

static struct posting **bucket_of(struct sim_device *dev, unsigned lane, uint64_t id)
{
        return &dev->lanes[lane].buckets[(id * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SIM_BUCKETS];
}

static struct posting *find(struct sim_device *dev, unsigned lane, uint64_t id)
{
        struct posting *posting = *bucket_of(dev, lane, id);

        while (posting && posting->id != id)
                posting = posting->next;
        return posting;
}

static void unfile(struct sim_device *dev, struct posting *posting)
{
        struct sim_lane *lane = &dev->lanes[posting->lane];
        struct posting **at = bucket_of(dev, posting->lane, posting->id);

        while (*at != posting)
                at = &(*at)->next;
        *at = posting->next;
        lane->stale[lane->n_stale++ % STALE_IDS] = posting->id;
}

void posting_unmake(struct sim_device *dev, struct posting *posting)
{
        for (unsigned i = 0; i < posting->n_segments; i++)
                ram_give_cell(&dev->ram, posting->segments[i].cell);
        posting->serial = 0;
        dev->free_postings[dev->n_free++] = (uint16_t)(posting - dev->postings);
        dev->outstanding--;
}

void posting_free(struct sim_device *dev, struct posting *posting)
{
        struct sim_queue *queue = &dev->queues[posting->queue];

        if (posting->seen)
                unfile(dev, posting);
        else if (queue->by_position[posting->position % SIM_RING] == posting)
                queue->by_position[posting->position % SIM_RING] = NULL;
        queue->by_head[posting->head] = NULL;
        posting_unmake(dev, posting);
}

/* ---- what a worker sees ---- */

/* A lane that found something in the bucket may have overdrawn it by one. */
static void judge_rate(struct sim_device *dev, unsigned queue)
{
        const struct device_rate *rate = &dev->config.rate;

        if (rate->ops == 0 || dev->hello.queue_kind[queue] == QUEUE_SUPPLY)
                return;
        dev->n_taken++;
        sim_check(dev->n_taken <=
                      rate->ops_burst + rate->ops * (sim_now_ms() - dev->born_ms + 1) / 1000 + dev->n_lanes,
                  "%s: %llu requests were taken, more than %llu a second", dev->name,
                  (unsigned long long)dev->n_taken, (unsigned long long)rate->ops);
}

static struct posting *first_sight(struct sim_device *dev, const struct sight *sight)
{
        struct sim_queue *queue = &dev->queues[sight->queue];
        struct posting *posting = queue->by_position[queue->taken % SIM_RING];

        sim_check(posting && posting->position == queue->taken,
                  "%s: the worker was sent a request that nobody posted: id %llx queue %u position %u",
                  dev->name, (unsigned long long)sight->id, sight->queue, queue->taken);
        sim_check(!posting->bad, "%s: the worker was sent a chain that should have broken queue %u",
                  dev->name, sight->queue);
        queue->by_position[queue->taken % SIM_RING] = NULL;
        queue->taken++;
        judge_rate(dev, sight->queue);
        posting->seen = true;
        posting->id = sight->id;
        posting->lane = sight->lane;
        if (posting->first_incarnation == 0) /* what was lent before may have been written to */
                posting->first_incarnation = dev->worker.incarnation;
        posting->taken = ++dev->lanes[sight->lane].next_taken;
        posting->next = *bucket_of(dev, sight->lane, sight->id);
        *bucket_of(dev, sight->lane, sight->id) = posting;
        return posting;
}

/* What must fail for a stop goes before what other queues have taken; in its own it keeps its place. */
static bool is_for_a_stop(const struct sim_device *dev, unsigned queue, uint32_t must_fail)
{
        return must_fail && dev->queues[queue].phase == QUEUE_STOPPING;
}

/* Does a worker hold anything else that could be blamed for its death? */
static bool is_alone(const struct sim_device *dev)
{
        for (unsigned i = 0; i < dev->n_lanes; i++) {
                for (unsigned k = 0; k < dev->lanes[i].n_held; k++) {
                        const struct held *held = &dev->lanes[i].held[k];

                        if (held->posting->serial == held->serial &&
                            !is_for_a_stop(dev, held->queue, held->posting->must_fail))
                                return false;
                }
        }
        return true;
}

static void judge_order(struct sim_device *dev, const struct posting *posting, const struct sight *sight)
{
        struct sim_lane *lane = &dev->lanes[sight->lane];
        bool work = dev->hello.queue_kind[sight->queue] == QUEUE_WORK;

        if (is_for_a_stop(dev, sight->queue, sight->must_fail))
                return;
        sim_check(posting->taken > dev->worker.last_taken[posting->queue] &&
                      (!work || posting->taken > lane->last_taken),
                  "%s: requests are replayed out of order: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
        sim_check(sight->attempt < LIMIT_POISON_ATTEMPTS || !work || is_alone(dev),
                  "%s: a suspect is not alone with its worker: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
        dev->worker.last_taken[sight->queue] = posting->taken;
        if (work)
                lane->last_taken = posting->taken;
}

static void judge_replay(struct sim_device *dev, struct posting *posting, const struct sight *sight)
{
        sim_check(posting->incarnation != dev->worker.incarnation,
                  "%s: a worker was sent the same request twice: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
        sim_check(posting->queue == sight->queue, "%s: a replayed request has changed its queue", dev->name);
        sim_check(sight->attempt > posting->attempt && sight->attempt >= posting->sights,
                  "%s: attempt %u after %u sights", dev->name, sight->attempt, posting->sights);
        sim_check(sight->must_fail || dev->hello.queue_replay[sight->queue] != REPLAY_AT_MOST_ONCE ||
                      (dev->hello.queue_kind[sight->queue] == QUEUE_SUPPLY && posting->readable == 0),
                  "%s: an at-most-once request was replayed: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
}

/* The lane knows of a broken ring before the device has told. */
bool model_is_shaky(const struct sim_device *dev, const struct posting *posting)
{
        const struct sim_queue *queue = &dev->queues[posting->queue];

        return posting->shaky || (dev->iommu.on && (queue->broken || queue->must_break || queue->may_break));
}

/* Who asks for a failure must have a reason. */
static bool may_fail(const struct sim_device *dev, const struct posting *posting, const struct sight *sight)
{
        const struct sim_queue *queue = &dev->queues[sight->queue];

        return model_is_shaky(dev, posting) || posting->must_fail ||
               (sight->attempt > 0 && dev->hello.queue_replay[sight->queue] == REPLAY_AT_MOST_ONCE) ||
               (queue->phase == QUEUE_STOPPING &&
                sim_now_ms() - dev->drain_ms + CLOCK_MS >= LIMIT_DRAIN_MS) ||
               sight->attempt > 1; /* a suspect of having killed its workers */
}

/* A worker that came after the deadline of a stop may do nothing any more but fail. */
static bool must_fail(const struct sim_device *dev, const struct sim_queue *queue)
{
        uint64_t deadline = dev->drain_ms + LIMIT_DRAIN_MS;

        return queue->phase == QUEUE_STOPPING && queue->stop_ms + 100 < deadline &&
               dev->worker.born_ms > deadline + 100;
}

struct posting *model_sight(struct sim_device *dev, const struct sight *sight)
{
        struct posting *posting = find(dev, sight->lane, sight->id);
        const struct sim_queue *queue = &dev->queues[sight->queue];

        sim_check(sight->queue < dev->n_queues && sight->queue % dev->n_lanes == sight->lane,
                  "%s: queue %u on lane %u", dev->name, sight->queue, sight->lane);
        if (posting)
                judge_replay(dev, posting, sight);
        else
                posting = first_sight(dev, sight);
        sim_check(queue->phase == QUEUE_SERVED || queue->phase == QUEUE_STOPPING,
                  "%s: a request of queue %u, which is stopped", dev->name, sight->queue);
        sim_check(posting->readable == sight->readable && posting->writable == sight->writable,
                  "%s: request of %u and %u bytes, posted were %u and %u: serial %llu", dev->name,
                  sight->readable, sight->writable, posting->readable, posting->writable,
                  (unsigned long long)posting->serial);
        sim_check(!sight->must_fail || may_fail(dev, posting, sight),
                  "%s: a request must fail for no reason: serial %llu attempt %u", dev->name,
                  (unsigned long long)posting->serial, sight->attempt);
        sim_check(sight->must_fail || !must_fail(dev, queue),
                  "%s: a request is served after the deadline of a stop: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
        judge_order(dev, posting, sight);
        posting->attempt = sight->attempt;
        posting->must_fail = sight->must_fail;
        posting->incarnation = dev->worker.incarnation;
        posting->sights++;
        posting->answered = false;
        posting->written = 0;
        return posting;
}

/* ---- what the guest gets back ---- */

/* A byte behind the used length: nobody's, or what some incarnation had written. */
static bool may_be_behind(const struct posting *posting, uint32_t at, uint8_t byte)
{
        if (byte == 0)
                return true; /* a closed gap */
        for (unsigned i = posting->first_incarnation; i <= posting->incarnation; i++)
                if (byte == byte_of(key_of_worker(posting, i), at))
                        return true;
        return false;
}

static void check_writable(struct sim_device *dev, const struct posting *posting,
                           const struct sim_segment *segment, uint32_t first)
{
        static uint8_t bytes[1 << 16];
        uint32_t good = first >= posting->written ? 0 : MIN(segment->len, posting->written - first);

        ram_read(&dev->ram, segment->at, bytes, segment->len);
        sim_check(good == 0 || memcmp(bytes, posting->bytes + first, good) == 0,
                  "%s: wrong bytes in the answer: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
        if (ram_is_canary(&dev->ram, segment->at + good, segment->len - good))
                return;
        for (uint32_t i = good; i < segment->len; i++) {
                if (ram_is_canary(&dev->ram, segment->at + i, 1))
                        continue;
                sim_check(may_be_behind(posting, first + i, bytes[i]),
                          "%s: bytes behind the used length that nobody wrote: serial %llu", dev->name,
                          (unsigned long long)posting->serial);
        }
}

static void check_readable(struct sim_device *dev, const struct posting *posting,
                           const struct sim_segment *segment, uint32_t first)
{
        static uint8_t bytes[1 << 16];
        uint64_t key = segment->table ? 0 : key_of_guest(posting);

        if (segment->table)
                return; /* the walk may not write there, and a wrong table would have broken the queue */
        ram_read(&dev->ram, segment->at, bytes, segment->len);
        sim_check(bytes_are(key, first, bytes, segment->len),
                  "%s: a readable buffer was written: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
}

static void check_guards(struct sim_device *dev, const struct posting *posting,
                         const struct sim_segment *segment)
{
        uint64_t start = cell_start(segment->cell);
        uint64_t end = start + cell_bytes(segment->cell.class);

        sim_check(ram_is_canary(&dev->ram, start, segment->at - start) &&
                      ram_is_canary(&dev->ram, segment->at + segment->len, end - segment->at - segment->len),
                  "%s: bytes beside a buffer were written: serial %llu", dev->name,
                  (unsigned long long)posting->serial);
}

static void check_buffers(struct sim_device *dev, const struct posting *posting)
{
        uint32_t readable = 0, writable = 0;

        for (unsigned i = 0; i < posting->n_segments; i++) {
                const struct sim_segment *segment = &posting->segments[i];

                check_guards(dev, posting, segment);
                if (segment->write) {
                        check_writable(dev, posting, segment, writable);
                        writable += segment->len;
                } else {
                        check_readable(dev, posting, segment, readable);
                        readable += segment->table ? 0 : segment->len;
                }
        }
}

bool model_fails_all(const struct sim_device *dev)
{
        return is_quarantined(dev) && device_type_fails(&device_types[dev->config.type]);
}

static bool holds_bytes(const struct sim_device *dev, const struct posting *posting, const uint8_t *bytes)
{
        static uint8_t held[1 << 16];

        for (unsigned i = 0; i < posting->n_segments; i++) {
                const struct sim_segment *segment = &posting->segments[i];

                if (!segment->write)
                        continue;
                ram_read(&dev->ram, segment->at, held, segment->len);
                if (memcmp(held, bytes, segment->len) != 0)
                        return false;
                bytes += segment->len;
        }
        return true;
}

/* What the broker says in the worker's place, zeros and the type's error at the end: also where the worker has answered, but that
 * had not been taken when it died. */
static void expect_failure(const struct sim_device *dev, struct posting *posting, uint32_t len)
{
        static uint8_t bytes[SIM_SEGMENTS << 16];
        const struct device_type *type = &device_types[dev->config.type];
        uint32_t before_tail = posting->writable - type->error_tail_len;

        if (posting->answered && (len != posting->writable || len < type->error_tail_len))
                return;
        sim_check(posting->writable >= type->error_tail_len,
                  "an error where there is no room for it: serial %llu", (unsigned long long)posting->serial);
        memset(bytes, 0, before_tail);
        memcpy(bytes + before_tail, type->error_tail, type->error_tail_len);
        if (posting->answered && !holds_bytes(dev, posting, bytes))
                return;
        posting->written = posting->writable;
        memcpy(posting->bytes, bytes, posting->writable);
}

/* Lent when its queue stopped, or is about to. */
static bool comes_back_unused(const struct sim_device *dev, const struct posting *posting)
{
        return posting->unused || (dev->hello.queue_kind[posting->queue] == QUEUE_SUPPLY &&
                                   dev->queues[posting->queue].phase == QUEUE_STOPPING);
}

/* What was written to it nobody may look at. */
static void model_unused(struct sim_device *dev, struct posting *posting)
{
        struct sim_queue *queue = &dev->queues[posting->queue];

        trace_event("unused", dev->index, posting->serial, 0);
        for (unsigned i = 0; i < posting->n_segments; i++)
                check_guards(dev, posting, &posting->segments[i]);
        if (posting->readable > 0 && (int16_t)(posting->position - queue->bytes_gone) >= 0)
                queue->bytes_gone = (uint16_t)(posting->position + 1);
        dev->n_completed++;
        posting_free(dev, posting);
}

void model_used(struct sim_device *dev, unsigned index, uint32_t head, uint32_t len)
{
        struct sim_queue *queue = &dev->queues[index];
        struct posting *posting;

        sim_check(head < queue->size, "%s: used element with head %u", dev->name, head);
        posting = queue->by_head[head];
        sim_check(posting && posting->serial != 0, "%s: head %u came back twice, queue %u", dev->name, head,
                  index);
        if (len == 0 && comes_back_unused(dev, posting)) {
                model_unused(dev, posting);
                return;
        }
        if (model_fails_all(dev) && !model_is_shaky(dev, posting))
                expect_failure(dev, posting, len);
        else
                sim_check((posting->seen && posting->answered) || model_fails_all(dev),
                          "%s: completed, but no worker has answered it: serial %llu attempt %u", dev->name,
                          (unsigned long long)posting->serial, posting->attempt);
        trace_event("used", dev->index, posting->serial, len);
        if (!model_is_shaky(dev, posting)) {
                sim_check(len == posting->written, "%s: used length %u, the worker wrote %u: serial %llu",
                          dev->name, len, posting->written, (unsigned long long)posting->serial);
                check_buffers(dev, posting);
        }
        dev->n_completed++;
        posting_free(dev, posting);
}

/* ---- queues ---- */

void model_freeze(struct sim_device *dev, unsigned index)
{
        dev->queues[index].frozen = true;
        dev->queues[index].frozen_used = driver_used_index(dev, index);
}

void model_check_frozen(struct sim_device *dev, unsigned index)
{
        const struct sim_queue *queue = &dev->queues[index];

        sim_check(!queue->frozen || driver_used_index(dev, index) == queue->frozen_used,
                  "%s: completions on queue %u after it was stopped or broken", dev->name, index);
}

/* Was there a reason to forget requests instead of waiting for them? */
static bool may_give_up(const struct sim_device *dev, const struct sim_queue *queue)
{
        return is_quarantined(dev) || queue->spawner_mute || queue->broken || queue->must_break ||
               queue->may_break || sim_now_ms() - dev->drain_ms + CLOCK_MS >= 2 * LIMIT_DRAIN_MS;
}

static struct posting *posting_at(struct sim_device *dev, unsigned index, uint16_t position)
{
        for (unsigned i = 0; i < SIM_POSTINGS; i++) {
                struct posting *posting = &dev->postings[i];

                if (posting->serial != 0 && posting->queue == index && posting->position == position)
                        return posting;
        }
        return NULL;
}

/* A supply queue has gone back to `base`: what it had taken from there on is as if nobody had seen it. */
static void model_goes_back(struct sim_device *dev, unsigned index, uint16_t base)
{
        struct sim_queue *queue = &dev->queues[index];

        for (; queue->taken != base; queue->taken--) {
                uint16_t position = (uint16_t)(queue->taken - 1);
                struct posting *posting = posting_at(dev, index, position);

                sim_check(posting && posting->seen,
                          "%s: queue %u has gone back over one that is not outstanding: position %u",
                          dev->name, index, position);
                unfile(dev, posting);
                posting->seen = posting->answered = false;
                posting->sights = posting->attempt = posting->must_fail = posting->incarnation = 0;
                posting->written = 0;
                queue->by_position[position % SIM_RING] = posting;
        }
}

/* Are there bytes at this position or behind it? */
static bool bytes_follow(const struct sim_queue *queue, uint16_t position, uint16_t base)
{
        if ((uint16_t)(queue->bytes_gone - position - 1) < (uint16_t)(base - position))
                return true; /* the driver has had them */
        for (; position != base; position++) {
                const struct posting *posting = queue->by_position[position % SIM_RING];

                if (posting && posting->position == position && posting->readable > 0)
                        return true;
        }
        return false;
}

/* Bytes that were on their way to workers that died before they read them: they may have been read, so at a stop they
 * are used, with length 0; and so is room in front of them, which a ring cannot take back without them. */
static void model_goes_on(struct sim_device *dev, unsigned index, uint16_t base)
{
        struct sim_queue *queue = &dev->queues[index];

        if (dev->hello.queue_replay[index] != REPLAY_AT_MOST_ONCE ||
            (uint16_t)(base - queue->taken) > SIM_RING)
                return;
        for (; queue->taken != base; queue->taken++) {
                struct posting *posting = queue->by_position[queue->taken % SIM_RING];

                if (!posting || posting->position != queue->taken)
                        continue; /* the driver has had it */
                sim_check(bytes_follow(queue, queue->taken, base),
                          "%s: queue %u keeps room that nobody has seen: position %u", dev->name, index,
                          queue->taken);
                posting->unused = true;
        }
}

static void model_take_back(struct sim_device *dev, unsigned index, uint16_t base)
{
        if ((uint16_t)(dev->queues[index].taken - base) <= SIM_RING)
                model_goes_back(dev, index, base);
        for (unsigned i = 0; i < SIM_POSTINGS; i++)
                if (dev->postings[i].serial != 0 && dev->postings[i].queue == index && dev->postings[i].seen)
                        dev->postings[i].unused = true;
        model_goes_on(dev, index, base);
}

void model_stopped(struct sim_device *dev, unsigned index, uint16_t base)
{
        struct sim_queue *queue = &dev->queues[index];
        uint16_t taken = (uint16_t)(base - queue->start_base);
        uint16_t used = (uint16_t)(driver_used_index(dev, index) - queue->start_used);

        trace_event("stopped", dev->index, index, base);
        if (dev->hello.queue_kind[index] == QUEUE_SUPPLY)
                model_take_back(dev, index, base);
        else if (dev->iommu.on && dev->hello.queue_replay[index] == REPLAY_IDEMPOTENT &&
                 (uint16_t)(queue->taken - base) <= SIM_RING) /* answered without a ring: once more */
                model_goes_back(dev, index, base);
        sim_check(sim_now_ms() - queue->stop_ms <= 2 * LIMIT_DRAIN_MS + sim_slack_ms(),
                  "%s: queue %u was stopped after %llu ms", dev->name, index,
                  (unsigned long long)(sim_now_ms() - queue->stop_ms));
        if (taken != used || queue->taken != base) {
                sim_check(may_give_up(dev, queue),
                          "%s: queue %u was stopped before it was drained: taken %u, used %u, seen %u",
                          dev->name, index, taken, used, (uint16_t)(queue->taken - queue->start_base));
                queue->gave_up = true;
        }
        queue->phase = QUEUE_SUSPENDED;
        model_freeze(dev, index);
}

void model_started(struct sim_device *dev, unsigned index, uint16_t base)
{
        struct sim_queue *queue = &dev->queues[index];

        queue->frozen = false;
        queue->start_base = queue->taken = queue->bytes_gone = base;
        queue->start_used = driver_used_index(dev, index);
        queue->phase = QUEUE_SERVED;
}

void model_broken(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];

        trace_event("broken", dev->index, index, 0);
        sim_check(queue->may_break || queue->must_break || is_quarantined(dev),
                  "%s: queue %u was broken by nobody", dev->name, index);
        queue->broken = true;
        model_freeze(dev, index);
}

void model_explain(struct sim_device *dev, unsigned index)
{
        struct sim_queue *queue = &dev->queues[index];

        for (unsigned head = 0; head < SIM_RING; head++) {
                if (!queue->by_head[head])
                        continue;
                dev->n_explained++;
                posting_free(dev, queue->by_head[head]);
        }
}
