/* The proxy of a vsock device: connects and accepts Unix sockets in one directory, for a worker that may not, and carries bytes.
 * It outlives its workers.
 *
 *     proxy.c         the loop: what is ready, whose turn it is
 *     proxy_client.c  clients that have not said yet which port they want
 *     proxy_stream.c  the host's ends of streams
 *     proxy_worker.c  frames from and to the worker
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "proto/vsock_frame.h"
#include "workers/vsock_proxy/proxy_buffer.h"

/* States of a stream, by the host's end:
 *
 *     FREE        nobody has it
 *     CONNECTING  the guest has asked; the listener's queue is full, it is asked again    left by success, refusal, time; END
 *     OFFERED     a client has asked, the guest has not answered                          left by ACCEPT, END; the client's end
 *     OPEN        both                                                                    left by END; the host's end
 *     ENDED       the host's end is closed                                                left when both sides have said END
 */
enum proxy_stream_state {
        STREAM_FREE = 0,
        STREAM_CONNECTING,
        STREAM_OFFERED,
        STREAM_OPEN,
        STREAM_ENDED,
        STREAM_STATE_COUNT_,
};

/* Frames that the worker is owed, in the order in which they go. */
#define OWE_OPENED      1u
#define OWE_OFFER       2u
#define OWE_CONSUMED    4u
#define OWE_SHUT        8u
#define OWE_END         16u
#define OWE_PROXY_COUNT 5u

struct proxy_stream {
        enum proxy_stream_state state;
        int fd; /* of one that is not FREE; -1: none */
        bool seqpacket;
        uint32_t guest_port, host_port;

        /* as epoll has said, until a call says otherwise */
        bool readable, writable, hup;
        bool eof_seen; /* the end of what the host sends: behind what can be read still */

        bool no_send;   /* the guest sends no more: to be passed on when the buffer is empty, ... */
        bool no_take;   /* ... and takes no more */
        bool shut_sent; /* passed on */
        bool eof;       /* the host sends no more */
        bool deaf;      /* the host takes no more: bytes for it are dropped */
        bool end_said, end_heard;
        bool oversized; /* a message that no guest could take */

        /* host to guest, bytes modulo 2^32 */
        uint32_t limit, sent;
        uint32_t window; /* the most that there ever is room for */
        /* guest to host */
        uint32_t took;          /* from the worker */
        uint32_t consumed;      /* ... and gone from here */
        uint32_t consumed_told; /* ... as the worker knows */
        struct proxy_buffer buffer;

        uint8_t owed;
        bool listed, ready;
        struct proxy_stream *next_owed, *next_ready;
        uint64_t since_ms; /* of CONNECTING */
};

struct proxy_client {
        int fd; /* -1: free */
        bool seqpacket;
        uint8_t line[LIMIT_VSOCK_CONNECT];
        uint32_t len;
        uint64_t since_ms;
        uint64_t number; /* accepted before it */
};

enum {
        LISTENER_STREAM = 0,
        LISTENER_SEQPACKET,
        LISTENER_COUNT,
};

struct proxy {
        int epoll_fd, worker_fd;
        int listeners[LISTENER_COUNT];
        bool deafened; /* the listeners, for want of descriptors or memory; since: */
        uint64_t deafened_ms;
        const char *name; /* of the socket that clients connect to; the guest's ports are NAME_PORT */

        struct proxy_pool pool;
        struct proxy_stream streams[VSOCK_FRAME_IDS];
        struct proxy_stream *owed_first, *owed_last;
        struct proxy_stream *ready_first, *ready_last;
        uint32_t n_connecting, n_clients;
        uint64_t n_accepted;
        uint64_t ticked_ms;
        uint32_t last_port;   /* that a client was given */
        uint32_t last_stream; /* likewise */

        struct proxy_client clients[LIMIT_VSOCK_CLIENTS];

        bool starved; /* a socket had no memory for what it was given: none will say when there is some */
        bool serving; /* a worker has said HELLO, and nothing wrong since */
        bool heard;   /* ... but something else */
        bool full;    /* its socket */
        bool worker_readable;
        uint32_t welcome[2];
        bool welcome_owed;
        struct vsock_lost lost[VSOCK_FRAME_IDS];
        uint32_t lost_at, n_lost;

        uint8_t in[VSOCK_FRAME_MAX + 1];
        uint8_t out[VSOCK_FRAME_MAX]; /* a frame with bytes that did not go: out_len of them */
        uint32_t out_len;
};

/* What epoll says of a descriptor: what it is, and which. */
enum proxy_source {
        SOURCE_WORKER = 1,
        SOURCE_LISTENER,
        SOURCE_CLIENT,
        SOURCE_STREAM,
};

