/* A bump allocator with a hard cap.
 * Owns one block for its whole life; called by the message decoders of proto/.
 * TRUST: sizes come from hostile messages; the cap is ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_ALIGN 16u

int arena_init(struct arena *arena, size_t size)
{
        uint8_t *base = malloc(size);

        if (!base)
                return -ENOMEM;
        *arena = (struct arena){.base = base, .size = size};
        return 0;
}

void arena_done(struct arena *arena)
{
        free(arena->base);
        *arena = (struct arena){0};
}

void *arena_alloc(struct arena *arena, size_t len)
{
        size_t left = arena->size - arena->used;
        size_t rounded;
        void *p;

        if (len > left)
                return NULL;
        rounded = (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        if (rounded > left)
                return NULL;
        p = arena->base + arena->used;
        arena->used += rounded;
        return p;
}

void arena_reset(struct arena *arena)
{
        arena->used = 0;
}
