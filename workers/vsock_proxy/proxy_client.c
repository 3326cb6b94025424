/* Clients of the host that have connected and not said yet which port of the guest they want.
 * Owns their descriptors until a stream does; called by proxy.c. TRUST: every byte is a client's. One that says nothing, too
 * much or something else is closed; when there are too many that say nothing, the oldest goes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "workers/vsock_proxy/proxy.h"
#include "workers/vsock_proxy/proxy_connect.h"

static void client_close(struct proxy *proxy, struct proxy_client *client)
{
        close(client->fd);
        client->fd = -1;
        proxy->n_clients--;
}

/* A free row: the oldest client's, if it must be. */
static struct proxy_client *client_find_row(struct proxy *proxy)
{
        struct proxy_client *oldest = &proxy->clients[0];

        for (uint32_t i = 0; i < LIMIT_VSOCK_CLIENTS; i++) {
                struct proxy_client *client = &proxy->clients[i];

                if (client->fd < 0)
                        return client;
                if (client->number < oldest->number)
                        oldest = client;
        }
        client_close(proxy, oldest);
        return oldest;
}

static void client_begin(struct proxy *proxy, int fd, bool seqpacket)
{
        struct proxy_client *client = client_find_row(proxy);

        *client = (struct proxy_client){
            .fd = fd, .seqpacket = seqpacket, .since_ms = proxy_now_ms(), .number = proxy->n_accepted++};
        proxy->n_clients++;
        if (proxy_watch(proxy, fd, EPOLLIN, SOURCE_CLIENT, (uint32_t)(client - proxy->clients)) < 0)
                client_close(proxy, client);
}

/* What a host without descriptors or memory cannot accept waits: looking at once again would be a busy loop. */
static void client_deafen(struct proxy *proxy, int error)
{
        log_limited(LOG_LEVEL_WARNING, "cannot accept clients for now: errno=%d", error);
        for (uint32_t i = 0; i < LISTENER_COUNT; i++)
                (void)proxy_watch(proxy, proxy->listeners[i], 0, SOURCE_LISTENER, i);
        proxy->deafened = true;
        proxy->deafened_ms = proxy_now_ms();
}

void proxy_listener_ready(struct proxy *proxy, uint32_t listener)
{
        for (unsigned i = 0; i < LIMIT_VSOCK_TURN; i++) {
                int fd = accept4(proxy->listeners[listener], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        client_begin(proxy, fd, listener == LISTENER_SEQPACKET);
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        client_deafen(proxy, errno);
                return;
        }
}

/* Bytes up to the end of the line are taken, and none behind it: those are the guest's. Returns what recv does. */
static ssize_t client_read(struct proxy_client *client)
{
        size_t room = sizeof(client->line) - client->len;
        uint8_t *at = client->line + client->len;
        ssize_t n = recv(client->fd, at, room, client->seqpacket ? MSG_DONTWAIT : MSG_DONTWAIT | MSG_PEEK);
        const uint8_t *end;

        if (n <= 0 || client->seqpacket)
                return n;
        end = memchr(at, '\n', (size_t)n);
        return recv(client->fd, at, end ? (size_t)(end - at) + 1 : (size_t)n, MSG_DONTWAIT);
}

/* The line is whole. */
static void client_connect(struct proxy *proxy, struct proxy_client *client)
{
        uint32_t port;
        int fd = client->fd;

        if (!proxy->serving || proxy_connect_check(client->line, client->len, &port) < 0) {
                client_close(proxy, client);
                return;
        }
        proxy_watch_end(proxy, fd);
        if (!proxy_stream_offer(proxy, fd, client->seqpacket, port)) {
                client_close(proxy, client);
                return;
        }
        client->fd = -1;
        proxy->n_clients--;
}

void proxy_client_ready(struct proxy *proxy, uint32_t index)
{
        struct proxy_client *client = &proxy->clients[index];
        ssize_t n;

        if (client->fd < 0)
                return;
        n = client_read(client);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0)
                client->len += (uint32_t)n;
        if (n > 0 && (client->line[client->len - 1] == '\n' || client->seqpacket))
                client_connect(proxy, client);
        else if (n <= 0 || client->len == sizeof(client->line))
                client_close(proxy, client);
}

void proxy_client_tick(struct proxy *proxy, uint64_t now_ms)
{
        for (uint32_t i = 0; i < LIMIT_VSOCK_CLIENTS && proxy->n_clients > 0; i++) {
                struct proxy_client *client = &proxy->clients[i];

                if (client->fd >= 0 && now_ms - client->since_ms > LIMIT_VSOCK_CLIENT_MS)
                        client_close(proxy, client);
        }
        if (!proxy->deafened || now_ms - proxy->deafened_ms < LIMIT_ACCEPT_RETRY_MS)
                return;
        proxy->deafened = false;
        for (uint32_t i = 0; i < LISTENER_COUNT; i++)
                (void)proxy_watch(proxy, proxy->listeners[i], EPOLLIN, SOURCE_LISTENER, i);
}
