/* A framed connection on the main loop.
 * Owns its socket and buffers, and frees itself in the last close callback; called by worker_link.c,
 * spawner_client.c and the admin server. TRUST: bytes and descriptors of a worker, a client or the spawner;
 * only their framing is judged here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/frame.h"

#define CHANNEL_RX (FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER)

struct channel {
        uv_poll_t poll;
        uv_timer_t rest;
        uint64_t rest_ms; /* 0: it reads */
        unsigned n_handles;
        int fd;
        bool freed, over;
        const struct channel_ops *ops;
        void *context;
        uint8_t *rx;
        size_t rx_len;
        uint8_t *tx;
        size_t tx_pos, tx_len, tx_size;
        struct fd_set_owned fds;
        size_t fds_end; /* of the bytes of rx that they came with */
};

static void on_ready(uv_poll_t *poll, int status, int events);

static int channel_poll(struct channel *channel)
{
        int events = (channel->rest_ms > 0 ? 0 : UV_READABLE) | (channel->tx_len > 0 ? UV_WRITABLE : 0);

        return uv_poll_start(&channel->poll, events, on_ready);
}

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
                r = channel_poll(channel);
        if (r < 0) {
                free(channel->rx);
                free(channel);
                return r;
        }
        uv_timer_init(loop, &channel->rest);
        channel->n_handles = 2;
        channel->poll.data = channel->rest.data = channel;
        channel->fd = fd;
        channel->ops = ops;
        channel->context = context;
        *ret_channel = channel;
        return 0;
}

static void on_closed(uv_handle_t *handle)
{
        struct channel *channel = handle->data;

        if (--channel->n_handles > 0)
                return;
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
        uv_close((uv_handle_t *)&channel->rest, on_closed);
        return NULL;
}

static void channel_end(struct channel *channel, int error)
{
        if (channel->freed || channel->over)
                return;
        channel->over = true;
        uv_poll_stop(&channel->poll);
        uv_timer_stop(&channel->rest);
        channel->ops->ended(channel->context, error);
}

/* Hands out one frame, which ends at `end`. A read may bring frames without descriptors together with the
 * one behind them that has some, but it ends there: so descriptors belong to the frame in which the read that
 * brought them ended, and to none before it. */
static int channel_hand_out(struct channel *channel, const uint8_t *header, size_t len, size_t end)
{
        struct fd_set_owned none = {.n = 0};
        bool mine = channel->fds_end <= end;
        int r = channel->ops->frame(channel->context, header, len, mine ? &channel->fds : &none);

        if (mine && !channel->freed)
                fd_set_close(&channel->fds);
        return r;
}

/* Hands out the whole frames in the buffer. */
static int channel_deliver(struct channel *channel)
{
        size_t pos = 0;
        int r = 0;

        while (r == 0 && !channel->freed && channel->rx_len - pos >= FRAME_HEAD_BYTES) {
                const uint8_t *at = channel->rx + pos;
                struct frame_head head;

                r = frame_head_check(at, 0, &head);
                if (r < 0 || channel->rx_len - pos - FRAME_HEAD_BYTES < head.header_len)
                        break;
                pos += FRAME_HEAD_BYTES + head.header_len;
                r = channel_hand_out(channel, at + FRAME_HEAD_BYTES, head.header_len, pos);
        }
        memmove(channel->rx, channel->rx + pos, channel->rx_len - pos);
        channel->rx_len -= pos;
        channel->fds_end -= MIN(channel->fds_end, pos);
        return r;
}

/* How much to read. Where descriptors are there already of a frame that is not whole, nothing of the next one comes with its
 * rest: that may have descriptors of its own. */
static size_t channel_room(const struct channel *channel)
{
        size_t room = MIN(CHANNEL_RX - channel->rx_len, (size_t)LIMIT_CONTROL_TURN);
        size_t whole = FRAME_HEAD_BYTES;
        struct frame_head head;

        if (channel->fds.n == 0)
                return room;
        if (channel->rx_len >= FRAME_HEAD_BYTES && frame_head_check(channel->rx, 0, &head) == 0)
                whole += head.header_len;
        return channel->rx_len < whole ? MIN(room, whole - channel->rx_len) : room;
}

/* One read, of a few messages: what is left keeps the socket readable, and others have their turn before it
 * comes to them. False: there was nothing. */
static bool channel_receive(struct channel *channel)
{
        unsigned n_fds = channel->fds.n;
        size_t room = channel_room(channel);
        ssize_t n = fd_pass_recv(channel->fd, channel->rx + channel->rx_len, room, &channel->fds,
                                 channel->ops->max_fds);
        int r;

        if (n == -EAGAIN)
                return false;
        if (n <= 0) {
                channel_end(channel, (int)n);
                return true;
        }
        channel->rx_len += (size_t)n;
        if (channel->fds.n > n_fds)
                channel->fds_end = channel->rx_len;
        r = channel_deliver(channel);
        if (r < 0)
                channel_end(channel, r);
        return true;
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
        channel_poll(channel);
        return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
        struct channel *channel = poll->data;

        /* An error is a peer that went away with bytes of ours unread (and libuv polls no longer): its last
         * words may still be there, and the read says how it ended. */
        if (status < 0) {
                while (!channel->freed && !channel->over && channel_receive(channel))
                        continue;
                channel_end(channel, -ECONNRESET);
                return;
        }
        if (events & UV_READABLE)
                channel_receive(channel);
        if ((events & UV_WRITABLE) && !channel->freed && !channel->over && channel_flush(channel) < 0)
                channel_end(channel, -EPIPE);
}

static void on_rested(uv_timer_t *timer)
{
        struct channel *channel = timer->data;

        channel->rest_ms = 0;
        channel_poll(channel);
}

void channel_rest(struct channel *channel, uint32_t ms)
{
        if (channel->freed || channel->over)
                return;
        channel->rest_ms += ms;
        uv_timer_start(&channel->rest, on_rested, channel->rest_ms, 0);
        channel_poll(channel);
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

int channel_send_fds(struct channel *channel, const uint8_t *header, size_t len, const int *fds,
                     unsigned n_fds)
{
        const struct frame_head head = {.header_len = (uint32_t)len};
        uint8_t bytes[FRAME_HEAD_BYTES];
        const struct iovec iov[] = {{.iov_base = bytes, .iov_len = sizeof(bytes)},
                                    {.iov_base = (void *)(uintptr_t)header, .iov_len = len}};
        ssize_t n;

        if (channel->over || channel->freed)
                return -EPIPE;
        if (channel_unsent(channel) > 0)
                return -ENOBUFS;
        frame_head_make(&head, bytes);
        n = fd_pass_send(channel->fd, iov, 2, fds, n_fds);
        if (n < 0 && n != -EAGAIN)
                return -EPIPE;
        return n == (ssize_t)(sizeof(bytes) + len) ? 0 : -ENOBUFS;
}

size_t channel_unsent(const struct channel *channel)
{
        return channel->tx_len - channel->tx_pos;
}
