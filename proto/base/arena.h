/* A bump allocator with a hard cap, emptied at once: what a hostile message makes us allocate ends here.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena {
        uint8_t *base;
        size_t size;
        size_t used;
};

/* Allocates `size` bytes once. Returns 0 or -ENOMEM. */
int arena_init(struct arena *arena, size_t size);
void arena_done(struct arena *arena);

/* 16-byte aligned, not cleared. NULL when the cap would be passed. */
void *arena_alloc(struct arena *arena, size_t len);

/* Forgets everything that was allocated. Memory from before must not be used any more. */
void arena_reset(struct arena *arena);
