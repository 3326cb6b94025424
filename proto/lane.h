/* The messages of a lane as judged structs (schema/lane.proto). Columns are `n` elements each. In judged
 * messages the arrays live in the arena until its next reset.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"

struct lane_requests {
        size_t n; /* 1 .. LIMIT_WIRE_COLUMN */
        const uint64_t *id;
        const uint32_t *queue, *readable, *writable, *inlined, *attempt, *must_fail;
        /* Places in the worker's area: the number of a page (LIMIT_AREA_PAGE), and one. NULL: no request has one; 0:
         * this one has none. */
        const uint32_t *in_at;
        const uint32_t *out_at; /* likewise, with room for the writable part */
        bool longer;      /* the broker shares the worker's CPU: its answers may come in longer pieces */
        bool stay;        /* something comes on this lane again soon, if only a LANE_WAKE */
        bool look;        /* something has been said on control since the last frame that said so */
        uint32_t spin_us; /* 0 .. LIMIT_POLL_US: so long the worker may look for more before it sleeps */
        /* payload: sum of inlined, but of those with in_at; inlined[i] <= readable[i] */
};

struct lane_mem_read {
        uint32_t seq;
        size_t n; /* 1 .. LIMIT_MEM_SEGMENTS */
        const uint64_t *id;
        const uint32_t *offset, *len; /* len >= 1, sum of len <= LIMIT_FRAME_PAYLOAD */
        uint32_t total;               /* sum of len: the payload of the answer */
};

struct lane_mem_read_reply {
        uint32_t seq;
        size_t n;
        const uint32_t *status;
};

/* What an id and an offset name. */
enum lane_space {
        LANE_SPACE_CHAIN = 0, /* a request; [offset, offset + len) inside LIMIT_CHAIN_BYTES */
        LANE_SPACE_BOOT,      /* a range of RAM (boot.h): for the loader, before the VM has ever run */
};

/* A MemRead or MemWrite in space RAW. Whose window they lie in is for the receiver to judge. */
struct lane_raw {
        uint32_t seq;        /* of a read */
        size_t n;            /* 1 .. LIMIT_MEM_SEGMENTS */
        const uint64_t *at;  /* guest-physical addresses; at + (len - 1) does not wrap */
        const uint32_t *len; /* len >= 1, sum of len <= LIMIT_FRAME_PAYLOAD; of a write it is the payload */
        uint32_t total;      /* sum of len */
};

struct lane_mem_write {
        size_t n; /* 1 .. LIMIT_MEM_SEGMENTS */
        const uint64_t *id;
        const uint32_t *offset, *len; /* len >= 1; sum of len is the payload */
        enum lane_space space;        /* the receiver refuses what is not its own */
};

struct lane_complete {
        size_t n; /* 1 .. LIMIT_WIRE_COLUMN */
        const uint64_t *id;
        /* status: OK, PROTOCOL, or CANCELED, which has no bytes; sum of len is the payload */
        const uint32_t *status, *offset, *len;
        /* Bytes from the writable part's beginning on that lie at the request's out_at, at most LIMIT_DIRECT_LEND. NULL: no
         * request has any. */
        const uint32_t *placed;
};

enum lane_kind_to_broker {
        LANE_MEM_READ = 1,
        LANE_MEM_WRITE = 2,
        LANE_COMPLETE = 3,
        LANE_ASK_REST = 4, /* may the area's pages be given back? Nothing but its kind */
        LANE_RAW_READ =
            5, /* on the wire they are MemRead and MemWrite: who has no such space is in no doubt about the others */
        LANE_RAW_WRITE = 6,
        LANE_TAKEN = 7,
};

struct lane_to_broker {
        enum lane_kind_to_broker kind;
        union {
                struct lane_mem_read mem_read;
                struct lane_mem_write mem_write;
                struct lane_complete complete;
                struct lane_raw raw; /* of both kinds */
                struct {
                        uint32_t queue, next; /* below LIMIT_QUEUES; 0 .. 65535 */
                } taken;
        };
};

enum lane_kind_to_worker {
        LANE_REQUESTS = 1,
        LANE_MEM_READ_REPLY = 2,
        LANE_MAY_REST = 3, /* all that was said before the question has been done. Nothing but its kind */
        LANE_RECALL = 4,
        LANE_WAKE = 5, /* no `stay` counts any more. Nothing but its kind */
};

struct lane_to_worker {
        enum lane_kind_to_worker kind;
        union {
                struct lane_requests requests;
                struct lane_mem_read_reply mem_read_reply;
                struct {
                        uint32_t queue; /* below LIMIT_QUEUES; of a supply queue */
                } recall;
        };
};

/* lane_check.c: wire -> judged; payload_len is the frame's. 0, -EPROTO, or -ENOMEM (the arena's cap). */
int lane_check_to_broker(struct arena *arena, const uint8_t *header, size_t len, uint32_t payload_len,
                         struct lane_to_broker *ret_message);
int lane_check_to_worker(struct arena *arena, const uint8_t *header, size_t len, uint32_t payload_len,
                         struct lane_to_worker *ret_message);

/* lane_make.c: struct -> wire; nothing is allocated. Returns the header's length or -E2BIG. */
ssize_t lane_make_to_broker(const struct lane_to_broker *message, uint8_t *buf, size_t size);
ssize_t lane_make_to_worker(const struct lane_to_worker *message, uint8_t *buf, size_t size);
