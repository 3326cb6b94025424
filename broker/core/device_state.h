/* What a device is made of, for the files that are a device: device.c (what a front end calls),
 * device_stop.c (suspending), device_iotlb.c (translations), device_worker.c (what its supervisor asks) and device_life.c.
 * Nobody else looks inside.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/config_space.h"
#include "broker/core/device.h"
#include "broker/core/device_iommu.h"
#include "broker/core/device_iotlb.h"
#include "broker/core/device_life.h"
#include "broker/core/device_shmem.h"
#include "broker/core/device_windows.h"
#include "broker/core/lane_thread.h"
#include "broker/core/supervisor.h"
#include "proto/control.h"
#include "proto/vm_config.h"

/* What the main thread knows of a queue; the ring itself is the lane's. */
struct device_queue {
        struct device *device;
        bool running;    /* started, and not yet stopped */
        unsigned untold; /* StartQueues that the worker has not answered yet; held until there is none */
        uint16_t size;
        void (*stopped)(void *context, uint32_t base); /* not NULL: draining */
        void *stopped_context;
};

enum drain_stage {
        DRAIN_NONE = 0,
        DRAIN_WAITING, /* the worker has LIMIT_DRAIN_MS */
        DRAIN_FAILING, /* it was killed; its successor has as long to fail what is left */
};

struct device {
        uv_loop_t *loop;
        const struct device_config *config;
        const struct device_type *type;
        struct device_owner owner;
        struct device_front front;
        struct supervisor supervisor;
        struct device_iotlb iotlb;
        struct device_iommu iommu;
        struct device_windows windows;
        struct rate_limit rate; /* of all lanes together, over resets and workers */
        struct lane_thread *lanes[LIMIT_LANES];
        unsigned n_lanes;
        bool have_hello;
        struct control_hello hello;
        struct control_area area; /* of the worker that has said Hello last */
        struct device_maps maps;  /* of its shared memory regions */
        struct device_companion {
                uint32_t pid, uid, starts; /* pid 0: it does not run */
        } companion;
        bool direct;      /* the worker that serves has pages of it handed out (direct_copy.h) */
        bool direct_told; /* ... that this cannot be */
        bool place_told;  /* ... that it cannot be moved */
        uint64_t counters[LIMIT_COUNTERS]; /* of workers that are gone */
        uint64_t counting[LIMIT_COUNTERS]; /* as the one that serves has said last */
        struct config_space space;
        uint64_t committed;             /* features; 0: none yet */
        uint64_t offered, agreed, told; /* ... to the guest, by the front end, to the worker: to be shown */
        bool broken;
        struct device_queue queues[LIMIT_QUEUES];
        unsigned n_queues;
        enum drain_stage drain_stage;
        uv_timer_t drain_timer;
        uv_async_t reported;
        /* written by lanes, taken by the main thread */
        atomic_uint_fast64_t broken_queues, drained_queues, suspicious_queues;
        _Atomic(const char *) fault;
        atomic_bool isolated;
        bool hopeless; /* written by a lane inside a call of ours */
        /* The driver's config write, one at a time. */
        bool config_busy;    /* it has not been answered yet */
        bool config_settled; /* its outcome is known, the answer is due */
        bool config_waits;   /* its worker is gone: it is settled when a successor serves */
        int config_error;
        uint32_t config_field;
        uint64_t config_before; /* the field's value before */
        void (*config_written)(void *context, int error);
        void *config_context;
        /* The operator's settings, one at a time. */
        bool setting_busy;
        uint64_t setting_ms; /* when the last was made; 0: none was */
        struct control_setting setting;
        void (*setting_done)(void *context, int error);
        void *setting_context;
        struct control_setting settings[LIMIT_SETTINGS]; /* that a worker has taken */
        unsigned n_settings;
        unsigned handles; /* that are open: the last close frees the device */
        void (*freed)(void *context);
        void *freed_context;
};
_Static_assert(LIMIT_QUEUES <= 64, "one bit a queue in the reports");

