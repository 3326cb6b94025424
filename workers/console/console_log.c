/* A port's log.
 * Borrows two descriptors; called by console_port.c. TRUST: what is written is the guest's and is not looked at; what the
 * files do is the host's.
 *
 * How it works: one file is written until it is full. Then its bytes are copied to the older file, which is cut to their length,
 * and only then is the first one emptied: whoever dies in between leaves a full file, and its successor does it again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_log.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "workers/runtime/worker_log.h"

#define LOG_PIECE 16384u

int console_log_open(struct console_log *log, int fd, int old_fd, uint64_t max)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *log = (struct console_log){.fd = fd, .old_fd = old_fd, .size = (uint64_t)st.st_size, .max = max};
        return 0;
}

static void log_fails(struct console_log *log, int error)
{
        if (!log->failing)
                worker_log(LOG_LEVEL_WARNING, "the log cannot be written, output is lost to it: errno=%d",
                           error);
        log->failing = true;
}

/* How many of them were written. */
static size_t log_put(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)(at + done));

                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return done;
}

/* How many were copied of the last `len`: all, unless the host has failed. */
static uint64_t log_keep(const struct console_log *log, uint64_t len)
{
        static uint8_t piece[LOG_PIECE];
        uint64_t from = log->size - len, done = 0;

        while (done < len) {
                ssize_t n = pread(log->fd, piece, MIN(sizeof(piece), len - done), (off_t)(from + done));
                size_t written = n > 0 ? log_put(log->old_fd, piece, (size_t)n, done) : 0;

                done += written;
                if (n <= 0 || written < (size_t)n)
                        break;
        }
        return done;
}

/* What could not be copied is lost, so that there is room for what comes. False: there is none. Of a file that was longer than
 * it may be, as after a change of the configuration, only so much is kept: a guest waits meanwhile. */
static bool log_rotate(struct console_log *log)
{
        uint64_t len = MIN(log->size, log->max), copied = log_keep(log, len);

        if (copied < len)
                log_fails(log, errno);
        if (ftruncate(log->old_fd, (off_t)copied) < 0 || ftruncate(log->fd, 0) < 0) {
                log_fails(log, errno);
                return false;
        }
        log->size = 0;
        return true;
}

void console_log_add(struct console_log *log, const uint8_t *bytes, size_t len)
{
        while (log->fd >= 0 && len > 0) {
                size_t n, written;

                if (log->size >= log->max && !log_rotate(log))
                        return;
                n = MIN(len, log->max - log->size);
                written = log_put(log->fd, bytes, n, log->size);
                log->size += written;
                if (written < n) {
                        log_fails(log, errno);
                        return;
                }
                log->failing = false;
                bytes += n;
                len -= n;
        }
}
