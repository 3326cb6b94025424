/* What the fake worker answers: at once and whole, or in pieces, out of order, by way of MemRead; and what no
 * worker may say.
 * Owns nothing; called by worker_lane.c. TRUST: it is the worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/frame.h"
#include "tests/sim/bytes.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

#define BATCH       64u
#define BATCH_BYTES (512u << 10)

/* ---- frames ---- */

static void lane_send(struct sim_lane *lane, const struct lane_to_broker *message, const uint8_t *payload,
                      size_t payload_len)
{
        uint8_t *at = lane->tx + lane->tx_len;
        ssize_t len = lane_make_to_broker(message, at + FRAME_HEAD_BYTES, LIMIT_FRAME_HEADER);
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = (uint32_t)payload_len};

        sim_check(len > 0 && lane->tx_len + FRAME_HEAD_BYTES + (size_t)len + payload_len <= LANE_BUFFER,
                  "the fake worker has said too much");
        frame_head_make(&head, at);
        if (payload_len > 0)
                memcpy(at + FRAME_HEAD_BYTES + len, payload, payload_len);
        lane->tx_len += FRAME_HEAD_BYTES + (size_t)len + payload_len;
}

static uint64_t stream_end(const struct sim_lane *lane)
{
        return lane->sent + (lane->tx_len - lane->tx_pos);
}

/* ---- bytes of an answer ---- */

/* What the guest must find when these bytes have landed. Fills in the bytes themselves. */
static void write_bytes(struct sim_device *dev, struct sim_lane *lane, struct posting *posting,
                        uint32_t offset, uint32_t len, uint8_t *ret_bytes)
{
        if (!posting->bytes)
                posting->bytes = malloc(1 << 18);
        sim_check(posting->bytes && offset + len <= 1 << 18, "no memory for an answer");
        bytes_fill(key_of_worker(posting, dev->worker.incarnation), offset, ret_bytes, len);
        if (lane->offended)
                return; /* nothing of it may arrive */
        if (offset > posting->written)
                memset(posting->bytes + posting->written, 0, offset - posting->written);
        memcpy(posting->bytes + offset, ret_bytes, len);
        posting->written = MAX(posting->written, offset + len);
}

static void note_answer(struct sim_lane *lane, struct posting *posting)
{
        if (lane->offended)
                return;
        sim_check(lane->n_answers < LANE_ANSWERS, "the fake worker owes too many answers");
        lane->answers[(lane->answer_first + lane->n_answers++) % LANE_ANSWERS] =
            (struct answer){.end = stream_end(lane), .serial = posting->serial, .posting = posting};
}

/* A request that was stopped under the worker's hands is another's by now. */
static bool is_stale(const struct held *held)
{
        return held->posting->serial != held->serial;
}

/* ---- whole answers ---- */

struct batch {
        size_t n;
        uint64_t id[BATCH];
        uint32_t status[BATCH], offset[BATCH], len[BATCH];
        struct posting *postings[BATCH];
        uint8_t payload[BATCH_BYTES];
        size_t payload_len;
};

static void batch_send(struct sim_lane *lane, struct batch *batch)
{
        const struct lane_to_broker message = {.kind = LANE_COMPLETE,
                                               .complete = {.n = batch->n,
                                                            .id = batch->id,
                                                            .status = batch->status,
                                                            .offset = batch->offset,
                                                            .len = batch->len}};

        lane_send(lane, &message, batch->payload, batch->payload_len);
        for (size_t i = 0; i < batch->n; i++)
                note_answer(lane, batch->postings[i]);
}

/* Completes with the rest of its bytes, from `offset` on. */
static void batch_add(struct sim_device *dev, struct sim_lane *lane, struct batch *batch,
                      struct posting *posting, uint64_t id, uint32_t offset, uint32_t len)
{
        bool broken = chance_one_in(dev->odds->protocol_error);

        batch->id[batch->n] = id;
        batch->status[batch->n] = broken ? WIRE_STATUS_PROTOCOL : WIRE_STATUS_OK;
        batch->offset[batch->n] = offset;
        batch->len[batch->n] = len;
        batch->postings[batch->n++] = posting;
        write_bytes(dev, lane, posting, offset, len, batch->payload + batch->payload_len);
        batch->payload_len += len;
        if (broken && !lane->offended)
                dev->queues[posting->queue].may_break = true;
}

static uint32_t choose_len(const struct posting *posting)
{
        if (posting->writable == 0 || chance_one_in(4))
                return posting->writable;
        return chance_one_in(8) ? 0 : chance_between(1, posting->writable);
}

