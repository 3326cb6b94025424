/* The all-mapped twin: a vhost-user block back-end as others build it, in one process and one thread, with all
 * of guest memory mapped and no jail. The physical reference that bulkhead is measured against: the same
 * session, walker, judge and file calls, without the wall and the messages.
 *
 *      bulkhead-twin --socket PATH --file IMAGE [--queues N] [--poll-us N] [--batch N]
 *                    [--batch-kib N] [--map-image | --messages]
 *
 * Cut in two by --messages (walker.h): then this process answers the other one's accesses to guest memory.
 *
 * How it works: kicks are watched by an epoll of our own, edge-triggered; everything else (listener, session,
 * signals) is libuv's loop, whose own descriptor is one more of that epoll. So a request costs a wait, one
 * host call on the image, and a signal where the guest wants one.
 *
 * Owns the socket and the loop; run by the benchmark. TRUST: who may connect is decided by the socket's folder;
 * from there on the session judges. It is no product: whoever takes it over has all of guest memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "broker/core/fault_safe.h"
#include "broker/vhost_user/listener.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "tests/bench/twin/twin_device.h"

#define CONTROL       UINT32_MAX       /* event data of libuv's loop ... */
#define WALKER        (UINT32_MAX - 1) /* ... and of the walker */
#define BATCH_DEFAULT 8u        /* chains shown at once: both sides work at the same time from there on */
#define BATCH_KIB     256u      /* ... or so much of large ones */
#define BATCH_KIB_MAX 32768u    /* LIMIT_CHAIN_BYTES */
#define ROUNDS        4u        /* batches of each ring between two looks at the session */
#define POLL_US_MAX   1000000ul /* the session waits so long at most */

struct options {
        const char *socket, *file;
        unsigned n_queues;
        struct twin_batch batch;
        uint64_t poll_ns;
        bool map_image, messages;
};

static struct device device;
static struct vhost_user_listener *listener;
static uv_signal_t terminated[2];
static bool ending;

/* ---- ending ---- */

static void on_signal(uv_signal_t *handle, int signal_number)
{
        (void)handle;
        (void)signal_number;
        if (ending)
                return;
        ending = true;
        vhost_user_listener_close(listener, NULL, NULL);
        twin_device_done(&device);
        for (unsigned i = 0; i < 2; i++)
                uv_close((uv_handle_t *)&terminated[i], NULL);
}

static void watch_signals(uv_loop_t *loop)
{
        static const int numbers[2] = {SIGTERM, SIGINT};

        for (unsigned i = 0; i < 2; i++) {
                uv_signal_init(loop, &terminated[i]);
                uv_signal_start(&terminated[i], on_signal, numbers[i]);
        }
}

/* ---- the loop ---- */

static uint64_t now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Serves until there is nothing; then, with polling, for so long as nothing comes. */
static void serve(const struct options *options)
{
        uint64_t idle_since = 0;

        for (unsigned i = 0; device.active != 0 && i < ROUNDS;) {
                bool awake =
                    options->poll_ns > 0 && (idle_since == 0 || now_ns() - idle_since < options->poll_ns);

                if (twin_device_serve(&device, &options->batch, awake) > 0) {
                        idle_since = 0;
                        i++;
                } else if (idle_since == 0) {
                        idle_since = now_ns();
                }
        }
}

static int wait_for_events(int epoll, uv_loop_t *loop, bool *ret_control)
{
        struct epoll_event events[LIMIT_QUEUES + 2];
        int timeout = device.active != 0 ? 0 : uv_backend_timeout(loop);
        int n = epoll_wait(epoll, events, LIMIT_QUEUES + 2, timeout);
        int r = 0;

        if (n < 0 && errno != EINTR)
                return -errno;
        *ret_control = n <= 0; /* a timer, perhaps, or a signal */
        for (int i = 0; i < n && r == 0; i++) {
                if (events[i].data.u32 == CONTROL)
                        *ret_control = true;
                else if (events[i].data.u32 == WALKER)
                        r = twin_device_serve_walker(&device);
                else if (device_queue_running(&device, events[i].data.u32))
                        device.active |= UINT64_C(1) << events[i].data.u32;
        }
        return r;
}

static int run(int epoll, uv_loop_t *loop, const struct options *options)
{
        bool control = true;

        for (;;) {
                int r;

                if (control && uv_run(loop, UV_RUN_NOWAIT) == 0)
                        return 0; /* the last handle has closed */
                serve(options);
                r = wait_for_events(epoll, loop, &control);
                if (r < 0)
                        return r;
                control = control || uv_backend_timeout(loop) == 0;
        }
}