/* Looks for `events` at a descriptor from now on. 0 or negative errno. */
int proxy_watch(const struct proxy *proxy, int fd, uint32_t events, enum proxy_source source, uint32_t index);

/* To be called where the descriptor lives on. */
void proxy_watch_end(const struct proxy *proxy, int fd);

uint64_t proxy_now_ms(void);

/* A socket that says this takes bytes later, but no edge tells when. */
static inline bool proxy_no_memory(int error)
{
        return error == ENOBUFS || error == ENOMEM || error == EINTR;
}

/* ---- proxy.c ---- */

/* `worker_fd`: a connected SOCK_SEQPACKET socket; `folder_fd`: the directory, which becomes the current one; both are the
 * proxy's from now on. `name` outlives it. Listens at `name` and `name`.seqpacket there; a socket that nobody listens at any
 * more is replaced. 0, or negative errno after a line to the log. `proxy` is zero. */
int proxy_init(struct proxy *proxy, int worker_fd, int folder_fd, const char *name);

/* Waits once and serves what has come. False: the worker's socket is closed, by all who had it. */
bool proxy_turn(struct proxy *proxy);

/* ---- proxy_client.c ---- */

void proxy_listener_ready(struct proxy *proxy, uint32_t listener);
void proxy_client_ready(struct proxy *proxy, uint32_t index);
void proxy_client_tick(struct proxy *proxy, uint64_t now_ms);

/* ---- proxy_stream.c ---- */

uint32_t proxy_stream_id(const struct proxy *proxy, const struct proxy_stream *stream);

/* The guest has asked: connects. The stream is FREE. */
void proxy_stream_open(struct proxy *proxy, struct proxy_stream *stream, const struct vsock_frame *frame);

/* A client has asked, by this descriptor, which the stream owns from then on: OFFERED. False: there are as many streams as there
 * may be; it is the caller's still. */
bool proxy_stream_offer(struct proxy *proxy, int fd, bool seqpacket, uint32_t guest_port);

/* OFFERED: a new worker has not heard of it; the guest may know the port that it had. */
void proxy_stream_offer_again(struct proxy *proxy, struct proxy_stream *stream);

/* The guest has accepted: OPEN. */
void proxy_stream_accept(struct proxy *proxy, struct proxy_stream *stream);

/* Bytes of the guest, no more than there is room for. */
void proxy_stream_take(struct proxy *proxy, struct proxy_stream *stream, const uint8_t *bytes, uint32_t len,
                       bool eom);

/* There may be memory again: tries to write what is buffered. */
void proxy_stream_feed(struct proxy *proxy);

/* The guest sends, or takes, no more. */
void proxy_stream_shut(struct proxy *proxy, struct proxy_stream *stream, bool no_send, bool no_take);

/* The guest has room for bytes up to here, and never for more than `window`. */
void proxy_stream_credit(struct proxy *proxy, struct proxy_stream *stream, uint32_t limit, uint32_t window);

/* The worker's END. */
void proxy_stream_end_heard(struct proxy *proxy, struct proxy_stream *stream);

/* Closes the host's end: ENDED, and END is owed. */
void proxy_stream_end(struct proxy *proxy, struct proxy_stream *stream);

/* Our END has gone. */
void proxy_stream_end_said(struct proxy *proxy, struct proxy_stream *stream);

/* Closes and forgets: FREE. A new worker knows of no stream. */
void proxy_stream_forget(struct proxy *proxy, struct proxy_stream *stream);

/* epoll has something to say. */
void proxy_stream_ready(struct proxy *proxy, uint32_t index, uint32_t events);

/* Takes from one that is ready and sends to the worker, a frame at most. False: none is ready, or no frame can go. */
bool proxy_stream_pump(struct proxy *proxy);

/* Asks again, and gives up. */
void proxy_stream_tick(struct proxy *proxy, uint64_t now_ms);

void proxy_stream_owe(struct proxy *proxy, struct proxy_stream *stream, uint8_t what);

/* ---- proxy_worker.c ---- */

/* Frames that have come, LIMIT_VSOCK_TURN at most. False: the socket is closed. */
bool proxy_worker_receive(struct proxy *proxy);

/* Sends what is owed. False: not all of it went. */
bool proxy_worker_flush(struct proxy *proxy);

/* Sends bytes that lie in `out` behind VSOCK_FRAME_BYTES; what does not go now goes first later. The former ones have gone. */
void proxy_worker_send_bytes(struct proxy *proxy, uint32_t stream, uint32_t len, bool eom);