static bool answer_batch(struct sim_device *dev, struct sim_lane *lane, unsigned first)
{
        static struct batch batch;
        uint32_t most = dev->odds->batch ? chance_between(1, dev->odds->batch) : 1;

        batch.n = batch.payload_len = 0;
        for (unsigned i = first; lane->n_held > 0 && batch.n < most;) {
                struct held *held = &lane->held[i % lane->n_held];
                struct posting *posting = held->posting;
                uint32_t len;

                if (held->reading && !chance_one_in(dev->odds->eager))
                        break;
                if (is_stale(held)) {
                        lane_drop_held(lane, i % lane->n_held);
                        continue;
                }
                len = posting->written > 0 ? posting->writable - MIN(posting->written, posting->writable)
                                           : choose_len(posting);
                if (batch.payload_len + len > sizeof(batch.payload))
                        break;
                batch_add(dev, lane, &batch, posting, held->id, MIN(posting->written, posting->writable),
                          len);
                lane_drop_held(lane, i % lane->n_held);
        }
        if (batch.n == 0)
                return false;
        batch_send(lane, &batch);
        return true;
}

/* ---- answers in pieces ---- */

static void write_piece(struct sim_device *dev, struct sim_lane *lane, const struct held *held)
{
        static uint8_t payload[1 << 16];
        uint64_t id[2] = {held->id, held->id};
        uint32_t offset[2], len[2], n = chance_between(1, 2), total = 0;

        for (uint32_t i = 0; i < n; i++) {
                offset[i] = chance_below(held->posting->writable);
                len[i] = chance_between(1, MIN(held->posting->writable - offset[i], 32768u));
                write_bytes(dev, lane, held->posting, offset[i], len[i], payload + total);
                total += len[i];
        }
        lane_send(lane,
                  &(struct lane_to_broker){.kind = LANE_MEM_WRITE,
                                           .mem_write = {.n = n, .id = id, .offset = offset, .len = len}},
                  payload, total);
}

static bool ask_to_read(struct sim_lane *lane, struct held *held)
{
        uint32_t offset = chance_below(held->posting->readable);
        uint32_t len = chance_between(1, MIN(held->posting->readable - offset, 100000u));
        uint32_t seq = ++lane->read_seq;
        unsigned slot = (lane->read_first + lane->n_reads) % LIMIT_MEM_READS;

        if (lane->n_reads == LIMIT_MEM_READS)
                return false;
        lane->reads[slot].seq = seq;
        lane->reads[slot].offset = offset;
        lane->reads[slot].len = len;
        lane->reads[slot].serial = held->serial;
        lane->reads[slot].id = held->id;
        lane->n_reads++;
        held->reading = true;
        lane_send(
            lane,
            &(struct lane_to_broker){
                .kind = LANE_MEM_READ,
                .mem_read =
                    {.seq = seq, .n = 1, .id = &held->id, .offset = &offset, .len = &len, .total = len}},
            NULL, 0);
        return true;
}

void lane_answer_read(struct sim_device *dev, struct sim_lane *lane, const struct lane_mem_read_reply *reply,
                      const uint8_t *payload)
{
        unsigned slot = lane->read_first;

        sim_check(lane->n_reads > 0 && lane->reads[slot].seq == reply->seq && reply->n == 1,
                  "%s: an answer to a read that was not asked for", dev->name);
        lane->read_first = (slot + 1) % LIMIT_MEM_READS;
        lane->n_reads--;
        for (unsigned i = 0; i < lane->n_held; i++) {
                struct held *held = &lane->held[i];
                const struct posting *posting = held->posting;

                if (held->id != lane->reads[slot].id)
                        continue;
                held->reading = false;
                held->read = true;
                if (is_stale(held) || model_is_shaky(dev, posting))
                        return;
                sim_check(reply->status[0] == WIRE_STATUS_OK, "%s: a read failed: serial %llu", dev->name,
                          (unsigned long long)held->serial);
                sim_check(bytes_are(key_of_guest(posting), lane->reads[slot].offset, payload,
                                    lane->reads[slot].len),
                          "%s: a read gave wrong bytes: serial %llu", dev->name,
                          (unsigned long long)held->serial);
                return;
        }
}

