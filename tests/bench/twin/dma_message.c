/* Guest memory by messages.
 * Owns nothing; called by the twin that is cut in two, on both sides. TRUST: both are the bench's; who serves judges lengths, and
 * every address is resolved by the snapshot.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/twin/dma_message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/checked.h"

#define COMMAND_READ  11u /* VFIO_USER_DMA_READ */
#define COMMAND_WRITE 12u /* VFIO_USER_DMA_WRITE */
#define FLAG_REPLY    1u
#define FLAG_ERROR    0x20u
#define SPANS         64u /* of one answer: a region's edge adds one */

struct head {
        uint16_t id, command;
        uint32_t size, flags, error;
        uint64_t address, count;
};

_Static_assert(sizeof(struct head) == 32, "a header of 16 bytes, address and count");

static int receive(int sock, void *bytes, size_t len)
{
        ssize_t n;

        do
                n = recv(sock, bytes, len, MSG_WAITALL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return (size_t)n == len ? 0 : -EPIPE;
}

/* All of it: a stream takes a long message in pieces. Changes the spans. */
static int send_all(int sock, struct iovec *iov, size_t n_iov)
{
        while (n_iov > 0) {
                struct msghdr message = {.msg_iov = iov, .msg_iovlen = n_iov};
                ssize_t n = sendmsg(sock, &message, MSG_NOSIGNAL);

                if (n < 0 && errno != EINTR)
                        return -errno;
                for (; n > 0 && (size_t)n >= iov->iov_len; iov++, n_iov--)
                        n -= (ssize_t)iov->iov_len;
                if (n > 0) {
                        iov->iov_base = (uint8_t *)iov->iov_base + n;
                        iov->iov_len -= (size_t)n;
                }
        }
        return 0;
}

/* ---- who asks ---- */

static int await_answer(int sock, const struct head *asked, void *bytes)
{
        struct head head;
        int r = receive(sock, &head, sizeof(head));

        if (r < 0)
                return r;
        if (head.flags & FLAG_ERROR)
                return -EFAULT;
        if (head.id != asked->id || head.command != asked->command || head.count != asked->count)
                return -EPROTO;
        return bytes ? receive(sock, bytes, head.count) : 0;
}

/* With `to` a read, else a write. */
static int access_by_message(int sock, gpa_t at, void *to, const void *from, uint32_t len)
{
        static uint16_t id;
        struct head head = {.id = ++id,
                            .command = to ? COMMAND_READ : COMMAND_WRITE,
                            .size = (uint32_t)sizeof(head) + (to ? 0 : len),
                            .address = at.v,
                            .count = len};
        struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)from, len}};
        int r;

        assert(len <= DMA_MESSAGE_BYTES);
        r = send_all(sock, iov, to ? 1 : 2);
        return r < 0 ? r : await_answer(sock, &head, to);
}

int dma_read(int sock, gpa_t at, void *bytes, uint32_t len)
{
        return access_by_message(sock, at, bytes, NULL, len);
}

int dma_write(int sock, gpa_t at, const void *bytes, uint32_t len)
{
        return access_by_message(sock, at, NULL, bytes, len);
}

/* ---- who answers ---- */

/* The bytes of a write that has nowhere to go: the next message is behind them. */
static int discard(int sock, uint64_t len)
{
        uint8_t bytes[4096];
        int r = 0;

        for (uint64_t piece; len > 0 && r == 0; len -= piece) {
                piece = MIN(len, sizeof(bytes));
                r = receive(sock, bytes, piece);
        }
        return r;
}

static int answer_error(int sock, struct head *head)
{
        struct iovec iov = {head, sizeof(*head)};

        head->flags |= FLAG_ERROR;
        head->error = EFAULT;
        head->size = sizeof(*head);
        return send_all(sock, &iov, 1);
}

static int serve_read(int sock, struct head *head, struct iovec *iov, size_t n_iov)
{
        head->size = (uint32_t)(sizeof(*head) + head->count);
        iov[0] = (struct iovec){head, sizeof(*head)};
        return send_all(sock, iov, n_iov);
}

static int serve_write(int sock, struct head *head, struct iovec *iov, size_t n_iov)
{
        int r = 0;

        for (size_t i = 1; i < n_iov && r == 0; i++)
                r = receive(sock, iov[i].iov_base, iov[i].iov_len);
        head->size = sizeof(*head);
        iov[0] = (struct iovec){head, sizeof(*head)};
        return r < 0 ? r : send_all(sock, iov, 1);
}

int dma_serve(int sock, const struct guest_memory *memory)
{
        struct iovec iov[1 + SPANS]; /* the first: the answer's head */
        struct head head;
        size_t n_iov = 1;
        bool write;
        int r = receive(sock, &head, sizeof(head));

        if (r < 0)
                return r;
        write = head.command == COMMAND_WRITE;
        if ((!write && head.command != COMMAND_READ) || head.count > DMA_MESSAGE_BYTES)
                return -EPROTO;
        head.flags = FLAG_REPLY;
        if (!memory || guest_memory_iovec(memory, GPA(head.address), head.count, write, iov, 1 + SPANS,
                                          &n_iov) != (int64_t)head.count) {
                r = write ? discard(sock, head.count) : 0;
                return r < 0 ? r : answer_error(sock, &head);
        }
        return write ? serve_write(sock, &head, iov, n_iov) : serve_read(sock, &head, iov, n_iov);
}
