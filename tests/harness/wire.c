/* The raw end of a vhost-user socket. Owns the socket; called by tests and by front_end.c. TRUST: sees the
 * bytes of the back-end under test; sizes are bounded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wire_connect(struct wire *wire, const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        wire->sock = fd;
        if (wire->deadline_ms == 0)
                wire->deadline_ms = WIRE_DEADLINE_MS;
        return 0;
}

void wire_close(struct wire *wire)
{
        if (wire->sock >= 0)
                close(wire->sock);
        wire->sock = -1;
}

/* Waits for events on fd until the deadline, letting an in-process back-end run. 1, 0 when nothing came. */
static int wire_poll(struct wire *wire, int fd, short events, int64_t deadline)
{
        for (;;) {
                struct pollfd p = {.fd = fd, .events = events};
                int64_t left = deadline - now_ms();
                int n;

                if (wire->pump)
                        wire->pump(wire->pump_context);
                n = poll(&p, 1, wire->pump ? 0 : (int)MAX(left, 0));
                if (n > 0)
                        return 1;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (left <= 0)
                        return 0;
        }
}

int wire_send_bytes(struct wire *wire, const void *bytes, size_t len, const int *fds, unsigned n_fds)
{
        int64_t deadline = now_ms() + wire->deadline_ms;
        size_t done = 0;

        while (done < len) {
                struct iovec iov = {.iov_base = (uint8_t *)bytes + done, .iov_len = len - done};
                ssize_t n;
                int r = wire_poll(wire, wire->sock, POLLOUT, deadline);

                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                n = fd_pass_send(wire->sock, &iov, 1, fds, done == 0 ? n_fds : 0);
                if (n < 0 && n != -EAGAIN)
                        return (int)n;
                done += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

int wire_send(struct wire *wire, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
              const int *fds, unsigned n_fds)
{
        uint8_t bytes[12 + WIRE_PAYLOAD_MAX];
        uint32_t header[3] = {request, flags, len};

        if (len > WIRE_PAYLOAD_MAX)
                return -EMSGSIZE;
        memcpy(bytes, header, sizeof(header));
        if (len > 0)
                memcpy(bytes + sizeof(header), payload, len);
        return wire_send_bytes(wire, bytes, sizeof(header) + len, fds, n_fds);
}

int wire_receive_bytes(struct wire *wire, void *to, size_t len)
{
        int64_t deadline = now_ms() + wire->deadline_ms;
        size_t done = 0;

        while (done < len) {
                ssize_t n;
                int r = wire_poll(wire, wire->sock, POLLIN, deadline);

                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                n = recv(wire->sock, (uint8_t *)to + done, len - done, MSG_DONTWAIT);
                if (n == 0)
                        return -EPIPE;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                done += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

int wire_receive(struct wire *wire, struct wire_message *message)
{
        uint32_t header[3];
        int r = wire_receive_bytes(wire, header, sizeof(header));

        if (r < 0)
                return r;
        message->request = header[0];
        message->flags = header[1];
        message->size = header[2];
        if (message->size > WIRE_PAYLOAD_MAX)
                return -EMSGSIZE;
        return wire_receive_bytes(wire, message->payload, message->size);
}

int wire_receive_fds(struct wire *wire, struct wire_message *message, struct fd_set_owned *ret_fds)
{
        uint32_t header[3];
        ssize_t n;
        int r = wire_poll(wire, wire->sock, POLLIN, now_ms() + wire->deadline_ms);

        ret_fds->n = 0;
        if (r <= 0)
                return r < 0 ? r : -ETIMEDOUT;
        n = fd_pass_recv(wire->sock, header, sizeof(header), ret_fds, WIRE_FDS_MAX);
        if (n != sizeof(header))
                return n < 0 ? (int)n : -EPIPE; /* ours says a header in one piece */
        message->request = header[0];
        message->flags = header[1];
        message->size = header[2];
        if (message->size > WIRE_PAYLOAD_MAX)
                return -EMSGSIZE;
        return wire_receive_bytes(wire, message->payload, message->size);
}

int wire_wait_closed(struct wire *wire, int timeout_ms)
{
        int64_t deadline = now_ms() + timeout_ms;
        uint8_t discard[256];

        for (;;) {
                ssize_t n;
                int r = wire_poll(wire, wire->sock, POLLIN, deadline);

                if (r <= 0)
                        return r < 0 ? r : -ETIMEDOUT;
                n = recv(wire->sock, discard, sizeof(discard), MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno == ECONNRESET))
                        return 0;
        }
}

int wire_wait_event(struct wire *wire, int fd, int timeout_ms, uint64_t *ret_count)
{
        int r = wire_poll(wire, fd, POLLIN, now_ms() + timeout_ms);

        if (r <= 0)
                return r < 0 ? r : -ETIMEDOUT;
        return read(fd, ret_count, sizeof(*ret_count)) == sizeof(*ret_count) ? 0 : -EIO;
}

bool wire_silent(struct wire *wire, int ms)
{
        return wire_poll(wire, wire->sock, POLLIN, now_ms() + ms) == 0;
}