void lane_give_back(struct sim_device *dev, struct sim_lane *lane, uint32_t queue)
{
        static const uint32_t zeros[LIMIT_CREDITS];
        uint32_t status[LIMIT_CREDITS];
        uint64_t id[LIMIT_CREDITS];
        size_t n = 0;

        sim_check(dev->hello.queue_kind[queue] == QUEUE_SUPPLY, "%s: a recall of work", dev->name);
        for (unsigned i = lane->n_held; i-- > 0;) {
                if (lane->held[i].queue != queue)
                        continue;
                status[n] = WIRE_STATUS_CANCELED;
                id[n++] = lane->held[i].id;
                lane_drop_held(lane, i);
        }
        trace_event("gives back", dev->index, queue, n);
        if (n > 0)
                lane_send(
                    lane,
                    &(struct lane_to_broker){
                        .kind = LANE_COMPLETE,
                        .complete = {.n = n, .id = id, .status = status, .offset = zeros, .len = zeros}},
                    NULL, 0);
}

bool lane_answer(struct sim_device *dev, unsigned index)
{
        struct sim_lane *lane = &dev->lanes[index];
        struct held *held;
        unsigned i;

        if (lane->n_held == 0)
                return false;
        i = chance_below(lane->n_held);
        held = &lane->held[i];
        if (is_stale(held)) {
                lane_drop_held(lane, i);
                return true;
        }
        if (held->reading && !chance_one_in(dev->odds->eager))
                return false;
        if (held->posting->readable > 0 && !held->read && !held->reading && !held->posting->must_fail &&
            (held->inlined < held->posting->readable ? chance_one_in(2) : chance_one_in(dev->odds->mem_read)))
                return ask_to_read(lane, held);
        if (held->posting->writable > 0 && held->posting->written < held->posting->writable &&
            chance_one_in(dev->odds->scatter)) {
                write_piece(dev, lane, held);
                return true;
        }
        return answer_batch(dev, lane, i);
}

/* ---- what no worker may say ---- */

enum offence {
        OFFENCE_STALE = 0, /* completes a request of the past */
        OFFENCE_FORGED,    /* ... of nobody */
        OFFENCE_TWICE,     /* the same request twice in one message */
        OFFENCE_RANGE,     /* bytes behind the writable part */
        OFFENCE_READ,      /* bytes behind the readable part */
        OFFENCE_FRAME,     /* a frame over its limits */
        OFFENCE_NOISE,
        OFFENCE_KINDS,
};

static void complete_id(struct sim_lane *lane, uint64_t id, uint64_t again, uint32_t offset, uint32_t len,
                        size_t n)
{
        static const uint8_t payload[16] = "never land here";
        uint64_t ids[2] = {id, again};
        uint32_t status[2] = {0}, offsets[2] = {offset}, lens[2] = {len};

        lane_send(lane,
                  &(struct lane_to_broker){
                      .kind = LANE_COMPLETE,
                      .complete = {.n = n, .id = ids, .status = status, .offset = offsets, .len = lens}},
                  payload, len);
}

static void say_forbidden(struct sim_lane *lane, enum offence offence, const struct held *held)
{
        uint8_t noise[64];

        switch (offence) {
        case OFFENCE_STALE:
                complete_id(lane, lane->stale[chance_below(STALE_IDS)], 0, 0, 0, 1);
                return;
        case OFFENCE_FORGED:
                complete_id(lane, held->id + (UINT64_C(1) << (16 + chance_below(8))), 0, 0, 0, 1);
                return;
        case OFFENCE_TWICE:
                complete_id(lane, held->id, held->id, 0, 0, 2);
                return;
        case OFFENCE_RANGE:
                complete_id(lane, held->id, 0, held->posting->writable, 1, 1);
                return;
        case OFFENCE_READ: {
                uint32_t offset = held->posting->readable, len = 1;

                lane_send(
                    lane,
                    &(struct lane_to_broker){
                        .kind = LANE_MEM_READ,
                        .mem_read = {.n = 1, .id = &held->id, .offset = &offset, .len = &len, .total = len}},
                    NULL, 0);
                return;
        }
        case OFFENCE_FRAME:
        case OFFENCE_NOISE:
        case OFFENCE_KINDS:
                break;
        }
        memset(noise, offence == OFFENCE_FRAME ? 0xff : (int)chance_between(1, 255), sizeof(noise));
        memcpy(lane->tx + lane->tx_len, noise, sizeof(noise));
        lane->tx_len += sizeof(noise);
}

void lane_offend(struct sim_device *dev, unsigned index)
{
        struct sim_lane *lane = &dev->lanes[index];
        enum offence offence = chance_below(OFFENCE_KINDS);

        if (lane->offended || lane->n_held == 0 || is_stale(&lane->held[0]) || lane->n_stale < STALE_IDS ||
            lane->tx_len > LANE_BUFFER / 4)
                return;
        trace_event("offends", dev->index, index, (uint64_t)offence);
        say_forbidden(lane, offence, &lane->held[0]);
        lane->offended = true;
        dev->worker.offended_ms = sim_now_ms();
}
