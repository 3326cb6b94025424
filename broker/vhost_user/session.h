/* One front end's connection, from accept to its end.
 *
 * How it works: bytes are put together to one message, the message is judged by its row in the table and
 * served, its answer or acknowledgement is queued, then the next is read. Order is the protocol: a message
 * that ends in a callback (a queue drains, a config write reaches the worker) puts the session in WAITING,
 * where it reads nothing and looks for the peer's end only. Every mistake ends in session_end: the device's
 * queues are dropped without waiting for anyone, the memory and all descriptors go, and the listener may
 * accept the next front end at once.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/device.h"
#include "broker/vhost_user/assembly.h"
#include "broker/vhost_user/backend_channel.h"
#include "broker/vhost_user/family.h"
#include "broker/vhost_user/iotlb_misses.h"
#include "broker/vhost_user/memory_table.h"
#include "broker/vhost_user/output.h"
#include "broker/vhost_user/rings.h"
#include "broker/vhost_user/shmem_views.h"
#include "proto/rpc.h"

/* NEGOTIATING: the driver's features are not known (at first, and after a device reset); rings cannot be set
 * up. CONFIGURED:  SET_FEATURES has come; everything is permitted that the rings permit. WAITING:     a
 * message is being served; no other is read. Left for the state before it, or for ENDED. ENDED: descriptors
 * and memory are gone; only the close callback is awaited. */
enum session_state {
        SESSION_NEGOTIATING = 0,
        SESSION_CONFIGURED,
        SESSION_WAITING,
        SESSION_ENDED,
        SESSION_STATE_COUNT_,
};

struct session;

struct session {
        uv_poll_t poll;
        int fd; /* -1: ended */
        struct device *device;
        enum session_state state;
        enum session_state state_behind; /* WAITING: where it goes on */
        struct ring *draining; /* WAITING: the ring that is drained; NULL: something else is awaited */
        struct rpc_peer peer;  /* `agreed`: the protocol features */
        uint64_t features;     /* of SET_FEATURES, masked with what was offered */
        bool
            touched; /* the worker has been given something of this session, or of the state before a reset */
        bool broken; /* a ring broke, and the device was not reset since */
        bool told_unshared;   /* the hint about memory sharing has been logged */
        bool config_deferred; /* the config space changed while no ring ran */
        const struct vhost_user_family
            *family; /* with shared memory regions, which come and go in the memory table; NULL: none */
        struct assembly input;
        struct output output;
        struct memory_table memory;
        struct rings rings;
        struct backend_channel *channel; /* NULL: none */
        bool translating; /* layouts and buffers hold I/O virtual addresses, and the front end translates */
        struct iotlb_misses *misses;  /* NULL: it never was */
        struct shmem_views *views;    /* NULL: the front end does not speak of shared memory regions */
        void (*ended)(void *context); /* once, from session_end */
        void *ended_context;
};

/* Takes fd, also on failure. The session frees itself after its end. `family` (may be NULL) outlives it. */
int session_new(uv_loop_t *loop, struct device *device, int fd, const struct vhost_user_family *family,
                void (*ended)(void *context), void *ended_context, struct session **ret_session);

/* Ends it for `error` (-EPIPE: the peer has closed; 0: our own wish). Calls `ended` unless it had ended
 * before. */
void session_end(struct session *session, int error);

/* For the device's word. */
void session_config_changed(struct session *session);
void session_ring_broken(struct session *session, unsigned queue);
void session_ring_suspicious(struct session *session, unsigned queue);
bool session_shmem_show(struct session *session, struct shmem_mapping *mapping);
void session_shmem_hide(struct session *session, struct shmem_mapping *mapping);
void session_iotlb_miss(struct session *session, uint64_t iova, unsigned rights);

/* Does the front end still show its guest this file in a region of the device, or has it been asked to? */
bool session_shows(const struct session *session, uint64_t dev, uint64_t ino);

/* ---- for the handlers (serve_*.c) ----
 * A handler returns SERVED, REFUSED (the peer is told where it asked for an acknowledgement; the session
 * lives on) or a negative errno, which ends the session. */
#define SERVED  0
#define REFUSED 1

void session_set_state(struct session *session, enum session_state state);

/* Queues an answer to the message that is being served. Its row says `answers`. */
int session_answer(struct session *session, const void *payload, size_t len);
int session_answer_u64(struct session *session, uint64_t value);

/* Puts the session in WAITING, before the call whose callback (context: the session) will end it. A device
 * reset cancels such callbacks, and session_end resets the device: so the session is there when one comes. */
void session_wait(struct session *session, struct ring *draining);
/* The callback has come, or the call could not be made. */
void session_wait_end(struct session *session);
/* Acknowledges the message with what its handler would have returned, and goes on reading. */
void session_resume(struct session *session, int result);

/* Device reset, when the worker has seen anything that must be forgotten. */
void session_reset_device(struct session *session);

/* What the back-end may say of itself hangs on the rings: to be called when one has started, stopped, or is about to. */
void session_update_speech(struct session *session);

/* Takes fd, also on failure: the channel on which the back-end speaks first, in place of the last. */
int session_set_channel(struct session *session, int fd, bool with_replies);

/* Shared memory regions were agreed, or not. 0 or -ENOMEM. */
int session_set_views(struct session *session, bool wanted);

/* ACCESS_PLATFORM was agreed, or not. 0; -EBUSY: a ring runs, and it is not as it was; -ENOMEM. */
int session_set_translating(struct session *session, bool wanted);

/* The last ring has stopped: nothing of what was translated holds until the next one starts. */
void session_drop_translations(struct session *session);

/* Looks at a ring (NULL: at all) after KICK, ENABLE or SET_FEATURES. A handler's result. */
int session_start_rings(struct session *session, struct ring *ring);

/* Logs once that guest memory is not shared, with the remedy. */
void session_tell_unshared(struct session *session);
