/* Bytes that the host's end of a stream has not taken yet: a chain of blocks, and the ends of messages in it.
 *
 * Blocks come from one pool for all streams, which has LIMIT_VSOCK_POOL: memory is touched when it is needed, and used again
 * before more is touched.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/limits.h"

#define PROXY_BLOCK_BYTES 3600u
#define PROXY_SPANS                                                                                          \
        24u /* a message of LIMIT_VSOCK_BUFFER, in blocks of which the first and the last are not full */

struct proxy_block {
        struct proxy_block *next;
        uint32_t at, end;                    /* bytes[at, end) are there */
        uint8_t last[PROXY_BLOCK_BYTES / 8]; /* a bit a byte: it is a message's last */
        uint8_t bytes[PROXY_BLOCK_BYTES];
};

struct proxy_pool {
        struct proxy_block *blocks; /* LIMIT_VSOCK_POOL of them */
        struct proxy_block *free;
        uint32_t n_fresh; /* so many were ever used */
        uint32_t n_used;  /* so many are used now */
};

/* Zero is empty. */
struct proxy_buffer {
        struct proxy_block *first, *last;
        uint32_t len;
};

/* 0 or -ENOMEM. */
int proxy_pool_init(struct proxy_pool *pool);

/* Appends; `eom`: the last byte ends a message. False: the pool has not enough, and nothing was appended. */
bool proxy_buffer_put(struct proxy_pool *pool, struct proxy_buffer *buffer, const uint8_t *bytes,
                      uint32_t len, bool eom);

/* Where the first bytes are: as many as fit in `spans`. Returns how many spans. */
unsigned proxy_buffer_spans(const struct proxy_buffer *buffer, struct iovec spans[static PROXY_SPANS]);

/* Likewise, of the first whole message; 0: there is none. */
unsigned proxy_buffer_message(const struct proxy_buffer *buffer, struct iovec spans[static PROXY_SPANS],
                              uint32_t *ret_len);

/* The first `len` bytes, of as many as there are, are gone. */
void proxy_buffer_drop(struct proxy_pool *pool, struct proxy_buffer *buffer, uint32_t len);
