/* The guest's words to a vsock device, judged, and ours, made.
 * Owns nothing; called by vsock_guest.c and vsock_reply.c. TRUST: every byte and both lengths are the guest's. The bytes are our
 * copy: they cannot change while they are looked at.
 *
 * What vhost and QEMU let pass is judged here. A packet that is cut, or promises more than it has, is none, and the device is
 * broken. One from another address than the guest's has no sender to be answered. All else that is wrong ends the connection,
 * which is what the guest is told by RST (5.10.6.3.2: also for an unknown type); an RST itself is never answered.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_req.h"

#include "proto/base/bytes.h"

/* Places in the header. */
#define AT_SRC_CID   0u
#define AT_DST_CID   8u
#define AT_SRC_PORT  16u
#define AT_DST_PORT  20u
#define AT_LEN       24u
#define AT_TYPE      28u
#define AT_OP        30u
#define AT_FLAGS     32u
#define AT_BUF_ALLOC 36u
#define AT_FWD_CNT   40u

static bool vsock_type_is_known(const struct vsock_self *self, uint16_t type)
{
        return type == VSOCK_TYPE_STREAM || (type == VSOCK_TYPE_SEQPACKET && self->seqpacket);
}

/* Flags that mean something here; others must be 0. */
static uint32_t vsock_flags_of(uint16_t op, uint16_t type)
{
        if (op == VSOCK_OP_SHUTDOWN)
                return VSOCK_NO_RECEIVE | VSOCK_NO_SEND;
        return op == VSOCK_OP_RW && type == VSOCK_TYPE_SEQPACKET ? VSOCK_EOM | VSOCK_EOR : 0;
}

static bool vsock_fields_are_sound(const struct vsock_self *self, const struct vsock_req *req)
{
        if (req->host_cid != VSOCK_CID_HOST || !vsock_type_is_known(self, req->type))
                return false;
        if (req->op < VSOCK_OP_REQUEST || req->op >= VSOCK_OP_COUNT_)
                return false;
        if ((req->flags & ~vsock_flags_of(req->op, req->type)) != 0)
                return false;
        return req->len == 0 || req->op == VSOCK_OP_RW;
}

enum vsock_verdict vsock_req_check(const struct vsock_self *self, uint32_t readable, uint32_t writable,
                                   const uint8_t *header, size_t len, struct vsock_req *ret_req)
{
        struct vsock_req req;

        if (writable != 0 || readable < VSOCK_HEADER_BYTES || len < VSOCK_HEADER_BYTES)
                return VSOCK_REFUSE;
        req = (struct vsock_req){.host_cid = bytes_load64(header + AT_DST_CID),
                                 .guest_port = bytes_load32(header + AT_SRC_PORT),
                                 .host_port = bytes_load32(header + AT_DST_PORT),
                                 .type = bytes_load16(header + AT_TYPE),
                                 .op = bytes_load16(header + AT_OP),
                                 .flags = bytes_load32(header + AT_FLAGS),
                                 .len = bytes_load32(header + AT_LEN),
                                 .buf_alloc = bytes_load32(header + AT_BUF_ALLOC),
                                 .fwd_cnt = bytes_load32(header + AT_FWD_CNT)};
        if (req.len > readable - VSOCK_HEADER_BYTES)
                return VSOCK_REFUSE;
        if (bytes_load64(header + AT_SRC_CID) != self->guest_cid)
                return VSOCK_IGNORE;
        if (!vsock_fields_are_sound(self, &req)) {
                *ret_req = req;
                return req.op == VSOCK_OP_RST && req.host_cid != VSOCK_CID_HOST ? VSOCK_IGNORE : VSOCK_RESET;
        }
        *ret_req = req;
        return VSOCK_SERVE;
}

void vsock_packet_make(const struct vsock_self *self, const struct vsock_packet *packet,
                       uint8_t ret_header[static VSOCK_HEADER_BYTES])
{
        bytes_store64(ret_header + AT_SRC_CID, packet->host_cid);
        bytes_store64(ret_header + AT_DST_CID, self->guest_cid);
        bytes_store32(ret_header + AT_SRC_PORT, packet->host_port);
        bytes_store32(ret_header + AT_DST_PORT, packet->guest_port);
        bytes_store32(ret_header + AT_LEN, packet->len);
        bytes_store16(ret_header + AT_TYPE, packet->type);
        bytes_store16(ret_header + AT_OP, packet->op);
        bytes_store32(ret_header + AT_FLAGS, packet->flags);
        bytes_store32(ret_header + AT_BUF_ALLOC, packet->buf_alloc);
        bytes_store32(ret_header + AT_FWD_CNT, packet->fwd_cnt);
}
