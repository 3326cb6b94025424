/* Frames over a connected stream socket, each behind its length in four bytes, the most significant first: QEMU's
 * convention, and passt's.
 * Owns the staging memory; called by net.c through its table. TRUST: the peer's bytes and its pace: lengths are judged
 * here, frames by net_rx.c.
 *
 * How it works: the socket outlives this process, so at no point may a part of a frame have left it or have entered it
 * that only this process knows of.
 *     receive  what is there is looked at (MSG_PEEK), as many frames as are whole are given to the guest, and then just
 * these are taken out, by one call. A worker that dies in between has shown frames twice, which Ethernet allows, and
 * cut none
 *     a frame that is only begun keeps the socket readable: it is looked at LIMIT_NET_LOOKS times, since its rest is on
 * its way as a rule, and then after times that double
 *     send     frames of a batch go out by one call, which the kernel takes whole: a stream socket that poll says is
 * writable has three quarters of its buffer free, and a burst is half of the smallest buffer. Should it take only a
 * part all the same, the rest goes first when there is room again
 *     a peer that takes nothing for LIMIT_NET_STALL_MS loses frames like a full wire: no request of the guest's gets
 * old here
 *     a peer that has closed only one direction is gone, too: net.c listens for that, and a send says so
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/net/net.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_memory.h"

#define STREAM_LEN 4u
#define STREAM_MAX                                                                                           \
        69632u /* bytes of a frame that a peer may announce: QEMU's own bound; beyond it the stream is out of step */
#define STREAM_STAGE 131072u /* bytes that are looked at together: at least one frame of any length */
#define STREAM_BURST                                                                                         \
        (STREAM_LEN + NET_FRAME_MAX) /* bytes of one call: a frame of any length, or many short ones */
#define STREAM_SNDBUF                                                                                        \
        131072u /* bytes of the socket's buffer without which a burst might not be taken whole */
#define STREAM_WAIT_MS     1u  /* the first time that is waited for the rest of a frame; it doubles, ... */
#define STREAM_WAIT_MAX_MS 64u /* ... up to this */

_Static_assert(STREAM_STAGE >= STREAM_LEN + STREAM_MAX, "a whole frame can be seen");

static struct stream {
        uint8_t *stage;
        uint32_t looks, wait_ms, seen; /* of a frame that is only begun: `seen` bytes of it have come */
        struct request *queue[LIMIT_CREDITS * LIMIT_LANES]; /* judged, and not sent */
        uint32_t first, n;
        bool stalled;  /* the peer takes nothing: what comes is lost until it does */
        uint8_t *rest; /* of a burst that was not taken whole */
        uint32_t rest_at, rest_len;
} stream;

static int stream_open(struct net *net)
{
        socklen_t size = sizeof(int);
        int bytes = 0;

        if (getsockopt(net->ears[0].fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) < 0 ||
            bytes < (int)STREAM_SNDBUF) {
                worker_log(LOG_LEVEL_ERROR,
                           "the stream's buffer has %d bytes and needs %u: raise net.core.wmem_default",
                           bytes, STREAM_SNDBUF);
                return -EINVAL;
        }
        stream = (struct stream){.stage = worker_memory(STREAM_STAGE), .rest = worker_memory(STREAM_BURST)};
        return stream.stage && stream.rest ? 0 : -ENOMEM;
}

/* ---- to the guest ---- */

/* Whoever keeps it for our successors sees so that it is of no use to them, and connects anew. */
static void hang_up(struct net *net, const char *why)
{
        shutdown(net->ears[0].fd, SHUT_RDWR);
        net_lose_link(net, why);
}

/* The length before a frame at `at`, of `have` bytes that are seen. 1, 0: not all of the frame is there; -EPROTO: no
 * peer says that. */
static int frame_at(uint32_t at, uint32_t have, uint32_t *ret_len)
{
        uint32_t len;

        if (have - at < STREAM_LEN)
                return 0;
        memcpy(&len, stream.stage + at, STREAM_LEN);
        len = be32toh(len);
        if (len > STREAM_MAX)
                return -EPROTO;
        *ret_len = len;
        return len <= have - at - STREAM_LEN;
}

/* False: there is no room for it now. */
static bool give(struct net *net, const uint8_t *frame, uint32_t len)
{
        uint8_t *bytes;

        if (len < NET_ETHERNET || len > NET_FRAME_MAX) {
                net_count(net, NET_TO_GUEST, len < NET_ETHERNET ? NET_DROP_SHORT : NET_DROP_LONG);
                return true;
        }
        if (!net_link_is_up(net)) {
                net_count(net, NET_TO_GUEST, NET_DROP_LINK);
                return true;
        }
        if (!net_rx_ready(net, 0))
                return false;
        bytes = net_rx_reserve(net, 0, NET_HEADER + len);
        memset(bytes, 0, NET_HEADER);
        memcpy(bytes + NET_HEADER, frame, len);
        return net_rx_frame(net, 0, bytes, NET_HEADER + len);
}

