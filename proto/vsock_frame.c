/* Frames between the worker of a vsock device and its proxy: the table, the judge, the maker.
 * Owns nothing; called by both. TRUST: every byte is the peer's, who may have been taken over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vsock_frame.h"

#include <errno.h>

#include "proto/base/bytes.h"

#define TO_WORKER VSOCK_SIDE_WORKER
#define TO_PROXY  VSOCK_SIDE_PROXY
#define TO_BOTH   (VSOCK_SIDE_WORKER | VSOCK_SIDE_PROXY)
#define LOST_MAX  (VSOCK_LOST_MAX * VSOCK_LOST_BYTES)

static const struct row {
        unsigned to;
        uint16_t flags; /* that may be set */
        bool stream;    /* names one; else the field is 0 */
        bool a, b;      /* are used; else 0 */
        uint32_t min_len, max_len;
        enum vsock_frame_side given_by; /* who has given the stream's id; 0: either */
} rows[VSOCK_FRAME_KIND_COUNT_] = {
    [VSOCK_FRAME_HELLO] = {.to = TO_PROXY, .a = true, .b = true},
    [VSOCK_FRAME_WELCOME] = {.to = TO_WORKER, .a = true, .b = true},
    [VSOCK_FRAME_LOST] = {.to = TO_WORKER, .min_len = VSOCK_LOST_BYTES, .max_len = LOST_MAX},
    [VSOCK_FRAME_OPEN] = {.to = TO_PROXY,
                          .flags = VSOCK_FRAME_SEQPACKET,
                          .stream = true,
                          .a = true,
                          .b = true,
                          .given_by = VSOCK_SIDE_WORKER},
    [VSOCK_FRAME_OPENED] = {.to = TO_WORKER, .stream = true, .given_by = VSOCK_SIDE_WORKER},
    [VSOCK_FRAME_OFFER] = {.to = TO_WORKER,
                           .flags = VSOCK_FRAME_SEQPACKET,
                           .stream = true,
                           .a = true,
                           .b = true,
                           .given_by = VSOCK_SIDE_PROXY},
    [VSOCK_FRAME_ACCEPT] = {.to = TO_PROXY, .stream = true, .given_by = VSOCK_SIDE_PROXY},
    [VSOCK_FRAME_DATA] = {.to = TO_BOTH,
                          .flags = VSOCK_FRAME_EOM,
                          .stream = true,
                          .min_len = 1,
                          .max_len = VSOCK_FRAME_PAYLOAD},
    [VSOCK_FRAME_CREDIT] = {.to = TO_PROXY, .stream = true, .a = true, .b = true},
    [VSOCK_FRAME_CONSUMED] = {.to = TO_WORKER, .stream = true, .a = true},
    [VSOCK_FRAME_SHUT] = {.to = TO_BOTH, .flags = VSOCK_FRAME_NO_TAKE | VSOCK_FRAME_NO_SEND, .stream = true},
    [VSOCK_FRAME_END] = {.to = TO_BOTH, .stream = true},
};

_Static_assert(LOST_MAX <= VSOCK_FRAME_PAYLOAD, "a frame of them is no longer than one of bytes");

static bool stream_fits(const struct row *row, uint32_t stream)
{
        if (!row->stream)
                return stream == 0;
        return stream < VSOCK_FRAME_IDS && (row->given_by == 0 || vsock_stream_is_of(stream, row->given_by));
}

static bool frame_fits(const struct row *row, const struct vsock_frame *frame)
{
        if ((frame->flags & ~row->flags) != 0 || !stream_fits(row, frame->stream))
                return false;
        if ((frame->a != 0 && !row->a) || (frame->b != 0 && !row->b))
                return false;
        if (frame->kind == VSOCK_FRAME_SHUT && frame->flags == 0)
                return false;
        return frame->kind != VSOCK_FRAME_LOST || frame->len % VSOCK_LOST_BYTES == 0;
}

int vsock_frame_check(enum vsock_frame_side to, const uint8_t *bytes, size_t size,
                      struct vsock_frame *ret_frame)
{
        struct vsock_frame frame;
        const struct row *row;
        uint16_t kind;

        if (size < VSOCK_FRAME_BYTES || size > VSOCK_FRAME_MAX)
                return -EPROTO;
        kind = bytes_load16(bytes);
        if (kind >= VSOCK_FRAME_KIND_COUNT_ || (rows[kind].to & to) == 0)
                return -EPROTO;
        row = &rows[kind];
        frame = (struct vsock_frame){.kind = (enum vsock_frame_kind)kind,
                                     .flags = bytes_load16(bytes + 2),
                                     .len = bytes_load32(bytes + 4),
                                     .stream = bytes_load32(bytes + 8),
                                     .a = bytes_load32(bytes + 12),
                                     .b = bytes_load32(bytes + 16)};
        if (frame.len != size - VSOCK_FRAME_BYTES || frame.len < row->min_len || frame.len > row->max_len)
                return -EPROTO;
        if (!frame_fits(row, &frame))
                return -EPROTO;
        *ret_frame = frame;
        return 0;
}

void vsock_frame_make(const struct vsock_frame *frame, uint8_t ret_bytes[static VSOCK_FRAME_BYTES])
{
        bytes_store16(ret_bytes, (uint16_t)frame->kind);
        bytes_store16(ret_bytes + 2, frame->flags);
        bytes_store32(ret_bytes + 4, frame->len);
        bytes_store32(ret_bytes + 8, frame->stream);
        bytes_store32(ret_bytes + 12, frame->a);
        bytes_store32(ret_bytes + 16, frame->b);
}

int vsock_lost_check(const uint8_t bytes[static VSOCK_LOST_BYTES], struct vsock_lost *ret_lost)
{
        uint32_t seqpacket = bytes_load32(bytes + 8);

        if (seqpacket > 1)
                return -EPROTO;
        *ret_lost = (struct vsock_lost){.guest_port = bytes_load32(bytes),
                                        .host_port = bytes_load32(bytes + 4),
                                        .seqpacket = seqpacket == 1};
        return 0;
}

void vsock_lost_make(const struct vsock_lost *lost, uint8_t ret_bytes[static VSOCK_LOST_BYTES])
{
        bytes_store32(ret_bytes, lost->guest_port);
        bytes_store32(ret_bytes + 4, lost->host_port);
        bytes_store32(ret_bytes + 8, lost->seqpacket);
}
