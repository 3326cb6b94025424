/* Frames from the worker and to it.
 * Owns nothing; called by proxy.c and proxy_stream.c. TRUST: frames are the worker's, which a guest may have taken over: the
 * form is judged by vsock_frame_check, the turn here. After the first that is wrong nothing is heard any more before the HELLO
 * of a successor; all streams are ended, so that no host program goes on talking to it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "workers/vsock_proxy/proxy.h"

/* ---- to the worker ---- */

/* A frame without bytes, or with those behind its head. False: not now, or there is nobody. */
static bool worker_write(struct proxy *proxy, const uint8_t *bytes, size_t len)
{
        if (proxy->full)
                return false;
        if (write(proxy->worker_fd, bytes, len) >= 0)
                return true;
        proxy->starved |= proxy_no_memory(errno);
        proxy->full = errno == EAGAIN || proxy_no_memory(errno);
        return !proxy->full; /* a socket that is closed: proxy_worker_receive sees it */
}

static bool worker_send(struct proxy *proxy, const struct vsock_frame *frame)
{
        uint8_t head[VSOCK_FRAME_BYTES];

        vsock_frame_make(frame, head);
        return worker_write(proxy, head, sizeof(head));
}

void proxy_worker_send_bytes(struct proxy *proxy, uint32_t stream, uint32_t len, bool eom)
{
        const struct vsock_frame frame = {
            .kind = VSOCK_FRAME_DATA, .flags = eom ? VSOCK_FRAME_EOM : 0, .len = len, .stream = stream};

        vsock_frame_make(&frame, proxy->out);
        if (!worker_write(proxy, proxy->out, VSOCK_FRAME_BYTES + len))
                proxy->out_len = VSOCK_FRAME_BYTES + len;
}

/* WELCOME, and which streams there were. */
static bool worker_greet(struct proxy *proxy)
{
        const struct vsock_frame welcome = {
            .kind = VSOCK_FRAME_WELCOME, .a = proxy->welcome[0], .b = proxy->welcome[1]};

        if (proxy->welcome_owed && !worker_send(proxy, &welcome))
                return false;
        proxy->welcome_owed = false;
        while (proxy->lost_at < proxy->n_lost) {
                uint8_t bytes[VSOCK_FRAME_BYTES + VSOCK_LOST_MAX * VSOCK_LOST_BYTES];
                uint32_t n = MIN(proxy->n_lost - proxy->lost_at, VSOCK_LOST_MAX);
                const struct vsock_frame frame = {.kind = VSOCK_FRAME_LOST, .len = n * VSOCK_LOST_BYTES};

                vsock_frame_make(&frame, bytes);
                for (uint32_t i = 0; i < n; i++)
                        vsock_lost_make(&proxy->lost[proxy->lost_at + i],
                                        bytes + VSOCK_FRAME_BYTES + i * VSOCK_LOST_BYTES);
                if (!worker_write(proxy, bytes, VSOCK_FRAME_BYTES + frame.len))
                        return false;
                proxy->lost_at += n;
        }
        return true;
}

static struct vsock_frame worker_make(const struct proxy_stream *stream, uint8_t what)
{
        struct vsock_frame frame = {0};

        if (what == OWE_OPENED) {
                frame.kind = VSOCK_FRAME_OPENED;
        } else if (what == OWE_OFFER) {
                frame.kind = VSOCK_FRAME_OFFER;
                frame.flags = stream->seqpacket ? VSOCK_FRAME_SEQPACKET : 0;
                frame.a = stream->guest_port;
                frame.b = stream->host_port;
        } else if (what == OWE_CONSUMED) {
                frame.kind = VSOCK_FRAME_CONSUMED;
                frame.a = stream->consumed;
        } else if (what == OWE_SHUT) {
                frame.kind = VSOCK_FRAME_SHUT;
                frame.flags |= stream->eof ? VSOCK_FRAME_NO_SEND : 0;
                frame.flags |= stream->deaf ? VSOCK_FRAME_NO_TAKE : 0;
        } else {
                frame.kind = VSOCK_FRAME_END;
        }
        return frame;
}

/* All that one stream owes. */
static bool worker_flush_one(struct proxy *proxy, struct proxy_stream *stream)
{
        for (unsigned i = 0; i < OWE_PROXY_COUNT; i++) {
                uint8_t what = (uint8_t)(1u << i);
                struct vsock_frame frame;

                if (!(stream->owed & what))
                        continue;
                frame = worker_make(stream, what);
                frame.stream = proxy_stream_id(proxy, stream);
                if (!worker_send(proxy, &frame))
                        return false;
                stream->owed &= (uint8_t)~what;
                if (what == OWE_CONSUMED)
                        stream->consumed_told = stream->consumed;
                if (what == OWE_END)
                        proxy_stream_end_said(proxy, stream);
        }
        return true;
}

bool proxy_worker_flush(struct proxy *proxy)
{
        if (!proxy->serving)
                return true;
        if (!worker_greet(proxy))
                return false;
        if (proxy->out_len > 0 && !worker_write(proxy, proxy->out, proxy->out_len))
                return false;
        proxy->out_len = 0;
        while (proxy->owed_first) {
                struct proxy_stream *stream = proxy->owed_first;

                if (stream->owed != 0 && !worker_flush_one(proxy, stream))
                        return false;
                proxy->owed_first = stream->next_owed;
                if (!proxy->owed_first)
                        proxy->owed_last = NULL;
                stream->listed = false;
        }
        return true;
}

