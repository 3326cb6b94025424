/* What the worker of a vsock device and its proxy say to each other, over one SOCK_SEQPACKET pair: a message is a frame, so a
 * frame is there whole or not at all, and whoever takes over an end of it after a death is in step.
 *
 *     offset 0  u16 kind      4  u32 len, of the payload     8  u32 stream      12  u32 a
 *            2  u16 flags                                                       16  u32 b          20  payload
 *
 * All little endian. Each side takes the other for taken over: what is not in the table is refused (vsock_frame_check).
 *
 * A stream is a connection. Ids below LIMIT_VSOCK_STREAMS are given by the worker (the guest connects), the same number above
 * them by the proxy (the host does). An id is free again when both sides have said END of it; whoever hears END and has not
 * said it yet does so when nothing of the stream is left on its side. After its own END a side hears no more of the stream
 * but the other's.
 *
 * Bytes towards the guest: the proxy sends no more than the worker has allowed (CREDIT, counted from the stream's beginning),
 * which is what the guest has room for, so the worker keeps none. Bytes towards the host: the proxy takes LIMIT_VSOCK_BUFFER
 * beyond what it has said to be gone (CONSUMED), and always reads. So one stream that stands still holds no other up.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define VSOCK_FRAME_BYTES   20u
#define VSOCK_FRAME_PAYLOAD LIMIT_VSOCK_BUFFER
#define VSOCK_FRAME_MAX     (VSOCK_FRAME_BYTES + VSOCK_FRAME_PAYLOAD)
#define VSOCK_FRAME_IDS     (2u * LIMIT_VSOCK_STREAMS)

enum vsock_frame_kind {
        VSOCK_FRAME_HELLO =
            1, /* to the proxy, first: a, b: a random number. Streams of a predecessor end, without END */
        VSOCK_FRAME_WELCOME, /* to the worker: its answer, with that number. What came before was not for this worker */
        VSOCK_FRAME_LOST, /* to the worker, after WELCOME: streams that a predecessor had: payload, struct vsock_lost */
        VSOCK_FRAME_OPEN, /* to the proxy: a: the guest's port, b: the host's. Answered with OPENED or END */
        VSOCK_FRAME_OPENED, /* to the worker */
        VSOCK_FRAME_OFFER,  /* to the worker: a, b likewise. Answered with ACCEPT or END */
        VSOCK_FRAME_ACCEPT, /* to the proxy */
        VSOCK_FRAME_DATA,   /* both: bytes */
        VSOCK_FRAME_CREDIT, /* to the proxy: a: so many bytes, from the beginning on, may be sent; b: the most that the guest has room for */
        VSOCK_FRAME_CONSUMED, /* to the worker: a: so many bytes, from the beginning on, are the host's */
        VSOCK_FRAME_SHUT,     /* both: the sender's side sends no more, or takes no more: flags */
        VSOCK_FRAME_END,      /* both */
        VSOCK_FRAME_KIND_COUNT_,
};

/* Of OPEN and OFFER; of DATA; of SHUT. */
#define VSOCK_FRAME_SEQPACKET 1u
#define VSOCK_FRAME_EOM       2u /* the payload's last byte is a message's last */
#define VSOCK_FRAME_NO_TAKE   4u
#define VSOCK_FRAME_NO_SEND   8u

enum vsock_frame_side {
        VSOCK_SIDE_WORKER = 1,
        VSOCK_SIDE_PROXY = 2,
};

/* Made by vsock_frame_check alone, or by who sends it. */
struct vsock_frame {
        enum vsock_frame_kind kind;
        uint16_t flags;
        uint32_t len;    /* 0 .. VSOCK_FRAME_PAYLOAD; of DATA at least 1 */
        uint32_t stream; /* below VSOCK_FRAME_IDS; 0 of those that are about none */
        uint32_t a, b;
};

/* One element of LOST. */
#define VSOCK_LOST_BYTES 12u
#define VSOCK_LOST_MAX   512u /* in one frame */
struct vsock_lost {
        uint32_t guest_port, host_port;
        bool seqpacket;
};

/* Judges one message of `size` bytes that has come to `to`; its payload is the bytes behind the head. 0; or -EPROTO: cut,
 * longer than it says, no such kind, not for this side, or a field out of its row. */
int vsock_frame_check(enum vsock_frame_side to, const uint8_t *bytes, size_t size,
                      struct vsock_frame *ret_frame);

/* The head of a frame. */
void vsock_frame_make(const struct vsock_frame *frame, uint8_t ret_bytes[static VSOCK_FRAME_BYTES]);

/* Elements of LOST's payload. -EPROTO: the last field is neither 0 nor 1. */
int vsock_lost_check(const uint8_t bytes[static VSOCK_LOST_BYTES], struct vsock_lost *ret_lost);
void vsock_lost_make(const struct vsock_lost *lost, uint8_t ret_bytes[static VSOCK_LOST_BYTES]);

/* Was the id given by that side? */
static inline bool vsock_stream_is_of(uint32_t stream, enum vsock_frame_side side)
{
        return (stream < LIMIT_VSOCK_STREAMS) == (side == VSOCK_SIDE_WORKER);
}
