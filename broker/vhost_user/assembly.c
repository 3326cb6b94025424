/* Messages out of a stream.
 * Owns the message that is being put together with its descriptors; called by the session and by the back-end
 * channel. TRUST: every byte is the front end's. Descriptors are only counted here; their kind is judged by
 * who takes them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/assembly.h"

#include <errno.h>

#include "proto/base/fd.h"
#include "proto/base/limits.h"

#define HEADER_LEN sizeof(struct vhost_user_header)

void assembly_init(struct assembly *assembly, bool replies)
{
        assembly->have = 0;
        assembly->replies = replies;
        assembly->message.header = (struct vhost_user_header){0};
        assembly->message.fds.n = 0;
}

void assembly_clear(struct assembly *assembly)
{
        fd_set_close(&assembly->message.fds);
        assembly->message.header = (struct vhost_user_header){0};
        assembly->have = 0;
}

static int header_check(const struct vhost_user_header *header, bool replies)
{
        uint32_t known = VHOST_USER_VERSION_MASK | VHOST_USER_REPLY | VHOST_USER_NEED_REPLY;

        if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION || (header->flags & ~known))
                return -EPROTO;
        if (replies != !!(header->flags & VHOST_USER_REPLY))
                return -EPROTO;
        if (header->size > LIMIT_VHOST_USER_PAYLOAD)
                return -EMSGSIZE;
        return 0;
}

/* One recvmsg towards the end of `want` bytes at `to`. 1: all there. */
static int receive_part(struct assembly *assembly, int fd, uint8_t *to, size_t done, size_t want)
{
        /* Descriptors travel with the first byte of a message and nowhere else. */
        unsigned max_fds = assembly->have == 0 ? LIMIT_VHOST_USER_FDS : assembly->message.fds.n;
        ssize_t n = fd_pass_recv_now(fd, to + done, want - done, &assembly->message.fds, max_fds);

        if (n == -EAGAIN)
                return 0;
        if (n < 0)
                return (int)n;
        if (n == 0)
                return assembly->have == 0 ? -EPIPE : -ECONNRESET;
        assembly->have += (size_t)n;
        return done + (size_t)n == want;
}

static int receive_header(struct assembly *assembly, int fd)
{
        int r = receive_part(assembly, fd, (uint8_t *)&assembly->message.header, assembly->have, HEADER_LEN);

        return r == 1 ? header_check(&assembly->message.header, assembly->replies) : r;
}

int assembly_receive(struct assembly *assembly, int fd)
{
        size_t size;

        if (assembly->have < HEADER_LEN) {
                int r = receive_header(assembly, fd);

                if (r < 0)
                        return r;
                if (assembly->have < HEADER_LEN)
                        return 0;
        }
        size = assembly->message.header.size; /* at most LIMIT_VHOST_USER_PAYLOAD: header_check */
        if (size == 0)
                return 1;
        return receive_part(assembly, fd, assembly->message.payload.bytes, assembly->have - HEADER_LEN, size);
}
