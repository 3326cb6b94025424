/* Registers of a worker that seccomp has killed, as the call that it made.
 * Owns nothing; called by trace.c while the worker stands at its end. TRUST: registers are the worker's: they
 * are shown, never used.
 *
 * The kernel rolls the call back before it kills (syscall_rollback), so that number and arguments are those at
 * the entry. tests/jail/test_trace_kernel.c proves that.
 * SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "sandbox/trace.h"

/* sys/ptrace.h has this one, linux/ptrace.h cannot be included beside it. */
uint64_t trace_read_ip(pid_t pid, uint32_t *ret_arch)
{
        struct __ptrace_syscall_info info = {0};

        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
                return 0;
        *ret_arch = info.arch;
        return info.instruction_pointer;
}

#if defined(__x86_64__)

static void registers_to_call(const struct user_regs_struct *regs, struct spawn_cause *cause)
{
        const uint64_t native[SPAWN_CALL_ARGS] = {regs->rdi, regs->rsi, regs->rdx,
                                                  regs->r10, regs->r8,  regs->r9};
        const uint64_t i386[SPAWN_CALL_ARGS] = {(uint32_t)regs->rbx, (uint32_t)regs->rcx,
                                                (uint32_t)regs->rdx, (uint32_t)regs->rsi,
                                                (uint32_t)regs->rdi, (uint32_t)regs->rbp};

        cause->nr = (uint32_t)regs->orig_rax;
        memcpy(cause->args, cause->arch == AUDIT_ARCH_I386 ? i386 : native, sizeof(cause->args));
}

static bool read_registers(pid_t pid, struct spawn_cause *cause)
{
        struct user_regs_struct regs = {0};
        struct iovec iov = {&regs, sizeof(regs)};

        if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &iov) < 0 || iov.iov_len != sizeof(regs))
                return false;
        registers_to_call(&regs, cause);
        return true;
}

#elif defined(__aarch64__)

/* The call's number, on 32 and on 64 bits. The kernel's own note of it (NT_ARM_SYSTEM_CALL) is gone by then. */
#define ARM_R7 7
#define ARM_X8 8

static bool read_registers(pid_t pid, struct spawn_cause *cause)
{
        union {
                struct user_regs_struct native;
                uint32_t arm[18];
        } regs = {0};
        struct iovec iov = {&regs, sizeof(regs)};

        if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &iov) < 0)
                return false;
        if (iov.iov_len == sizeof(regs.arm)) {
                cause->nr = regs.arm[ARM_R7];
                for (unsigned i = 0; i < SPAWN_CALL_ARGS; i++)
                        cause->args[i] = regs.arm[i];
                return true;
        }
        cause->nr = (uint32_t)regs.native.regs[ARM_X8];
        for (unsigned i = 0; i < SPAWN_CALL_ARGS; i++)
                cause->args[i] = regs.native.regs[i];
        return true;
}

#else
#error "which registers hold a system call here?"
#endif

/* How many filters it has: the run filter is the second. */
static enum spawn_gate read_gate(pid_t pid)
{
        _cleanup_close_ int fd = -1;
        char text[4096], *line;
        ssize_t n;

        snprintf(text, sizeof(text), "/proc/%d/status", (int)pid);
        fd = open(text, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return SPAWN_GATE_UNKNOWN;
        text[n] = '\0';
        line = strstr(text, "\nSeccomp_filters:");
        switch (line ? strtoul(line + strlen("\nSeccomp_filters:"), NULL, 10) : 0) {
        case 0:
                return SPAWN_GATE_UNKNOWN;
        case 1:
                return SPAWN_GATE_START;
        default:
                return SPAWN_GATE_RUN;
        }
}

void trace_read_call(pid_t pid, struct spawn_cause *cause)
{
        cause->ip = trace_read_ip(pid, &cause->arch);
        if (cause->ip != 0)
                cause->have_call = read_registers(pid, cause);
        cause->gate = read_gate(pid);
}
