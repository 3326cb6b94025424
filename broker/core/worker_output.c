/* What one incarnation of a worker writes.
 * Owns the read end of its pipe, the bytes kept and two handles, and frees itself in the last close callback;
 * called by the supervisor. TRUST: every byte is the worker's, which may be hostile: nothing is printed but
 * escaped and behind its name, and everything is counted.
 *
 * How it works: in each window of LIMIT_LOG_WINDOW_MS at most LIMIT_WORKER_OUTPUT bytes are read. When they
 * are, the pipe is left alone until the window ends; it fills, and a worker that goes on writing waits. Of
 * what was read, LIMIT_WORKER_OUTPUT_RATE bytes of log lines are written; the rest is counted, said once, and
 * still kept for the tail. The name stands before the text: whatever comes behind it cannot pass for another's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/worker_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define TURN_BYTES 4096u /* read at once: other handles have their turn in between */
#define LINE_BYTES 512u  /* of one line that are shown while it runs */
#define SHOWN_BYTES                                                                                          \
        700u /* a line, escaped: it fits a log line with all names; the tail shows lines in pieces of this */
#define LAST_WORDS  "worker's last words"
#define DRAIN_READS 64u /* of a dead worker's pipe, which holds 64 KiB: more than enough, and an end */

struct worker_output {
        uv_poll_t poll;
        uv_timer_t timer; /* to the end of the window, when something waits for it */
        unsigned handles;
        bool freed, ended;
        int fd;
        const char *device;
        uint32_t pid;
        struct worker_output_quota *quota;
        char *ring;      /* LIMIT_WORKER_OUTPUT bytes, made with the first byte; NULL: not yet */
        size_t ring_at;  /* where the next byte goes */
        uint64_t n_kept; /* all that were ever put there */
        char line[LINE_BYTES];
        size_t line_len;
        uint32_t line_cut; /* bytes that did not fit */
};

/* ---- quota ---- */

static uint64_t window_left_ms(const struct worker_output *output)
{
        uint64_t end = output->quota->window_ms + LIMIT_LOG_WINDOW_MS, now = uv_now(output->timer.loop);

        return end > now ? end - now : 0;
}

static void own_up(struct worker_output *output)
{
        if (output->quota->suppressed > 0)
                log_write(LOG_LEVEL_WARNING, "worker writes too much dev=%s worker=%u suppressed_bytes=%llu",
                          output->device, output->pid, (unsigned long long)output->quota->suppressed);
        output->quota->suppressed = 0;
}

