/* The channel on which the back-end speaks first (SET_BACKEND_REQ_FD): "the config space has changed", mappings of shared
 * memory regions that are to appear or to go, and translations that are missing.
 *
 * Nothing ever waits for the front end here: it may first ask for the new config space on the main channel, or say the
 * translation there, and newer ones do not look at this channel while they wait on that one. Of changes and mappings one message
 * is outstanding at a time; what is to be said meanwhile stands in line where it belongs (here a change, with its owner a
 * mapping). Misses are what a guest waits for, so several are under way. A front end serves one message after the other: answers
 * come in the order of what they answer, and one that does not is a mistake.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/vhost_user/message.h"

struct backend_channel;

/* What is told to the channel's owner. All optional. */
struct backend_owner {
        void *context;
        void (*answered)(void *context,
                         uint64_t value); /* the message of backend_channel_ask; from the loop */
        void (*miss_answered)(void *context,
                              uint64_t value); /* the oldest of backend_channel_miss; likewise */
        void (*idle)(
            void *context); /* backend_channel_ask or _miss may perhaps be called again; also from _hold and
                                        _config_changed */
        void (*closed)(
            void *
                context); /* the peer's end or mistake: nothing is answered any more; once, and from there, too */
};

/* Takes fd, also on failure; it must be a stream socket (-EBADF). `with_replies`: REPLY_ACK was agreed, so a
 * reply is asked for and read. It is held at first. */
int backend_channel_new(uv_loop_t *loop, int fd, bool with_replies, const struct backend_owner *owner,
                        struct backend_channel **ret_channel);

/* REPLY_ACK was agreed, or no longer. NULL: nothing happens. */
void backend_channel_set_replies(struct backend_channel *channel, bool with_replies);

/* Closes at once; memory goes with the loop's close callback, and nothing more is told. Accepts NULL, returns NULL. */
struct backend_channel *backend_channel_close(struct backend_channel *channel);

/* A suspended back-end says nothing: while it is held no message is begun. NULL: nothing happens. */
void backend_channel_hold(struct backend_channel *channel, bool held);

/* Tells, now or as soon as it may. NULL or a channel that the peer has closed: nothing happens. */
void backend_channel_config_changed(struct backend_channel *channel);

/* May backend_channel_ask be called? NULL: no. */
bool backend_channel_idle(const struct backend_channel *channel);
/* Has the peer closed it? NULL: yes. */
bool backend_channel_is_closed(const struct backend_channel *channel);

/* Sends SHMEM_MAP or SHMEM_UNMAP with its descriptor (-1: none), which stays the caller's; the channel must be idle and have
 * been made with replies. 0: `answered` follows, or `closed`. Negative errno: nothing is told, the channel is closed. */
int backend_channel_ask(struct backend_channel *channel, enum vhost_user_backend_request request,
                        const struct vhost_user_mmap *mmap, int fd);

/* May backend_channel_miss be called? NULL: no. At most LIMIT_IOTLB_MISSES are under way. */
bool backend_channel_may_miss(const struct backend_channel *channel);

/* Asks for a translation; as backend_channel_ask. 0: `miss_answered` follows, or `closed`. */
int backend_channel_miss(struct backend_channel *channel, const struct vhost_user_iotlb *miss);
