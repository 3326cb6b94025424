/* The fake worker's ends of a lane: frames in, bytes out.
 * Owns the lane's buffers; called by worker.c. TRUST: it is the worker; what the broker sends is judged as a
 * worker would, and against the model.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/features.h"
#include "proto/base/checked.h"
#include "proto/frame.h"
#include "tests/sim/bytes.h"
#include "tests/sim/chance.h"
#include "tests/sim/model.h"
#include "tests/sim/trace.h"
#include "tests/sim/worker.h"

void lane_reset(struct sim_lane *lane, struct fd_duplex ends)
{
        fd_duplex_close(&lane->ends);
        lane->ends = ends;
        lane->rx_pos = lane->rx_len = lane->tx_pos = lane->tx_len = 0;
        lane->sent = 0;
        lane->n_held = 0;
        lane->held_bytes = 0;
        lane->answer_first = lane->n_answers = 0;
        lane->last_taken = 0;
        lane->n_early = 0;
        lane->offended = lane->stays = false;
        lane->read_first = lane->n_reads = 0;
}

void lane_drop_held(struct sim_lane *lane, unsigned i)
{
        lane->held_bytes -= lane->held[i].inlined;
        lane->held[i] = lane->held[--lane->n_held];
}

/* ---- requests ---- */

/* Has this worker been told what it must know before this request? */
static void check_told(const struct sim_device *dev, const struct posting *posting)
{
        const struct sim_worker *worker = &dev->worker;

        sim_check(worker->queue_told[posting->queue] &&
                      worker->queue_size[posting->queue] == dev->queues[posting->queue].size,
                  "%s: a request of queue %u before StartQueue", dev->name, posting->queue);
        sim_check(worker->features_told && worker->features == features_for_worker(dev->features),
                  "%s: a request before SetFeatures", dev->name);
        if (posting->config != dev->config_writes)
                return;
        for (unsigned i = 1; i < SIM_FIELDS; i++)
                sim_check(worker->values[i] == dev->values[i] || dev->values[i] >= CONFIG_REFUSED,
                          "%s: a request overtook the config write before it: serial %llu", dev->name,
                          (unsigned long long)posting->serial);
}

static void check_payload(const struct sim_device *dev, const struct posting *posting, uint64_t serial,
                          uint64_t key, const uint8_t *payload, uint32_t len)
{
        sim_check((posting->serial == serial && model_is_shaky(dev, posting)) ||
                      bytes_are(key, 0, payload, len),
                  "%s: a request came with wrong bytes: serial %llu", dev->name, (unsigned long long)serial);
}

/* `payload` is NULL when it has not come yet: then it is looked at when it has. */
static void check_inlined(struct sim_device *dev, struct sim_lane *lane, const struct posting *posting,
                          uint32_t inlined, const uint8_t *payload)
{
        uint32_t most = posting->must_fail ? 0 : MIN(posting->readable, dev->hello.max_inline);

        sim_check(inlined <= most, "%s: %u bytes are inlined of %u", dev->name, inlined, most);
        if (payload) {
                check_payload(dev, posting, posting->serial, key_of_guest(posting), payload, inlined);
                return;
        }
        lane->early[lane->n_early].posting = posting;
        lane->early[lane->n_early].serial = posting->serial;
        lane->early[lane->n_early].key = key_of_guest(posting);
        lane->early[lane->n_early++].inlined = inlined;
}

static void take_request(struct sim_device *dev, unsigned index, const struct sight *sight,
                         const uint8_t *payload)
{
        struct sim_lane *lane = &dev->lanes[index];
        struct posting *posting = model_sight(dev, sight);

        trace_event(sight->attempt ? "sees again" : "sees", dev->index, posting->serial, sight->attempt);
        check_told(dev, posting);
        check_inlined(dev, lane, posting, sight->inlined, payload);
        sim_check(lane->n_held < dev->hello.credit_requests &&
                      lane->held_bytes + sight->inlined <= dev->hello.credit_bytes,
                  "%s: more requests than the worker has credit for", dev->name);
        lane->held[lane->n_held++] = (struct held){.posting = posting,
                                                   .serial = posting->serial,
                                                   .id = sight->id,
                                                   .inlined = sight->inlined,
                                                   .queue = sight->queue};
        lane->held_bytes += sight->inlined;
        if (posting->poison && !sight->must_fail && dev->odds->poison > 0)
                worker_kill(dev);
}

static void take_requests(struct sim_device *dev, unsigned lane, const struct lane_requests *requests,
                          const uint8_t *payload)
{
        sim_check(!requests->stay || dev->n_lanes == 1, "%s: more is promised on one lane of many",
                  dev->name);
        dev->lanes[lane].stays = requests->stay;
        for (size_t i = 0; i < requests->n && dev->worker.state == PROCESS_ALIVE; i++) {
                take_request(dev, lane,
                             &(struct sight){.lane = lane,
                                             .id = requests->id[i],
                                             .queue = requests->queue[i],
                                             .readable = requests->readable[i],
                                             .writable = requests->writable[i],
                                             .inlined = requests->inlined[i],
                                             .attempt = requests->attempt[i],
                                             .must_fail = requests->must_fail[i]},
                             payload);
                payload = payload ? payload + requests->inlined[i] : NULL;
        }
}

/* The payload of requests that were taken before it came. */
static void check_early(struct sim_device *dev, struct sim_lane *lane, const uint8_t *payload)
{
        for (unsigned i = 0; i < lane->n_early; i++) {
                check_payload(dev, lane->early[i].posting, lane->early[i].serial, lane->early[i].key, payload,
                              lane->early[i].inlined);
                payload += lane->early[i].inlined;
        }
        lane->n_early = 0;
}

