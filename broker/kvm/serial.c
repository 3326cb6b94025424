/* The host's side of a serial port.
 * Owns two buffers, a thread and the eventfd that wakes it; the descriptors are borrowed. Called by a UART on vCPU
 * threads. TRUST: bytes of the guest and of whoever types; they are carried, never looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/serial.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/limits.h"

#define RETRY_MS 50 /* between two signals to a thread whose write blocks */

/* Bytes in order of arrival. `start` and `n` are the buffer's own; size is a power of two. */
struct buffer {
        uint8_t *bytes;
        uint32_t size, start, n;
};

struct serial {
        pthread_mutex_t mutex; /* held for copies only */
        struct buffer out, in;
        struct serial_stats stats;
        struct serial_options options;
        int wake; /* something to write, room to read into, or the end */
        bool stopping;
        bool running;
        pthread_t thread;
        uint8_t out_bytes[LIMIT_SERIAL_OUT], in_bytes[LIMIT_SERIAL_IN];
};

static void buffer_put(struct buffer *buffer, uint8_t byte)
{
        buffer->bytes[(buffer->start + buffer->n++) & (buffer->size - 1)] = byte;
}

static void buffer_drop(struct buffer *buffer, uint32_t n)
{
        buffer->start = (buffer->start + n) & (buffer->size - 1);
        buffer->n -= n;
}

/* Copies up to `max` bytes from the front, which stay. */
static uint32_t buffer_peek(const struct buffer *buffer, uint8_t *to, uint32_t max)
{
        uint32_t n = MIN(max, buffer->n);

        for (uint32_t i = 0; i < n; i++)
                to[i] = buffer->bytes[(buffer->start + i) & (buffer->size - 1)];
        return n;
}

static void serial_wake(struct serial *serial)
{
        /* Full means that it is awake. */
        (void)!write(serial->wake, &(uint64_t){1}, sizeof(uint64_t));
}

void serial_put(struct serial *serial, uint8_t byte)
{
        bool was_empty;

        pthread_mutex_lock(&serial->mutex);
        was_empty = serial->out.n == 0;
        if (serial->options.out < 0 || serial->out.n == serial->out.size)
                serial->stats.dropped++;
        else
                buffer_put(&serial->out, byte);
        was_empty &= serial->out.n > 0;
        pthread_mutex_unlock(&serial->mutex);
        if (was_empty)
                serial_wake(serial);
}

bool serial_get(struct serial *serial, uint8_t *ret_byte)
{
        bool was_full, any;

        pthread_mutex_lock(&serial->mutex);
        was_full = serial->in.n == serial->in.size;
        any = serial->in.n > 0;
        if (any) {
                buffer_peek(&serial->in, ret_byte, 1);
                buffer_drop(&serial->in, 1);
        }
        pthread_mutex_unlock(&serial->mutex);
        if (was_full)
                serial_wake(serial);
        return any;
}

bool serial_has_input(struct serial *serial)
{
        bool any;

        pthread_mutex_lock(&serial->mutex);
        any = serial->in.n > 0;
        pthread_mutex_unlock(&serial->mutex);
        return any;
}

void serial_stats(struct serial *serial, struct serial_stats *ret_stats)
{
        pthread_mutex_lock(&serial->mutex);
        *ret_stats = serial->stats;
        pthread_mutex_unlock(&serial->mutex);
}

/* Nobody reads any more: what is there and all that comes is dropped. */
static void out_ended(struct serial *serial)
{
        serial->options.out = -1;
        serial->stats.dropped += serial->out.n;
        buffer_drop(&serial->out, serial->out.n);
}

/* Writes one piece, small enough for a pipe that poll calls writable. */
static void pump_out(struct serial *serial)
{
        uint8_t piece[PIPE_BUF];
        uint32_t n;
        ssize_t r;
        int fd;

        pthread_mutex_lock(&serial->mutex);
        n = buffer_peek(&serial->out, piece, sizeof(piece));
        fd = serial->options.out;
        pthread_mutex_unlock(&serial->mutex);
        if (n == 0 || fd < 0)
                return;
        r = write(fd, piece, n);
        pthread_mutex_lock(&serial->mutex);
        if (serial->options.out < 0) {
                serial->stats.written += r > 0 ? (uint64_t)r : 0; /* its time was over meanwhile */
        } else if (r > 0) {
                buffer_drop(&serial->out, (uint32_t)r);
                serial->stats.written += (uint64_t)r;
        } else if (r == 0 || (errno != EINTR && errno != EAGAIN)) {
                out_ended(serial);
        }
        pthread_mutex_unlock(&serial->mutex);
}