/* Gives whole frames away. Returns the bytes that are done with, or -EPROTO; *ret_part: what is behind them is a frame
 * that is only begun. */
static int64_t give_frames(struct net *net, uint32_t have, bool *ret_part)
{
        uint32_t at = 0, len;

        *ret_part = false;
        for (unsigned i = 0; i < LIMIT_NET_TURN; i++) {
                int r = frame_at(at, have, &len);

                if (r < 0)
                        return at > 0 ? (int64_t)at : r; /* what came before it is taken first */
                *ret_part = r == 0;
                if (r == 0 || !give(net, stream.stage + at + STREAM_LEN, len))
                        break;
                at += STREAM_LEN + len;
        }
        return at;
}

/* They have been seen, so they are there. */
static bool take_out(struct net *net, uint32_t len)
{
        struct net_ear *ear = &net->ears[0];

        while (len > 0) {
                ssize_t n = recv(ear->fd, stream.stage, len, MSG_DONTWAIT);

                if (n <= 0)
                        return false;
                len -= (uint32_t)n;
        }
        return true;
}

static void wait_for_rest(struct net *net, uint32_t seen)
{
        if (seen != stream.seen)
                stream.looks = stream.wait_ms = 0;
        stream.seen = seen;
        if (++stream.looks <= LIMIT_NET_LOOKS)
                return;
        stream.wait_ms = stream.wait_ms == 0 ? STREAM_WAIT_MS : MIN(2 * stream.wait_ms, STREAM_WAIT_MAX_MS);
        net->ears[0].mute = true;
        net_clock_set(net, NET_DUE_LOOK, stream.wait_ms);
}

static void stream_look(struct net *net)
{
        net->ears[0].mute = false;
        net_watch(net, 0);
}

