/* The proxy's frames, one after another; and what it is owed.
 * Owns nothing; called by vsock_feed.c, vsock_guest.c and vsock.c. TRUST: frames are the proxy's, judged for their form by
 * vsock_link.c. One that is not due traps: the proxy may have been taken over by a client, and a successor of this worker begins
 * anew with it.
 *
 * Nothing that came before the answer to our HELLO is looked at: it was for a predecessor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "workers/runtime/trap.h"
#include "workers/vsock/vsock_device.h"

static void host_demand(bool due)
{
        if (!due)
                worker_trap();
}

/* ---- frames ---- */

/* Of ours? An older one may still be under way. */
static bool host_is_welcome(const struct vsock *vsock, const struct vsock_frame *frame)
{
        return frame->kind == VSOCK_FRAME_WELCOME && frame->a == (uint32_t)vsock->hello &&
               frame->b == (uint32_t)(vsock->hello >> 32);
}

/* The guest may have noticed by itself, and have a connection of the same ports by now: that one lives. */
static void host_lost(struct vsock *vsock, const struct vsock_frame *frame)
{
        const uint8_t *at = vsock->link.stage + VSOCK_FRAME_BYTES;

        vsock->n_lost += frame->len / VSOCK_LOST_BYTES;
        host_demand(vsock->n_lost <= VSOCK_FRAME_IDS);
        for (uint32_t i = 0; i < frame->len; i += VSOCK_LOST_BYTES) {
                struct vsock_reply reply = {.host_cid = VSOCK_CID_HOST};
                struct vsock_lost lost;

                host_demand(vsock_lost_check(at + i, &lost) == 0);
                if (vsock_conn_find(&vsock->conns, lost.guest_port, lost.host_port))
                        continue;
                reply.guest_port = lost.guest_port;
                reply.host_port = lost.host_port;
                reply.type = lost.seqpacket ? VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM;
                vsock_reply_add(&vsock->replies, &reply);
        }
}

static void host_opened(struct vsock *vsock, struct vsock_conn *conn)
{
        host_demand(conn->state == CONN_OPENING);
        vsock_conn_establish(&vsock->conns, conn);
        vsock_conn_owe_guest(&vsock->conns, conn, OWE_RESPONSE);
        vsock_conn_owe_proxy(&vsock->conns, conn, OWE_CREDIT);
}

/* A type that the guest has not agreed to, and ports that have a connection, are answered with END. */
static void host_offer(struct vsock *vsock, const struct vsock_frame *frame)
{
        bool seqpacket = frame->flags & VSOCK_FRAME_SEQPACKET;
        struct vsock_conn *conn = &vsock->conns.rows[frame->stream];

        host_demand(conn->state == CONN_FREE);
        conn = vsock_conn_offer(&vsock->conns, frame->stream, frame->a, frame->b,
                                seqpacket ? VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM);
        if (conn->state == CONN_OFFERED && seqpacket && !vsock->self.seqpacket)
                vsock_conn_leave(&vsock->conns, conn);
        if (conn->state == CONN_OFFERED)
                vsock_conn_owe_guest(&vsock->conns, conn, OWE_REQUEST);
        else
                vsock_conn_owe_proxy(&vsock->conns, conn, OWE_END);
}

/* They stay in the stage, for vsock_feed.c. */
static void host_data(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_frame *frame)
{
        host_demand(conn->state == CONN_OPEN && !(conn->host_shut & VSOCK_NO_SEND));
        host_demand(conn->type == VSOCK_TYPE_SEQPACKET || !(frame->flags & VSOCK_FRAME_EOM));
        host_demand(vsock_credit_come(conn, frame->len));
        if (conn->guest_shut & VSOCK_NO_RECEIVE)
                return;
        vsock->link.at = VSOCK_FRAME_BYTES;
        vsock->link.end = VSOCK_FRAME_BYTES + frame->len;
        vsock->link.stream = frame->stream;
        vsock->link.eom = frame->flags & VSOCK_FRAME_EOM;
}

static void host_consumed(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_frame *frame)
{
        host_demand(conn->state == CONN_OPEN && vsock_credit_consume(conn, frame->a));
        if (vsock_credit_guest_due(conn))
                vsock_conn_owe_guest(&vsock->conns, conn, OWE_CREDIT_UPDATE);
}

static void host_shut(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_frame *frame)
{
        host_demand(conn->state == CONN_OPEN);
        conn->host_shut |= frame->flags & VSOCK_FRAME_NO_SEND ? VSOCK_NO_SEND : 0;
        conn->host_shut |= frame->flags & VSOCK_FRAME_NO_TAKE ? VSOCK_NO_RECEIVE : 0;
        vsock_conn_owe_guest(&vsock->conns, conn, OWE_SHUTDOWN);
}

