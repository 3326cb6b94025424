/* What the guest is given: resets, packets that its connections owe it, and bytes.
 * Owns nothing; called by vsock.c when there are buffers, or something to put into them. TRUST: lengths of buffers are the
 * guest's; frames are judged in vsock_host.c.
 *
 * Bytes wait where they are: the proxy's frame in the stage, the next ones in its socket, until the guest has lent buffers.
 * They need no room of ours, since the guest has room for all that the proxy was allowed to send.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "workers/runtime/supply.h"
#include "workers/runtime/trap.h"
#include "workers/vsock/vsock_device.h"

_Static_assert(VSOCK_HEADER_BYTES + LIMIT_VSOCK_BUFFER <= REQUEST_RESERVE, "a packet is one piece");

static void feed_packet(struct vsock *vsock, struct request *request, const struct vsock_packet *packet,
                        const uint8_t *bytes)
{
        uint8_t *p = request_reserve(request, VSOCK_HEADER_BYTES + packet->len);

        vsock_packet_make(&vsock->self, packet, p);
        if (packet->len > 0)
                memcpy(p + VSOCK_HEADER_BYTES, bytes, packet->len);
        request_complete(request, 0, VSOCK_HEADER_BYTES + packet->len);
}

/* Every packet tells what the host has taken. */
static struct vsock_packet feed_of(struct vsock_conn *conn, enum vsock_op op)
{
        conn->fwd_told = conn->fwd_cnt;
        conn->owed_guest &= (uint8_t)~OWE_CREDIT_UPDATE;
        return (struct vsock_packet){.host_cid = VSOCK_CID_HOST,
                                     .guest_port = conn->guest_port,
                                     .host_port = conn->host_port,
                                     .type = conn->type,
                                     .op = (uint16_t)op,
                                     .buf_alloc = LIMIT_VSOCK_BUFFER,
                                     .fwd_cnt = conn->fwd_cnt};
}

static void feed_reset(struct vsock *vsock, struct request *request, const struct vsock_reply *reply)
{
        const struct vsock_packet packet = {.host_cid = reply->host_cid,
                                            .guest_port = reply->guest_port,
                                            .host_port = reply->host_port,
                                            .type = reply->type,
                                            .op = VSOCK_OP_RST};

        feed_packet(vsock, request, &packet, NULL);
}

static const enum vsock_op feed_ops[OWE_GUEST_COUNT] = {
    VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_SHUTDOWN};

/* The first thing that the first connection owes. */
static void feed_owed(struct vsock *vsock, struct request *request, struct vsock_conn *conn)
{
        unsigned first = (unsigned)__builtin_ctz(conn->owed_guest);
        struct vsock_packet packet = feed_of(conn, feed_ops[first]);

        conn->owed_guest &= (uint8_t) ~(1u << first);
        if (packet.op == VSOCK_OP_SHUTDOWN)
                packet.flags = conn->host_shut;
        vsock_conn_turn_guest(&vsock->conns);
        feed_packet(vsock, request, &packet, NULL);
}

/* As many of the staged bytes as the buffer takes. */
static void feed_bytes(struct vsock *vsock, struct request *request, struct vsock_conn *conn)
{
        struct vsock_link *link = &vsock->link;
        struct vsock_packet packet = feed_of(conn, VSOCK_OP_RW);
        const uint8_t *bytes = link->stage + link->at;

        packet.len = MIN(link->end - link->at, request_writable(request) - VSOCK_HEADER_BYTES);
        link->at += packet.len;
        if (link->at == link->end && link->eom)
                packet.flags = VSOCK_EOM;
        conn->tx_cnt += packet.len;
        if (conn->tx_cnt == conn->limit && !conn->credit_asked) {
                conn->credit_asked = true;
                vsock_conn_owe_guest(&vsock->conns, conn, OWE_CREDIT_REQUEST);
        }
        feed_packet(vsock, request, &packet, bytes);
}

/* Staged bytes of a connection that has ended since are nobody's. */
static struct vsock_conn *feed_staged(struct vsock *vsock)
{
        struct vsock_conn *conn = &vsock->conns.rows[vsock->link.stream];

        if (vsock->link.at < vsock->link.end && conn->state != CONN_OPEN)
                vsock->link.at = vsock->link.end;
        return vsock->link.at < vsock->link.end ? conn : NULL;
}

/* Fills one buffer. False: there is nothing for it. */
static bool feed_one(struct vsock *vsock, struct request *request)
{
        struct vsock_conn *conn;
        struct vsock_reply reply;

        if (request_readable(request) != 0 || request_writable(request) <= VSOCK_HEADER_BYTES) {
                request_refuse(request);
                return true;
        }
        if (vsock_reply_take(&vsock->replies, &reply)) {
                feed_reset(vsock, request, &reply);
                return true;
        }
        if ((conn = vsock_conn_first_guest(&vsock->conns))) {
                feed_owed(vsock, request, conn);
                return true;
        }
        if ((conn = feed_staged(vsock))) {
                feed_bytes(vsock, request, conn);
                return true;
        }
        return false;
}

void vsock_feed(struct vsock *vsock)
{
        struct request *request;
        unsigned n_frames = 0;

        while ((request = supply_first(VSOCK_QUEUE_RX))) {
                if (feed_one(vsock, request))
                        continue;
                if (n_frames++ == LIMIT_VSOCK_TURN || !vsock_host_frame(vsock))
                        break;
        }
}
