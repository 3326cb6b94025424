/* The receiving half of a lane: judges a worker's frames and lets their payload land in guest memory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/frame.h"
#include "proto/lane.h"

struct lane;
struct request;

/* The first read of a frame takes this much: small frames come whole in one call and are copied, of large
 * ones only the beginning is copied and the rest is received in place. After a large frame another one is expected:
 * then the first read is one of heads and headers. */
#define LANE_RX_FIRST      16384u
#define LANE_RX_FIRST_LONG 512u
#define LANE_RX_BUFFER     (FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER + LANE_RX_FIRST)

enum lane_rx_state {
        LANE_RX_HEAD = 0, /* eight bytes of lengths; leaves to HEADER */
        LANE_RX_HEADER,   /* the protobuf message; leaves to PAYLOAD once judged */
        LANE_RX_PAYLOAD,  /* bytes on their way to the guest; leaves to HEAD when all have landed */
        LANE_RX_RAW,      /* likewise, by address (lane_raw.h) */
};

struct lane_rx {
        enum lane_rx_state state;
        uint8_t *buf;
        size_t pos, have; /* buf[pos .. have) has not been used yet */
        struct frame_head head;
        struct arena arena;
        struct lane_to_broker message;
        /* the payload's way: one element a segment */
        size_t n;
        const uint32_t *offset, *len;
        struct request *target[LIMIT_WIRE_COLUMN];
        size_t segment;   /* the one that is being filled */
        uint32_t done;    /* of it */
        bool long_frames; /* the last frame's payload was no small one */
        bool parked;      /* nothing is received: what the next step needs is not translated (lane_miss.h) */
        bool unparked;    /* what is in the buffer has not been looked at since */
        bool copy_only;   /* a fault was met in this frame: no receiving in place */
        uint32_t untold;  /* completions of this turn that have not been published */
        unsigned turn;    /* frames begun in this turn */
        uint64_t fetched; /* bytes that were in places, since the last turn that was paid */
};

int lane_rx_init(struct lane_rx *rx);
void lane_rx_done(struct lane_rx *rx);
void lane_rx_reset(struct lane_rx *rx);

/* The next run goes on where it was parked. */
void lane_rx_unpark(struct lane_rx *rx);

/* Reads and handles what is there, a bounded amount. 1; 0: nothing was there, or it is parked; or negative errno: the worker is
 * finished and *ret_why says why. */
int lane_rx_run(struct lane *lane, const char **ret_why);
