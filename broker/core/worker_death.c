/* One death of a worker, told from what two witnesses say.
 * Owns nothing; called by the supervisor. TRUST: the spawner's words were judged by spawn_check; numbers in
 * them are the worker's doing and are only printed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_death.h"

#include <inttypes.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"

#define X32_BIT 0x40000000u

void worker_death_gone(struct worker_death *death, uint32_t pid, bool by_us)
{
        if (death->pid != pid)
                *death = (struct worker_death){.pid = pid};
        death->gone = true;
        death->by_us = by_us;
}

void worker_death_told(struct worker_death *death, const struct spawn_to_broker *exited)
{
        if (death->pid != exited->pid)
                *death = (struct worker_death){.pid = exited->pid};
        death->told = true;
        death->exit = *exited;
}

bool worker_death_known(const struct worker_death *death)
{
        return death->gone && death->told;
}

bool worker_death_is_crash(const struct worker_death *death)
{
        return !death->by_us && (!death->told || death->exit.signaled || death->exit.code != 0);
}

static const char *arch_name(const struct spawn_cause *cause)
{
        switch (cause->arch) {
        case AUDIT_ARCH_X86_64:
                return cause->nr & X32_BIT ? "x32" : "x86_64";
        case AUDIT_ARCH_I386:
                return "i386";
        case AUDIT_ARCH_AARCH64:
                return "arm64";
        case AUDIT_ARCH_ARM:
                return "arm";
        default:
                return "unknown";
        }
}

struct text {
        char *out;
        size_t size, len;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text->out + text->len, text->size - text->len, format, args);
        va_end(args);
        text->len += MIN(n < 0 ? 0 : (size_t)n, text->size - text->len - 1);
}

static void add_call(struct text *text, const struct spawn_cause *cause)
{
        add(text, "%s(", cause->call[0] != '\0' ? cause->call : "unnamed");
        for (size_t i = 0; i < SPAWN_CALL_ARGS; i++)
                add(text, "%s0x%" PRIx64, i > 0 ? ", " : "", cause->args[i]);
        add(text, ") nr=%u arch=%s ip=0x%" PRIx64, cause->nr, arch_name(cause), cause->ip);
}

/* What the policy's source says to that call. */
static void add_breach(struct text *text, const struct spawn_cause *cause, const char *type)
{
        static const char *const gates[SPAWN_GATE_COUNT_] = {[SPAWN_GATE_UNKNOWN] = "",
                                                             [SPAWN_GATE_START] = " in the start gate",
                                                             [SPAWN_GATE_RUN] = " in the run gate"};
        const char *gate = gates[cause->gate];

        switch (cause->breach) {
        case SPAWN_BREACH_CALL:
                add(text, ": no row of sandbox/policy/%s.c names it%s", type, gate);
                break;
        case SPAWN_BREACH_ARGUMENTS:
                add(text, ": sandbox/policy/%s.c and base.c allow it%s with other arguments only", type,
                    gate);
                break;
        case SPAWN_BREACH_ARCH:
                add(text, ": no policy allows another architecture's calls%s", gate);
                break;
        case SPAWN_BREACH_NONE:
        case SPAWN_BREACH_UNKNOWN:
        case SPAWN_BREACH_COUNT_:
                add(text, ": the rows are in sandbox/policy/%s.c and base.c", type);
                break;
        }
}

static const char *replaced(const struct worker_death *death)
{
        return death->renewed ? "was replaced: what it was given is dead" : "was replaced for a reset";
}

static void add_signal(struct text *text, const struct worker_death *death)
{
        const struct spawn_cause *cause = &death->exit.cause;
        const char *name = sigabbrev_np((int)death->exit.code);

        if (death->exit.code == SIGKILL && cause->oom) {
                add(text, "was killed by the kernel: its control group is out of memory");
                return;
        }
        if (death->exit.code == SIGKILL) {
                add(text, "%s", death->by_us ? replaced(death) : "was killed");
                return;
        }
        if (name)
                add(text, "died of SIG%s", name);
        else
                add(text, "died of signal %u", death->exit.code);
        if (cause->ip != 0)
                add(text, " ip=0x%" PRIx64, cause->ip);
}

const char *worker_death_text(const struct worker_death *death, const char *type, char *out, size_t size)
{
        const struct spawn_cause *cause = &death->exit.cause;
        struct text text = {.out = out, .size = size};

        out[0] = '\0';
        if (!death->told) {
                add(&text, "died, nobody knows how: the spawner is gone");
        } else if (cause->breach != SPAWN_BREACH_NONE) {
                add(&text, "was killed for a forbidden system call");
                if (cause->have_call) {
                        add(&text, ": ");
                        add_call(&text, cause);
                }
                add_breach(&text, cause, type);
        } else if (death->exit.signaled) {
                add_signal(&text, death);
        } else if (death->by_us && death->exit.code == 0) {
                /* It saw its channels' end before the signal came. */
                add(&text, "%s", replaced(death));
        } else {
                add(&text, "ended by itself status=%u", death->exit.code);
        }
        return out;
}

/* Each kind has a rate of its own: an uproar of resets does not hide a forbidden call. */
void worker_death_log(struct worker_death *death, const char *device, const char *type, const char *next)
{
        char text[LIMIT_LOG_LINE / 2];

        worker_death_text(death, type, text, sizeof(text));
        if (death->exit.cause.breach != SPAWN_BREACH_NONE)
                log_limited(LOG_LEVEL_ERROR, "worker %s; %s dev=%s worker=%u", text, next, device,
                            death->pid);
        else if (worker_death_is_crash(death) && death->exit.code != SIGKILL)
                log_limited(LOG_LEVEL_WARNING, "worker %s; %s dev=%s worker=%u", text, next, device,
                            death->pid);
        else
                log_limited(LOG_LEVEL_INFO, "worker %s; %s dev=%s worker=%u", text, next, device, death->pid);
        *death = (struct worker_death){0};
}
