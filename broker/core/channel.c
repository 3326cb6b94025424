/* A framed connection on the main loop.
 * Owns its socket and buffers, and frees itself in the last close callback; called by worker_link.c,
 * spawner_client.c and the admin server. TRUST: bytes and descriptors of a worker, a client or the spawner;
 * only their framing is judged here. SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "proto/frame.h"

#define CHANNEL_RX (FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER)

struct channel {
        uv_poll_t poll;
        int fd;
        bool freed, over;
        const struct channel_ops *ops;
        void *context;
        uint8_t *rx;
        size_t rx_len;
        uint8_t *tx;
        size_t tx_pos, tx_len, tx_size;
        struct fd_set_owned fds;
};

static void on_ready(uv_poll_t *poll, int status, int events);

int channel_new(uv_loop_t *loop, int fd, const struct channel_ops *ops, void *context,
                struct channel **ret_channel)
{
        struct channel *channel = calloc(1, sizeof(*channel));
        int r = -ENOMEM;

        if (!channel)
                return r;
        channel->rx = malloc(CHANNEL_RX);
        if (channel->rx)
                r = uv_poll_init(loop, &channel->poll, fd); /* makes fd non-blocking */
        if (r == 0)
                r = uv_poll_start(&channel->poll, UV_READABLE, on_ready);
        if (r < 0) {
                free(channel->rx);
                free(channel);
                return r;
        }
        channel->poll.data = channel;
        channel->fd = fd;
        channel->ops = ops;
        channel->context = context;
        *ret_channel = channel;
        return 0;
}

static void on_closed(uv_handle_t *handle)
{
        struct channel *channel = handle->data;

        close(channel->fd);
        free(channel->rx);
        free(channel->tx);
        free(channel);
}

struct channel *channel_free(struct channel *channel)
{
        if (!channel || channel->freed)
                return NULL;
        channel->freed = true;
        fd_set_close(&channel->fds);
        uv_close((uv_handle_t *)&channel->poll, on_closed);
        return NULL;
}

static void channel_end(struct channel *channel, int error)
{
        if (channel->freed || channel->over)
                return;
        channel->over = true;
        uv_poll_stop(&channel->poll);
        channel->ops->ended(channel->context, error);
}

/* Hands out the whole frames in the buffer. */
static int channel_deliver(struct channel *channel)
{
        size_t pos = 0;
        int r = 0;

        while (r == 0 && !channel->freed && channel->rx_len - pos >= FRAME_HEAD_BYTES) {
                struct frame_head head;

                r = frame_head_check(channel->rx + pos, 0, &head);
                if (r < 0 || channel->rx_len - pos - FRAME_HEAD_BYTES < head.header_len)
                        break;
                r = channel->ops->frame(channel->context, channel->rx + pos + FRAME_HEAD_BYTES,
                                        head.header_len, &channel->fds);
                pos += FRAME_HEAD_BYTES + head.header_len;
                if (!channel->freed)
                        fd_set_close(&channel->fds);
        }
        memmove(channel->rx, channel->rx + pos, channel->rx_len - pos);
        channel->rx_len -= pos;
        return r;
}

static void channel_receive(struct channel *channel)
{
        ssize_t n = fd_pass_recv(channel->fd, channel->rx + channel->rx_len, CHANNEL_RX - channel->rx_len,
                                 &channel->fds, channel->ops->max_fds);
        int r;

        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                channel_end(channel, (int)n);
                return;
        }
        channel->rx_len += (size_t)n;
        r = channel_deliver(channel);
        if (r < 0)
                channel_end(channel, r);
}

static int channel_flush(struct channel *channel)
{
        while (channel->tx_pos < channel->tx_len) {
                ssize_t n = send(channel->fd, channel->tx + channel->tx_pos,
                                 channel->tx_len - channel->tx_pos, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        channel->tx_pos += (size_t)n;
        }
        if (channel->tx_pos == channel->tx_len)
                channel->tx_pos = channel->tx_len = 0;
        uv_poll_start(&channel->poll, UV_READABLE | (channel->tx_len > 0 ? UV_WRITABLE : 0), on_ready);
        return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
        struct channel *channel = poll->data;

        if (status < 0) {
                channel_end(channel, status);
                return;
        }
        if (events & UV_READABLE)
                channel_receive(channel);
        if ((events & UV_WRITABLE) && !channel->freed && !channel->over && channel_flush(channel) < 0)
                channel_end(channel, -EPIPE);
}

static int channel_reserve(struct channel *channel, size_t len)
{
        size_t size = channel->tx_size ? channel->tx_size : 4096;
        uint8_t *tx;

        if (channel->tx_pos > 0) {
                memmove(channel->tx, channel->tx + channel->tx_pos, channel->tx_len - channel->tx_pos);
                channel->tx_len -= channel->tx_pos;
                channel->tx_pos = 0;
        }
        if (len > CHANNEL_TX_LIMIT || channel->tx_len > CHANNEL_TX_LIMIT - len)
                return -ENOBUFS;
        while (size < channel->tx_len + len)
                size *= 2;
        if (size == channel->tx_size)
                return 0;
        tx = realloc(channel->tx, size);
        if (!tx)
                return -ENOBUFS;
        channel->tx = tx;
        channel->tx_size = size;
        return 0;
}

int channel_send(struct channel *channel, const uint8_t *header, size_t len)
{
        struct frame_head head = {.header_len = (uint32_t)len};
        int r;

        if (channel->over || channel->freed)
                return -EPIPE;
        r = channel_reserve(channel, FRAME_HEAD_BYTES + len);
        if (r < 0)
                return r;
        frame_head_make(&head, channel->tx + channel->tx_len);
        memcpy(channel->tx + channel->tx_len + FRAME_HEAD_BYTES, header, len);
        channel->tx_len += FRAME_HEAD_BYTES + len;
        return channel_flush(channel) < 0 ? -EPIPE : 0;
}

size_t channel_unsent(const struct channel *channel)
{
        return channel->tx_len - channel->tx_pos;
}
