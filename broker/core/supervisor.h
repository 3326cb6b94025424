/* The supervisor of one worker: starts it, greets it, and replaces it. One recovery path for everything:
 * kill, wait for the pidfd, spawn again, greet, tell it what its predecessor knew, and let the lanes send
 * what is outstanding.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/restart_policy.h"
#include "broker/core/spawner_client.h"
#include "broker/core/worker_death.h"
#include "broker/core/worker_link.h"
#include "broker/core/worker_output.h"
#include "proto/control.h"

enum worker_state {
        WORKER_ABSENT = 0, /* no process. supervisor_start leaves it */
        WORKER_SPAWNING,   /* the spawner was asked; left by its answer, however late */
        WORKER_GREETING, /* Configure is sent, Hello is due within LIMIT_HELLO_MS. No guest byte may go there
                          */
        WORKER_PRIMING,  /* is told features, config writes, queues, state; left when all Done have come,
                          * within  LIMIT_CONTROL_MS */
        WORKER_SERVING,  /* the lanes are attached. Left by its death, a fault or a reset */
        WORKER_DYING,    /* killed, or hung up; nothing may follow before the pidfd says that it is gone */
        WORKER_BACKING_OFF, /* a timer runs before the next spawn */
        WORKER_QUARANTINED, /* it keeps dying without doing anything: only a device reset leaves this */
        WORKER_STATE_COUNT_,
};
const char *worker_state_name(enum worker_state state);

/* What a supervisor needs of its device. */
struct supervisor_ops {
        /* Descriptors that go with Configure, borrowed: returns how many, or negative errno. NULL: none do. */
        int (*memory)(void *context, int ret_fds[static LIMIT_SHMEM_REGIONS]);
        /* Hello: the first one describes the device; later ones must be equal (-EPROTO: they are not). */
        int (*hello)(void *context, const struct control_hello *hello);
        /* Tell the new worker what it must know, by supervisor_send. */
        void (*prime)(void *context);
        /* Has it said what it must say before it serves? Else supervisor_try_serving is called when it has. NULL: it has. */
        bool (*primed)(void *context);
        /* A ShmemMap, with its descriptor, or a ShmemUnmap. Negative errno: it is not permitted now. NULL: none is. */
        int (*shmem)(void *context, const struct control_to_broker *message);
        /* An IommuMap or an IommuUnmap. Likewise. */
        int (*iommu)(void *context, const struct control_to_broker *message);
        /* All told: takes the lanes' descriptors (the array's elements become none). */
        void (*serving)(void *context, struct fd_duplex *lanes, unsigned n_lanes);
        /* The worker must not be used any more; the lanes let their pipes go. */
        void (*lost)(void *context);
        /* One that has said Hello is no more, whether it has served (then behind lost) or not. NULL: nobody minds. */
        void (*ended)(void *context);
        /* Requests that this incarnation has completed. */
        uint64_t (*completed)(void *context);
        /* Does it hold no request? */
        bool (*idle)(void *context);
        int (*config_space)(void *context, const uint64_t *values, size_t n);
        /* It has been sent something beside Configure. NULL: nobody minds. */
        void (*said)(void *context);
        /* What this incarnation has counted so far. */
        int (*counted)(void *context, const uint64_t *counters, size_t n);
        /* It could not be started (if spawner_mute: yet), or it is quarantined. `why` is one clause for a person. */
        void (*failed)(void *context, bool quarantined, const char *why);
};

