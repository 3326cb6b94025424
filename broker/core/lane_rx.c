/* The receiving half of a lane.
 *
 * How it works: HEAD waits for eight bytes, HEADER for the message, which is judged whole (form by
 * lane_check, ids, direction and ranges against the table of outstanding requests) before one byte of its
 * payload is touched; PAYLOAD lets the bytes land and then completes. The payload cannot come earlier than
 * the judgement because it has no meaning without it; completion cannot come earlier than the payload because
 * the guest would see it. What a worker has put into places of its requests is fetched between the two (direct_fetch.h).
 *
 * A frame is paid for (quota.h) when its lengths are known, before anything is kept or read for it; what a
 * MemRead asks for is paid with its judgement, and a turn that ends inside a frame at its end.
 *
 * Owns the receive buffer; called by lane.c. TRUST: every byte is the worker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/lane_rx.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker/core/direct_fetch.h"
#include "broker/core/lane.h"
#include "broker/core/lane_supply.h"
#include "broker/core/lane_wait.h"
#include "broker/core/memory_service.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/status.h"

#define RX_READS_A_TURN                                                                                      \
        16u            /* system calls before other lanes' events get a look in: the pipe stays readable */
#define RX_UNTOLD 4u   /* completions that the guest may not have been told of while the next frame is here */
#define RX_IOVEC  256u /* spans of one call: a full piece of small completions */

int lane_rx_init(struct lane_rx *rx)
{
        rx->buf = malloc(LANE_RX_BUFFER);
        if (!rx->buf)
                return -ENOMEM;
        return arena_init(&rx->arena, LIMIT_ARENA);
}

void lane_rx_done(struct lane_rx *rx)
{
        free(rx->buf);
        rx->buf = NULL;
        arena_done(&rx->arena);
}

void lane_rx_reset(struct lane_rx *rx)
{
        rx->state = LANE_RX_HEAD;
        rx->pos = rx->have = 0;
        rx->fetched = 0;
        rx->parked = rx->unparked = false;
}

void lane_rx_unpark(struct lane_rx *rx)
{
        rx->parked = false;
        rx->unparked = true;
}

static size_t rx_buffered(const struct lane_rx *rx)
{
        return rx->have - rx->pos;
}

/* ---- judging ---- */

static int rx_pay(struct lane *lane, const struct quota_work *cost, const char **ret_why)
{
        if (quota_lane_spend(&lane->quota, cost))
                return 0;
        *ret_why = "sends more than its requests can need";
        return -EDQUOT;
}

/* Nothing more is there. What of a frame is missing will wake us once more. */
static int rx_pay_turn(struct lane *lane, size_t bytes, const char **ret_why)
{
        struct lane_rx *rx = &lane->rx;
        uint64_t come = bytes + rx->fetched;

        rx->fetched = 0;
        if (quota_lane_turn(&lane->quota, come, rx->state == LANE_RX_HEAD && rx_buffered(rx) == 0))
                return 0;
        *ret_why = "sends in drips";
        return -EDQUOT;
}

/* A frame's lengths have come. */
static int rx_judge_head(struct lane *lane, const char **ret_why)
{
        struct lane_rx *rx = &lane->rx;
        struct quota_work cost = {.frames = 1};
        int r = frame_head_check(rx->buf + rx->pos, LIMIT_FRAME_PAYLOAD, &rx->head);

        if (r < 0) {
                *ret_why = "sent a frame over its limits";
                return r;
        }
        rx->pos += FRAME_HEAD_BYTES;
        rx->turn++;
        rx->long_frames = rx->head.payload_len > LANE_RX_FIRST;
        cost.bytes = FRAME_HEAD_BYTES + (uint64_t)rx->head.header_len + rx->head.payload_len;
        return rx_pay(lane, &cost, ret_why);
}

