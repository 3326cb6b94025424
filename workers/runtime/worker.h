/* A worker from Configure to its end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "proto/base/spin.h"
#include "proto/control.h"
#include "proto/rpc.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/link.h"
#include "workers/runtime/worker_lane.h"

/* What the control channel may say next. Set by worker.c alone, and only forward. */
enum worker_state {
        WORKER_NEW = 0,    /* Configure, and nothing else */
        WORKER_CONFIGURED, /* nothing: it is our turn, until Hello */
        WORKER_SERVING,    /* everything but Configure */
};

struct worker {
        const struct device_ops *device;
        enum worker_state state;
        struct rpc_peer peer;
        struct link control;
        struct worker_shared shared;
        struct control_configure configure;
        struct control_hello hello;
        unsigned n_lanes, n_resources;
        bool has_worked; /* since it last rested */
        struct spin spin;
        struct worker_lane lanes[LIMIT_LANES];
};

/* The control link and what all lanes share. `worker` is zero. 0 or -ENOMEM. */
int worker_init(struct worker *worker, const struct device_ops *device, unsigned n_lanes,
                unsigned n_resources);

/* Waits for Configure, lets the device look at its resources, and gets all memory. From its return on no
 * system call but those of the run policy is needed. 0 or negative errno, after a worker_log where the cause
 * is the host's. */
int worker_prepare(struct worker *worker);

/* Says Hello and serves, until the broker is gone. */
_Noreturn void worker_serve(struct worker *worker);
