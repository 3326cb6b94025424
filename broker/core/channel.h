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

/* As the first frame of all, with at most LIMIT_PASS_FDS descriptors beside it, which stay the caller's. -ENOBUFS: bytes wait
 * to be sent, or it cannot be sent whole at once; -EPIPE. */
int channel_send_fds(struct channel *channel, const uint8_t *header, size_t len, const int *fds,
                     unsigned n_fds);

/* Reads nothing for so many milliseconds, beyond those that it rests for already: what the peer says meanwhile waits in its socket. */
void channel_rest(struct channel *channel, uint32_t ms);

/* Bytes that have not been sent yet. */
size_t channel_unsent(const struct channel *channel);

/* Closes; no callback comes any more. Accepts NULL, returns NULL. Allowed inside callbacks. */
struct channel *channel_free(struct channel *channel);
