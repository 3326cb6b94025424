/* Counts the program's allocations.
 * Owns the counter; called through the linker's --wrap. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/wrap_heap.h"

#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *at, size_t len);
void __real_free(void *at);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *at, size_t len);
void __wrap_free(void *at);

static atomic_int_fast64_t alive;

int64_t heap_alive(void)
{
        return atomic_load(&alive);
}

void *__wrap_malloc(size_t len)
{
        void *at = __real_malloc(len);

        atomic_fetch_add(&alive, at ? 1 : 0);
        return at;
}

void *__wrap_calloc(size_t n, size_t len)
{
        void *at = __real_calloc(n, len);

        atomic_fetch_add(&alive, at ? 1 : 0);
        return at;
}

void *__wrap_realloc(void *at, size_t len)
{
        void *moved = __real_realloc(at, len);

        atomic_fetch_add(&alive, !at && moved ? 1 : 0);
        return moved;
}

void __wrap_free(void *at)
{
        atomic_fetch_sub(&alive, at ? 1 : 0);
        __real_free(at);
}