/* ---- start ---- */

static int listen_at(const char *path, int *ret_fd)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        (void)unlink(path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
                return -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}

static int watch_walker(const struct walker *walker, int epoll)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = WALKER};

        return walker->pid > 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, walker->dma, &event) < 0 ? -errno : 0;
}

static int start(uv_loop_t *loop, const struct options *options, const struct walker *walker, int epoll)
{
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = CONTROL};
        int fd, r = uv_loop_init(loop);

        if (r == 0)
                r = twin_device_init(&device, loop, options->file, options->n_queues, options->map_image,
                                     walker, epoll);
        if (r == 0)
                r = watch_walker(walker, epoll);
        if (r == 0)
                r = fault_safe_install(); /* behind the image's: what is none of its faults goes on to that */
        if (r == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, uv_backend_fd(loop), &event) < 0)
                r = -errno;
        if (r == 0)
                r = listen_at(options->socket, &fd);
        if (r == 0)
                r = vhost_user_listener_new(loop, &device, fd, &listener);
        if (r == 0)
                watch_signals(loop);
        return r;
}

static int usage(void)
{
        fprintf(stderr, "usage: bulkhead-twin --socket PATH --file IMAGE [--queues N] [--poll-us N] "
                        "[--batch N] [--batch-kib N] [--map-image | --messages]\n");
        return 2;
}

static bool number(const char *text, unsigned long least, unsigned long most, unsigned long *ret_value)
{
        char *end;
        unsigned long value = strtoul(text, &end, 10);

        if (*text == '\0' || *end != '\0' || value < least || value > most)
                return false;
        *ret_value = value;
        return true;
}

static bool take_option(int option, struct options *options)
{
        unsigned long value = 0;
        bool ok = true;

        switch (option) {
        case 's':
                options->socket = optarg;
                break;
        case 'f':
                options->file = optarg;
                break;
        case 'q':
                ok = number(optarg, 1, LIMIT_QUEUES, &value);
                options->n_queues = (unsigned)value;
                break;
        case 'p':
                ok = number(optarg, 0, POLL_US_MAX, &value);
                options->poll_ns = value * 1000;
                break;
        case 'b':
                ok = number(optarg, 1, LIMIT_RING_SIZE, &value);
                options->batch.chains = (unsigned)value;
                break;
        case 'k':
                ok = number(optarg, 1, BATCH_KIB_MAX, &value);
                options->batch.bytes = (uint64_t)value << 10;
                break;
        case 'm':
                options->map_image = true;
                break;
        case 'd':
                options->messages = true;
                break;
        default:
                ok = false;
        }
        return ok;
}

int main(int argc, char **argv)
{
        static const struct option names[] = {
            {"socket", required_argument, NULL, 's'},
            {"file", required_argument, NULL, 'f'},
            {"queues", required_argument, NULL, 'q'},
            {"poll-us", required_argument, NULL, 'p'},
            {"batch", required_argument, NULL, 'b'},
            {"batch-kib", required_argument, NULL, 'k'},
            {"map-image", no_argument, NULL, 'm'},
            {"messages", no_argument, NULL, 'd'},
            {0},
        };
        struct options options = {.n_queues = 1, .batch = {BATCH_DEFAULT, BATCH_KIB << 10}};
        struct walker walker = {0};
        _cleanup_close_ int epoll = -1;
        static uv_loop_t loop; /* as long as the program runs: nobody closes what ends with it */
        int option, r = 0;

        while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
                if (!take_option(option, &options))
                        return usage();
        if (!options.socket || !options.file || optind != argc ||
            (options.messages && (options.map_image || options.poll_ns > 0)))
                return usage();
        log_init("bulkhead-twin", LOG_LEVEL_INFO);
        (void)signal(SIGPIPE, SIG_IGN);
        if (options.messages)
                r = walker_fork(&walker, options.file, options.n_queues, &options.batch);
        epoll = epoll_create1(EPOLL_CLOEXEC);
        if (r == 0)
                r = epoll < 0 ? -errno : start(&loop, &options, &walker, epoll);
        if (r == 0) {
                log_info("serving %s at %s", options.file, options.socket);
                r = run(epoll, &loop, &options);
                (void)unlink(options.socket);
        }
        if (r < 0)
                log_error("%s at %s: %s", options.file, options.socket, strerror(-r));
        return r < 0 ? 1 : 0;
}
