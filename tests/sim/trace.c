/* The trace of a run.
 * Owns the hash; called by everything in tests/sim, on one thread. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/trace.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/sim/clock.h"

#define KEPT 600u /* events before a failure */

static char replay_line[256];
static bool printing;
static uint64_t hash, steps;

/* The last events, for a run that cannot be seen again. */
static struct kept {
        const char *what; /* a literal; NULL: a note */
        unsigned device;
        uint64_t ms, a, b;
        char note[128];
} kept[KEPT];
static uint64_t n_kept;

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
        steps = n_kept = 0;
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

static void print_event(FILE *out, const struct kept *event)
{
        if (event->what)
                fprintf(out, "%8llu ms  dev%u %-22s %llu %llu\n", (unsigned long long)event->ms,
                        event->device, event->what, (unsigned long long)event->a,
                        (unsigned long long)event->b);
        else
                fprintf(out, "%8llu ms    %s\n", (unsigned long long)event->ms, event->note);
}

/* Lanes with threads of their own log, too. */
static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;

static void keep(struct kept event)
{
        event.ms = sim_now_ms();
        pthread_mutex_lock(&keeping);
        kept[n_kept++ % KEPT] = event;
        pthread_mutex_unlock(&keeping);
        if (!printing)
                return;
        printf("%8llu ", (unsigned long long)steps);
        print_event(stdout, &event);
}

static void print_last(FILE *out)
{
        for (uint64_t i = n_kept - MIN(n_kept, KEPT); i < n_kept; i++)
                print_event(out, &kept[i % KEPT]);
}

void trace_event(const char *what, unsigned device, uint64_t a, uint64_t b)
{
        for (const char *at = what; *at; at++)
                hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
        hash_add(sim_now_ms());
        hash_add(device);
        hash_add(a);
        hash_add(b);
        keep((struct kept){.what = what, .device = device, .a = a, .b = b});
}

void trace_note(const char *format, ...)
{
        struct kept note = {0};
        va_list args;

        va_start(args, format);
        vsnprintf(note.note, sizeof(note.note), format, args);
        va_end(args);
        keep(note);
}

uint64_t trace_hash(void)
{
        return hash;
}

void sim_fail(const char *format, ...)
{
        va_list args;

        fflush(stdout);
        if (!printing)
                print_last(stderr);
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
