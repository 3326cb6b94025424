/* Whom a vsock device's proxy might reach: it makes and connects sockets, in one folder.
 * Owns nothing; read by hostile_proxy.c. TRUST: paths and names are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define SOCKETS_MOST 8000u /* twice what the proxy may have */

static char page[HOSTILE_PAGE];

/* ---- the vsock proxy ---- */

static int64_t reach(const struct sockaddr_un *address, int type)
{
        int64_t fd = CALL(SYS_socket, AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

        if (fd < 0)
                return fd;
        r = CALL(SYS_connect, (int)fd, address, sizeof(*address));
        syscall(SYS_close, (int)fd);
        return r;
}

static int64_t reach_path(const char *prefix, const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        snprintf(address.sun_path, sizeof(address.sun_path), "%s%.90s", prefix, path);
        return reach(&address, SOCK_STREAM);
}

static int64_t proxy_reach_admin(struct hostile *hostile)
{
        return reach_path("", hostile->command.socket);
}

static int64_t proxy_reach_own(struct hostile *hostile)
{
        (void)hostile;
        return reach_path("", "v");
}

static int64_t proxy_reach_climbing(struct hostile *hostile)
{
        return reach_path("../../..", hostile->command.socket);
}

static int64_t proxy_reach_beside(struct hostile *hostile)
{
        (void)hostile;
        return reach_path("../", "peer");
}

static int64_t proxy_reach_link(struct hostile *hostile)
{
        (void)hostile;
        return reach_path("", "link");
}

static int64_t proxy_reach_abstract(struct hostile *hostile)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        memcpy(address.sun_path, hostile->command.abstract, sizeof(hostile->command.abstract));
        return reach(&address, SOCK_STREAM);
}

static int64_t proxy_reach_short(struct hostile *hostile)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "v"};
        int64_t fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_connect, (int)fd, &address, offsetof(struct sockaddr_un, sun_path) + 1);
}

static int64_t proxy_bind(struct hostile *hostile)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "another"};
        int64_t fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        (void)hostile;
        if (fd < 0)
                return fd;
        fd = CALL(SYS_bind, (int)fd, &address, sizeof(address));
        syscall(SYS_unlinkat, AT_FDCWD, "another", 0);
        return fd;
}

static int64_t proxy_datagram(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int64_t proxy_open(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}

static int64_t proxy_open_worker(struct hostile *hostile)
{
        uint64_t how[3] = {O_PATH, 0, 0};

        (void)hostile;
        return CALL(SYS_openat2, AT_FDCWD, "..", how, sizeof(how));
}

static int64_t proxy_unlink(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_unlinkat, AT_FDCWD, "v", 0);
}

static int64_t proxy_mode(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_fchmodat, AT_FDCWD, "v", 04777);
}

static int64_t proxy_broker_channel(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_recvfrom, WORKER_FD_CONTROL, page, 1ul, MSG_DONTWAIT | MSG_PEEK, NULL, NULL);
}

static int64_t proxy_most_sockets(struct hostile *hostile)
{
        static int fds[SOCKETS_MOST];
        unsigned n = 0;
        int64_t r = 0;

        (void)hostile;
        while (n < SOCKETS_MOST &&
               (r = CALL(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) >= 0)
                fds[n++] = (int)r;
        while (n > 0)
                syscall(SYS_close, fds[--n]);
        return r;
}

static const struct hostile_attack rows[] = {
    {"proxy-reach-admin", proxy_reach_admin, 0},
    {"proxy-reach-own", proxy_reach_own, 0},
    {"proxy-reach-climbing", proxy_reach_climbing, 0},
    {"proxy-reach-beside", proxy_reach_beside, 0},
    {"proxy-reach-link", proxy_reach_link, 0},
    {"proxy-reach-abstract", proxy_reach_abstract, 0},
    {"proxy-reach-short", proxy_reach_short, 0},
    {"proxy-bind", proxy_bind, 0},
    {"proxy-datagram", proxy_datagram, 0},
    {"proxy-open", proxy_open, 0},
    {"proxy-open-above", proxy_open_worker, 0},
    {"proxy-unlink", proxy_unlink, 0},
    {"proxy-mode", proxy_mode, 0},
    {"proxy-broker-channel", proxy_broker_channel, 0},
    {"proxy-most-sockets", proxy_most_sockets, 0},
};

const struct hostile_attacks hostile_reach = {rows, array_size(rows)};
