/* Bytes on their way to a peer that may not read: a bounded queue in front of a non-blocking socket.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

struct output {
        uint8_t bytes[LIMIT_VHOST_USER_OUTPUT];
        size_t len;
};

/* Appends a whole message. 0, or -ENOBUFS: the peer has let too much pile up (nothing is appended). */
int output_put(struct output *output, const void *header, size_t header_len, const void *payload,
               size_t payload_len);

/* Sends what the socket takes. 0 (look at output_pending), or what sendmsg said. */
int output_flush(struct output *output, int fd);

static inline bool output_pending(const struct output *output)
{
        return output->len > 0;
}