static void pump_in(struct serial *serial)
{
        uint8_t piece[LIMIT_SERIAL_IN];
        uint32_t room;
        bool was_empty;
        ssize_t r;

        pthread_mutex_lock(&serial->mutex);
        room = serial->in.size - serial->in.n;
        pthread_mutex_unlock(&serial->mutex);
        r = read(serial->options.in, piece, room); /* room only grows meanwhile */
        if (r < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (r <= 0) {
                serial->options.in = -1;
                return;
        }
        pthread_mutex_lock(&serial->mutex);
        was_empty = serial->in.n == 0;
        for (ssize_t i = 0; i < r; i++)
                buffer_put(&serial->in, piece[i]);
        serial->stats.read += (uint64_t)r;
        pthread_mutex_unlock(&serial->mutex);
        if (was_empty && serial->options.input)
                serial->options.input(serial->options.context);
}

enum { WAKE, OUT, IN, N_POLLED };

/* What the thread waits for now. False: it has nothing more to do. */
static bool pump_wants(struct serial *serial, struct pollfd polled[static N_POLLED])
{
        bool more;

        pthread_mutex_lock(&serial->mutex);
        polled[WAKE] = (struct pollfd){.fd = serial->wake, .events = POLLIN};
        polled[OUT] = (struct pollfd){.fd = serial->out.n > 0 ? serial->options.out : -1, .events = POLLOUT};
        polled[IN] =
            (struct pollfd){.fd = serial->in.n < serial->in.size ? serial->options.in : -1, .events = POLLIN};
        more = !serial->stopping || serial->out.n > 0;
        if (serial->stopping)
                polled[IN].fd = -1;
        pthread_mutex_unlock(&serial->mutex);
        return more;
}

static void *serial_main(void *argument)
{
        struct serial *serial = argument;
        struct pollfd polled[N_POLLED];
        uint64_t count;

        prctl(PR_SET_NAME, "serial");
        while (pump_wants(serial, polled)) {
                if (poll(polled, N_POLLED, -1) < 0)
                        continue;
                if (polled[WAKE].revents)
                        (void)!read(serial->wake, &count, sizeof(count));
                if (polled[OUT].revents)
                        pump_out(serial);
                if (polled[IN].revents)
                        pump_in(serial);
        }
        return NULL;
}

static void on_interrupt(int signal_number)
{
        (void)signal_number; /* that it came is all: it ends a write with EINTR */
}

int serial_new(const struct serial_options *options, struct serial **ret_serial)
{
        struct serial *serial = calloc(1, sizeof(*serial));

        if (!serial)
                return -ENOMEM;
        serial->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (serial->wake < 0) {
                int r = -errno;

                free(serial);
                return r;
        }
        pthread_mutex_init(&serial->mutex, NULL);
        serial->options = *options;
        serial->out = (struct buffer){.bytes = serial->out_bytes, .size = sizeof(serial->out_bytes)};
        serial->in = (struct buffer){.bytes = serial->in_bytes, .size = sizeof(serial->in_bytes)};
        *ret_serial = serial;
        return 0;
}

/* A reader that has gone, and a terminal that another job owns, are errors of a call here, not signals. */
static void block_signals(sigset_t *ret_old)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        sigaddset(&set, SIGTTIN);
        sigaddset(&set, SIGTTOU);
        pthread_sigmask(SIG_BLOCK, &set, ret_old);
}

int serial_start(struct serial *serial)
{
        struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART */
        sigset_t old;
        int r;

        sigaction(SIGURG, &action, NULL);
        block_signals(&old); /* the new thread inherits it */
        r = -pthread_create(&serial->thread, NULL, serial_main, serial);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        serial->running = r == 0;
        return r;
}

static struct timespec time_in(unsigned ms)
{
        struct timespec at;

        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += (long)(ms % 1000) * 1000000;
        at.tv_sec += ms / 1000 + (at.tv_nsec >= 1000000000);
        at.tv_nsec %= 1000000000;
        return at;
}

/* The reader had its time: what is left is dropped, and a write that waits for it is interrupted until the thread has
 * gone. */
static void serial_end(struct serial *serial)
{
        struct timespec at = time_in(LIMIT_SERIAL_FLUSH_MS);

        while (pthread_timedjoin_np(serial->thread, NULL, &at) != 0) {
                pthread_mutex_lock(&serial->mutex);
                out_ended(serial);
                pthread_mutex_unlock(&serial->mutex);
                serial_wake(serial);
                pthread_kill(serial->thread, SIGURG);
                at = time_in(RETRY_MS);
        }
}

struct serial *serial_free(struct serial *serial)
{
        if (!serial)
                return NULL;
        pthread_mutex_lock(&serial->mutex);
        serial->stopping = true;
        pthread_mutex_unlock(&serial->mutex);
        serial_wake(serial);
        if (serial->running)
                serial_end(serial);
        close(serial->wake);
        pthread_mutex_destroy(&serial->mutex);
        free(serial);
        return NULL;
}
