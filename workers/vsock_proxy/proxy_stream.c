/* The host's ends of streams: sockets that were connected or accepted.
 * Owns their descriptors and buffers; called by proxy.c, proxy_client.c and proxy_worker.c. TRUST: bytes are the guest's or the
 * host's and not looked at; ports are the guest's and become digits of a file's name.
 *
 * Sockets are watched edge by edge: what epoll has said holds until a call says otherwise, so a stream that may not be read for
 * want of credit costs nothing while it waits.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "workers/vsock_proxy/proxy.h"
#include "workers/vsock_proxy/proxy_connect.h"

#define FIRST_PORT   (1u << 30)               /* of those that clients are given; as others do it */
#define CREDIT_STEP  (LIMIT_VSOCK_BUFFER / 4) /* bytes gone that are worth a frame, ... */
#define CREDIT_LOW   (LIMIT_VSOCK_BUFFER / 2) /* ... or fewer, when the worker knows of so little room */
#define STREAM_WATCH (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

#define MAY(state) (1u << (state))

/* Any state may be forgotten, which is FREE. */
static const unsigned next[STREAM_STATE_COUNT_] = {
    [STREAM_FREE] = MAY(STREAM_CONNECTING) | MAY(STREAM_OFFERED),
    [STREAM_CONNECTING] = MAY(STREAM_OPEN) | MAY(STREAM_ENDED) | MAY(STREAM_FREE),
    [STREAM_OFFERED] = MAY(STREAM_OPEN) | MAY(STREAM_ENDED) | MAY(STREAM_FREE),
    [STREAM_OPEN] = MAY(STREAM_ENDED) | MAY(STREAM_FREE),
    [STREAM_ENDED] = MAY(STREAM_FREE),
};

static void stream_set(struct proxy *proxy, struct proxy_stream *stream, enum proxy_stream_state state)
{
        assert(next[stream->state] & MAY(state));
        proxy->n_connecting -= stream->state == STREAM_CONNECTING;
        proxy->n_connecting += state == STREAM_CONNECTING;
        stream->state = state;
}

uint32_t proxy_stream_id(const struct proxy *proxy, const struct proxy_stream *stream)
{
        return (uint32_t)(stream - proxy->streams);
}

/* Of a FREE one, all but its places in lists. */
static void stream_begin(struct proxy_stream *stream, int fd, bool seqpacket, uint32_t guest_port,
                         uint32_t host_port)
{
        *stream = (struct proxy_stream){.fd = fd,
                                        .seqpacket = seqpacket,
                                        .guest_port = guest_port,
                                        .host_port = host_port,
                                        .listed = stream->listed,
                                        .ready = stream->ready,
                                        .next_owed = stream->next_owed,
                                        .next_ready = stream->next_ready};
}

void proxy_stream_owe(struct proxy *proxy, struct proxy_stream *stream, uint8_t what)
{
        stream->owed |= what;
        if (stream->listed)
                return;
        stream->listed = true;
        stream->next_owed = NULL;
        *(proxy->owed_last ? &proxy->owed_last->next_owed : &proxy->owed_first) = stream;
        proxy->owed_last = stream;
}

/* ---- ends ---- */

static void stream_close(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->fd >= 0)
                close(stream->fd);
        stream->fd = -1;
        proxy_buffer_drop(&proxy->pool, &stream->buffer, stream->buffer.len);
}

void proxy_stream_forget(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->state == STREAM_FREE)
                return;
        stream_close(proxy, stream);
        stream_set(proxy, stream, STREAM_FREE);
        stream->owed = 0;
}

static void stream_try_free(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->end_said && stream->end_heard)
                proxy_stream_forget(proxy, stream);
}

void proxy_stream_end(struct proxy *proxy, struct proxy_stream *stream)
{
        stream_close(proxy, stream);
        stream_set(proxy, stream, STREAM_ENDED);
        if (stream->owed & OWE_OFFER) { /* of which the worker has never heard */
                proxy_stream_forget(proxy, stream);
                return;
        }
        stream->owed = 0;
        proxy_stream_owe(proxy, stream, OWE_END);
}

void proxy_stream_end_said(struct proxy *proxy, struct proxy_stream *stream)
{
        stream->end_said = true;
        stream_try_free(proxy, stream);
}

void proxy_stream_end_heard(struct proxy *proxy, struct proxy_stream *stream)
{
        stream->end_heard = true;
        if (stream->state != STREAM_ENDED)
                proxy_stream_end(proxy, stream);
        else
                stream_try_free(proxy, stream);
}

