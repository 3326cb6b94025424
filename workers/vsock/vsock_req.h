/* The guest's words to a vsock device, judged, and ours to it, made (virtio 1.3, 5.10.6). Pure: bytes in, a struct out.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define VSOCK_HEADER_BYTES 44u
#define VSOCK_CID_HOST     UINT64_C(2)

#define VSOCK_F_STREAM    (UINT64_C(1) << 0)
#define VSOCK_F_SEQPACKET (UINT64_C(1) << 1)

enum vsock_type {
        VSOCK_TYPE_STREAM = 1,
        VSOCK_TYPE_SEQPACKET = 2,
};

enum vsock_op {
        VSOCK_OP_REQUEST = 1,
        VSOCK_OP_RESPONSE,
        VSOCK_OP_RST,
        VSOCK_OP_SHUTDOWN,
        VSOCK_OP_RW,
        VSOCK_OP_CREDIT_UPDATE,
        VSOCK_OP_CREDIT_REQUEST,
        VSOCK_OP_COUNT_,
};

/* Flags of SHUTDOWN: whose sender ... */
#define VSOCK_NO_RECEIVE 1u
#define VSOCK_NO_SEND    2u
/* ... and of RW of a SEQPACKET connection. */
#define VSOCK_EOM 1u
#define VSOCK_EOR 2u

/* What to do with a packet of the guest. */
enum vsock_verdict {
        VSOCK_SERVE = 0, /* it is in order; whether it is due is for the connection to say */
        VSOCK_RESET,     /* answer with RST, and end its connection if there is one */
        VSOCK_IGNORE,    /* no answer can be for it */
        VSOCK_REFUSE,    /* no packet at all: the guest is out of order */
};

/* Made by vsock_req_check alone. */
struct vsock_req {
        uint64_t host_cid; /* whom it is for: VSOCK_CID_HOST, if it is to be served */
        uint32_t guest_port, host_port;
        uint16_t type; /* of one to be served: one of vsock_type; else what the guest wrote */
        uint16_t op;   /* likewise */
        uint32_t flags;
        uint32_t len; /* of the payload behind the header: all of it is readable. 0 unless op is RW */
        uint32_t buf_alloc, fwd_cnt;
};

/* What packets are held against. */
struct vsock_self {
        uint64_t guest_cid;
        bool seqpacket; /* agreed */
};

/* `header` are the first `len` of `readable` readable bytes, VSOCK_HEADER_BYTES or all. *ret_req is written for SERVE, and for
 * RESET as far as an answer needs it. */
enum vsock_verdict vsock_req_check(const struct vsock_self *self, uint32_t readable, uint32_t writable,
                                   const uint8_t *header, size_t len, struct vsock_req *ret_req);

/* A packet to the guest. */
struct vsock_packet {
        uint64_t host_cid;
        uint32_t guest_port, host_port;
        uint32_t len;
        uint16_t type, op;
        uint32_t flags, buf_alloc, fwd_cnt;
};

void vsock_packet_make(const struct vsock_self *self, const struct vsock_packet *packet,
                       uint8_t ret_header[static VSOCK_HEADER_BYTES]);