/* Takes requests whose header has come and whose payload has not. True: it did. */
static bool read_early(struct sim_device *dev, unsigned index, const struct frame_head *head)
{
        static uint8_t memory[LIMIT_ARENA];
        struct sim_lane *lane = &dev->lanes[index];
        struct arena arena = {.base = memory, .size = sizeof(memory)};
        const uint8_t *at = lane->rx + lane->rx_pos + FRAME_HEAD_BYTES;
        struct lane_to_worker message;

        if (lane->n_early > 0 || lane->rx_len - lane->rx_pos < FRAME_HEAD_BYTES + head->header_len ||
            !chance_one_in(dev->odds->eager))
                return false;
        sim_check(lane_check_to_worker(&arena, at, head->header_len, head->payload_len, &message) == 0,
                  "%s: a lane message that no worker takes", dev->name);
        if (message.kind != LANE_REQUESTS)
                return false;
        take_requests(dev, index, &message.requests, NULL);
        return true;
}

static void take_wake(const struct sim_device *dev, struct sim_lane *lane)
{
        sim_check(lane->stays, "%s: a Wake, though nothing had been promised", dev->name);
        lane->stays = false;
}

static bool read_frame(struct sim_device *dev, unsigned index)
{
        static uint8_t memory[LIMIT_ARENA];
        struct sim_lane *lane = &dev->lanes[index];
        struct arena arena = {.base = memory, .size = sizeof(memory)};
        const uint8_t *at = lane->rx + lane->rx_pos;
        struct lane_to_worker message;
        struct frame_head head;
        size_t whole;

        if (lane->rx_len - lane->rx_pos < FRAME_HEAD_BYTES)
                return false;
        sim_check(frame_head_check(at, LIMIT_FRAME_PAYLOAD, &head) == 0, "%s: a lane frame out of shape",
                  dev->name);
        whole = FRAME_HEAD_BYTES + (size_t)head.header_len + head.payload_len;
        if (lane->rx_len - lane->rx_pos < whole)
                return read_early(dev, index, &head);
        sim_check(lane_check_to_worker(&arena, at + FRAME_HEAD_BYTES, head.header_len, head.payload_len,
                                       &message) == 0,
                  "%s: a lane message that no worker takes", dev->name);
        lane->rx_pos += whole;
        at += FRAME_HEAD_BYTES + head.header_len;
        if (lane->n_early > 0)
                check_early(dev, lane, at);
        else if (message.kind == LANE_REQUESTS)
                take_requests(dev, index, &message.requests, at);
        else if (message.kind == LANE_RECALL)
                lane_give_back(dev, lane, message.recall.queue);
        else if (message.kind == LANE_WAKE)
                take_wake(dev, lane);
        else
                lane_answer_read(dev, lane, &message.mem_read_reply, at);
        return true;
}

/* ---- bytes ---- */

static bool receive(struct sim_device *dev, struct sim_lane *lane)
{
        size_t room;
        ssize_t n;

        if (lane->rx_pos > 0) {
                memmove(lane->rx, lane->rx + lane->rx_pos, lane->rx_len - lane->rx_pos);
                lane->rx_len -= lane->rx_pos;
                lane->rx_pos = 0;
        }
        room = LANE_BUFFER - lane->rx_len;
        if (chance_one_in(dev->odds->gulp))
                room = MIN(room, (size_t)chance_between(1, 64));
        n = read(lane->ends.in, lane->rx + lane->rx_len, room);
        if (n > 0)
                lane->rx_len += (size_t)n;
        return n > 0;
}

/* What has been sent whole may show at the guest from now on. */
static void mark_answered(struct sim_lane *lane)
{
        while (lane->n_answers > 0 && lane->answers[lane->answer_first].end <= lane->sent) {
                const struct answer *answer = &lane->answers[lane->answer_first];

                if (answer->posting->serial == answer->serial)
                        answer->posting->answered = true;
                lane->answer_first = (lane->answer_first + 1) % LANE_ANSWERS;
                lane->n_answers--;
        }
}

static bool flush(struct sim_device *dev, struct sim_lane *lane)
{
        struct sim_worker *worker = &dev->worker;
        size_t len = lane->tx_len - lane->tx_pos;
        ssize_t n;

        if (len == 0)
                return false;
        if (chance_one_in(dev->odds->spew))
                len = MIN(len, (size_t)chance_between(1, chance_one_in(2) ? 16 : 2000));
        if (worker->bytes_left >= 0)
                len = MIN(len, (size_t)worker->bytes_left);
        n = write(lane->ends.out, lane->tx + lane->tx_pos, len);
        if (n <= 0)
                return false;
        if (worker->bytes_left >= 0)
                worker->bytes_left -= n;
        lane->tx_pos += (size_t)n;
        lane->sent += (uint64_t)n;
        if (lane->tx_pos == lane->tx_len)
                lane->tx_pos = lane->tx_len = 0;
        mark_answered(lane);
        return true;
}

bool lane_is_asleep(const struct sim_lane *lane)
{
        struct pollfd poll_fd = {.fd = lane->ends.in, .events = POLLIN};

        return lane->stays && lane->n_held == 0 && lane->rx_len == lane->rx_pos && poll(&poll_fd, 1, 0) == 0;
}

bool lane_step(struct sim_device *dev, unsigned index)
{
        struct sim_lane *lane = &dev->lanes[index];
        bool moved;

        moved = receive(dev, lane);
        while (dev->worker.state == PROCESS_ALIVE && read_frame(dev, index))
                moved = true;
        if (dev->worker.state != PROCESS_ALIVE)
                return true;
        if (lane->tx_len - lane->tx_pos < LANE_BUFFER / 4)
                moved |= lane_answer(dev, index);
        return flush(dev, lane) || moved;
}
