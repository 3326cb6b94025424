/* The other end of a lane, for tests: speaks frames, obeys or misbehaves as it is told. Never blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/fd.h"
#include "proto/frame.h"
#include "proto/lane.h"

#define FAKE_BUFFER (4u << 20)

struct fake_worker {
        struct fd_duplex ends; /* -1: closed */
        bool ended;            /* the broker has closed the lane */
        size_t step;           /* > 0: at most so many bytes a call, both ways */
        uint8_t *rx, *tx;
        size_t rx_pos, rx_len, tx_pos, tx_len;
        struct arena arena;
        void (*heard)(unsigned stream, const uint8_t *bytes, size_t len); /* NULL, or is shown what comes */
        unsigned stream;
};

/* A frame of the broker, judged; valid until the next one. */
struct fake_frame {
        struct lane_to_worker message;
        const uint8_t *payload;
        uint32_t payload_len;
};

/* Takes the ends and makes them non-blocking. A lane that is gone is an error here, not a signal. */
void fake_worker_init(struct fake_worker *worker, struct fd_duplex ends);
void fake_worker_done(struct fake_worker *worker);
void fake_worker_close(struct fake_worker *worker); /* as a process that dies */

/* Moves bytes to the broker only. */
bool fake_worker_push(struct fake_worker *worker);

/* Moves bytes both ways; true: something moved. */
bool fake_worker_pump(struct fake_worker *worker);

/* The next whole frame; false: none yet. A frame out of shape fails the test. */
bool fake_worker_next(struct fake_worker *worker, struct fake_frame *ret_frame);

/* Queues a message with its payload (NULL: zeros), or raw bytes. */
void fake_worker_send(struct fake_worker *worker, const struct lane_to_broker *message, const void *payload,
                      size_t payload_len);
void fake_worker_send_bytes(struct fake_worker *worker, const void *bytes, size_t len);

/* Shorthands for one request. */
void fake_worker_complete(struct fake_worker *worker, uint64_t id, uint32_t offset, const void *bytes,
                          uint32_t len);
/* The first `placed` bytes lie in the request's place, `len` more are sent. */
void fake_worker_complete_placed(struct fake_worker *worker, uint64_t id, uint32_t placed, const void *bytes,
                                 uint32_t len);
void fake_worker_write(struct fake_worker *worker, uint64_t id, uint32_t offset, const void *bytes,
                       uint32_t len);
void fake_worker_read(struct fake_worker *worker, uint32_t seq, uint64_t id, uint32_t offset, uint32_t len);
