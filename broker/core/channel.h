/* A framed connection on the main loop: control channels, the spawner's and the admin clients'. Frames have
 * no payload; descriptors may come beside them. Nothing blocks; what the peer does not read is kept up to a
 * limit.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proto/base/fd.h"

#define CHANNEL_TX_LIMIT (256u * 1024u) /* bytes waiting for a peer that does not read */

struct channel;

struct channel_ops {
        unsigned max_fds; /* that may come with a frame */
        /* A frame came; descriptors that are not taken are closed afterwards. Negative errno ends the
         * connection. */
        int (*frame)(void *context, const uint8_t *header, size_t len, struct fd_set_owned *fds);
        /* The connection has ended, by the peer (0) or by an error; called once, never from channel_send or
         * channel_free. The owner frees it. */
        void (*ended)(void *context, int error);
};

/* Takes fd on success (also closes it later). 0 or negative errno. */
int channel_new(uv_loop_t *loop, int fd, const struct channel_ops *ops, void *context,
                struct channel **ret_channel);

/* Sends or queues one frame. -ENOBUFS: the peer does not read; -EPIPE: it is gone. */
int channel_send(struct channel *channel, const uint8_t *header, size_t len);

/* Bytes that have not been sent yet. */
size_t channel_unsent(const struct channel *channel);

/* Closes; no callback comes any more. Accepts NULL, returns NULL. Allowed inside callbacks. */
struct channel *channel_free(struct channel *channel);
