/* The guest's packets, one after another.
 * Owns nothing; called by vsock.c. TRUST: packets are the guest's and judged by vsock_req.c; whether one is due is judged here
 * by its connection's state.
 *
 * A packet that is not due ends its connection, on both sides; so does a lie about credit. Bytes go to the proxy at once: they
 * have room there, since the guest may not send more than that. When the socket is full, they wait in the guest's own buffers
 * and everything behind them, too: no order changes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"
#include "workers/runtime/worker_say.h"
#include "workers/vsock/vsock_device.h"

#define STATE_VERSION 1u
#define SHUT_WHOLE    (VSOCK_NO_RECEIVE | VSOCK_NO_SEND)

/* ---- ends ---- */

static void guest_reply(struct vsock *vsock, const struct vsock_req *req)
{
        const struct vsock_reply reply = {.host_cid = req->host_cid,
                                          .guest_port = req->guest_port,
                                          .host_port = req->host_port,
                                          .type = req->type};

        if (req->op != VSOCK_OP_RST && vsock_replies_have_room(&vsock->replies))
                vsock_reply_add(&vsock->replies, &reply);
}

/* Without a word to the guest. */
static void guest_leave(struct vsock *vsock, struct vsock_conn *conn)
{
        vsock_conn_leave(&vsock->conns, conn);
        if (conn->state == CONN_LINGERING && !conn->end_said)
                vsock_conn_owe_proxy(&vsock->conns, conn, OWE_END);
}

static void guest_tell_reset(struct vsock *vsock, const struct vsock_conn *conn)
{
        const struct vsock_reply reply = {.host_cid = VSOCK_CID_HOST,
                                          .guest_port = conn->guest_port,
                                          .host_port = conn->host_port,
                                          .type = conn->type};

        vsock_reply_add(&vsock->replies, &reply);
}

void vsock_conn_reset(struct vsock *vsock, struct vsock_conn *conn)
{
        guest_tell_reset(vsock, conn);
        guest_leave(vsock, conn);
}

/* ---- packets that begin and end connections ---- */

/* Once: a successor must tell the guest that there may have been connections. */
static void guest_put_state(struct vsock *vsock)
{
        const uint8_t version = STATE_VERSION;

        if (!vsock->state_put)
                worker_state_put(&version, sizeof(version));
        vsock->state_put = true;
}

static void guest_request(struct vsock *vsock, const struct vsock_req *req)
{
        struct vsock_conn *conn = NULL;

        if (!vsock_replies_have_room(&vsock->replies))
                return;
        if (!vsock->farewell)
                conn = vsock_conn_open(&vsock->conns, req->guest_port, req->host_port, req->type);
        if (!conn) {
                guest_reply(vsock, req);
                return;
        }
        guest_put_state(vsock);
        if (!vsock_credit_hear(conn, req->buf_alloc, req->fwd_cnt)) {
                vsock_conn_owe_proxy(&vsock->conns, conn,
                                     OWE_OPEN); /* which has not gone: nothing is to be ended there */
                vsock_conn_reset(vsock, conn);
                return;
        }
        vsock_conn_owe_proxy(&vsock->conns, conn, OWE_OPEN);
}

static void guest_response(struct vsock *vsock, struct vsock_conn *conn)
{
        if (conn->state != CONN_OFFERED) {
                vsock_conn_reset(vsock, conn);
                return;
        }
        guest_put_state(vsock);
        vsock_conn_establish(&vsock->conns, conn);
        vsock_conn_owe_proxy(&vsock->conns, conn, OWE_ACCEPT | OWE_CREDIT);
}

/* The guest waits for RST when it has shut both directions; what it has sent goes on its way to the host. */
static void guest_shutdown(struct vsock *vsock, struct vsock_conn *conn, uint32_t flags)
{
        if (conn->state != CONN_OPEN && conn->state != CONN_CLOSING) {
                vsock_conn_reset(vsock, conn);
                return;
        }
        conn->guest_shut |= (uint8_t)flags;
        if (conn->state == CONN_OPEN && flags != 0)
                vsock_conn_owe_proxy(&vsock->conns, conn, OWE_SHUT);
        if (conn->guest_shut != SHUT_WHOLE)
                return;
        guest_tell_reset(vsock, conn);
        if (conn->state == CONN_OPEN)
                vsock_conn_leave(&vsock->conns, conn); /* and END comes when the host has all */
        else
                guest_leave(vsock, conn);
}

/* ---- bytes ---- */

/* Its payload: what came along, as a rule. NULL: the guest's memory cannot be read. */
static const uint8_t *guest_payload(struct vsock *vsock, struct request *request, uint32_t len)
{
        uint32_t inlined;
        const uint8_t *bytes = request_inlined(request, &inlined);

        if (inlined >= VSOCK_HEADER_BYTES + len)
                return bytes + VSOCK_HEADER_BYTES;
        if (request_read(request, VSOCK_HEADER_BYTES, vsock->bounce, len) < 0)
                return NULL;
        return vsock->bounce;
}

static bool guest_may_send(const struct vsock_conn *conn, const struct vsock_req *req)
{
        uint32_t room = LIMIT_VSOCK_BUFFER - (conn->rx_cnt - conn->fwd_told);

        return conn->state == CONN_OPEN && !(conn->guest_shut & VSOCK_NO_SEND) && req->len <= room;
}

