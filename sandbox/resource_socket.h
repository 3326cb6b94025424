/* Unix sockets that outlive a worker. The spawner keeps one descriptor, each incarnation has a duplicate; so on a connected one
 * an incarnation takes and leaves whole frames only: its successor begins where it has stopped (docs/SANDBOX.md, "What outlives
 * a worker").
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct socket_rights {
        mode_t mode;
        uid_t uid;
        gid_t gid; /* (gid_t)-1: leave it */
};

/* A listening socket at `path`, non-blocking and CLOEXEC. A stale socket there is replaced, anything else is refused. Nobody
 * can connect before it has its owner and mode. The caller removes the path in the end. 0, or negative errno with one sentence
 * and its remedy in `why`, and nothing has been left there. */
int resource_listen(const char *path, const struct socket_rights *rights, int *ret_fd, char *why,
                    size_t why_size);

/* Connects to a stream socket, without waiting for who listens. 0, or negative errno with `why`. */
int resource_connect(const char *path, int *ret_fd, char *why, size_t why_size);

/* Two ends, non-blocking and CLOEXEC, of a socket of `type`, with LIMIT_HELD_SOCKET bytes on their way from us, and `their_len` to us,
 * where the host lets a socket have so much (net.core.wmem_max). */
int resource_pair(int type, uint32_t their_len, int *ret_ours, int *ret_theirs);

/* Has the peer hung up, and nothing is left to be read? */
bool resource_socket_has_ended(int fd);
