/* A vsock device in a whole runtime, between a scripted guest and a scripted proxy. Every wait has a deadline.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/vsock_frame.h"
#include "tests/workers/fake_broker.h"
#include "workers/vsock/vsock_req.h"

#define STAGE_CID     52u
#define STAGE_BUFFERS 64u   /* that the guest lends at once */
#define STAGE_BUFFER  4096u /* bytes of each, as Linux has them */

/* What the guest reads of a packet. */
struct stage_packet {
        uint64_t src_cid, dst_cid;
        uint32_t src_port, dst_port, len;
        uint16_t type, op;
        uint32_t flags, buf_alloc, fwd_cnt;
        const uint8_t *payload;
};

struct vsock_stage {
        struct fake_broker broker;
        int proxy;            /* the proxy's end */
        int worker;           /* the worker's, for a successor */
        uint32_t lent, taken; /* buffers */
        struct fake_request rx[STAGE_BUFFERS];
        uint8_t buffers[STAGE_BUFFERS][STAGE_BUFFER];
        uint8_t payload[VSOCK_FRAME_PAYLOAD + 1];
        uint64_t id;
};

/* Queues started, no buffer lent; HELLO has been answered. */
void stage_start(struct vsock_stage *stage, uint64_t features);

/* With everything agreed, and half the buffers lent. */
void stage_start_lent(struct vsock_stage *stage);

/* The same with a new worker on the same socket; `welcome`: HELLO is answered. */
void stage_start_again(struct vsock_stage *stage, uint64_t features, bool restored, bool welcome);
void stage_welcome(struct vsock_stage *stage);

/* The worker must have lived until now. */
void stage_end(struct vsock_stage *stage);

/* ---- the guest ---- */

/* Lends so many buffers more, each of `len` bytes. */
void stage_lend(struct vsock_stage *stage, unsigned n, uint32_t len);

/* Bytes of the transmit queue, with room for an answer: how they ended (WIRE_STATUS_). */
uint32_t stage_put(struct vsock_stage *stage, const void *bytes, uint32_t len, uint32_t writable);

/* The same of a packet from and to these; not awaited: the request is the caller's. */
void stage_make(const struct stage_packet *packet, uint8_t header[static VSOCK_HEADER_BYTES]);
uint32_t stage_say(struct vsock_stage *stage, const struct stage_packet *packet);

/* Bytes, with flags of a SEQPACKET connection if there are any; and a packet without bytes, which is taken. */
uint32_t stage_say_bytes(struct vsock_stage *stage, uint32_t guest_port, uint32_t host_port,
                         const void *payload, uint32_t len, uint32_t flags);
void stage_say_op(struct vsock_stage *stage, uint16_t op, uint32_t guest_port, uint32_t host_port,
                  uint32_t flags);

/* The next packet to the guest. */
struct stage_packet stage_hear(struct vsock_stage *stage);

/* One of that op on these ports. */
struct stage_packet stage_expect_op(struct vsock_stage *stage, uint16_t op, uint32_t guest_port,
                                    uint32_t host_port);

/* A packet of the guest with nothing unusual in it. */
struct stage_packet stage_packet(uint16_t op, uint32_t guest_port, uint32_t host_port);

/* Nothing is on its way to the guest: a packet to nobody is answered first. */
void stage_expect_no_packet(struct vsock_stage *stage);

/* ---- the proxy ---- */

void stage_frame(struct vsock_stage *stage, struct vsock_frame frame, const void *payload);
void stage_frame_plain(struct vsock_stage *stage, enum vsock_frame_kind kind, uint32_t stream);
void stage_frame_data(struct vsock_stage *stage, uint32_t stream, const void *payload, uint32_t len,
                      uint16_t flags);
struct vsock_frame stage_next_frame(struct vsock_stage *stage);
struct vsock_frame stage_expect_frame(struct vsock_stage *stage, enum vsock_frame_kind kind);

/* ---- both ---- */

/* A connection that the guest has begun: its stream. */
uint32_t stage_open(struct vsock_stage *stage, uint32_t guest_port, uint32_t host_port, uint16_t type);

/* One of the host's, by this stream. */
void stage_offer(struct vsock_stage *stage, uint32_t stream, uint32_t guest_port, uint32_t host_port);