/* ---- the guest connects ---- */

static int stream_connect(const struct proxy *proxy, const struct proxy_stream *stream)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", proxy->name, stream->host_port);

        if (n < 0 || (size_t)n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        return connect(stream->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* Nobody there, or nobody who may: that is an RST for the guest, and nothing to log. */
static void stream_try(struct proxy *proxy, struct proxy_stream *stream)
{
        uint32_t id = proxy_stream_id(proxy, stream);
        int r = stream_connect(proxy, stream);

        if (r == -EAGAIN)
                return;
        if (r == 0)
                r = proxy_watch(proxy, stream->fd, STREAM_WATCH, SOURCE_STREAM, id);
        if (r < 0) {
                proxy_stream_end(proxy, stream);
                return;
        }
        stream_set(proxy, stream, STREAM_OPEN);
        proxy_stream_owe(proxy, stream, OWE_OPENED);
}

void proxy_stream_open(struct proxy *proxy, struct proxy_stream *stream, const struct vsock_frame *frame)
{
        bool seqpacket = frame->flags & VSOCK_FRAME_SEQPACKET;
        int type = seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;

        stream_begin(stream, -1, seqpacket, frame->a, frame->b);
        stream_set(proxy, stream, STREAM_CONNECTING);
        stream->since_ms = proxy_now_ms();
        stream->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (stream->fd < 0) {
                log_limited(LOG_LEVEL_WARNING, "no socket for a connection of the guest: errno=%d", errno);
                proxy_stream_end(proxy, stream);
                return;
        }
        stream_try(proxy, stream);
}

void proxy_stream_tick(struct proxy *proxy, uint64_t now_ms)
{
        for (uint32_t i = 0; i < LIMIT_VSOCK_STREAMS && proxy->n_connecting > 0; i++) {
                struct proxy_stream *stream = &proxy->streams[i];

                if (stream->state != STREAM_CONNECTING)
                        continue;
                if (now_ms - stream->since_ms > LIMIT_VSOCK_HALF_OPEN_MS)
                        proxy_stream_end(proxy, stream);
                else
                        stream_try(proxy, stream);
        }
}

/* ---- a client connects ---- */

static struct proxy_stream *stream_find_free(struct proxy *proxy)
{
        for (uint32_t i = 0; i < LIMIT_VSOCK_STREAMS; i++) {
                uint32_t at = LIMIT_VSOCK_STREAMS + (proxy->last_stream + 1 + i) % LIMIT_VSOCK_STREAMS;

                if (proxy->streams[at].state != STREAM_FREE)
                        continue;
                proxy->last_stream = at - LIMIT_VSOCK_STREAMS;
                return &proxy->streams[at];
        }
        return NULL;
}

static uint32_t stream_new_port(struct proxy *proxy)
{
        proxy->last_port = MAX(FIRST_PORT, (proxy->last_port + 1) % (2 * FIRST_PORT));
        return proxy->last_port;
}

bool proxy_stream_offer(struct proxy *proxy, int fd, bool seqpacket, uint32_t guest_port)
{
        struct proxy_stream *stream = stream_find_free(proxy);

        if (!stream)
                return false;
        stream_begin(stream, fd, seqpacket, guest_port, stream_new_port(proxy));
        stream_set(proxy, stream, STREAM_OFFERED);
        proxy_stream_owe(proxy, stream, OWE_OFFER);
        if (proxy_watch(proxy, fd, STREAM_WATCH, SOURCE_STREAM, proxy_stream_id(proxy, stream)) < 0)
                proxy_stream_end(proxy, stream);
        return true;
}

void proxy_stream_offer_again(struct proxy *proxy, struct proxy_stream *stream)
{
        stream->host_port = stream_new_port(proxy);
        proxy_stream_owe(proxy, stream, OWE_OFFER);
}

void proxy_stream_accept(struct proxy *proxy, struct proxy_stream *stream)
{
        char line[PROXY_ANSWER_MAX];
        size_t len = proxy_connect_answer(stream->host_port, line);

        stream_set(proxy, stream, STREAM_OPEN);
        if (write(stream->fd, line, len) !=
            (ssize_t)len) /* nothing was written before, so it fits, or the client is gone */
                proxy_stream_end(proxy, stream);
}

/* ---- bytes of the guest ---- */

static void stream_consume(struct proxy *proxy, struct proxy_stream *stream, uint32_t len)
{
        uint32_t news;

        stream->consumed += len;
        news = stream->consumed - stream->consumed_told;
        if (news >= CREDIT_STEP || LIMIT_VSOCK_BUFFER - (stream->took - stream->consumed_told) <= CREDIT_LOW)
                proxy_stream_owe(proxy, stream, OWE_CONSUMED);
}

/* Bytes written; 0: not now. The host takes no more: all of them are gone. */
static uint32_t stream_write(struct proxy *proxy, struct proxy_stream *stream, const struct iovec *spans,
                             unsigned n_spans, uint32_t len)
{
        ssize_t n;

        if (!stream->writable && !stream->deaf)
                return 0;
        n = stream->deaf ? (ssize_t)len : writev(stream->fd, spans, (int)n_spans);
        if (n >= 0)
                return (uint32_t)n;
        proxy->starved |= proxy_no_memory(errno);
        if (errno == EAGAIN || proxy_no_memory(errno)) {
                stream->writable = false;
                return 0;
        }
        stream->deaf = true;
        proxy_stream_owe(proxy, stream, OWE_SHUT);
        return len;
}

/* The guest's SHUTDOWN, when there is nothing before it any more. */
static void stream_pass_shut(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->buffer.len > 0 || !stream->no_send)
                return;
        if (stream->no_take) {
                proxy_stream_end(proxy, stream);
                return;
        }
        if (!stream->shut_sent)
                shutdown(stream->fd, SHUT_WR);
        stream->shut_sent = true;
}

static uint32_t spans_len(const struct iovec *spans, unsigned n)
{
        size_t len = 0;

        for (unsigned i = 0; i < n; i++)
                len += spans[i].iov_len;
        return (uint32_t)len;
}

/* What is buffered, as far as the host takes it. */
static void stream_flush(struct proxy *proxy, struct proxy_stream *stream)
{
        struct iovec spans[PROXY_SPANS];

        while (stream->buffer.len > 0) {
                uint32_t len = 0, n;
                unsigned n_spans = stream->seqpacket ? proxy_buffer_message(&stream->buffer, spans, &len)
                                                     : proxy_buffer_spans(&stream->buffer, spans);

                if (n_spans == 0 && stream->no_send) /* the rest of the message will not come: it is none */
                        proxy_buffer_drop(&proxy->pool, &stream->buffer, stream->buffer.len);
                if (n_spans == 0) /* the message is not whole */
                        break;
                if (!stream->seqpacket)
                        len = spans_len(spans, n_spans);
                n = stream_write(proxy, stream, spans, n_spans, len);
                if (n == 0)
                        break;
                proxy_buffer_drop(&proxy->pool, &stream->buffer, n);
                stream_consume(proxy, stream, n);
        }
        stream_pass_shut(proxy, stream);
}

void proxy_stream_take(struct proxy *proxy, struct proxy_stream *stream, const uint8_t *bytes, uint32_t len,
                       bool eom)
{
        uint32_t n = 0;

        stream->took += len;
        if (stream->buffer.len == 0 && (eom || !stream->seqpacket))
                n = stream_write(proxy, stream, &(struct iovec){(void *)bytes, len}, 1, len);
        if (n > 0)
                stream_consume(proxy, stream, n);
        if (n == len)
                return;
        if (proxy_buffer_put(&proxy->pool, &stream->buffer, bytes + n, len - n, eom)) {
                stream_flush(proxy, stream);
                return;
        }
        log_limited(LOG_LEVEL_WARNING, "too many bytes that nobody takes: a connection to port %u is reset",
                    stream->host_port);
        proxy_stream_end(proxy, stream);
}

void proxy_stream_feed(struct proxy *proxy)
{
        for (uint32_t i = 0; i < VSOCK_FRAME_IDS; i++) {
                struct proxy_stream *stream = &proxy->streams[i];

                if (stream->state != STREAM_OPEN || stream->buffer.len == 0)
                        continue;
                stream->writable = true;
                stream_flush(proxy, stream);
        }
}

void proxy_stream_shut(struct proxy *proxy, struct proxy_stream *stream, bool no_send, bool no_take)
{
        if (no_take && !stream->no_take)
                shutdown(stream->fd, SHUT_RD);
        stream->no_send |= no_send;
        stream->no_take |= no_take;
        stream_flush(proxy, stream);
}

/* ---- bytes of the host ---- */

/* Room that the guest has for more. */
static uint32_t stream_room(const struct proxy_stream *stream)
{
        return stream->limit - stream->sent;
}

static void stream_make_ready(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->ready || stream->state != STREAM_OPEN || !stream->readable || stream->eof ||
            stream_room(stream) == 0)
                return;
        stream->ready = true;
        stream->next_ready = NULL;
        *(proxy->ready_last ? &proxy->ready_last->next_ready : &proxy->ready_first) = stream;
        proxy->ready_last = stream;
}

