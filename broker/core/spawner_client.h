/* The broker's side of the channel to the spawner.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "proto/spawn.h"

/* A new worker: what the broker holds of it. */
struct spawned_worker {
        uint32_t pid, uid;
        int control_fd;
        struct fd_duplex lanes[LIMIT_LANES];
        unsigned n_lanes;
        int pidfd;
        int output_fd; /* what its standard error writes into */
};

struct spawner_client_ops {
        /* Takes the descriptors of *worker (they are then -1). */
        void (*spawned)(void *context, uint32_t device, struct spawned_worker *worker);
        void (*failed)(void *context, uint32_t device, int error, const char *reason);
        void (*exited)(void *context, uint32_t device, const struct spawn_to_broker *exited);
        /* A companion of its workers runs (pid), or does not (0). NULL: nobody cares. */
        void (*companion)(void *context, uint32_t device, const struct spawn_to_broker *companion);
        /* What outlives its workers is new: a worker that runs has what is dead. NULL: nobody cares. */
        void (*renewed)(void *context, uint32_t device);
        void (*terminate)(void *context); /* the operator asks us to end */
        void (*gone)(void *context);      /* the spawner is dead: no worker can be started any more */
};

struct spawner_client;

/* Takes fd. n_lanes[i] is the number of lanes of device i; n_devices is LIMIT_WORKERS at most: the loader of a kernel
 * stands behind all devices. */
int spawner_client_new(uv_loop_t *loop, int fd, const unsigned *n_lanes, unsigned n_devices,
                       const struct spawner_client_ops *ops, void *context,
                       struct spawner_client **ret_client);
struct spawner_client *spawner_client_free(struct spawner_client *client);

/* -EPIPE: the spawner is gone. */
int spawner_client_spawn(struct spawner_client *client, uint32_t device);
int spawner_client_reap(struct spawner_client *client, uint32_t device);
int spawner_client_stop(struct spawner_client *client);
bool spawner_client_alive(const struct spawner_client *client);
