/* Unix sockets that outlive workers: those that listen in the run directory, and those that are connected to somebody's.
 * Owns nothing; called at the start, and again when a peer has gone. TRUST: paths are the operator's; what lies there may be
 * anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/resource_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/limits.h"

#define BACKLOG 4 /* who waits for its turn at a port that serves one at a time */

static int explain(int r, const char *path, const char *remedy, char *why, size_t why_size)
{
        snprintf(why, why_size, "%s: %s; %s", path, strerror(-r), remedy);
        return r;
}

/* The kernel cuts what is too long at another place than one thinks. */
static int make_address(const char *path, struct sockaddr_un *ret_address, char *why, size_t why_size)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(path) >= sizeof(address.sun_path)) {
                snprintf(why, why_size,
                         "%s: a socket's path has at most %zu bytes; choose a shorter one, or a shorter name "
                         "or run directory",
                         path, sizeof(address.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        *ret_address = address;
        return 0;
}

/* Of a predecessor that has died. What is no socket is somebody's file. */
static int remove_stale(const char *path, char *why, size_t why_size)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT
                           ? 0
                           : explain(-errno, path, "the socket's folder must be there", why, why_size);
        if (!S_ISSOCK(st.st_mode)) {
                snprintf(why, why_size, "%s: is there and no socket; move it away", path);
                return -EEXIST;
        }
        return unlink(path) == 0 ? 0
                                 : explain(-errno, path, "a stale socket cannot be removed", why, why_size);
}

static int give(const char *path, const struct socket_rights *rights, char *why, size_t why_size)
{
        if (chmod(path, rights->mode) < 0)
                return explain(-errno, path, "its mode cannot be set", why, why_size);
        if (chown(path, rights->uid, rights->gid) < 0)
                return explain(-errno, path,
                               "its owner or group cannot be set; leave socket.group out or join that group",
                               why, why_size);
        return 0;
}

int resource_listen(const char *path, const struct socket_rights *rights, int *ret_fd, char *why,
                    size_t why_size)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        mode_t mask;
        int r = make_address(path, &address, why, why_size);

        if (r == 0)
                r = remove_stale(path, why, why_size);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return explain(-errno, path, "no socket can be made", why, why_size);
        mask = umask(0777); /* nobody's, until it has its owner */
        r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        umask(mask);
        if (r < 0)
                return explain(r, path,
                               "the socket cannot be made; is its folder there, and may we write it?", why,
                               why_size);
        r = give(path, rights, why, why_size);
        if (r == 0 && listen(fd, BACKLOG) < 0)
                r = explain(-errno, path, "the socket cannot listen", why, why_size);
        if (r < 0) {
                unlink(path);
                return r;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}

static int explain_connect(int r, const char *path, char *why, size_t why_size)
{
        switch (-r) {
        case ENOENT:
        case ENOTDIR:
                return explain(r, path, "start what listens there first, or name another socket", why,
                               why_size);
        case ECONNREFUSED:
                return explain(r, path, "nobody listens there any more: start it again", why, why_size);
        case EAGAIN:
                return explain(r, path, "who listens there is too busy to take us", why, why_size);
        case EACCES:
        case EPERM:
                return explain(r, path, "change the socket's owner or mode", why, why_size);
        case EPROTOTYPE:
                return explain(r, path, "it is no stream socket", why, why_size);
        default:
                return explain(r, path, "cannot connect to it", why, why_size);
        }
}

/* Without O_NONBLOCK a peer that accepts nobody would hold the spawner. */
int resource_connect(const char *path, int *ret_fd, char *why, size_t why_size)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        int r = make_address(path, &address, why, why_size);

        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return explain(-errno, path, "no socket can be made", why, why_size);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return explain_connect(-errno, path, why, why_size);
        r = fd_set_send_buffer(fd, LIMIT_HELD_SOCKET);
        if (r < 0)
                return explain(r, path, "its buffer cannot be made larger", why, why_size);
        *ret_fd = take_fd(&fd);
        return 0;
}

int resource_pair(int type, uint32_t their_len, int *ret_ours, int *ret_theirs)
{
        _cleanup_close_ int ours = -1, theirs = -1;
        int fds[2], r;

        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        r = fd_set_send_buffer(ours, LIMIT_HELD_SOCKET);
        if (r == 0)
                r = fd_set_send_buffer(theirs, their_len);
        if (r < 0)
                return r;
        *ret_ours = take_fd(&ours);
        *ret_theirs = take_fd(&theirs);
        return 0;
}

bool resource_socket_has_ended(int fd)
{
        char byte;

        return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
