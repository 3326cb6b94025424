/* Devices on a stage: no thread, no process, no clock. One call of the test is one step of the world, and the same
 * calls always lead to the same state.
 *
 * What is played here: lane_thread.h (a lane is turned by stage_turn), the two calls of spawner_client.h that a
 * supervisor makes, libuv's timers and clock (linked with --wrap), and pidfds (an eventfd; a kill is noted, and
 * stage_exit makes it readable).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/core/device_life.h"
#include "proto/base/arena.h"
#include "proto/base/fd.h"
#include "proto/control.h"
#include "proto/lane.h"

#define STAGE_DEVICES 2u
#define STAGE_QUEUES  2u /* of each device, on one lane */
#define STAGE_HELD    64u

/* The other end of one incarnation. */
struct stage_worker {
        bool asked;   /* the broker wants one to be spawned */
        bool running; /* not reaped yet */
        bool exited, killed;
        int control_fd;                   /* -1: closed */
        struct fd_duplex lane_ends;       /* likewise */
        int output_fd;                    /* its standard error */
        int pidfd;                        /* the broker's number */
        uint32_t n_pending, pending[256]; /* seq of the messages that want a Done */
        bool configured;
        size_t control_len, lane_len;
        struct {
                uint64_t id;
                uint32_t readable, writable;
        } held[STAGE_HELD];
        unsigned n_held;
        uint64_t last_id;  /* of those that it gave back: 0 none */
        unsigned n_unread; /* MemReads that were not answered yet */
        bool blurred;      /* after raw bytes nobody knows where its next frame begins */
        uint8_t control[1u << 15], lane[1u << 16]; /* last, because they need no clearing */
};

struct stage {
        uv_loop_t loop;
        struct device_config config[STAGE_DEVICES];
        struct device *device[STAGE_DEVICES];
        struct stage_worker worker[STAGE_DEVICES];
        struct arena arena;
        unsigned freed;
};

void stage_begin(struct stage *stage);
void stage_end(struct stage *stage); /* nothing is left open */

/* Everything that can go on without anybody doing anything; the workers read what they are sent. */
void stage_turn(struct stage *stage);
/* Time passes, timers fire. */
void stage_sleep(struct stage *stage, uint64_t ms);

/* The spawner's answers. Without a question nothing happens. */
void stage_spawn(struct stage *stage, unsigned device);
void stage_refuse_spawn(struct stage *stage, unsigned device, int error);
/* The process is gone (by itself, or because it was killed). */
void stage_exit(struct stage *stage, unsigned device);

/* The worker's words; nothing happens when it has hung up. */
void stage_say(struct stage *stage, unsigned device, const struct control_to_broker *message);
void stage_say_on_lane(struct stage *stage, unsigned device, const struct lane_to_broker *message,
                       uint32_t payload_len, uint8_t byte);
void stage_say_bytes(struct stage *stage, unsigned device, bool on_lane, const uint8_t *bytes, size_t len);
void stage_hang_up(struct stage *stage, unsigned device, bool lane);

bool stage_serves(const struct stage *stage, unsigned device);
