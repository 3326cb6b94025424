/* Frames from and to the broker.
 * Owns nothing: descriptors and stage are the caller's. Called by worker.c (control) and worker_lane.c (lanes).
 * TRUST: bytes of the broker. A worker obeys its broker, yet a frame out of shape ends the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/link.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "proto/base/checked.h"
#include "workers/runtime/trap.h"

void link_init(struct link *link, struct fd_duplex ends, uint8_t *stage, uint32_t max_payload)
{
        *link = (struct link){.ends = ends, .stage = stage, .max_payload = max_payload};
}

/* Our descriptors block, so every error but these means that a descriptor is not what it should be. */
static void link_end_on(int error)
{
        if (error == EPIPE || error == ECONNRESET)
                worker_gone();
        if (error != EINTR)
                worker_trap();
}

static size_t link_read(struct link *link, const struct iovec *iov, int n_iov)
{
        for (;;) {
                ssize_t n = n_iov == 1 ? read(link->ends.in, iov->iov_base, iov->iov_len)
                                       : readv(link->ends.in, iov, n_iov);

                if (n > 0)
                        return (size_t)n;
                if (n == 0)
                        worker_gone();
                link_end_on(errno);
        }
}

/* Makes room behind what is staged, so that `len` bytes from `at` on and a read-ahead fit. */
static void link_make_room(struct link *link, size_t len)
{
        size_t have = link->end - link->at;

        if (have > 0 && link->at + len + LINK_AHEAD <= LINK_STAGE)
                return;
        memmove(link->stage, link->stage + link->at, have);
        link->at = 0;
        link->end = have;
}

/* Waits until `len` bytes are staged in one piece. */
static void link_need(struct link *link, size_t len)
{
        if (link->end - link->at >= len)
                return;
        link_make_room(link, len);
        while (link->end - link->at < len) {
                size_t missing = len - (link->end - link->at);
                struct iovec iov = {.iov_base = link->stage + link->end,
                                    .iov_len = MAX(missing, (size_t)LINK_AHEAD)};

                link->end += link_read(link, &iov, 1);
        }
}

void link_wait(struct link *link)
{
        link_need(link, 1);
}

static void link_take(struct link *link, size_t len)
{
        link->at += len;
        link->taken += len;
}

void link_next(struct link *link, struct frame_head *ret_head, const uint8_t **ret_header)
{
        struct frame_head head;

        if (link->payload_left != 0)
                worker_trap();
        link_need(link, FRAME_HEAD_BYTES);
        if (frame_head_check(link->stage + link->at, link->max_payload, &head) < 0)
                worker_trap();
        link_need(link, FRAME_HEAD_BYTES + (size_t)head.header_len);
        *ret_header = link->stage + link->at + FRAME_HEAD_BYTES;
        *ret_head = head;
        link->payload_left = head.payload_len;
        link_take(link, FRAME_HEAD_BYTES + (size_t)head.header_len);
}

void link_payload(struct link *link, void *buf, uint32_t len)
{
        size_t done = MIN((size_t)len, link->end - link->at);

        if (len > link->payload_left)
                worker_trap();
        memcpy(buf, link->stage + link->at, done);
        link_take(link, done);
        while (done < len) {
                struct iovec iov[] = {{.iov_base = (uint8_t *)buf + done, .iov_len = len - done},
                                      {.iov_base = link->stage, .iov_len = LINK_AHEAD}};
                size_t n = link_read(link, iov, 2);
                size_t mine = MIN(n, iov[0].iov_len);

                done += mine;
                link->taken += mine;
                link->at = 0;
                link->end = n - mine;
        }
        link->payload_left -= len;
}

static void link_write(struct link *link, struct iovec *iov, int n_iov)
{
        while (n_iov > 0) {
                ssize_t n = n_iov == 1 ? write(link->ends.out, iov->iov_base, iov->iov_len)
                                       : writev(link->ends.out, iov, n_iov);
                size_t left;

                if (n < 0) {
                        link_end_on(errno);
                        continue;
                }
                for (left = (size_t)n; n_iov > 0 && left >= iov->iov_len; iov++, n_iov--)
                        left -= iov->iov_len;
                if (n_iov > 0) {
                        iov->iov_base = (uint8_t *)iov->iov_base + left;
                        iov->iov_len -= left;
                }
        }
}

/* Fills in the frame's head. */
static struct iovec link_head(uint8_t *frame, uint32_t header_len, uint32_t payload_len)
{
        struct frame_head head = {.header_len = header_len, .payload_len = payload_len};

        frame_head_make(&head, frame);
        return (struct iovec){.iov_base = frame, .iov_len = FRAME_HEAD_BYTES + (size_t)header_len};
}

void link_send(struct link *link, uint8_t *frame, uint32_t header_len, const void *payload,
               uint32_t payload_len)
{
        struct iovec iov[] = {link_head(frame, header_len, payload_len),
                              {.iov_base = (void *)(uintptr_t)payload, .iov_len = payload_len}};

        link_write(link, iov, payload_len > 0 ? 2 : 1);
}

/* The descriptor goes with the first byte; a socket that took no more of it takes the rest later. */
void link_send_fd(struct link *link, uint8_t *frame, uint32_t header_len, int fd)
{
        struct iovec iov = link_head(frame, header_len, 0);
        ssize_t n;

        do
                n = fd_pass_send(link->ends.out, &iov, 1, &fd, 1);
        while (n == -EINTR);
        if (n < 0)
                link_end_on((int)-n);
        iov.iov_base = (uint8_t *)iov.iov_base + n;
        iov.iov_len -= (size_t)n;
        if (iov.iov_len > 0)
                link_write(link, &iov, 1);
}

void link_receive_fds(struct link *link, struct fd_set_owned *fds, unsigned max)
{
        ssize_t n;

        do
                n = fd_pass_recv(link->ends.in, link->stage, LINK_STAGE, fds, max);
        while (n == -EINTR);
        if (n == 0)
                worker_gone();
        if (n < 0)
                link_end_on((int)-n);
        link->end = (size_t)n;
}

/* What a frame has promised must come, whatever the file says. */
static void link_pad(struct link *link, uint64_t len)
{
        static const uint8_t zeros[4096];

        while (len > 0) {
                struct iovec iov = {.iov_base = (void *)(uintptr_t)zeros,
                                    .iov_len = (size_t)MIN(len, (uint64_t)sizeof(zeros))};

                len -= iov.iov_len;
                link_write(link, &iov, 1);
        }
}

/* One step. Bytes, or negative errno of the file. */
static ssize_t link_send_file_part(struct link *link, int fd, off_t *offset, size_t len)
{
        ssize_t n;

        do
                n = sendfile(link->ends.out, fd, offset, len);
        while (n < 0 && errno == EINTR);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                worker_gone();
        if (n == 0)
                return -EIO;
        return n < 0 ? -errno : n;
}

int link_send_file(struct link *link, uint8_t *frame, uint32_t header_len, const struct link_file *file)
{
        struct iovec iov = link_head(frame, header_len, file->len);
        off_t at = (off_t)file->offset;
        uint32_t left = file->len;

        link_write(link, &iov, 1);
        while (left > 0) {
                ssize_t n = link_send_file_part(link, file->fd, &at, left);

                if (n < 0) {
                        link_pad(link, left);
                        return (int)n;
                }
                left -= (uint32_t)n;
        }
        return 0;
}