/* ---- from the worker ---- */

/* The guest must hear of it that they are no more. A client that waits for its answer need not: it is offered again. Where silent
 * workers have followed each other there may be no room for all: those are such clients' then. */
static void worker_lose(struct proxy *proxy, struct proxy_stream *stream)
{
        if (stream->state == STREAM_FREE)
                return;
        if (proxy->n_lost < VSOCK_FRAME_IDS)
                proxy->lost[proxy->n_lost++] = (struct vsock_lost){.guest_port = stream->guest_port,
                                                                   .host_port = stream->host_port,
                                                                   .seqpacket = stream->seqpacket};
        if (stream->state == STREAM_OFFERED)
                proxy_stream_offer_again(proxy, stream);
        else
                proxy_stream_forget(proxy, stream);
}

/* A predecessor that has said nothing may have died before its guest was told what it was told: an RST too many does no harm. */
static void worker_hello(struct proxy *proxy, const struct vsock_frame *frame)
{
        proxy->lost_at = 0;
        if (proxy->heard)
                proxy->n_lost = 0;
        proxy->heard = false;
        proxy->out_len = 0;
        for (uint32_t i = 0; i < VSOCK_FRAME_IDS; i++)
                worker_lose(proxy, &proxy->streams[i]);
        proxy->welcome[0] = frame->a;
        proxy->welcome[1] = frame->b;
        proxy->welcome_owed = true;
        proxy->serving = true;
}

/* No program of the host goes on talking to a worker that has been taken over; its successor hears which streams there were. */
static void worker_expel(struct proxy *proxy)
{
        log_limited(LOG_LEVEL_WARNING, "the worker has said what it must not say: it is not heard any more");
        proxy->serving = false;
        proxy->out_len = 0;
        for (uint32_t i = 0; i < VSOCK_FRAME_IDS; i++) {
                struct proxy_stream *stream = &proxy->streams[i];

                if (stream->state != STREAM_FREE && stream->state != STREAM_ENDED)
                        proxy_stream_end(proxy, stream);
        }
}

/* Bytes for the host; and only as many as there is room for. */
static bool worker_data(struct proxy *proxy, struct proxy_stream *stream, const struct vsock_frame *frame)
{
        if (stream->no_send || frame->len > LIMIT_VSOCK_BUFFER - (stream->took - stream->consumed))
                return false;
        if (!stream->seqpacket && (frame->flags & VSOCK_FRAME_EOM))
                return false;
        proxy_stream_take(proxy, stream, proxy->in + VSOCK_FRAME_BYTES, frame->len,
                          frame->flags & VSOCK_FRAME_EOM);
        return true;
}

static bool worker_credit(struct proxy *proxy, struct proxy_stream *stream, const struct vsock_frame *frame)
{
        if (frame->a - stream->limit > LIMIT_VSOCK_WINDOW || frame->b > LIMIT_VSOCK_WINDOW)
                return false;
        proxy_stream_credit(proxy, stream, frame->a, frame->b);
        return true;
}

/* False: it is not due. */
static bool worker_stream_frame(struct proxy *proxy, const struct vsock_frame *frame)
{
        struct proxy_stream *stream = &proxy->streams[frame->stream];

        if (frame->kind == VSOCK_FRAME_OPEN) {
                if (stream->state != STREAM_FREE)
                        return false;
                proxy_stream_open(proxy, stream, frame);
                return true;
        }
        if (stream->state == STREAM_FREE || stream->end_heard)
                return false;
        if (stream->owed & OWE_OFFER) /* the worker cannot know of it */
                return false;
        if (frame->kind == VSOCK_FRAME_END) {
                proxy_stream_end_heard(proxy, stream);
                return true;
        }
        if (stream->state == STREAM_ENDED) /* it was under way when we ended it */
                return true;
        if (frame->kind == VSOCK_FRAME_ACCEPT) {
                if (stream->state != STREAM_OFFERED)
                        return false;
                proxy_stream_accept(proxy, stream);
                return true;
        }
        if (stream->state != STREAM_OPEN)
                return false;
        if (frame->kind == VSOCK_FRAME_DATA)
                return worker_data(proxy, stream, frame);
        if (frame->kind == VSOCK_FRAME_CREDIT)
                return worker_credit(proxy, stream, frame);
        proxy_stream_shut(proxy, stream, frame->flags & VSOCK_FRAME_NO_SEND,
                          frame->flags & VSOCK_FRAME_NO_TAKE);
        return true;
}

static void worker_frame(struct proxy *proxy, size_t size)
{
        struct vsock_frame frame;
        int r = vsock_frame_check(VSOCK_SIDE_PROXY, proxy->in, size, &frame);

        if (r == 0 && frame.kind == VSOCK_FRAME_HELLO)
                worker_hello(proxy, &frame);
        else if (proxy->serving && (r < 0 || !worker_stream_frame(proxy, &frame)))
                worker_expel(proxy);
        else
                proxy->heard |= proxy->serving;
}

bool proxy_worker_receive(struct proxy *proxy)
{
        for (unsigned i = 0; i < LIMIT_VSOCK_TURN; i++) {
                ssize_t n = read(proxy->worker_fd, proxy->in, sizeof(proxy->in));

                if (n < 0 && errno == EAGAIN) {
                        proxy->worker_readable = false;
                        return true;
                }
                if (n == 0 || (n < 0 && errno != EINTR))
                        return false;
                if (n > 0)
                        worker_frame(proxy, (size_t)n);
        }
        return true;
}
