/* Who is at the other end of a port.
 * Owns the connection; called by console_port.c. TRUST: bytes of whoever may connect to the socket: they are carried, and not
 * looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int console_client_accept(int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
                return fd;
        return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
}

static size_t client_read(struct console_client *client, uint8_t *ret_bytes, size_t len, int flags)
{
        ssize_t n = recv(client->fd, ret_bytes, len, MSG_DONTWAIT | flags);

        if (n > 0)
                return (size_t)n;
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
                client->ended = true;
        return 0;
}

size_t console_client_take(struct console_client *client, uint8_t *ret_bytes, size_t len)
{
        return client_read(client, ret_bytes, len, 0);
}

bool console_client_has_gone(struct console_client *client)
{
        static const struct timespec no_time;
        struct pollfd look = {.fd = client->fd};

        if (!client->gone && ppoll(&look, 1, &no_time, NULL) > 0)
                client->gone = (look.revents & (POLLHUP | POLLERR)) != 0;
        return client->gone;
}

bool console_client_waits(struct console_client *client)
{
        uint8_t byte;

        return client_read(client, &byte, 1, MSG_PEEK) > 0;
}

size_t console_client_give(struct console_client *client, const uint8_t *bytes, size_t len)
{
        ssize_t n = client->gone ? (ssize_t)len : send(client->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n >= 0)
                return (size_t)n;
        if (errno == EAGAIN || errno == EINTR)
                return 0;
        client->gone = true;
        return len;
}

void console_client_close(struct console_client *client)
{
        if (client->fd >= 0)
                close(client->fd);
        *client = (struct console_client){.fd = -1};
}