void proxy_stream_credit(struct proxy *proxy, struct proxy_stream *stream, uint32_t limit, uint32_t window)
{
        stream->limit = limit;
        stream->window = window;
        stream_make_ready(proxy, stream);
}

/* Are there bytes behind an empty message? recv says 0 of that as it does of the end. */
static bool stream_has_more(const struct proxy_stream *stream)
{
        int n;

        return ioctl(stream->fd, FIONREAD, &n) == 0 && n > 0;
}

/* Nothing came: an empty message, which no guest can be given, or the end. Nobody sends any more when the end has been seen. */
static bool stream_is_over(const struct proxy_stream *stream)
{
        return !stream->seqpacket || ((stream->hup || stream->eof_seen) && !stream_has_more(stream));
}

/* The host sends no more; perhaps it takes still. */
static void stream_eof(struct proxy *proxy, struct proxy_stream *stream)
{
        stream->eof = true;
        if (stream->hup)
                proxy_stream_end(proxy, stream);
        else
                proxy_stream_owe(proxy, stream, OWE_SHUT);
}

/* How much to ask for; 0: not now; negative: as recv says. A message is taken whole, when there is room for it; one that comes
 * when there was none yet is looked at first, too. */
static ssize_t stream_ask(struct proxy_stream *stream)
{
        uint32_t room = MIN(stream_room(stream), LIMIT_VSOCK_BUFFER);
        ssize_t n;

        if (!stream->seqpacket)
                return room;
        n = recv(stream->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0)
                return n;
        if (n == 0)
                return 1; /* an empty message or the end: the next call tells, and takes it out */
        stream->oversized = n > LIMIT_VSOCK_BUFFER || n > stream->window;
        return n <= room ? n : 0;
}

