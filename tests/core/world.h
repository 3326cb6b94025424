/* A device with everything around it: a model guest as its front end, a fake spawner, and a puppet for its
 * worker. One main loop; the lanes have their threads. The process behind a puppet sleeps: it is there to be
 * killed.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/core/device_life.h"
#include "proto/control.h"
#include "proto/spawn.h"
#include "tests/core/fake_worker.h"
#include "tests/core/model_guest.h"

#define WORLD_LOG   512u
#define WORLD_FRAME (FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER)

struct puppet {
        pid_t pid;
        int control_fd, output_fd;
        uint8_t rx[65536];
        size_t rx_len;
        unsigned n_lanes;
        struct fake_worker lanes[LIMIT_LANES];
        unsigned n_messages;
        struct control_to_worker
            messages[WORLD_LOG];                   /* but for ShmemAnswers and IommuAnswers: by their id, */
        unsigned n_answers, n_answered[WORLD_LOG]; /* how often, */
        int answer[WORLD_LOG];                     /* and what was said last */
};

struct seen_request {
        uint64_t id;
        uint32_t queue, readable, attempt, must_fail, in_at;
        unsigned incarnation, lane;
};

struct world {
        uv_loop_t loop;
        struct model_guest guest;
        struct device_config config;
        struct device *device;
        struct spawner_client *client;
        unsigned fds_before;
        /* the spawner */
        int spawner_fd; /* -1: dead */
        uint8_t rx[4096];
        size_t rx_len;
        unsigned n_spawns, n_reaps;
        int refuse; /* negative errno: what Spawn is answered with */
        bool mute;  /* does not answer Spawn */
        bool terminate;
        /* the worker */
        struct control_hello hello;    /* what puppets say */
        bool silent;                   /* says no Hello */
        bool deaf;                     /* answers no control message with Done */
        bool idle;                     /* answers no request */
        uint32_t poison;               /* dies of a request with so many readable bytes; 0: of none */
        bool deadly;                   /* ... even when that is only to be failed */
        int refuse_kind, refuse_error; /* Done of this kind carries this error */
        uint64_t refuse_value;         /* ... if it is a config write, of this value only; 0: any */
        void (*heard)(unsigned stream, const uint8_t *bytes,
                      size_t len); /* NULL, or what each byte of the broker's is shown to */
        struct puppet puppet;
        bool have_puppet;
        unsigned n_seen;
        struct seen_request seen[WORLD_LOG];
        bool stays; /* its last frame with requests has promised more */
        bool looks; /* ... and said that there was something on control before it */
        unsigned n_wakes;
        /* what the device told */
        unsigned n_ready, n_failed, n_quarantined, n_front_ready, n_config_changed, n_broken, n_suspicious;
        unsigned n_stopped, n_written;
        uint32_t base;
        int written;
        bool freed, gone;
        char why[256];
};

/* A blk device with two queues (or another, with as many as its type has) on `n_lanes` lanes; no worker has
 * said anything yet. */
extern uint32_t world_poll_us; /* of devices that are begun from now on; 0 at first */
void world_init(struct world *world, unsigned n_lanes);
void world_init_as(struct world *world, unsigned n_lanes, enum device_type_id type);
/* ... whose configuration `configure` completes (NULL: no), with a front end that also does what `front` says, with the world as
 * its context. */
void world_init_with(struct world *world, unsigned n_lanes, enum device_type_id type,
                     void (*configure)(struct device_config *config), const struct device_front *front);
void world_attach(struct world *world, const struct device_front *front);
void world_done(struct world *world); /* all handles, processes and descriptors are gone */

/* Until the device is ready, its memory is set and its features are committed. */
void world_serve(struct world *world);

/* What the model guest accepts: all that is offered but RING_PACKED, since its rings are split. */
uint64_t world_features(const struct world *world);
void world_start_queue(struct world *world, unsigned queue, uint32_t base);

/* One round of everything. */
void world_step(struct world *world);
/* Steps until it is true; fails the test after a minute: far more than a machine under load takes, with sanitizers. */
#define WORLD_NEVER_NS UINT64_C(60000000000)
#define world_until(world, condition)                                                                        \
        do {                                                                                                 \
                uint64_t deadline_ = uv_hrtime() + WORLD_NEVER_NS;                                           \
                while (!(condition)) {                                                                       \
                        if (uv_hrtime() > deadline_)                                                         \
                                fail_msg("never: %s", #condition);                                           \
                        world_step(world);                                                                   \
                }                                                                                            \
        } while (0)
/* Steps for so long: for what must not happen. */
void world_wait(struct world *world, uint64_t ms);

enum worker_state;
unsigned world_state(const struct world *world); /* of the supervisor */
uint32_t world_pid(const struct world *world);

/* The puppet's process dies by itself. */
void world_kill_worker(struct world *world);
void world_kill_spawner(struct world *world);
void world_send(struct world *world, const struct control_to_broker *message);
size_t world_frame(const struct control_to_broker *message, uint8_t ret_buf[static WORLD_FRAME]);
void world_send_raw(struct world *world, const void *bytes, size_t len);

/* The puppet's messages of this kind so far. */
unsigned world_told(const struct world *world, enum control_kind_to_worker kind);

void world_stopped(void *context, uint32_t base); /* for device_queue_stop */
void world_stop_queues(struct world *world);      /* both that run, and waits for it */
void world_written(void *context, int error);     /* for device_config_write */

/* A request of one readable buffer (told apart by its length) and one writable byte. */
uint16_t world_post(struct world *world, unsigned queue, uint32_t len);
/* Has the guest an answer? */
bool world_answered(struct world *world, unsigned queue);
/* ... and its writable byte: 1 done, 0xee failed. */
uint8_t world_status(const struct world *world);
