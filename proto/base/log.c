/* One line a message, to stderr.
 * Owns the tag and the level of this process; called by edges only.
 * TRUST: foreign bytes arrive escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/limits.h"

static char log_tag[128] = "bulkhead";
static enum log_level log_max = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARNING] = "warning: ",
    [LOG_LEVEL_INFO] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
};

void log_init(const char *tag, enum log_level max)
{
        snprintf(log_tag, sizeof(log_tag), "%s", tag);
        log_max = max;
}

static void log_vwrite(enum log_level level, uint32_t suppressed, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void log_vwrite(enum log_level level, uint32_t suppressed, const char *format, va_list args)
{
        char line[LIMIT_LOG_LINE];
        int n = snprintf(line, sizeof(line), "%s: %s", log_tag, level_names[level]);
        size_t len = (size_t)n;
        ssize_t written;

        n = vsnprintf(line + len, sizeof(line) - len, format, args);
        len += n < 0 ? 0 : (size_t)n;
        if (len < sizeof(line) && suppressed > 0) {
                n = snprintf(line + len, sizeof(line) - len, " suppressed=%u", suppressed);
                len += n < 0 ? 0 : (size_t)n;
        }
        if (len > sizeof(line) - 2)
                len = sizeof(line) - 2;
        line[len++] = '\n';
        written = write(STDERR_FILENO, line, len);
        (void)written; /* nobody is left to tell */
}

void log_write(enum log_level level, const char *format, ...)
{
        va_list args;

        if (level > log_max)
                return;
        va_start(args, format);
        log_vwrite(level, 0, format, args);
        va_end(args);
}

int log_site_allows(struct log_site *site, uint64_t now_ms, uint32_t *ret_suppressed)
{
        *ret_suppressed = 0;
        if (site->written == 0 || now_ms - site->window_start_ms >= LIMIT_LOG_WINDOW_MS) {
                *ret_suppressed = site->suppressed;
                *site = (struct log_site){.window_start_ms = now_ms, .written = 1};
                return true;
        }
        if (site->written < LIMIT_LOG_BURST) {
                site->written++;
                return true;
        }
        site->suppressed++;
        return false;
}

void log_write_limited(struct log_site *site, enum log_level level, const char *format, ...)
{
        struct timespec now;
        uint32_t suppressed;
        va_list args;

        if (level > log_max)
                return;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!log_site_allows(site, (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u,
                             &suppressed))
                return;
        va_start(args, format);
        log_vwrite(level, suppressed, format, args);
        va_end(args);
}

static bool log_is_plain(unsigned char c)
{
        return c >= 0x20 && c < 0x7f && c != '\\';
}

/* Bytes that log_escape writes for these, without the NUL. */
static size_t log_escaped_len(const unsigned char *in, size_t len)
{
        size_t n = 0;

        for (size_t i = 0; i < len; i++)
                n += log_is_plain(in[i]) ? 1 : 4;
        return n;
}

const char *log_escape(const void *bytes, size_t len, char *out, size_t size)
{
        static const char hex[] = "0123456789abcdef";
        const unsigned char *in = bytes;
        size_t tail = log_escaped_len(in, len) < size ? 1 : 4; /* NUL, or "..." and NUL */
        size_t used = 0;

        for (size_t i = 0; i < len; i++) {
                bool plain = log_is_plain(in[i]);

                if (used + (plain ? 1 : 4) + tail > size) {
                        for (int dot = 0; dot < 3 && used + 1 < size; dot++)
                                out[used++] = '.';
                        break;
                }
                if (plain) {
                        out[used++] = (char)in[i];
                } else {
                        out[used++] = '\\';
                        out[used++] = 'x';
                        out[used++] = hex[in[i] >> 4];
                        out[used++] = hex[in[i] & 15];
                }
        }
        if (size > 0)
                out[used] = '\0';
        return out;
}
