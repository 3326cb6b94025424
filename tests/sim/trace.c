/* The trace of a run.
 * Owns the hash; called by everything in tests/sim, on one thread. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/trace.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/clock.h"

static char replay_line[256];
static bool printing;
static uint64_t hash, steps;

/* An assertion of the product. */
static void on_abort(int signo)
{
        (void)signo;
        (void)!write(STDERR_FILENO, replay_line, strlen(replay_line));
        signal(SIGABRT, SIG_DFL);
        raise(SIGABRT);
}

void trace_start(const char *replay, bool print)
{
        snprintf(replay_line, sizeof(replay_line), "\nto see it again: %s\n", replay);
        printing = print;
        hash = UINT64_C(0xcbf29ce484222325);
        steps = 0;
        signal(SIGABRT, on_abort);
}

void trace_set_step(uint64_t step)
{
        steps = step;
}

static void hash_add(uint64_t value)
{
        hash = (hash ^ value) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
}

void trace_event(const char *what, unsigned device, uint64_t a, uint64_t b)
{
        for (const char *at = what; *at; at++)
                hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
        hash_add(sim_now_ms());
        hash_add(device);
        hash_add(a);
        hash_add(b);
        if (printing)
                printf("%8llu %8llu ms  dev%u %-22s %llu %llu\n", (unsigned long long)steps,
                       (unsigned long long)sim_now_ms(), device, what, (unsigned long long)a,
                       (unsigned long long)b);
}

void trace_note(const char *format, ...)
{
        va_list args;

        if (!printing)
                return;
        printf("%8llu %8llu ms    ", (unsigned long long)steps, (unsigned long long)sim_now_ms());
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
}

uint64_t trace_hash(void)
{
        return hash;
}

void sim_fail(const char *format, ...)
{
        va_list args;

        fflush(stdout);
        fprintf(stderr, "\nFAILED at step %llu, %llu ms: ", (unsigned long long)steps,
                (unsigned long long)sim_now_ms());
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputs(replay_line, stderr);
        fflush(stderr);
        if (getenv("SIM_ABORT"))
                abort();
        _exit(1);
}