static void stream_read(struct proxy *proxy, struct proxy_stream *stream)
{
        ssize_t n, len = stream_ask(stream);

        if (stream->oversized) {
                log_limited(LOG_LEVEL_WARNING,
                            "a message of the host is too long: a connection to port %u is reset",
                            stream->guest_port);
                proxy_stream_end(proxy, stream);
                return;
        }
        if (len == 0)
                return; /* and CREDIT makes it ready again */
        n = len < 0 ? len : recv(stream->fd, proxy->out + VSOCK_FRAME_BYTES, (size_t)len, MSG_DONTWAIT);
        if (n > 0) {
                stream->sent += (uint32_t)n;
                proxy_worker_send_bytes(proxy, proxy_stream_id(proxy, stream), (uint32_t)n,
                                        stream->seqpacket);
                stream_make_ready(proxy, stream);
                return;
        }
        if (n < 0 && errno == EAGAIN)
                stream->readable = false;
        else if (n < 0 && errno != EINTR)
                proxy_stream_end(proxy, stream);
        else if (n < 0 || !stream_is_over(stream))
                stream_make_ready(proxy, stream);
        else
                stream_eof(proxy, stream);
}

bool proxy_stream_pump(struct proxy *proxy)
{
        struct proxy_stream *stream = proxy->ready_first;

        if (!stream || proxy->full || proxy->out_len > 0)
                return false;
        proxy->ready_first = stream->next_ready;
        if (!proxy->ready_first)
                proxy->ready_last = NULL;
        stream->ready = false;
        if (stream->state == STREAM_OPEN && stream->readable && !stream->eof && !stream->no_take)
                stream_read(proxy, stream);
        return true;
}

/* ---- epoll ---- */

void proxy_stream_ready(struct proxy *proxy, uint32_t index, uint32_t events)
{
        struct proxy_stream *stream = &proxy->streams[index];

        if (stream->state != STREAM_OFFERED && stream->state != STREAM_OPEN) /* closed since */
                return;
        stream->readable |= events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        stream->writable |= events & EPOLLOUT;
        stream->hup |= events & (EPOLLHUP | EPOLLERR);
        stream->eof_seen |= events & (EPOLLRDHUP | EPOLLHUP);
        if (stream->hup && (stream->eof || stream->no_take || stream->state == STREAM_OFFERED)) {
                proxy_stream_end(proxy, stream);
                return;
        }
        stream_make_ready(proxy, stream);
        if (stream->writable && stream->state == STREAM_OPEN)
                stream_flush(proxy, stream);
}
