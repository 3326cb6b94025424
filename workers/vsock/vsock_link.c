/* The worker's end of the socket to its proxy.
 * Owns the descriptor and the stage; called by vsock_host.c. TRUST: frames are the proxy's, which may have been taken over;
 * they are judged here for their form, in vsock_host.c for their turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock/vsock_link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workers/runtime/trap.h"
#include "workers/runtime/worker_memory.h"

int vsock_link_init(struct vsock_link *link, int fd)
{
        *link = (struct vsock_link){.fd = fd, .stage = worker_memory(VSOCK_FRAME_MAX + 1)};
        if (!link->stage)
                return -ENOMEM;
        return fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
}

bool vsock_link_send(struct vsock_link *link, const struct vsock_frame *frame, const uint8_t *payload)
{
        uint8_t head[VSOCK_FRAME_BYTES];
        struct iovec iov[2] = {{head, sizeof(head)}, {(void *)payload, frame->len}};

        if (link->gone)
                return false;
        vsock_frame_make(frame, head);
        if (writev(link->fd, iov, frame->len > 0 ? 2 : 1) >= 0)
                return true;
        if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
                link->full = true;
        else
                link->gone = true;
        return false;
}

bool vsock_link_receive(struct vsock_link *link, struct vsock_frame *ret_frame)
{
        ssize_t n;

        if (link->gone)
                return false;
        n = read(link->fd, link->stage, VSOCK_FRAME_MAX + 1);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                link->gone = true;
                return false;
        }
        if (vsock_frame_check(VSOCK_SIDE_WORKER, link->stage, (size_t)n, ret_frame) < 0)
                worker_trap();
        return true;
}
