/* A device as a front end sees it: features, config space, queues. Nothing below knows which front end it
 * has. All functions run on the broker's main thread and return at once; what takes time ends in a callback,
 * on the main thread, from the loop.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/core/queue.h"

struct device;

/* What a device tells its front end. All optional. */
struct device_front {
        void *context;
        void (*ready)(void *context);          /* the worker has said Hello (again) */
        void (*config_changed)(void *context); /* the cached config space has changed */
        void (*broken)(void *context, unsigned queue, enum queue_fault fault);
        /* A running queue was kicked, not for the first time since its start, and every byte of its available
         * ring is zero: the memory is probably not the guest's (queue_avail_is_zero). Once a start. */
        void (*suspicious)(void *context, unsigned queue);
        /* Where used buffers are told before a queue's interrupt is signaled: bit 0 is set, by the lane (virtio
         * 1.3, 4.2.2, InterruptStatus). Latched when a queue starts; must outlive its run. NULL: nowhere. */
        atomic_uint *interrupt_status;
};

/* One front end at a time; NULL detaches: every queue must have been stopped. */
void device_attach(struct device *device, const struct device_front *front);

const char *device_name(const struct device *device);
uint32_t device_virtio_id(const struct device *device); /* virtio 1.3, 5 */
bool device_is_ready(
    const struct device *device); /* Hello has come once: the calls below give real answers */
unsigned device_n_queues(const struct device *device);

/* Device and ring bits (VERSION_1, INDIRECT_DESC, EVENT_IDX, RING_PACKED); no transport bits. */
uint64_t device_features(const struct device *device);

/* Latches what the driver accepted. Bits that were not offered are cleared, not refused; a driver without
 * VERSION_1 is refused with -EPROTO. May be called again while no queue runs; while one runs only the same
 * set is accepted
 * (-EBUSY). */
int device_commit_features(struct device *device, uint64_t features);

/* Little endian bytes of the config space, from the cache. Bytes behind the last field read as zero.
 * -EINVAL: outside LIMIT_CONFIG_BYTES. */
int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes);
uint32_t device_config_size(const struct device *device);

/* A driver's write; must hit exactly one writable field, else -EINVAL. -EBUSY: the last one has not been
 * answered. `done` comes when the worker has taken it, with 0, or with its negative errno: then the field has
 * its old value again. */
int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context);

/* What the operator wants of the device (control.h), judged by control_setting_ok. 0: `done` comes, once, when the worker has
 * taken it, with 0; or with its negative errno (-EOPNOTSUPP: it has no such setting), or -EAGAIN: it has died over it. What was
 * taken stays, over resets and workers, until another value is. -EBUSY: one is under way, or was LIMIT_SETTING_MS ago;
 * -EAGAIN: no worker serves. */
struct control_setting;
int device_set(struct device *device, const struct control_setting *setting,
               void (*done)(void *context, int error), void *context);

/* The memory of whoever owns the rings. When this returns every lane has left the old snapshot. NULL: none.
 * Takes a reference of its own. */
int device_set_memory(struct device *device, struct guest_memory *memory);

/* Starts a queue on a latched layout. kick_fd and call_fd are duplicated; call_fd may be -1, kick_fd may not.
 * Looks at the ring at once, kick or not. -EINVAL, -EFAULT as queue_start; -EBUSY: it runs. */
int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd);

/* Changes the interrupt of a queue, running or not; -1: none. Effective when this returns. The fd is
 * duplicated. */
int device_queue_set_call(struct device *device, unsigned queue, int call_fd);

/* Signals an eventfd of a front end, which may have made it block: never from the main thread. False: it
 * would have waited; the front end deserves no further signal. */
bool device_signal(struct device *device, int fd);

/* Suspends: takes no new chain, waits for what is outstanding (LIMIT_DRAIN_MS, then the worker is killed and
 * its successor must fail the rest), then calls back with the base to go on from. Always calls back, once, never
 * from inside this call. */
void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context);
bool device_queue_running(const struct device *device, unsigned queue);

/* Device reset: outstanding requests are dropped without an answer, queues end stopped, callbacks of
 * device_queue_stop and device_config_write that have not come yet will not come, and the worker is replaced
 * by a new process (one that the guest has not touched stays). Returns at once; the device is usable at once
 * (requests wait for the new worker). */
void device_reset(struct device *device);
