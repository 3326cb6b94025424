/* One line a message, to stderr. Only edges log (session, supervisor, main, device loop); library code
 * returns errors. A line looks like this:
 *
 *     bulkhead-broker[demo]: warning: worker died dev=disk0 signal=9
 *
 * Foreign bytes go through log_escape first. What others can trigger uses log_limited.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum log_level {
        LOG_LEVEL_ERROR = 0,
        LOG_LEVEL_WARNING,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

/* `tag` is copied. `max` is the most detailed level that is written. */
void log_init(const char *tag, enum log_level max);

/* Writes one line; atomically for lines up to LIMIT_LOG_LINE, longer ones are cut. Thread-safe. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* State of one rate-limited call site. Zero is a valid start. */
struct log_site {
        uint64_t window_start_ms;
        uint32_t written;
        uint32_t suppressed;
};

/* May this site write now? When a window ends with suppressed lines, their count is put in *ret_suppressed
 * once. */
int log_site_allows(struct log_site *site, uint64_t now_ms, uint32_t *ret_suppressed);

void log_write_limited(struct log_site *site, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For anything that a guest, a worker or a peer can trigger: LIMIT_LOG_BURST lines per LIMIT_LOG_WINDOW_MS
 * and site. */
#define log_limited(level, ...)                                                                              \
        do {                                                                                                 \
                static _Thread_local struct log_site log_site_;                                              \
                log_write_limited(&log_site_, level, __VA_ARGS__);                                           \
        } while (0)

/* Printable ASCII stays, the rest becomes \xHH; always NUL-terminated; cut with "..." when `size` is too
 * small. Returns `out`. */
const char *log_escape(const void *bytes, size_t len, char *out, size_t size);