/* The host's end is gone. A guest that knows of the connection is told so, and has time to take what it was sent. */
static void host_end(struct vsock *vsock, struct vsock_conn *conn)
{
        host_demand(conn->state != CONN_FREE && !conn->end_heard);
        vsock_conn_end_heard(&vsock->conns, conn);
        if (conn->state == CONN_FREE)
                return;
        if (conn->state == CONN_OPEN) {
                vsock_conn_close(&vsock->conns, conn);
                conn->host_shut = VSOCK_NO_RECEIVE | VSOCK_NO_SEND;
                vsock_conn_owe_guest(&vsock->conns, conn, OWE_SHUTDOWN);
        } else if (conn->state == CONN_LINGERING) {
                vsock_conn_owe_proxy(&vsock->conns, conn, OWE_END);
        } else if (conn->state == CONN_OFFERED && (conn->owed_guest & OWE_REQUEST)) {
                vsock_conn_leave(&vsock->conns, conn); /* which has never heard of it */
                vsock_conn_owe_proxy(&vsock->conns, conn, OWE_END);
        } else {
                vsock_conn_reset(vsock, conn);
        }
}

static void host_stream_frame(struct vsock *vsock, const struct vsock_frame *frame)
{
        struct vsock_conn *conn = &vsock->conns.rows[frame->stream];

        if (frame->kind == VSOCK_FRAME_OFFER) {
                host_offer(vsock, frame);
                return;
        }
        if (frame->kind == VSOCK_FRAME_END) {
                host_end(vsock, conn);
                return;
        }
        host_demand(conn->state != CONN_FREE && !conn->end_heard);
        if (conn->state == CONN_LINGERING) /* it was under way when the guest left */
                return;
        if (frame->kind == VSOCK_FRAME_OPENED)
                host_opened(vsock, conn);
        else if (frame->kind == VSOCK_FRAME_DATA)
                host_data(vsock, conn, frame);
        else if (frame->kind == VSOCK_FRAME_CONSUMED)
                host_consumed(vsock, conn, frame);
        else
                host_shut(vsock, conn, frame);
}

bool vsock_host_frame(struct vsock *vsock)
{
        struct vsock_frame frame;

        if (!vsock_link_receive(&vsock->link, &frame))
                return false;
        if (!vsock->welcome) {
                vsock->welcome = host_is_welcome(vsock, &frame);
                return true;
        }
        host_demand(frame.kind != VSOCK_FRAME_WELCOME);
        if (frame.kind == VSOCK_FRAME_LOST)
                host_lost(vsock, &frame);
        else
                host_stream_frame(vsock, &frame);
        return true;
}

/* ---- what the proxy is owed ---- */

static bool host_say_hello(struct vsock *vsock)
{
        const struct vsock_frame frame = {
            .kind = VSOCK_FRAME_HELLO, .a = (uint32_t)vsock->hello, .b = (uint32_t)(vsock->hello >> 32)};

        if (vsock->hello_owed && !vsock_link_send(&vsock->link, &frame, NULL))
                return false;
        vsock->hello_owed = false;
        return true;
}

static struct vsock_frame host_make(const struct vsock_conn *conn, uint8_t what)
{
        struct vsock_frame frame = {0};

        if (what == OWE_OPEN) {
                frame.kind = VSOCK_FRAME_OPEN;
                frame.flags = conn->type == VSOCK_TYPE_SEQPACKET ? VSOCK_FRAME_SEQPACKET : 0;
                frame.a = conn->guest_port;
                frame.b = conn->host_port;
        } else if (what == OWE_ACCEPT) {
                frame.kind = VSOCK_FRAME_ACCEPT;
        } else if (what == OWE_CREDIT) {
                frame.kind = VSOCK_FRAME_CREDIT;
                frame.a = conn->limit;
                frame.b = conn->window;
        } else if (what == OWE_SHUT) {
                frame.kind = VSOCK_FRAME_SHUT;
                frame.flags |= conn->guest_shut & VSOCK_NO_SEND ? VSOCK_FRAME_NO_SEND : 0;
                frame.flags |= conn->guest_shut & VSOCK_NO_RECEIVE ? VSOCK_FRAME_NO_TAKE : 0;
        } else {
                frame.kind = VSOCK_FRAME_END;
        }
        return frame;
}

/* All that one connection owes. */
static bool host_flush_one(struct vsock *vsock, struct vsock_conn *conn)
{
        for (unsigned i = 0; i < OWE_PROXY_COUNT; i++) {
                uint8_t what = (uint8_t)(1u << i);
                struct vsock_frame frame;

                if (!(conn->owed_proxy & what))
                        continue;
                frame = host_make(conn, what);
                frame.stream = vsock_conn_stream(&vsock->conns, conn);
                if (!vsock_link_send(&vsock->link, &frame, NULL))
                        return false;
                conn->owed_proxy &= (uint8_t)~what;
                if (what == OWE_CREDIT)
                        conn->limit_told = conn->limit;
                if (what == OWE_END)
                        vsock_conn_end_said(&vsock->conns, conn);
        }
        return true;
}

bool vsock_host_flush(struct vsock *vsock)
{
        struct vsock_conn *conn;

        if (!host_say_hello(vsock))
                return false;
        while ((conn = vsock_conn_first_proxy(&vsock->conns)))
                if (!host_flush_one(vsock, conn))
                        return false;
        return true;
}
