/* A frame's two lengths.
 * Owns nothing; called by everybody who reads or writes a framed socket.
 * TRUST: the eight bytes are the peer's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "proto/base/limits.h"

int frame_head_check(const uint8_t bytes[static FRAME_HEAD_BYTES], uint32_t max_payload,
                     struct frame_head *ret_head)
{
        uint32_t header_len, payload_len;

        memcpy(&header_len, bytes, sizeof(header_len));
        memcpy(&payload_len, bytes + 4, sizeof(payload_len));
        header_len = le32toh(header_len);
        payload_len = le32toh(payload_len);
        if (header_len == 0 || header_len > LIMIT_FRAME_HEADER || payload_len > max_payload)
                return -EPROTO;
        *ret_head = (struct frame_head){.header_len = header_len, .payload_len = payload_len};
        return 0;
}

void frame_head_make(const struct frame_head *head, uint8_t ret_bytes[static FRAME_HEAD_BYTES])
{
        uint32_t header_len = htole32(head->header_len);
        uint32_t payload_len = htole32(head->payload_len);

        memcpy(ret_bytes, &header_len, sizeof(header_len));
        memcpy(ret_bytes + 4, &payload_len, sizeof(payload_len));
}
