/* A frame's two lengths.
 * Owns nothing; called by everybody who reads or writes frames.
 * TRUST: the eight bytes are the peer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>

#include "proto/base/bytes.h"
#include "proto/base/limits.h"

int frame_head_check(const uint8_t bytes[static FRAME_HEAD_BYTES], uint32_t max_payload,
                     struct frame_head *ret_head)
{
        uint32_t header_len = bytes_load32(bytes), payload_len = bytes_load32(bytes + 4);

        if (header_len == 0 || header_len > LIMIT_FRAME_HEADER || payload_len > max_payload)
                return -EPROTO;
        *ret_head = (struct frame_head){.header_len = header_len, .payload_len = payload_len};
        return 0;
}

void frame_head_make(const struct frame_head *head, uint8_t ret_bytes[static FRAME_HEAD_BYTES])
{
        uint32_t header_len = head->header_len, payload_len = head->payload_len;

        bytes_store32(ret_bytes, header_len);
        bytes_store32(ret_bytes + 4, payload_len);
}
