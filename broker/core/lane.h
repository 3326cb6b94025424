/* A lane: some queues of a device, the table of their outstanding requests, and two pipes: to the worker and back.
 *
 * How it works: lane_turn takes chains off the rings and sends them in batches while the worker has credit;
 * lane_readable takes the worker's answers, lets their bytes land in the guest's buffers and completes
 * requests. Both stop when their pipe would block. The order matters: requests that a dead worker held are
 * sent again before any new chain is taken, and a ring is asked for kicks only when nothing more can be taken
 * off it, and not while its thread looks for more by itself (lane_poll.h).
 *
 * A lane knows no event loop and no thread (broker/core/lane_thread.c does): all functions run in whatever
 * thread owns it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/core/direct_copy.h"
#include "broker/core/fair.h"
#include "broker/core/guest_memory.h"
#include "broker/core/lane_fail.h"
#include "broker/core/lane_isolate.h"
#include "broker/core/lane_miss.h"
#include "broker/core/lane_place.h"
#include "broker/core/lane_poll.h"
#include "broker/core/lane_raw.h"
#include "broker/core/lane_rx.h"
#include "broker/core/lane_stay.h"
#include "broker/core/lane_tx.h"
#include "broker/core/queue.h"
#include "broker/core/quota.h"
#include "broker/core/rate_limit.h"
#include "broker/core/request_table.h"
#include "proto/base/fd.h"
#include "proto/control.h"

struct lane;

/* What a lane reports to its device; called in the lane's thread. */
struct lane_events {
        void *context;
        void (*worker_fault)(void *context, const char *why); /* the worker broke the protocol or hung up */
        void (*queue_broken)(void *context, unsigned queue);
        void (*queue_drained)(void *context, unsigned queue);
        /* Kicked, and not for the first time, but every byte of its available ring is zero. Once a start. */
        void (*queue_suspicious)(void *context, unsigned queue);
        /* Something is not translated that was not missing before (lane_miss.h). Not again before lane_miss_collect. May be NULL. */
        void (*missing)(void *context);
        /* While isolating: no suspect is left, this lane waits now (lane_isolate.h). */
        void (*isolated)(void *context);
        /* A worker died with this request alone; it must fail at the next. `hopeless`: even that has killed
         * its workers. Comes from inside lane_detach only. */
        void (*poison)(void *context, const struct request *request, bool hopeless);
        /* It has not answered the main thread, whose call this comes from, for LIMIT_LANE_HELD_MS: its worker may hold it (a page
         * fault inside a call on one of our pipes has the pipe's lock), and lets go when it is killed. May be NULL. */
        void (*held)(void *context);
        /* A descriptor is about to be closed. Whoever polls it must let go first: the peer holds the same
         * open file, so closing alone would leave it in the poll set for ever. May be NULL. */
        void (*closing)(struct lane *lane, int fd);
};

#define LANE_USED_BUFFER 1u /* of an interrupt status (virtio 1.3, 4.2.2) */

/* Buffers that a worker holds of a supply queue that is to stop (lane_supply.h). */
enum lane_recall {
        RECALL_NONE = 0,
        RECALL_WANTED, /* the worker is to be told */
        RECALL_SENT,   /* it has been: it may give them back unused */
};

struct lane_queue {
        struct queue ring;
        unsigned index; /* in the device */
        bool held;      /* started, but the worker has not been told yet: nothing is taken */
        bool draining;  /* suspending: nothing new is taken */
        bool told_broken;
        unsigned kicks; /* since the start, up to the one that is looked at */
        uint32_t outstanding;
        int kick_fd, call_fd; /* owned; -1: none */
        atomic_uint
            *interrupt_status; /* bit 0 is set before call_fd is signaled; of the front end; NULL: none */
        enum replay_class replay;
        bool supply; /* lent until something comes: no request of it ages */
        enum lane_recall recall;
        uint32_t n_returned; /* of those outstanding: REQUEST_RETURNED */
        bool raw;            /* started, and its worker walks its ring (lane_raw.h) ... */
        bool raw_again;      /* ... and is to be kicked once more, when it may be */
};

/* Counters, written by the lane's thread and read by the main thread. */
struct lane_stats {
        atomic_uint_fast64_t requests, bytes_from_guest, bytes_to_guest;
        atomic_uint_fast32_t outstanding, lent; /* lent: those of them that wait for input */
        atomic_uint_fast64_t throttled;         /* times that its device's rate made it wait */
};

struct lane {
        struct lane_events events;
        struct fd_duplex ends; /* of the pipes to the worker; none: none is attached */
        bool faulted;          /* the attached worker is finished; reported once */
        unsigned hold;         /* > 0: nothing is taken off any ring */
        struct guest_memory *memory;
        struct request_table requests;
        struct direct_copy direct;                          /* with the attached worker */
        uint32_t n_unsent;                                  /* requests that wait to be sent (again) */
        uint32_t credit_requests, credit_bytes, max_inline; /* of Hello */
        uint32_t used_requests, used_bytes;
        bool single; /* the last frame with requests had one, and nothing else was with the worker */
        struct quota_lane quota; /* of the attached worker */
        uint32_t n_aging;        /* requests with the worker that may not stay there for ever */
        uint32_t n_waits;        /* those of work queues that may (lane_wait.h) */
        uint64_t max_age_ms;
        char age_why[48];
        uint64_t completed; /* by the attached worker */
        uint32_t n_lent;    /* of the outstanding ones: of supply queues */
        enum lane_isolation isolation;
        struct lane_queue *queues;
        unsigned n_queues;
        struct fair fair;
        unsigned next_queue;         /* whose turn it is to be failed */
        bool fails;                  /* everything is (lane_fail.c) */
        const uint8_t *head_widths;  /* of fields that a big-endian guest has in its order (lane_head.h) */
        struct lane_failure failure; /* what is said then, and of a request whose bytes are not there */
        struct rate_limit *rate;     /* the device's, shared by its lanes; NULL: none */
        bool throttled;
        uint64_t wait_ms; /* > 0: until the rate allows the next chain */
        bool again;       /* a turn has left work: it wants another one soon */
        bool more;        /* a turn has ended at its bound; the pipe, which is writable, brings the next */
        struct lane_miss miss;
        struct lane_poll poll;
        struct lane_stay stay;
        atomic_bool told; /* lane_stay_told */
        struct lane_place place;
        struct lane_raw_state raw;
        struct lane_tx tx;
        struct lane_rx rx;
        struct lane_stats stats;
};

