/* What a front end has said about each ring, and when that amounts to a running queue.
 *
 * How it works: NUM, ADDR and BASE come in any order and are only written down. KICK starts the ring and
 * ENABLE enables it, also in any order; when both have come the rest is judged together and the device's
 * queue starts. Ring addresses are translated then, not earlier, because memory may come later than they do;
 * from then on the queue holds guest addresses and survives any change of the memory table. A ring stops when
 * its base is asked for (it then needs a new kick descriptor) or when it is disabled (it then goes on where
 * it was). A ring that cannot start is the guest's or the front end's mistake about that ring only: its err
 * descriptor is written, and the session lives on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"
#include "broker/vhost_user/memory_table.h"
#include "broker/vhost_user/message.h"

enum ring_state {
        RING_IDLE = 0, /* not in the device; everything may be changed */
        RING_RUNNING,  /* in the device; only CALL, ERR, ENABLE and the stop are permitted */
        RING_STOPPING, /* the device drains it; the session waits and reads nothing */
        RING_STATE_COUNT_,
};

struct ring {
        enum ring_state state;
        bool enabled;
        bool has_addr;
        bool has_base;              /* else a ring begins afresh */
        uint32_t num;               /* 0: not set */
        uint32_t base;              /* as queue_start has it */
        uint64_t desc, avail, used; /* user addresses, or I/O virtual ones */
        int kick, call, err;        /* -1: none */
};

struct rings {
        struct device *device;
        const struct memory_table *table;
        bool always_enabled; /* VHOST_USER_F_PROTOCOL_FEATURES was not agreed: rings need no ENABLE */
        bool may_start;      /* the device has taken the driver's features */
        bool translated;     /* addresses are I/O virtual, and the device's to look up */
        bool packed;         /* VIRTIO_F_RING_PACKED is among them */
        unsigned n;
        struct ring ring[LIMIT_QUEUES];
};

/* What became of a ring when it was looked at. */
enum ring_start {
        RING_START_NOTHING = 0, /* it runs already, or KICK or ENABLE is still to come */
        RING_START_STARTED,
        RING_START_UNSHARED, /* an address is in no shared region; told on the err descriptor */
        RING_START_REFUSED,  /* bad or missing geometry or features; told on the err descriptor */
};

void rings_init(struct rings *rings, struct device *device, const struct memory_table *table);

/* Closes every descriptor. The device's queues are the caller's to stop. */
void rings_done(struct rings *rings);

/* Everything as after rings_init, but CALL and ERR stay: a device reset does not make a front end send them
 * again. The device's queues have been stopped (device_reset). */
void rings_reset(struct rings *rings);

/* NULL: no such ring. */
struct ring *rings_find(struct rings *rings, uint64_t index);
unsigned rings_index(const struct rings *rings, const struct ring *ring);
bool rings_any_running(const struct rings *rings);

/* Starts the ring if all is there. *ret_start says what happened; a negative result is the broker's own
 * trouble. */
int rings_try_start(struct rings *rings, struct ring *ring, enum ring_start *ret_start);
/* The same for every ring, after something that concerns all. */
int rings_try_start_all(struct rings *rings, enum ring_start *ret_start);

/* Takes the descriptor (-1: none). 0; -EBADF: it is not an event descriptor (it is closed then). */
int ring_set_kick(struct ring *ring, int fd);
int ring_set_err(struct ring *ring, int fd);
int rings_set_call(struct rings *rings, struct ring *ring, int fd);

/* The device is asked to drain it, and has drained it. */
void ring_stopping(struct ring *ring);
void ring_stopped(struct ring *ring, uint32_t base);

/* Where the ring is to go on, or would; of a ring that was told nothing: the beginning. */
void ring_set_base(struct ring *ring, uint32_t base);
uint32_t ring_base(const struct rings *rings, const struct ring *ring);

/* Writes the err descriptor: this ring serves nothing until it is started again. */
void ring_tell_error(struct rings *rings, struct ring *ring);
