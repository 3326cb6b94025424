/* The signal handler behind the fault-safe accesses.
 * Owns the process's SIGBUS and SIGSEGV actions. Called by main once; the handler by any thread that faults.
 * TRUST: the kernel tells where the fault was; nothing else is believed.
 *
 * How it works: the routines themselves are in fault_safe_<machine>.S and leave a table of {start, end,
 * resume}. A fault whose program counter is in a row goes on at its resume label, which counts what is
 * missing and returns. Every other fault gets back the action that stood before us and happens again: it
 * kills, with the registers of the culprit in the core.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/fault_safe.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>

#include "proto/base/checked.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "fault-safe accesses exist for x86_64 and aarch64"
#endif

/* Offsets from the field itself: the table needs no relocation. */
struct fault_range {
        int32_t start, end, resume;
};
extern const struct fault_range fault_safe_ranges[] __attribute__((visibility("hidden")));
extern const struct fault_range fault_safe_ranges_end[] __attribute__((visibility("hidden")));

static const int signals[] = {SIGBUS, SIGSEGV};
static struct sigaction before[array_size(signals)];

static uintptr_t field_address(const int32_t *field)
{
        return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

/* Where a fault at this program counter goes on; 0: it is none of ours. */
static uintptr_t find_resume(uintptr_t pc)
{
        for (const struct fault_range *range = fault_safe_ranges; range < fault_safe_ranges_end; range++) {
                if (pc >= field_address(&range->start) && pc < field_address(&range->end))
                        return field_address(&range->resume);
        }
        return 0;
}

static uintptr_t context_pc(const ucontext_t *context)
{
#ifdef __x86_64__
        return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#else
        return (uintptr_t)context->uc_mcontext.pc;
#endif
}

static void context_set_pc(ucontext_t *context, uintptr_t pc)
{
#ifdef __x86_64__
        context->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
#else
        context->uc_mcontext.pc = pc;
#endif
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
        /* A signal that another process sent (si_code <= 0) may meet a routine by chance and is no fault of
         * it. */
        uintptr_t resume = info->si_code > 0 ? find_resume(context_pc(context)) : 0;

        if (resume != 0) {
                context_set_pc(context, resume);
                return;
        }
        for (size_t i = 0; i < array_size(signals); i++) {
                if (signals[i] == signo)
                        (void)sigaction(signo, &before[i], NULL);
        }
        /* The instruction faults again on return; what was only sent must be sent again. */
        if (info->si_code <= 0)
                (void)raise(signo);
}

int fault_safe_install(void)
{
        /* SA_ONSTACK: a thread with an alternate stack gets here even when its own is what overflowed. */
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < array_size(signals); i++) {
                struct sigaction old;

                if (sigaction(signals[i], &action, &old) < 0)
                        return -errno;
                if (old.sa_sigaction != on_fault) /* a second install must not make us our own predecessor */
                        before[i] = old;
        }
        return 0;
}

#ifdef FAULT_SAFE_CHECKED
/* The assembly is invisible to the address sanitizer: here the ranges are shown to it before each access. */
#include <sanitizer/asan_interface.h>

size_t fault_safe_copy_raw(void *to, const void *from, size_t n);
size_t fault_safe_zero_raw(void *to, size_t n);

static void check_range(const void *at, size_t n)
{
        void *bad = __asan_region_is_poisoned((void *)(uintptr_t)at, n);

        if (bad) {
                __asan_describe_address(bad);
                __builtin_trap();
        }
}

size_t fault_safe_copy(void *to, const void *from, size_t n)
{
        check_range(to, n);
        check_range(from, n);
        return fault_safe_copy_raw(to, from, n);
}

size_t fault_safe_zero(void *to, size_t n)
{
        check_range(to, n);
        return fault_safe_zero_raw(to, n);
}

#define CHECKED_ACCESS(bits)                                                                                 \
        int fault_safe_load##bits##_raw(const void *at, uint##bits##_t *ret_value);                          \
        int fault_safe_store##bits##_raw(void *at, uint##bits##_t value);                                    \
                                                                                                             \
        int fault_safe_load##bits(const void *at, uint##bits##_t *ret_value)                                 \
        {                                                                                                    \
                check_range(at, bits / 8);                                                                   \
                return fault_safe_load##bits##_raw(at, ret_value);                                           \
        }                                                                                                    \
                                                                                                             \
        int fault_safe_store##bits(void *at, uint##bits##_t value)                                           \
        {                                                                                                    \
                check_range(at, bits / 8);                                                                   \
                return fault_safe_store##bits##_raw(at, value);                                              \
        }

CHECKED_ACCESS(16)
CHECKED_ACCESS(32)
CHECKED_ACCESS(64)
#endif
