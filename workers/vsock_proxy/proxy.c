/* The proxy's loop.
 * Owns epoll, the listeners and the worker's socket; called by proxy_main.c, and by tests. TRUST: sees no foreign bytes itself.
 *
 * How it works: one thread, no call waits but epoll.
 *     wait     as long as nothing can be done, or until a time is due
 *     worker   its frames first: they end streams, and free what others need
 *     hosts    what epoll says of listeners, clients and streams
 *     pump     ready streams in turn, a frame each, as long as the worker's socket takes them
 * Each step is bounded by LIMIT_VSOCK_TURN, and what is left over keeps the loop from waiting.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock_proxy/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define BACKLOG        1024
#define CLIENT_LOOK_MS 1000 /* clients' times are looked at so often */
#define SOCKET_MODE    0666 /* who may enter the directory may connect */

uint64_t proxy_now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int proxy_watch(const struct proxy *proxy, int fd, uint32_t events, enum proxy_source source, uint32_t index)
{
        struct epoll_event event = {.events = events, .data.u64 = (uint64_t)source << 32 | index};

        if (epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
                return 0;
        if (errno != EEXIST)
                return -errno;
        return epoll_ctl(proxy->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

void proxy_watch_end(const struct proxy *proxy, int fd)
{
        struct epoll_event none = {0};

        (void)epoll_ctl(proxy->epoll_fd, EPOLL_CTL_DEL, fd, &none);
}

/* ---- start ---- */

/* A socket that nobody listens at any more is a dead proxy's. */
static int proxy_remove_stale(const struct sockaddr_un *address, int type)
{
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct stat st;

        if (fd < 0)
                return -errno;
        if (fstatat(AT_FDCWD, address->sun_path, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int proxy_bind(int fd, const struct sockaddr_un *address, int type)
{
        int r;

        if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        r = proxy_remove_stale(address, type);
        if (r < 0)
                return r;
        return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

static int proxy_listen(struct proxy *proxy, const char *name, int type, int *ret_fd)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", name,
                         type == SOCK_SEQPACKET ? ".seqpacket" : "");
        int r;

        if (n <= 0 || (size_t)n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        r = proxy_bind(fd, &address, type);
        if (r < 0)
                return r;
        if (listen(fd, BACKLOG) < 0)
                return -errno;
        r = proxy_watch(proxy, fd, EPOLLIN, SOURCE_LISTENER,
                        type == SOCK_SEQPACKET ? LISTENER_SEQPACKET : LISTENER_STREAM);
        if (r < 0)
                return r;
        *ret_fd = take_fd(&fd);
        return 0;
}

static int proxy_enter(struct proxy *proxy, int folder_fd, const char *name)
{
        static const int types[LISTENER_COUNT] = {
            [LISTENER_STREAM] = SOCK_STREAM, [LISTENER_SEQPACKET] = SOCK_SEQPACKET};
        int r = 0;

        if (fchdir(folder_fd) < 0)
                return -errno;
        close(folder_fd);
        umask(~SOCKET_MODE & 0777);
        for (unsigned i = 0; i < LISTENER_COUNT && r == 0; i++)
                r = proxy_listen(proxy, name, types[i], &proxy->listeners[i]);
        return r;
}

int proxy_init(struct proxy *proxy, int worker_fd, int folder_fd, const char *name)
{
        int r;

        proxy->worker_fd = worker_fd;
        proxy->name = name;
        for (uint32_t i = 0; i < LIMIT_VSOCK_CLIENTS; i++)
                proxy->clients[i].fd = -1;
        proxy->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (proxy->epoll_fd < 0)
                return -errno;
        if (fcntl(worker_fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
                return -errno;
        r = proxy_pool_init(&proxy->pool);
        if (r == 0)
                r = proxy_watch(proxy, worker_fd, EPOLLIN | EPOLLOUT | EPOLLET, SOURCE_WORKER, 0);
        if (r == 0)
                r = proxy_enter(proxy, folder_fd, name);
        if (r < 0)
                log_error("cannot listen at %s in its directory: errno=%d", name, -r);
        return r;
}

/* ---- the loop ---- */

/* Milliseconds that it may wait; -1: for ever. */
static int proxy_patience(const struct proxy *proxy)
{
        if (proxy->worker_readable || (proxy->ready_first && !proxy->full))
                return 0;
        if (proxy->n_connecting > 0 || proxy->starved)
                return LIMIT_VSOCK_RETRY_MS;
        if (proxy->deafened)
                return LIMIT_ACCEPT_RETRY_MS;
        return proxy->n_clients > 0 ? CLIENT_LOOK_MS : -1;
}

static void proxy_serve(struct proxy *proxy, const struct epoll_event *event)
{
        uint32_t index = (uint32_t)event->data.u64;

        switch ((enum proxy_source)(event->data.u64 >> 32)) {
        case SOURCE_WORKER:
                proxy->worker_readable |= event->events & ~(uint32_t)EPOLLOUT;
                if (event->events & EPOLLOUT)
                        proxy->full = false;
                return;
        case SOURCE_LISTENER:
                proxy_listener_ready(proxy, index);
                return;
        case SOURCE_CLIENT:
                proxy_client_ready(proxy, index);
                return;
        case SOURCE_STREAM:
                proxy_stream_ready(proxy, index, event->events);
                return;
        }
}

static void proxy_tick(struct proxy *proxy)
{
        uint64_t now_ms;

        if (proxy->n_connecting == 0 && proxy->n_clients == 0 && !proxy->deafened && !proxy->starved)
                return;
        now_ms = proxy_now_ms();
        if (now_ms - proxy->ticked_ms < LIMIT_VSOCK_RETRY_MS)
                return;
        proxy->ticked_ms = now_ms;
        if (proxy->starved) {
                proxy->starved = proxy->full = false;
                proxy_stream_feed(proxy);
        }
        proxy_stream_tick(proxy, now_ms);
        proxy_client_tick(proxy, now_ms);
}

bool proxy_turn(struct proxy *proxy)
{
        struct epoll_event events[LIMIT_VSOCK_TURN];
        int n = epoll_pwait(proxy->epoll_fd, events, (int)array_size(events), proxy_patience(proxy), NULL);

        for (int i = 0; i < n; i++)
                proxy_serve(proxy, &events[i]);
        if (proxy->worker_readable && !proxy_worker_receive(proxy))
                return false;
        proxy_tick(proxy);
        if (!proxy_worker_flush(proxy))
                return true;
        for (unsigned i = 0; i < LIMIT_VSOCK_TURN && proxy_stream_pump(proxy); i++)
                ;
        proxy_worker_flush(proxy);
        return true;
}