static void stream_receive(struct net *net, unsigned ear)
{
        ssize_t have = recv(net->ears[ear].fd, stream.stage, STREAM_STAGE, MSG_PEEK | MSG_DONTWAIT);
        int64_t done;
        bool part;

        if (have < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (have <= 0) {
                net_lose_link(net, "the peer of the stream is gone");
                return;
        }
        done = give_frames(net, (uint32_t)have, &part);
        if (done != 0)
                stream.looks = stream.wait_ms = stream.seen = 0;
        if (done < 0)
                hang_up(net, "the peer of the stream announces a frame of an impossible length");
        else if (!take_out(net, (uint32_t)done))
                hang_up(net, "the stream cannot be read");
        else if (part && done == 0)
                wait_for_rest(net, (uint32_t)have);
}

/* ---- to the host ---- */

static struct request *queue_at(uint32_t i)
{
        return stream.queue[(stream.first + i) % array_size(stream.queue)];
}

static void queue_end(struct net *net, enum net_drop drop)
{
        struct request *request = queue_at(0);

        stream.first = (stream.first + 1) % array_size(stream.queue);
        stream.n--;
        net_tx_end(net, request, drop);
}

static void drop_all(struct net *net, enum net_drop drop)
{
        while (stream.n > 0)
                queue_end(net, drop);
}

static void wait_for_peer(struct net *net)
{
        net->ears[0].full = true;
        if (stream.stalled)
                drop_all(net, NET_DROP_HOST);
        else
                net_clock_set(net, NET_DUE_STALL, LIMIT_NET_STALL_MS);
        net_watch(net, 0);
}

static void stream_stall(struct net *net)
{
        stream.stalled = net->ears[0].full;
        drop_all(net, NET_DROP_HOST);
}

static bool is_writable(int fd)
{
        static const struct timespec no_time;
        struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

        return ppoll(&pollfd, 1, &no_time, NULL) == 1 && (pollfd.revents & POLLOUT);
}

/* What goes out by one call. */
struct burst {
        uint32_t n, len, n_iov;
        uint32_t prefix[LIMIT_NET_TURN];
        struct iovec iov[2 * LIMIT_NET_TURN];
};

/* False: it has to wait for the next burst. */
static bool burst_add(struct burst *burst, const uint8_t *frame, uint32_t len)
{
        if (burst->n == LIMIT_NET_TURN || STREAM_LEN + len > STREAM_BURST - burst->len)
                return false;
        burst->prefix[burst->n] = htobe32(len);
        burst->iov[burst->n_iov++] =
            (struct iovec){.iov_base = &burst->prefix[burst->n], .iov_len = STREAM_LEN};
        burst->iov[burst->n_iov++] = (struct iovec){.iov_base = (void *)(uintptr_t)frame, .iov_len = len};
        burst->len += STREAM_LEN + len;
        burst->n++;
        return true;
}

static bool is_inlined(struct request *request)
{
        uint32_t inlined;

        request_inlined(request, &inlined);
        return inlined == request_readable(request);
}

/* A frame that did not come inlined goes alone: to ask for its bytes may move those of others. */
static void burst_gather(struct net *net, struct burst *burst)
{
        while (stream.n > 0 && burst->n == 0 && !is_inlined(queue_at(0))) {
                const uint8_t *frame = net_tx_frame(net, queue_at(0));

                if (frame) {
                        burst_add(burst, frame, request_readable(queue_at(0)) - NET_HEADER);
                        return;
                }
                queue_end(net, NET_DROP_HEADER);
        }
        while (burst->n < stream.n && is_inlined(queue_at(burst->n)) &&
               burst_add(burst, net_tx_frame(net, queue_at(burst->n)),
                         request_readable(queue_at(burst->n)) - NET_HEADER))
                ;
}

/* Puts aside what was not taken. */
static void keep_rest(const struct burst *burst, uint32_t taken)
{
        uint32_t at = 0;

        stream.rest_at = stream.rest_len = 0;
        for (uint32_t i = 0; i < burst->n_iov; i++) {
                const uint8_t *bytes = burst->iov[i].iov_base;
                uint32_t len = (uint32_t)burst->iov[i].iov_len, skip = taken > at ? MIN(taken - at, len) : 0;

                memcpy(stream.rest + stream.rest_len, bytes + skip, len - skip);
                stream.rest_len += len - skip;
                at += len;
        }
}

/* A socket that takes nothing now takes something later, or never: then it would be writable for ever. */
static void not_sent(struct net *net)
{
        if (errno != EAGAIN && errno != EINTR)
                hang_up(net, "the peer of the stream takes no more frames");
}

/* Is nothing of an earlier burst left? */
static bool send_rest(struct net *net)
{
        ssize_t n;

        if (stream.rest_at == stream.rest_len)
                return true;
        n = write(net->ears[0].fd, stream.rest + stream.rest_at, stream.rest_len - stream.rest_at);
        if (n < 0)
                not_sent(net);
        else
                stream.rest_at += (uint32_t)n;
        return stream.rest_at == stream.rest_len;
}

static void burst_end(struct net *net, const struct burst *burst)
{
        for (uint32_t i = 0; i < burst->n; i++) {
                const struct iovec *frame = &burst->iov[2 * i + 1];

                net_pcap_write(&net->pcap, frame->iov_base, (uint32_t)frame->iov_len);
                queue_end(net, NET_DROP_NONE);
        }
}

/* False: no more now, or the link is lost. */
static bool send_burst(struct net *net)
{
        struct burst burst _uninitialized_; /* what is added counts */
        ssize_t n;

        if (!is_writable(net->ears[0].fd) || !send_rest(net))
                return false;
        burst.n = burst.len = burst.n_iov = 0;
        burst_gather(net, &burst);
        if (burst.n == 0)
                return true;
        n = writev(net->ears[0].fd, burst.iov, (int)burst.n_iov);
        if (n < 0) {
                not_sent(net);
                return false;
        }
        if ((uint32_t)n < burst.len)
                keep_rest(&burst, (uint32_t)n);
        burst_end(net, &burst);
        return true;
}

static void stream_flush(struct net *net)
{
        bool was_full = net->ears[0].full;

        if (net->link_lost) {
                drop_all(net, NET_DROP_LINK);
                return;
        }
        while (stream.n > 0 || stream.rest_at < stream.rest_len) {
                if (!send_burst(net)) {
                        if (!net->link_lost)
                                wait_for_peer(net);
                        return;
                }
                net_clock_stop(net, NET_DUE_STALL);
                stream.stalled = false;
        }
        net->ears[0].full = stream.stalled = false;
        if (was_full)
                net_watch(net, 0);
}

static void stream_send(struct net *net, struct request *request, const struct net_header *header)
{
        (void)net;
        (void)header;
        stream.queue[(stream.first + stream.n++) % array_size(stream.queue)] = request;
}

const struct net_backend net_stream = {
    .one_for_all = true,
    .open = stream_open,
    .receive = stream_receive,
    .send = stream_send,
    .flush = stream_flush,
    .look = stream_look,
    .stall = stream_stall,
};