/* Finds the requests that a message names; each must be with the worker. */
static int rx_find_targets(struct lane *lane, const uint64_t *id, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct request *request = request_table_find(&lane->requests, id[i]);

                if (!request || request->state != REQUEST_SENT)
                        return -EPROTO;
                lane->rx.target[i] = request;
        }
        return 0;
}

static int rx_judge_writes(struct lane *lane, size_t n, const uint32_t *offset, const uint32_t *len)
{
        struct lane_rx *rx = &lane->rx;

        for (size_t i = 0; i < n; i++)
                if (!memory_service_may_write(rx->target[i], offset[i], len[i]))
                        return -EPROTO;
        rx->n = n;
        rx->offset = offset;
        rx->len = len;
        return 0;
}

/* What lies in places costs what a payload does. */
static int rx_judge_placed(struct lane *lane, const struct lane_complete *complete, const char **ret_why)
{
        struct quota_work cost = {0};

        for (size_t i = 0; i < complete->n; i++) {
                if (!direct_may_fetch(lane->rx.target[i], complete->placed[i])) {
                        *ret_why = "claims bytes that it has no place for";
                        return -EPROTO;
                }
                cost.bytes += complete->placed[i];
        }
        return rx_pay(lane, &cost, ret_why);
}

static int rx_fetch(struct lane *lane, const struct lane_complete *complete, const char **ret_why)
{
        struct lane_rx *rx = &lane->rx;
        int r = direct_fetch(&lane->direct, lane->memory, rx->target, complete->placed, complete->n);

        if (r < 0) {
                *ret_why = r == -ESRCH ? "hung up" : "has no memory where it said";
                return r;
        }
        for (size_t i = 0; i < complete->n; i++) {
                memory_service_written(rx->target[i], 0, complete->placed[i]);
                rx->fetched += complete->placed[i];
        }
        return 0;
}

static bool rx_may_end(struct lane *lane, const struct request *request, uint32_t status)
{
        if (status == WIRE_STATUS_CANCELED)
                return lane_supply_may_return(lane, request);
        return status != WIRE_STATUS_WAITING || lane_may_wait(request);
}

static int rx_judge_complete(struct lane *lane, const struct lane_complete *complete, const char **ret_why)
{
        int r = rx_find_targets(lane, complete->id, complete->n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < complete->n; i++) {
                if (!rx_may_end(lane, lane->rx.target[i], complete->status[i]))
                        return -EPROTO;
                /* Twice in one message is found by marking: a request is completed once. */
                if (lane->rx.target[i]->completing)
                        r = -EPROTO;
                lane->rx.target[i]->completing = true;
        }
        if (r == 0)
                r = rx_judge_writes(lane, complete->n, complete->offset, complete->len);
        if (r < 0 || !complete->placed)
                return r;
        r = rx_judge_placed(lane, complete, ret_why);
        return r < 0 ? r : rx_fetch(lane, complete, ret_why);
}

static int rx_judge_read(struct lane *lane, const struct lane_mem_read *read, const char **ret_why)
{
        struct quota_work cost = {.bytes = read->total};
        int r = rx_find_targets(lane, read->id, read->n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < read->n; i++)
                if (!memory_service_may_read(lane->rx.target[i], read->offset[i], read->len[i]))
                        return -EPROTO;
        r = lane_tx_mem_read(lane, read);
        return r < 0 ? r : rx_pay(lane, &cost, ret_why);
}

static int rx_judge_raw_read(struct lane *lane, const struct lane_raw *read, const char **ret_why)
{
        struct quota_work cost = {.bytes = read->total};
        int r = lane_raw_judge(lane, read);

        if (r == 0)
                r = lane_tx_raw_read(lane, read);
        return r < 0 ? r : rx_pay(lane, &cost, ret_why);
}