struct supervisor {
        uv_loop_t *loop;
        const struct supervisor_ops *ops;
        void *context;
        const char *name; /* of the device, for log lines */
        uint32_t device;  /* index in the configuration */
        struct spawner_client *spawner;
        struct control_configure configure;
        enum worker_state state;
        uint32_t pid, uid, pid_last;
        struct worker_output *output; /* of this incarnation, and of a dead one until its death is told */
        struct worker_output_quota output_quota;
        struct worker_death death; /* of the last incarnation, until it is told */
        int pidfd;
        struct worker_link *link;
        struct fd_duplex lanes[LIMIT_LANES];
        unsigned n_lanes;
        uv_poll_t *exit_watch;
        uv_timer_t timer;  /* the spawner's answer, Hello, Done, kill and back-off deadlines; one at a time */
        bool asked;        /* the spawner has been sent the question */
        bool spawner_mute; /* ... and is over its time with the answer */
        bool told;    /* this incarnation knows of the guest: features, queues. A reset must replace it */
        bool by_us;   /* it was killed for a reset, which is nobody's fault */
        bool renewed; /* ... for what its successor is given, likewise; but nobody has reset its device */
        bool greeted; /* some incarnation has said Hello: the configuration can work */
        uint64_t serving_ms; /* loop time since when it serves */
        struct restart_policy policy;
        char why[LIMIT_WHY];   /* it is quarantined; printable */
        const char *condemned; /* NULL, or why there will be no successor */
        uint32_t restarts;
        uint8_t state_blob[LIMIT_STATE_BYTES];
        size_t state_len; /* 0: none */
        void (*closed)(void *context);
};

int supervisor_init(struct supervisor *supervisor, uv_loop_t *loop, const char *name, uint32_t device,
                    struct spawner_client *spawner, const struct control_configure *configure,
                    const struct supervisor_ops *ops, void *context);

/* Kills the worker and closes all handles; `closed` comes from the loop. No other callback comes any more. */
void supervisor_close(struct supervisor *supervisor, void (*closed)(void *context));

/* Asks the spawner. No callback comes from inside this call: a spawner that is gone is found by the loop. */
void supervisor_start(struct supervisor *supervisor);

/* To the worker, while PRIMING or SERVING; else -ENOTCONN (the next one will be primed). A worker that does
 * not answer within LIMIT_CONTROL_MS is killed. While PRIMING, NULL for `done` does the right thing; a `done`
 * of the caller's must end in supervisor_try_serving. */
int supervisor_send(struct supervisor *supervisor, const struct control_to_worker *message,
                    worker_link_done done, void *context);

/* A message that is not answered (ShmemAnswer, IommuAnswer, IommuFault), while it is PRIMING or SERVING; else nothing happens: -ENOTCONN. */
int supervisor_tell(struct supervisor *supervisor, const struct control_to_worker *message);

/* The guest has seen something of this worker: a reset must replace it. */
void supervisor_touched(struct supervisor *supervisor);

/* While PRIMING: what its predecessor has saved, if anything. */
void supervisor_send_state(struct supervisor *supervisor);

/* PRIMING ends when nothing is unanswered any more. */
void supervisor_try_serving(struct supervisor *supervisor);

/* The worker is at fault: it is killed and replaced. */
void supervisor_fault(struct supervisor *supervisor, const char *why);

/* Kills it, and no more: what follows comes of its end. May be called from within any call into a lane. */
void supervisor_kill_holder(struct supervisor *supervisor);

/* From inside `lost`: no successor, but quarantine. `why` must live as long as the program. */
void supervisor_condemn(struct supervisor *supervisor, const char *why);

/* A device reset: the worker is replaced without being at fault, and its saved state is dropped. A worker
 * that lives and has been told nothing yet stays: false. */
bool supervisor_reset(struct supervisor *supervisor);

/* What it was given is dead, and its successor gets what is new: it is replaced without being at fault. Its saved state
 * stays. Nothing happens if there is none: the next one gets what is new anyway. */
void supervisor_renew(struct supervisor *supervisor);

/* ---- from the spawner's channel ---- */
void supervisor_spawned(struct supervisor *supervisor, struct spawned_worker *worker);
void supervisor_spawn_failed(struct supervisor *supervisor, int error, const char *reason);
void supervisor_exited(struct supervisor *supervisor, const struct spawn_to_broker *exited);
void supervisor_spawner_gone(struct supervisor *supervisor);
