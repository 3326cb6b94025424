/* What one incarnation of a worker writes: its standard error, a pipe, and its Log messages. Lines go to the
 * log with its name, escaped, as many as its quota permits; the last LIMIT_WORKER_OUTPUT bytes are kept for
 * its obituary.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proto/base/log.h"

/* What the incarnations of one device have used up together, so that a worker gains nothing by dying. Zero is
 * a valid start. */
struct worker_output_quota {
        uint64_t window_ms;     /* loop time at which the window began */
        uint32_t read, written; /* bytes read from the pipe, and bytes of log lines, in this window */
        uint64_t suppressed;    /* bytes that were not logged, and not yet owned up to */
        uint64_t tail_window_ms;
        uint32_t tail_written; /* bytes of log lines of tails in this window */
};

struct worker_output;

/* Takes fd, the read end, on success. `quota` and `device` (a name that is safe to print) outlive it. 0 or
 * negative errno. */
int worker_output_new(uv_loop_t *loop, int fd, const char *device, uint32_t pid,
                      struct worker_output_quota *quota, struct worker_output **ret_output);

/* A Log message: same quota, same tail. Accepts NULL: then nothing is kept. */
void worker_output_log(struct worker_output *output, enum log_level level, const char *text);

/* The process is gone: takes what it has left in the pipe, and reads no more. */
void worker_output_end(struct worker_output *output);

/* Logs the last LIMIT_WORKER_OUTPUT bytes, a line each, of all that it has written; or as much of their end
 * as LIMIT_WORKER_TAIL_RATE permits, and says how much was held back. Nothing if there was nothing. */
void worker_output_show_tail(struct worker_output *output);

/* No callback comes any more. Accepts NULL, returns NULL. */
struct worker_output *worker_output_free(struct worker_output *output);