static int rx_judge(struct lane *lane, const char **ret_why)
{
        struct lane_rx *rx = &lane->rx;
        const struct lane_to_broker *message = &rx->message;
        int r = lane_check_to_broker(&rx->arena, rx->buf + rx->pos, rx->head.header_len, rx->head.payload_len,
                                     &rx->message);

        if (r < 0) {
                *ret_why = "sent a malformed lane message";
                return r;
        }
        if (lane->miss.waits && lane_miss_holds_frame(lane, message)) {
                rx->parked = true; /* nothing has come of it: it is judged once more then */
                return 0;
        }
        rx->pos += rx->head.header_len;
        rx->n = 0;
        rx->segment = 0;
        rx->done = 0;
        rx->copy_only = false;
        rx->state = LANE_RX_PAYLOAD;
        switch (message->kind) {
        case LANE_MEM_READ:
                *ret_why = "sent a MemRead outside its requests";
                return rx_judge_read(lane, &message->mem_read, ret_why);
        case LANE_MEM_WRITE:
                *ret_why = "sent a MemWrite outside its requests";
                if (message->mem_write.space != LANE_SPACE_CHAIN)
                        return -EPROTO;
                r = rx_find_targets(lane, message->mem_write.id, message->mem_write.n);
                if (r < 0)
                        return r;
                return rx_judge_writes(lane, message->mem_write.n, message->mem_write.offset,
                                       message->mem_write.len);
        case LANE_COMPLETE:
                *ret_why = "completed what it does not hold";
                return rx_judge_complete(lane, &message->complete, ret_why);
        case LANE_ASK_REST:
                *ret_why = "asks to rest while its last question is open";
                return lane_tx_ask_rest(lane);
        case LANE_RAW_READ:
                *ret_why = "reads guest memory that it does not reach";
                return rx_judge_raw_read(lane, &message->raw, ret_why);
        case LANE_RAW_WRITE:
                *ret_why = "writes guest memory that it does not reach";
                rx->state = LANE_RX_RAW;
                return lane_raw_judge(lane, &message->raw);
        case LANE_TAKEN:
                *ret_why = "goes on in a ring that it does not walk";
                return lane_raw_taken(lane, message->taken.queue, message->taken.next);
        }
        return -EPROTO;
}

/* ---- the payload ---- */

/* Goes to the next segment that wants bytes; closes the gap before it. False: all have landed. */
static bool rx_open_segment(struct lane *lane)
{
        struct lane_rx *rx = &lane->rx;

        while (rx->segment < rx->n && rx->done == rx->len[rx->segment]) {
                rx->segment++;
                rx->done = 0;
        }
        if (rx->segment == rx->n)
                return false;
        if (rx->done == 0 &&
            memory_service_close_gap(lane->memory, rx->target[rx->segment], rx->offset[rx->segment]) < 0)
                rx->target[rx->segment]->faulted = true;
        return true;
}

static void rx_landed(struct lane_rx *rx, uint32_t len)
{
        memory_service_written(rx->target[rx->segment], rx->offset[rx->segment] + rx->done, len);
        rx->done += len;
}

/* Lets buffered bytes land. False: the buffer is empty and more must come. */
static bool rx_land_buffered(struct lane *lane)
{
        struct lane_rx *rx = &lane->rx;

        while (rx_open_segment(lane)) {
                struct request *request = rx->target[rx->segment];
                uint32_t want = rx->len[rx->segment] - rx->done;
                uint32_t len = (uint32_t)MIN((size_t)want, rx_buffered(rx));

                if (len == 0)
                        return false;
                if (memory_service_write(lane->memory, request, rx->offset[rx->segment] + rx->done,
                                         rx->buf + rx->pos, len) < 0)
                        request->faulted = true;
                rx->pos += len;
                rx_landed(rx, len);
        }
        return true;
}

/* Gathers where the next bytes of the payload belong: the open segment and those behind it that leave no gap
 * (a gap is closed when its segment is opened); all: the frame ends there. Returns their number, or -EFAULT: memory is
 * gone under the open segment. */
