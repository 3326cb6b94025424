/* A broker for tests: real frames over a real socket and real pipes to a worker in a process of its own, and a guest memory
 * that is two arrays a request. Every wait has a deadline (FAKE_DEADLINE_S); reaching it fails the test.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"
#include "proto/base/fd.h"
#include "proto/control.h"
#include "proto/frame.h"
#include "proto/lane.h"
#include "workers/runtime/device_ops.h"

#define FAKE_DEADLINE_S 20
#define FAKE_INLINE_ALL UINT32_MAX

/* A request as the broker has it. The arrays are the test's. */
struct fake_request {
        uint64_t id;
        uint32_t queue;
        const uint8_t *readable;
        uint32_t n_readable;
        uint8_t *writable;
        uint32_t n_writable;
        uint32_t inlined; /* FAKE_INLINE_ALL: as much as Hello allows */
        uint32_t
            in_at; /* > 0: all of it is said to lie in lane 0's area, from this page on, counted from 1 */
        uint32_t out_at; /* > 0: room for the writable part, likewise */
        uint32_t attempt;
        bool must_fail;
        bool done;
        bool waits; /* the worker has said so */
        uint32_t status, used;
        uint32_t placed; /* so many writable bytes were said to lie at out_at */
};

struct fake_broker {
        pid_t pid;
        struct fd_duplex control, lanes[LIMIT_LANES]; /* non-blocking; control is one socket */
        unsigned n_lanes;
        struct arena arena;
        struct control_hello hello;
        struct fake_request *out[LIMIT_CREDITS * 2];
        size_t n_out, n_waits; /* of these, such that wait */
        /* what the worker did */
        unsigned n_mem_reads, n_mem_writes, n_completes, n_rests, n_placed;
        unsigned open_reads, max_open_reads;
        /* what is to go wrong */
        uint32_t read_status; /* of the next answers */
        bool hold_reads;      /* MemReads are kept unanswered until fake_answer_reads */
        bool hold_rest;       /* ... and so is the question for rest, until fake_answer_rest */
        bool late;            /* what lies in places is fetched by fake_fetch alone */
        bool longer;          /* the next requests say that their answers may come longer */
        bool stay;            /* ... that more comes here soon */
        bool look;            /* ... that something has been said on control */
        uint32_t spin_us;     /* ... how long one may look before one sleeps */
        bool lend; /* requests on lane 0 get places as a broker hands them out, while there is room */
        /* Guest memory that is reached by address, at raw_start; nothing else is asked for. */
        uint8_t *raw;
        uint64_t raw_start;
        uint32_t raw_len, taken; /* taken: said last, and one; 0: nothing yet */
        uint32_t lent;           /* pages that are handed out; all come back when nothing is outstanding */
        struct {
                unsigned lane;
                uint32_t seq, offset, len;
                uint64_t id;
        } held[LIMIT_MEM_READS + 1];
};

/* A child that runs the runtime with `ops`, or the program at `path`. The resources are the caller's and stay
 * open. */
void fake_start_ops(struct fake_broker *broker, const struct device_ops *ops, unsigned n_lanes,
                    const int *resources, unsigned n_resources);
void fake_start_program(struct fake_broker *broker, const char *path, unsigned n_lanes, const int *resources,
                        unsigned n_resources, int policy_fd);

/* A child that runs `function` with its ends of lane 0. */
void fake_start_function(struct fake_broker *broker, void (*function)(struct fd_duplex ends));

/* Any bytes on a channel, and one frame. */
void fake_send_bytes(struct fd_duplex ends, const void *bytes, size_t len);
void fake_send_frame(struct fd_duplex ends, const void *header, uint32_t header_len, const void *payload,
                     uint32_t payload_len);

/* Waits for a frame. False: end of file. The payload is in *ret_payload (malloc), which may be NULL when none
 * is expected. */
bool fake_next_frame(struct fd_duplex ends, struct frame_head *ret_head, uint8_t *header,
                     uint8_t **ret_payload);

/* Has anything come on that channel? */
bool fake_ready(struct fd_duplex ends);

void fake_send_control(struct fake_broker *broker, const struct control_to_worker *message);

/* Waits for a control message; lines of the worker's log are printed and passed over. False: end of file. */
bool fake_next_control(struct fake_broker *broker, struct control_to_broker *ret_message);

/* Configure, and then Hello into broker->hello. */
void fake_configure(struct fake_broker *broker, const struct control_configure *configure);

/* Each waits for Done and returns its error. */
int fake_set_features(struct fake_broker *broker, uint64_t features);
int fake_config_write(struct fake_broker *broker, uint32_t field, uint64_t value);
int fake_restore_state(struct fake_broker *broker, const void *bytes, size_t len);
int fake_start_queue(struct fake_broker *broker, uint32_t queue);

/* Puts the readable bytes where the request says they are. */
void fake_place(const struct fake_broker *broker, const struct fake_request *request);

/* Fetches what the worker has placed. A strict broker does so at once, a slow one later. */
void fake_fetch(const struct fake_broker *broker, struct fake_request *request);

/* Sends one frame of n requests; they must live until they are done. */
void fake_send_requests(struct fake_broker *broker, unsigned lane, struct fake_request *requests, size_t n);

/* Takes one frame of the worker and acts on it, as a strict broker does. False: end of file. */
bool fake_serve(struct fake_broker *broker, unsigned lane);

/* Answers what hold_reads, and hold_rest, has kept. */
void fake_answer_reads(struct fake_broker *broker);
void fake_answer_rest(struct fake_broker *broker, unsigned lane);

/* Serves until nothing is outstanding on that lane but what waits. */
void fake_drain(struct fake_broker *broker, unsigned lane);

/* Closes every channel that is open and waits for the child: its wait status. */
int fake_end(struct fake_broker *broker);

/* Waits for the child to end by itself, and closes then: its wait status. */
int fake_await(struct fake_broker *broker);

bool fake_trapped(int wait_status);
bool fake_exited(int wait_status, int code);