/* False: not now. */
static bool guest_bytes(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_req *req,
                        struct request *request)
{
        struct vsock_frame frame = {.kind = VSOCK_FRAME_DATA, .len = req->len};
        const uint8_t *bytes;

        if (!guest_may_send(conn, req)) {
                vsock_conn_reset(vsock, conn);
                return true;
        }
        if (req->len == 0) /* of a message that had its bytes before, none is the last: it has no meaning */
                return true;
        bytes = guest_payload(vsock, request, req->len);
        if (!bytes) {
                vsock_conn_reset(vsock, conn);
                return true;
        }
        frame.stream = vsock_conn_stream(&vsock->conns, conn);
        frame.flags = req->flags & VSOCK_EOM ? VSOCK_FRAME_EOM : 0;
        if (!vsock_host_flush(vsock) || !vsock_link_send(&vsock->link, &frame, bytes))
                return vsock->link.gone;
        vsock_credit_receive(conn, req->len);
        if (vsock_credit_guest_due(conn))
                vsock_conn_owe_guest(&vsock->conns, conn, OWE_CREDIT_UPDATE);
        return true;
}

/* ---- all of them ---- */

/* False: not now. */
static bool guest_op(struct vsock *vsock, struct vsock_conn *conn, const struct vsock_req *req,
                     struct request *request)
{
        switch (req->op) {
        case VSOCK_OP_RESPONSE:
                guest_response(vsock, conn);
                return true;
        case VSOCK_OP_SHUTDOWN:
                guest_shutdown(vsock, conn, req->flags);
                return true;
        case VSOCK_OP_RW:
                return guest_bytes(vsock, conn, req, request);
        case VSOCK_OP_CREDIT_UPDATE:
                return true;
        case VSOCK_OP_CREDIT_REQUEST:
                if (conn->state != CONN_CLOSING)
                        vsock_conn_owe_guest(&vsock->conns, conn, OWE_CREDIT_UPDATE);
                return true;
        default: /* a second REQUEST */
                vsock_conn_reset(vsock, conn);
                return true;
        }
}

static bool guest_serve(struct vsock *vsock, const struct vsock_req *req, struct request *request)
{
        struct vsock_conn *conn = vsock_conn_find(&vsock->conns, req->guest_port, req->host_port);

        if (!conn && req->op == VSOCK_OP_REQUEST)
                guest_request(vsock, req);
        else if (!conn)
                guest_reply(vsock, req);
        else if (req->op == VSOCK_OP_RST)
                guest_leave(vsock, conn);
        else if (req->type != conn->type || !vsock_credit_hear(conn, req->buf_alloc, req->fwd_cnt))
                vsock_conn_reset(vsock, conn);
        else {
                if (conn->state == CONN_OPEN && vsock_credit_proxy_due(conn))
                        vsock_conn_owe_proxy(&vsock->conns, conn, OWE_CREDIT);
                return guest_op(vsock, conn, req, request);
        }
        return true;
}

/* A packet that is wrong in itself. */
static void guest_wrong(struct vsock *vsock, const struct vsock_req *req)
{
        struct vsock_conn *conn = NULL;

        if (req->host_cid == VSOCK_CID_HOST)
                conn = vsock_conn_find(&vsock->conns, req->guest_port, req->host_port);
        if (!conn)
                guest_reply(vsock, req);
        else if (req->op == VSOCK_OP_RST)
                guest_leave(vsock, conn);
        else
                vsock_conn_reset(vsock, conn);
}

static enum vsock_verdict guest_judge(const struct vsock *vsock, struct request *request,
                                      struct vsock_req *ret_req)
{
        uint32_t readable = request_readable(request), len = MIN(readable, VSOCK_HEADER_BYTES);
        uint8_t header[VSOCK_HEADER_BYTES];

        if (request_read(request, 0, header, len) < 0)
                return VSOCK_REFUSE;
        return vsock_req_check(&vsock->self, readable, request_writable(request), header, len, ret_req);
}

/* False: not now. */
static bool guest_packet(struct vsock *vsock, struct request *request)
{
        struct vsock_req req;

        if (request_must_fail(request)) { /* of a predecessor's connection, which is no more */
                request_complete(request, 0, 0);
                return true;
        }
        switch (guest_judge(vsock, request, &req)) {
        case VSOCK_SERVE:
                if (!guest_serve(vsock, &req, request))
                        return false;
                break;
        case VSOCK_RESET:
                guest_wrong(vsock, &req);
                break;
        case VSOCK_IGNORE:
                break;
        case VSOCK_REFUSE:
                request_refuse(request);
                return true;
        }
        request_complete(request, 0, 0);
        return true;
}

void vsock_guest_packet(struct vsock *vsock, struct request *request)
{
        if (vsock->n_held == 0 && guest_packet(vsock, request))
                return;
        if (vsock->n_held == LIMIT_CREDITS)
                worker_trap();
        vsock->held[(vsock->held_first + vsock->n_held++) % LIMIT_CREDITS] = request;
}

void vsock_guest_resume(struct vsock *vsock)
{
        while (vsock->n_held > 0 && guest_packet(vsock, vsock->held[vsock->held_first])) {
                vsock->held_first = (vsock->held_first + 1) % LIMIT_CREDITS;
                vsock->n_held--;
        }
}