static int64_t rx_gather(struct lane *lane, struct iovec *iov, size_t max, size_t *ret_n, bool *ret_all)
{
        struct lane_rx *rx = &lane->rx;
        uint32_t done = rx->done;
        int64_t room = 0;
        size_t i;

        *ret_n = 0;
        for (i = rx->segment; i < rx->n && *ret_n < max; i++, done = 0) {
                struct request *request = rx->target[i];
                uint32_t want = rx->len[i] - done;
                int64_t r;

                if (want == 0)
                        continue;
                if (i != rx->segment && rx->offset[i] > request->written)
                        break;
                r = memory_service_iovec_writable(lane->memory, request, rx->offset[i] + done, want, iov, max,
                                                  ret_n);
                room += MAX(r, INT64_C(0));
                if (r < want) /* gone (r < 0), or the iovec is full */
                        break;
        }
        *ret_all = i == rx->n;
        return room > 0 ? room : -EFAULT;
}

/* Bytes of the payload have come to where they belong. */
static void rx_land_in_place(struct lane *lane, uint32_t left)
{
        struct lane_rx *rx = &lane->rx;

        while (left > 0) {
                uint32_t len = MIN(left, rx->len[rx->segment] - rx->done);

                rx_landed(rx, len);
                left -= len;
                if (left > 0)
                        rx_open_segment(lane);
        }
}

/* Receives in place as much of the payload as one call takes, and behind its end the beginning of the next frame: that
 * goes into the buffer, where it is judged before anything comes of it. Bytes, 0: end of file, or negative errno; -EFAULT:
 * this frame must go on by copying. */
static ssize_t rx_receive_in_place(struct lane *lane, bool *ret_all)
{
        struct lane_rx *rx = &lane->rx;
        struct iovec iov[RX_IOVEC + 1] _uninitialized_; /* the first n count */
        size_t n_iov;
        int64_t room = rx_gather(lane, iov, RX_IOVEC, &n_iov, ret_all);
        size_t ahead = room > 0 && *ret_all ? LANE_RX_FIRST_LONG : 0;
        ssize_t got;

        if (room < 0)
                return -EFAULT;
        if (ahead > 0)
                iov[n_iov++] = (struct iovec){.iov_base = rx->buf, .iov_len = ahead};
        got = readv(lane->ends.in, iov, (int)n_iov);
        if (got < 0)
                return -errno;
        *ret_all = got < room + (int64_t)ahead;
        rx_land_in_place(lane, (uint32_t)MIN((int64_t)got, room));
        rx->pos = 0;
        rx->have = (size_t)MAX((int64_t)got - room, INT64_C(0));
        return got;
}

/* ---- one step ---- */

static void rx_publish(struct lane *lane)
{
        lane->rx.untold = 0;
        lane_publish(lane);
}

/* An interrupt for several completions costs both sides less. One waits for others only while a frame has begun to come,
 * and while the worker has enough to do without what the guest would post next. */
static bool rx_may_wait(const struct lane *lane)
{
        const struct lane_rx *rx = &lane->rx;

        return rx->untold < RX_UNTOLD && lane_n_busy(lane) >= RX_UNTOLD &&
               rx_buffered(rx) >= FRAME_HEAD_BYTES;
}

static void rx_finish(struct lane *lane)
{
        struct lane_rx *rx = &lane->rx;

        if (rx->message.kind == LANE_COMPLETE) {
                for (size_t i = 0; i < rx->n; i++)
                        lane_complete(lane, rx->target[i], rx->message.complete.status[i]);
                rx->untold += (uint32_t)rx->n;
                if (!rx_may_wait(lane))
                        rx_publish(lane);
        }
        rx->state = LANE_RX_HEAD;
}