bool device_any_running(const struct device *device);

/* Answers a config write whose outcome is known. */
void device_settle_config(struct device *device);

/* The worker will not have the value of the last write: the field goes back to `value`. */
void device_refuse_config(struct device *device, uint64_t value);

/* ---- device_calls.c: calls into the lanes, each waits until its lane has done it ---- */

int device_call_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                      const struct queue_features *features, uint32_t base, int kick_fd, int call_fd,
                      atomic_uint *interrupt_status);
void device_call_release(struct device *device, unsigned queue);
/* Where its ring is, and where in it to go on: for a worker that walks it. */
struct control_start_queue device_call_ring(struct device *device, unsigned queue);
void device_call_set_call(struct device *device, unsigned queue, int call_fd);
int device_call_signal(struct device *device, int fd); /* of any queue */
void device_call_drain(struct device *device, unsigned queue);
uint32_t device_call_stop(struct device *device, unsigned queue);
enum queue_fault device_call_fault(struct device *device, unsigned queue, struct segment *ret_outside);
void device_call_attach(struct device *device, unsigned lane, struct fd_duplex *ends, /* takes *ends */
                        const struct direct_peer *peer, bool movable);
/* on every lane */
void device_call_isolate(struct device *device); /* one that has suspects isolates, if any; the others wait */
void device_call_pardon(struct device *device);
void device_call_detach(struct device *device);
void device_call_end_pid(
    struct device *device); /* nothing more is copied to, or moved, by the worker's pid */
void device_call_break(struct device *device);
void device_call_fail_begin(struct device *device); /* its type must have an error */
void device_call_fail_draining(struct device *device);
void device_call_set_memory(struct device *device, struct guest_memory *memory);
void device_call_hurry(struct device *device, bool hurried);
void device_call_starve(struct device *device, bool starved);
void device_call_collect(struct device *device, struct miss_list *list);
void device_call_refuse(struct device *device, uint64_t iova, unsigned rights);
void device_call_mark(struct device *device, const struct interval_map *entries, uint64_t *marks);
void device_call_hold(struct device *device);
void device_call_unhold(struct device *device);
void device_call_set_max_age(struct device *device, uint64_t max_age_ms);
void device_call_set_poll(struct device *device);                                 /* if it has one */
void device_call_set_place(struct device *device, const struct place_host *host); /* NULL: it is not placed */
void device_call_set_type(struct device *device); /* its type's failure and heads, if it has any */
void device_call_set_raw(struct device *device);  /* if its worker walks its rings */
void device_call_set_rate(struct device *device); /* if it has one; once, with full buckets */
uint64_t device_call_completed(struct device *device);

/* ---- device_stop.c ---- */

/* Takes a queue down at once (nothing may be outstanding with a worker) and tells who waits for it. */
void device_stop_finish(struct device *device, unsigned queue);
/* Nobody waits for anything any more. */
void device_stop_cancel(struct device *device);
/* Looks at what the lanes have reported as drained. */
void device_stop_take(struct device *device);
/* No worker will come: who waits is answered at once. */
void device_stop_hurry(struct device *device);

/* ---- device_setting.c ---- */

/* Tells a worker that is primed what its predecessors have taken. */
void device_setting_prime(struct device *device);

/* ---- device_worker.c ---- */

extern const struct supervisor_ops device_supervisor_ops;
/* Makes a lane's reports arrive here; runs when device->reported fires. */
void device_worker_reported(uv_async_t *async);
/* No worker will come: this queue's requests fail, or stay unanswered, until a reset. */
void device_worker_fail_queue(struct device *device, unsigned queue);
/* Tells the worker, if there is one to tell. */
void device_worker_send_features(struct device *device);
void device_worker_send_queue(struct device *device, unsigned queue);
/* True: a worker that serves will answer with `done`. False: a worker that is being primed is told before it
 * serves, and so is the next one. */
bool device_worker_send_config(struct device *device, uint32_t field, worker_link_done done, void *context);