/* `queues` are those of the device with index first, first + step, ... below n_device_queues. 0 or -ENOMEM.
 */
int lane_init(struct lane *lane, const struct lane_events *events, unsigned first, unsigned step,
              unsigned n_device_queues);
void lane_done(struct lane *lane);

/* Makes room for what the first Hello has promised; once. 0 or -ENOMEM. */
int lane_configure(struct lane *lane, const struct control_hello *hello);

/* NULL: this lane has no such queue. */
struct lane_queue *lane_queue_find(struct lane *lane, unsigned queue);

/* A worker is ready: takes the ends of its pipes (non-blocking), sends it what its predecessor held, releases held
 * queues. `peer`: where bytes may be copied to; NULL: nowhere. */
void lane_attach(struct lane *lane, struct fd_duplex ends, const struct direct_peer *peer);

/* The worker is finished: closes its pipes; what it held waits for the next one. */
void lane_detach(struct lane *lane);

static inline bool lane_is_attached(const struct lane *lane)
{
        return lane->ends.in >= 0;
}

/* Sends what can be sent. Call after any change, after a kick, and when its pipe is writable. */
void lane_turn(struct lane *lane);

/* Takes what the worker has sent, then a turn. Call when its pipe is readable. */
void lane_readable(struct lane *lane);

/* As lane_readable, but does nothing where nothing has come. False: nothing has. */
bool lane_look(struct lane *lane);

/* This queue has been kicked `count` times (the eventfd's counter): a turn. */
void lane_kicked(struct lane *lane, struct lane_queue *queue, uint64_t count);

bool lane_wants_write(const struct lane *lane);

/* Before a worker is attached; outlives the lane. */
void lane_set_rate(struct lane *lane, struct rate_limit *rate);

/* What lane_fail_begin is to say, and what a request of the device is answered with if its bytes are not there. Before a worker is
 * attached. Without it such a request is given back with nothing written. */
void lane_set_failure(struct lane *lane, const struct lane_failure *failure);

void lane_set_memory(struct lane *lane, struct guest_memory *memory);

/* Starts a queue, held until lane_queue_release. Takes the descriptors on success. Errors as queue_start. */
int lane_queue_start(struct lane *lane, struct lane_queue *queue, const struct queue_layout *layout,
                     const struct queue_features *features, uint32_t base, int kick_fd, int call_fd);
void lane_queue_release(struct lane *lane, struct lane_queue *queue);
/* Takes the descriptor. lane_publish tells of a ring that this has broken. */
void lane_queue_set_call(struct lane_queue *queue, int call_fd);

/* Takes nothing new; queue_drained is reported when nothing is outstanding any more (perhaps at once). What is lent is
 * asked back (lane_supply.h). */
void lane_queue_drain(struct lane *lane, struct lane_queue *queue);

/* Whatever is outstanding on draining queues must fail at the next worker. Only while none is attached. */
void lane_fail_draining(struct lane *lane);

/* Ends a queue; what is outstanding is forgotten unanswered (then no worker may be attached). Returns the
 * next available index. */
uint32_t lane_queue_stop(struct lane *lane, struct lane_queue *queue);

void lane_queue_break(struct lane *lane, struct lane_queue *queue, enum queue_fault fault);

/* Signals the guest. Used by lane_raw.c. */
void lane_signal(struct lane_queue *queue);

/* Used by lane_batch.c, lane_rx.c, lane_fail.c, lane_poll.c and lane_supply.c. */
bool lane_takes_from(const struct lane *lane, const struct lane_queue *queue);
/* A worker that is gone has had it, and what it asks for, or the bytes in it, must not be done twice. Room that is only lent is
 * as good as new. */
bool lane_is_spent(const struct lane_queue *queue, const struct request *request);
/* Asks each ring that nothing was left in for kicks. True: something came in between, so it is too early to sleep. */
bool lane_ask_for_kicks(struct lane *lane);
void lane_worker_fault(struct lane *lane, const char *why);
void lane_complete(struct lane *lane, struct request *request, uint32_t status);
/* The second half of it: the ring is told, and the request ends. */
void lane_finish(struct lane *lane, struct request *request, uint32_t status);
void lane_publish(struct lane *lane);
/* It is no longer with a worker, nor to be sent to one: REQUEST_RETURNED. */
void lane_withdraw(struct lane *lane, struct request *request);
/* ... and is answered, given back or forgotten. */
void lane_release(struct lane *lane, struct lane_queue *queue, struct request *request);