/* Uses what is in the buffer. 1: wants more bytes; negative errno. */
static int rx_consume(struct lane *lane, const char **ret_why)
{
        struct lane_rx *rx = &lane->rx;
        int r;

        for (;;) {
                switch (rx->state) {
                case LANE_RX_HEAD:
                        if (rx_buffered(rx) < FRAME_HEAD_BYTES)
                                return 1;
                        r = rx_judge_head(lane, ret_why);
                        if (r < 0)
                                return r;
                        rx->state = LANE_RX_HEADER;
                        break;
                case LANE_RX_HEADER:
                        if (rx_buffered(rx) < rx->head.header_len)
                                return 1;
                        r = rx_judge(lane, ret_why);
                        if (r < 0)
                                return r;
                        if (rx->parked)
                                return 1;
                        break;
                case LANE_RX_PAYLOAD:
                        if (!rx_land_buffered(lane))
                                return 1;
                        rx_finish(lane);
                        break;
                case LANE_RX_RAW:
                        if (!lane_raw_land(lane))
                                return 1;
                        rx_finish(lane);
                        break;
                }
        }
}

/* Reads into the buffer. Bytes, 0: end of file, or negative errno; *ret_all: that was all that was there. */
static ssize_t rx_fill(struct lane *lane, bool *ret_all)
{
        struct lane_rx *rx = &lane->rx;
        size_t room;
        ssize_t n;

        if (rx->pos > 0) {
                memmove(rx->buf, rx->buf + rx->pos, rx_buffered(rx));
                rx->have -= rx->pos;
                rx->pos = 0;
        }
        room = LANE_RX_BUFFER - rx->have;
        if (rx->state == LANE_RX_HEAD)
                room = MIN(room, (size_t)(rx->long_frames ? LANE_RX_FIRST_LONG : LANE_RX_FIRST));
        n = read(lane->ends.in, rx->buf + rx->have, room);
        if (n < 0)
                return -errno;
        rx->have += (size_t)n;
        *ret_all = (size_t)n < room;
        return n;
}

static ssize_t rx_receive(struct lane *lane, bool *ret_all)
{
        struct lane_rx *rx = &lane->rx;
        ssize_t n;

        if (rx->state != LANE_RX_PAYLOAD || rx->copy_only)
                return rx_fill(lane, ret_all);
        n = rx_receive_in_place(lane, ret_all);
        if (n == -EFAULT) {
                rx->copy_only = true;
                return rx_fill(lane, ret_all);
        }
        return n;
}

/* Something came, and then there was no more. */
static int rx_end_turn(struct lane *lane, size_t bytes, const char **ret_why)
{
        int r = rx_pay_turn(lane, bytes, ret_why);

        return r < 0 ? r : 1;
}

static int rx_run(struct lane *lane, const char **ret_why)
{
        size_t bytes = 0;

        lane->rx.turn = 0;
        for (unsigned i = 0; i < RX_READS_A_TURN && lane->rx.turn < LIMIT_LANE_TURN; i++) {
                bool all = false;
                bool before =
                    lane->rx.unparked; /* what is in the buffer goes first: no event is going to tell of it */
                ssize_t n = before ? 0 : rx_receive(lane, &all);
                int r;

                if (n == -EAGAIN)
                        return bytes > 0 ? rx_end_turn(lane, bytes, ret_why) : 0;
                if (n == -EINTR)
                        continue;
                if (n <= 0 && !before) {
                        *ret_why = "hung up";
                        return n < 0 ? (int)n : -EPIPE;
                }
                lane->rx.unparked = false;
                bytes += (size_t)n;
                r = rx_consume(lane, ret_why);
                if (r < 0)
                        return r;
                if (lane->rx.parked)
                        return 1; /* the turn does not end by the worker's doing: it is not judged */
                /* More than was there was asked for: what has come since wakes us again. */
                if (all)
                        return rx_end_turn(lane, bytes, ret_why);
        }
        return 1;
}

int lane_rx_run(struct lane *lane, const char **ret_why)
{
        int r;

        if (lane->rx.parked)
                return 0;
        r = rx_run(lane, ret_why);
        if (lane->rx.untold > 0)
                rx_publish(lane);
        return r;
}
