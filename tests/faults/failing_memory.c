/* The allocator of tests. Owns counters only: the memory is the C library's. Called by everything that the
 * test is linked with. TRUST: sees no foreign bytes.
 *
 * libuv's realloc does not fail: its table of watchers grows with it, when a descriptor is higher than any
 * before, and libuv ends the process when that is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/failing_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <uv.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);

static _Thread_local bool of_test;
static _Thread_local bool in_loop;
static atomic_uint left; /* allocations until one fails; 0: none does */
static atomic_bool failed;
static atomic_long held;

static bool fails(void)
{
        unsigned now = atomic_load(&left);

        if (of_test && !in_loop)
                return false;
        while (now > 0 && !atomic_compare_exchange_weak(&left, &now, now - 1))
                continue;
        if (now != 1)
                return false;
        atomic_store(&failed, true);
        errno = ENOMEM;
        return true;
}

static void *hold(void *p)
{
        if (p)
                atomic_fetch_add(&held, 1);
        return p;
}

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : hold(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : hold(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
        void *moved;

        if (fails())
                return NULL;
        moved = __real_realloc(p, size);
        return p ? moved : hold(moved);
}

void __wrap_free(void *p)
{
        if (p)
                atomic_fetch_sub(&held, 1);
        __real_free(p);
}

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
        bool before = in_loop;
        int r;

        in_loop = true;
        r = __real_uv_run(loop, mode);
        in_loop = before;
        return r;
}

static void *uv_grow(void *p, size_t size)
{
        void *moved = __real_realloc(p, size);

        return p ? moved : hold(moved);
}

void failing_memory_init(void)
{
        of_test = true;
        uv_replace_allocator(__wrap_malloc, uv_grow, __wrap_calloc, __wrap_free);
}

void failing_memory_enter(bool under_test)
{
        in_loop = under_test;
}

void failing_memory_order(unsigned n)
{
        atomic_store(&failed, false);
        atomic_store(&left, n);
}

bool failing_memory_failed(void)
{
        return atomic_load(&failed);
}

long failing_memory_held(void)
{
        return atomic_load(&held);
}
