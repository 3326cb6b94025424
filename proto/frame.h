/* A frame: u32 header_len, u32 payload_len (little endian), header_len bytes of protobuf, payload_len raw
 * bytes. See docs/PROTOCOL.md, "Frames".
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#define FRAME_HEAD_BYTES 8u

struct frame_head {
        uint32_t header_len;  /* 1 .. LIMIT_FRAME_HEADER */
        uint32_t payload_len; /* 0 .. max_payload */
};

/* Judges eight foreign bytes. -EPROTO: a length is 0 or over its limit. */
int frame_head_check(const uint8_t bytes[static FRAME_HEAD_BYTES], uint32_t max_payload,
                     struct frame_head *ret_head);

void frame_head_make(const struct frame_head *head, uint8_t ret_bytes[static FRAME_HEAD_BYTES]);
