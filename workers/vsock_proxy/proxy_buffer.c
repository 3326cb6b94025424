/* Bytes that the host's end of a stream has not taken yet.
 * Owns the pool; called by proxy_stream.c. TRUST: bytes are the guest's and not looked at; lengths were judged by the caller.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock_proxy/proxy_buffer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/checked.h"

_Static_assert(sizeof(struct proxy_block) <= 4096, "a block is a page at most");
_Static_assert((PROXY_SPANS - 2) * PROXY_BLOCK_BYTES >= LIMIT_VSOCK_BUFFER, "a message fits in so many");

int proxy_pool_init(struct proxy_pool *pool)
{
        void *p = mmap(NULL, LIMIT_VSOCK_POOL * sizeof(struct proxy_block), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
                return -ENOMEM;
        *pool = (struct proxy_pool){.blocks = p};
        return 0;
}

static struct proxy_block *pool_take(struct proxy_pool *pool)
{
        struct proxy_block *block = pool->free;

        if (block)
                pool->free = block->next;
        else
                block = &pool->blocks[pool->n_fresh++];
        pool->n_used++;
        block->next = NULL;
        block->at = 0;
        block->end = 0;
        memset(block->last, 0, sizeof(block->last));
        return block;
}

static void pool_give(struct proxy_pool *pool, struct proxy_block *block)
{
        block->next = pool->free;
        pool->free = block;
        pool->n_used--;
}

/* Enough for so many bytes, of which `room` fit in the last block? */
static bool pool_has(const struct proxy_pool *pool, uint32_t len, uint32_t room)
{
        uint32_t more = len > room ? len - room : 0;

        return (more + PROXY_BLOCK_BYTES - 1) / PROXY_BLOCK_BYTES <= LIMIT_VSOCK_POOL - pool->n_used;
}

static void buffer_grow(struct proxy_pool *pool, struct proxy_buffer *buffer)
{
        struct proxy_block *block = pool_take(pool);

        *(buffer->last ? &buffer->last->next : &buffer->first) = block;
        buffer->last = block;
}

static uint32_t buffer_room(const struct proxy_buffer *buffer)
{
        return buffer->last ? PROXY_BLOCK_BYTES - buffer->last->end : 0;
}

bool proxy_buffer_put(struct proxy_pool *pool, struct proxy_buffer *buffer, const uint8_t *bytes,
                      uint32_t len, bool eom)
{
        if (!pool_has(pool, len, buffer_room(buffer)))
                return false;
        while (len > 0) {
                struct proxy_block *block;
                uint32_t n;

                if (buffer_room(buffer) == 0)
                        buffer_grow(pool, buffer);
                block = buffer->last;
                n = MIN(len, buffer_room(buffer));
                memcpy(block->bytes + block->end, bytes, n);
                block->end += n;
                buffer->len += n;
                bytes += n;
                len -= n;
        }
        if (eom)
                buffer->last->last[(buffer->last->end - 1) / 8] |=
                    (uint8_t)(1u << (buffer->last->end - 1) % 8);
        return true;
}

unsigned proxy_buffer_spans(const struct proxy_buffer *buffer, struct iovec spans[static PROXY_SPANS])
{
        unsigned n = 0;

        for (struct proxy_block *block = buffer->first; block && n < PROXY_SPANS; block = block->next)
                spans[n++] = (struct iovec){block->bytes + block->at, block->end - block->at};
        return n;
}

/* Bytes up to and including the first that ends a message; 0: none does. */
static uint32_t block_message(const struct proxy_block *block)
{
        for (uint32_t i = block->at; i < block->end; i++) {
                if (i % 8 == 0 && block->last[i / 8] == 0) {
                        i += 7;
                        continue;
                }
                if (block->last[i / 8] >> i % 8 & 1)
                        return i + 1 - block->at;
        }
        return 0;
}

unsigned proxy_buffer_message(const struct proxy_buffer *buffer, struct iovec spans[static PROXY_SPANS],
                              uint32_t *ret_len)
{
        uint32_t len = 0;
        unsigned n = 0;

        for (struct proxy_block *block = buffer->first; block && n < PROXY_SPANS; block = block->next) {
                uint32_t end = block_message(block);
                uint32_t take = end > 0 ? end : block->end - block->at;

                spans[n++] = (struct iovec){block->bytes + block->at, take};
                len += take;
                if (end > 0) {
                        *ret_len = len;
                        return n;
                }
        }
        return 0;
}

void proxy_buffer_drop(struct proxy_pool *pool, struct proxy_buffer *buffer, uint32_t len)
{
        assert(len <= buffer->len);
        buffer->len -= len;
        while (len > 0 || (buffer->first && buffer->first->at == buffer->first->end)) {
                struct proxy_block *block = buffer->first;
                uint32_t n = MIN(len, block->end - block->at);

                block->at += n;
                len -= n;
                if (block->at < block->end)
                        continue;
                buffer->first = block->next;
                if (!buffer->first)
                        buffer->last = NULL;
                pool_give(pool, block);
        }
}