static void renew_window(struct worker_output *output)
{
        struct worker_output_quota *quota = output->quota;

        if (window_left_ms(output) > 0)
                return;
        own_up(output);
        quota->window_ms = uv_now(output->timer.loop);
        quota->read = quota->written = 0;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_window_end(uv_timer_t *timer)
{
        struct worker_output *output = timer->data;

        renew_window(output);
        if (!output->ended)
                uv_poll_start(&output->poll, UV_READABLE, on_readable);
}

static void await_window(struct worker_output *output)
{
        if (!output->freed && !uv_is_active((uv_handle_t *)&output->timer))
                uv_timer_start(&output->timer, on_window_end, window_left_ms(output), 0);
}

/* ---- lines ---- */

static size_t format_line(const struct worker_output *output, const char *what, const char *bytes, size_t len,
                          bool cut, char out[static LIMIT_LOG_LINE])
{
        char shown[SHOWN_BYTES];

        log_escape(bytes, len, shown, sizeof(shown));
        return (size_t)snprintf(out, LIMIT_LOG_LINE, "%s dev=%s worker=%u: %s%s", what, output->device,
                                output->pid, shown, cut ? "..." : "");
}

static void show(struct worker_output *output, enum log_level level, const char *what, const char *bytes,
                 size_t len, uint32_t cut)
{
        struct worker_output_quota *quota = output->quota;
        char text[LIMIT_LOG_LINE];
        size_t cost;

        renew_window(output);
        cost = quota->written < LIMIT_WORKER_OUTPUT_RATE
                   ? format_line(output, what, bytes, len, cut > 0, text)
                   : LIMIT_LOG_LINE;
        if (cost > LIMIT_WORKER_OUTPUT_RATE - MIN(quota->written, LIMIT_WORKER_OUTPUT_RATE)) {
                quota->suppressed += len + cut;
                await_window(output);
                return;
        }
        quota->written += (uint32_t)cost;
        quota->suppressed += cut;
        log_write(level, "%s", text);
}

static void end_line(struct worker_output *output)
{
        if (output->line_len > 0)
                show(output, LOG_LEVEL_INFO, "worker stderr", output->line, output->line_len,
                     output->line_cut);
        output->line_len = output->line_cut = 0;
}

/* Without memory for it there is no tail, and nothing else is lost. */
static void keep(struct worker_output *output, const char *bytes, size_t len)
{
        if (!output->ring)
                output->ring = malloc(LIMIT_WORKER_OUTPUT);
        for (size_t i = 0; output->ring && i < len; i++) {
                output->ring[output->ring_at] = bytes[i];
                output->ring_at = (output->ring_at + 1) % LIMIT_WORKER_OUTPUT;
                output->n_kept++;
        }
}

static void take(struct worker_output *output, const char *bytes, size_t len)
{
        keep(output, bytes, len);
        for (size_t i = 0; i < len; i++) {
                if (bytes[i] == '\n')
                        end_line(output);
                else if (output->line_len < sizeof(output->line))
                        output->line[output->line_len++] = bytes[i];
                else
                        output->line_cut++;
        }
}

void worker_output_log(struct worker_output *output, enum log_level level, const char *text)
{
        const size_t len = strlen(text);

        if (!output)
                return;
        if (output->line_len > 0)
                keep(output, "\n", 1); /* in the middle of a line of the other kind */
        keep(output, text, len);
        keep(output, "\n", 1);
        show(output, level < LOG_LEVEL_INFO ? level : LOG_LEVEL_INFO, "worker says", text,
             MIN(len, LINE_BYTES), (uint32_t)(len - MIN(len, LINE_BYTES)));
}

/* ---- the pipe ---- */

/* One read. False: nothing there, or the end. */
static bool read_some(struct worker_output *output)
{
        char bytes[TURN_BYTES];
        ssize_t n = read(output->fd, bytes, sizeof(bytes));

        if (n == 0)
                output->ended = true;
        if (n <= 0)
                return false;
        renew_window(output);
        output->quota->read += (uint32_t)n;
        take(output, bytes, (size_t)n);
        return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
        struct worker_output *output = poll->data;

        (void)status; /* then the read says more */
        (void)events;
        read_some(output);
        if (output->ended) {
                uv_poll_stop(poll);
        } else if (output->quota->read >= LIMIT_WORKER_OUTPUT) {
                uv_poll_stop(poll);
                await_window(output);
        }
}

void worker_output_end(struct worker_output *output)
{
        if (!output)
                return;
        for (unsigned i = 0; i < DRAIN_READS && read_some(output); i++)
                ;
        output->ended = true;
        uv_poll_stop(&output->poll);
        end_line(output);
}

/* ---- the tail ---- */

static char ring_byte(const struct worker_output *output, size_t i, size_t n)
{
        return output->ring[(output->ring_at + LIMIT_WORKER_OUTPUT - n + i) % LIMIT_WORKER_OUTPUT];
}

/* Bytes that log_escape makes of it. */
static size_t shown_len(char c)
{
        return c >= 0x20 && c < 0x7f && c != '\\' ? 1 : 4;
}

/* The piece that begins at `at`, of n bytes kept, and ends before `end`, without its newline. Returns where the
 * next one begins. */
static size_t tail_piece(const struct worker_output *output, size_t at, size_t end, size_t n,
                         char piece[static SHOWN_BYTES], size_t *ret_len)
{
        size_t len = 0, shown = 0;

        while (at + len < end) {
                char c = ring_byte(output, at + len, n);

                shown += shown_len(c);
                if (c == '\n' || shown >= SHOWN_BYTES)
                        break;
                piece[len++] = c;
        }
        *ret_len = len;
        at += len;
        return at < end && ring_byte(output, at, n) == '\n' ? at + 1 : at;
}

static size_t tail_budget(struct worker_output *output)
{
        struct worker_output_quota *quota = output->quota;
        uint64_t now = uv_now(output->timer.loop);

        if (quota->tail_written == 0 || now - quota->tail_window_ms >= LIMIT_WORKER_TAIL_MS) {
                quota->tail_window_ms = now;
                quota->tail_written = 0;
        }
        return LIMIT_WORKER_TAIL_RATE - quota->tail_written;
}

/* Its end is what matters: what is too much is left out at the beginning. Looks from the end on, and no
 * further than the budget reaches, however short the lines. Returns where to begin. */
static size_t tail_begin(const struct worker_output *output, size_t n, size_t budget, size_t *ret_cost)
{
        char piece[SHOWN_BYTES], text[LIMIT_LOG_LINE];
        size_t at = n, cost = 0;

        while (at > 0) {
                size_t end = ring_byte(output, at - 1, n) == '\n' ? at - 1 : at, begin = end, shown = 0, len;

                while (begin > 0 && ring_byte(output, begin - 1, n) != '\n' &&
                       (shown += shown_len(ring_byte(output, begin - 1, n))) < SHOWN_BYTES)
                        begin--;
                tail_piece(output, begin, end, n, piece, &len);
                len = format_line(output, LAST_WORDS, piece, len, false, text);
                if (len > budget - cost)
                        break;
                cost += len;
                at = begin;
        }
        *ret_cost = cost;
        return at;
}

void worker_output_show_tail(struct worker_output *output)
{
        const size_t n =
            output && output->ring ? (size_t)MIN(output->n_kept, (uint64_t)LIMIT_WORKER_OUTPUT) : 0;
        char piece[SHOWN_BYTES], text[LIMIT_LOG_LINE];
        size_t at, cost, len;

        if (n == 0)
                return;
        own_up(output);
        at = tail_begin(output, n, tail_budget(output), &cost);
        output->quota->tail_written += (uint32_t)cost;
        log_limited(LOG_LEVEL_WARNING, LAST_WORDS " dev=%s worker=%u bytes=%zu held_back=%zu of=%llu",
                    output->device, output->pid, n - at, at, (unsigned long long)output->n_kept);
        while (at < n) {
                at = tail_piece(output, at, n, n, piece, &len);
                format_line(output, LAST_WORDS, piece, len, false, text);
                log_write(LOG_LEVEL_WARNING, "%s", text);
        }
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
        struct worker_output *output = handle->data;

        if (--output->handles > 0)
                return;
        close(output->fd);
        free(output->ring);
        free(output);
}

int worker_output_new(uv_loop_t *loop, int fd, const char *device, uint32_t pid,
                      struct worker_output_quota *quota, struct worker_output **ret_output)
{
        struct worker_output *output = calloc(1, sizeof(*output));
        int r;

        if (!output)
                return -ENOMEM;
        output->fd = fd;
        output->device = device;
        output->pid = pid;
        output->quota = quota;
        output->poll.data = output->timer.data = output;
        r = uv_poll_init(loop, &output->poll, fd); /* makes fd non-blocking */
        if (r < 0) {
                free(output);
                return r;
        }
        output->poll.data = output;
        uv_timer_init(loop, &output->timer);
        output->timer.data = output;
        output->handles = 2;
        if (quota->read >= LIMIT_WORKER_OUTPUT && window_left_ms(output) > 0)
                await_window(output); /* its predecessor has read it all */
        else
                uv_poll_start(&output->poll, UV_READABLE, on_readable);
        *ret_output = output;
        return 0;
}

struct worker_output *worker_output_free(struct worker_output *output)
{
        if (!output || output->freed)
                return NULL;
        output->freed = true;
        uv_close((uv_handle_t *)&output->poll, on_closed);
        uv_close((uv_handle_t *)&output->timer, on_closed);
        return NULL;
}
