/* What a worker has to say on one lane: completions and bytes are gathered and go out in pieces, so that
 * broker and worker are busy at the same time. For the runtime; devices see request.h.
 *
 * Bytes are reserved first and get their meaning afterwards, so that a host call can put them where the
 * pipe takes them from.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/lane.h"
#include "workers/runtime/link.h"

#define OUTBOX_BATCH 16u /* elements of a frame: then it goes out, */
#define OUTBOX_MANY                                                                                          \
        32u /* ... or so many, where more than so many requests wait then, or longer ones are better */
#define OUTBOX_FULL     65536u  /* bytes of payload: then it goes out */
#define OUTBOX_MOVED    131072u /* bytes of the requests that are done: then it goes out, likewise */
#define OUTBOX_PLACED   524288u /* ... or so many in places */
#define OUTBOX_PIECE    131072u /* bytes of one large piece; and a status behind it: */
#define OUTBOX_PAYLOAD  (OUTBOX_PIECE + 512u) /* most that can be reserved */
#define OUTBOX_FILE     LIMIT_FRAME_PAYLOAD   /* most bytes of a file in one frame */
#define OUTBOX_TOGETHER 64u                   /* completions that can be promised to leave in one frame */
#define OUTBOX_HEADER   2048u /* bytes of protobuf: OUTBOX_TOGETHER elements of 24 bytes, tags, lengths */

struct outbox {
        struct link *link;
        enum lane_space space;         /* what ids and offsets name: CHAIN unless its owner says otherwise */
        enum lane_kind_to_broker kind; /* of what is gathered */
        size_t n;                      /* elements gathered */
        bool many_wait;                /* more than OUTBOX_MANY requests have no answer yet */
        bool longer;                   /* the broker does nothing with one frame while the next is gathered */
        uint32_t together;             /* so many of the next completions may not be parted */
        uint64_t id[OUTBOX_TOGETHER];
        uint32_t status[OUTBOX_TOGETHER], offset[OUTBOX_TOGETHER], len[OUTBOX_TOGETHER],
            placed[OUTBOX_TOGETHER];
        uint32_t placed_len;   /* sum of placed */
        uint64_t moves, moved; /* bytes of the request that is done next, of those in the frame */
        uint8_t *payload;      /* OUTBOX_PAYLOAD bytes */
        uint32_t start, used;  /* payload[start, used) belongs to what is gathered */
        uint32_t reserved;     /* bytes from `used` on that have been given out */
        uint8_t frame[FRAME_HEAD_BYTES + OUTBOX_HEADER];
};

/* `link` and `payload` are the caller's and outlive the outbox. */
void outbox_init(struct outbox *outbox, struct link *link, uint8_t *payload);

/* So many requests wait for an answer beside the one that is served. Many: frames may be longer, since the broker has
 * enough to do with the last one. */
void outbox_expect(struct outbox *outbox, uint32_t n_waiting);

/* The broker takes nothing while we work, so nothing is won by frames that are short. */
void outbox_set_longer(struct outbox *outbox, bool longer);

/* Room for `len` (at most OUTBOX_PAYLOAD) bytes, until the next reservation, question or flush. Answers use it up
 * from its beginning, so that one host call can fill in several; what is not used is forgotten. */
uint8_t *outbox_reserve(struct outbox *outbox, uint32_t len);

/* The next n (1 to OUTBOX_TOGETHER) completions leave in one frame, so that the guest sees all of them or none. What is
 * reserved stays so, and nothing but they may come in between. */
void outbox_together(struct outbox *outbox, uint32_t n);

/* What the next completion ends was a request of so many bytes, either way. */
void outbox_moved(struct outbox *outbox, uint64_t bytes);

/* The next `len` reserved bytes go to [offset, offset + len) of the writable part, and the request is done.
 */
void outbox_complete(struct outbox *outbox, uint64_t id, uint32_t status, uint32_t offset, uint32_t len);

/* The first `placed` bytes of the writable part are in the request's place, the next `len` reserved bytes go behind them, and
 * the request is done, well. */
void outbox_complete_placed(struct outbox *outbox, uint64_t id, uint32_t placed, uint32_t len);

/* The next `len` reserved bytes, at least one, go to [offset, offset + len) of the writable part. */
void outbox_write(struct outbox *outbox, uint64_t id, uint32_t offset, uint32_t len);

/* Sends what is gathered, and then 1 to OUTBOX_FILE bytes of a file, for the writable part from `offset` on. Errors as
 * link_send_file. */
int outbox_write_file(struct outbox *outbox, uint64_t id, uint32_t offset, const struct link_file *file);

/* Sends what is gathered, and then asks for [offset, offset + len) of the readable part. */
void outbox_ask(struct outbox *outbox, uint32_t seq, uint64_t id, uint32_t offset, uint32_t len);

/* The next `len` reserved bytes, at least one, go to this guest-physical address. */
void outbox_write_raw(struct outbox *outbox, uint64_t at, uint32_t len);

/* Sends what is gathered, and then asks for ranges of guest memory; and: says where in a ring it goes on. */
void outbox_ask_raw(struct outbox *outbox, const struct lane_raw *read);
void outbox_taken(struct outbox *outbox, uint32_t queue, uint32_t next);

/* Sends what is gathered, and then asks whether the area may be given back. */
void outbox_ask_rest(struct outbox *outbox);

/* Sends what is gathered. */
void outbox_flush(struct outbox *outbox);
