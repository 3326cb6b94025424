/* Fibers on contexts of the C library.
 * Owns their stacks, which are kept for the next ones; called by vthread.c. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/sim/trace.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES (1u << 20) /* instrumented frames are large */
#else
#define STACK_BYTES (256u << 10)
#endif
#define STACKS_KEPT 16u

struct fiber {
        ucontext_t context, back;
        void *stack;
        void (*run)(void *argument);
        void *argument;
        bool ended;
        void *fake_stack;
};

static struct fiber *current;
static void *kept[STACKS_KEPT];
static unsigned n_kept;
static const void *schedule_stack; /* of whoever resumes */
static size_t schedule_stack_bytes;

/* Tells the address sanitizer that the stack changes. */
static void switch_begin(void **fake_stack, const void *bottom, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#else
        (void)fake_stack;
        (void)bottom;
        (void)bytes;
#endif
}

static void switch_end(void *fake_stack, const void **ret_bottom, size_t *ret_bytes)
{
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_finish_switch_fiber(fake_stack, ret_bottom, ret_bytes);
#else
        (void)fake_stack;
        (void)ret_bottom;
        (void)ret_bytes;
#endif
}

static void *stack_new(void)
{
        void *stack;

        if (n_kept > 0)
                return kept[--n_kept];
        stack =
            mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        sim_check(stack != MAP_FAILED, "no memory for a stack");
        sim_check(mprotect(stack, 4096, PROT_NONE) == 0, "no guard page for a stack");
        return stack;
}

static void fiber_main(void)
{
        struct fiber *fiber = current;

        switch_end(NULL, &schedule_stack, &schedule_stack_bytes);
        fiber->run(fiber->argument);
        fiber->ended = true;
        switch_begin(NULL, schedule_stack, schedule_stack_bytes);
        swapcontext(&fiber->context, &fiber->back);
        abort(); /* nobody resumes it any more */
}

struct fiber *fiber_new(void (*run)(void *argument), void *argument)
{
        struct fiber *fiber = calloc(1, sizeof(*fiber));

        sim_check(fiber, "no memory for a fiber");
        fiber->run = run;
        fiber->argument = argument;
        fiber->stack = stack_new();
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = (uint8_t *)fiber->stack + 4096;
        fiber->context.uc_stack.ss_size = STACK_BYTES - 4096;
        makecontext(&fiber->context, fiber_main, 0);
        return fiber;
}

struct fiber *fiber_free(struct fiber *fiber)
{
        if (!fiber)
                return NULL;
        sim_check(fiber->ended, "a thread was never joined");
        if (n_kept < STACKS_KEPT)
                kept[n_kept++] = fiber->stack;
        else
                munmap(fiber->stack, STACK_BYTES);
        free(fiber);
        return NULL;
}

void fiber_resume(struct fiber *fiber)
{
        void *fake_stack = NULL;

        current = fiber;
        switch_begin(&fake_stack, fiber->context.uc_stack.ss_sp, fiber->context.uc_stack.ss_size);
        swapcontext(&fiber->back, &fiber->context);
        switch_end(fake_stack, NULL, NULL);
        current = NULL;
}

void fiber_yield(void)
{
        struct fiber *fiber = current;

        switch_begin(&fiber->fake_stack, schedule_stack, schedule_stack_bytes);
        swapcontext(&fiber->context, &fiber->back);
        switch_end(fiber->fake_stack, &schedule_stack, &schedule_stack_bytes);
}

struct fiber *fiber_current(void)
{
        return current;
}

bool fiber_ended(const struct fiber *fiber)
{
        return fiber->ended;
}
