/* The broker's log lines become notes of the trace.
 * Owns nothing; called by the broker's core through the linker's --wrap. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "proto/base/log.h"
#include "tests/sim/trace.h"

void __wrap_log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_write_limited(struct log_site *site, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void __wrap_log_write(enum log_level level, const char *format, ...)
{
        char line[512];
        va_list args;

        (void)level;
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        trace_note("log: %s", line);
}

void __wrap_log_write_limited(struct log_site *site, enum log_level level, const char *format, ...)
{
        char line[512];
        va_list args;

        (void)site;
        (void)level;
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        trace_note("log: %s", line);
}
