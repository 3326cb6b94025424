/* An answer, on its way from libfuse to the guest.
 * Owns nothing; called by fs.c and by the operations, through libfuse. TRUST: everything here is our own; that it fits the
 * guest's buffer fs_req_check has seen to, and it is looked at once more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_answer.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/fs/fs_req.h"

_Static_assert(FS_ANSWER_BYTES == sizeof(struct fuse_out_header), "as the protocol has it");

/* What an answer that is written already is known by. */
static const char fs_written[1];

void fs_answer_start(struct fs_answer *answer, struct request *request, uint64_t unique)
{
        *answer = (struct fs_answer){.request = request, .unique = unique};
}

uint8_t *fs_answer_room(struct fs_answer *answer, uint32_t len)
{
        uint8_t *place;

        if (!range_inside(FS_ANSWER_BYTES, len, request_writable(answer->request)))
                return NULL;
        place = request_place(answer->request);
        answer->placed = place != NULL;
        if (!place && FS_ANSWER_BYTES + len > REQUEST_RESERVE)
                return NULL;
        if (!place)
                place = request_reserve(answer->request, FS_ANSWER_BYTES + len);
        answer->room = place + FS_ANSWER_BYTES;
        return answer->room;
}

uint8_t *fs_answer_piece(struct fs_answer *answer)
{
        return request_reserve(answer->request, REQUEST_PIECE);
}

void fs_answer_write(struct fs_answer *answer, uint32_t len)
{
        request_write(answer->request, FS_ANSWER_BYTES + answer->written, len);
        answer->written += len;
}

const char *fs_answer_written(const struct fs_answer *answer)
{
        (void)answer;
        return fs_written;
}

static void fs_answer_done(struct fs_answer *answer, const struct iovec *header, uint32_t total)
{
        struct request *request = answer->request;
        uint8_t *out;

        answer->request = NULL;
        if (answer->room && answer->placed) {
                memcpy(answer->room - FS_ANSWER_BYTES, header->iov_base, FS_ANSWER_BYTES);
                request_complete_placed(request, total, 0);
                return;
        }
        out = answer->room ? answer->room - FS_ANSWER_BYTES : request_reserve(request, FS_ANSWER_BYTES);
        memcpy(out, header->iov_base, FS_ANSWER_BYTES);
        request_complete(request, 0, answer->room ? total : FS_ANSWER_BYTES);
}

static void fs_answer_copy(struct fs_answer *answer, const struct iovec *iov, unsigned n, uint32_t total)
{
        struct request *request = answer->request;
        uint8_t *out = request_reserve(request, total);

        answer->request = NULL;
        for (unsigned i = 0; i < n; i++) {
                memcpy(out, iov[i].iov_base, iov[i].iov_len);
                out += iov[i].iov_len;
        }
        request_complete(request, 0, total);
}

ssize_t fs_answer_send(struct fs_answer *answer, const struct iovec *iov, unsigned n)
{
        const void *bytes = n == 2 ? iov[1].iov_base : NULL;
        size_t total = 0;

        for (unsigned i = 0; i < n; i++)
                total += iov[i].iov_len;
        if (!answer->request)
                return (ssize_t)total;
        if (n == 0 || iov[0].iov_len != FS_ANSWER_BYTES || total > request_writable(answer->request))
                fs_answer_error(answer, -EIO);
        else if (bytes && (bytes == fs_written || bytes == answer->room))
                fs_answer_done(answer, &iov[0], (uint32_t)total);
        else if (total > REQUEST_RESERVE)
                fs_answer_error(answer, -EIO);
        else
                fs_answer_copy(answer, iov, n, (uint32_t)total);
        return (ssize_t)total;
}

void fs_answer_error(struct fs_answer *answer, int error)
{
        struct fuse_out_header header = {.len = sizeof(header), .error = error, .unique = answer->unique};
        struct request *request = answer->request;

        if (!request)
                return;
        if (request_writable(request) < sizeof(header)) {
                fs_answer_none(answer);
                return;
        }
        answer->request = NULL;
        memcpy(request_reserve(request, sizeof(header)), &header, sizeof(header));
        request_complete(request, 0, sizeof(header));
}

void fs_answer_none(struct fs_answer *answer)
{
        if (answer->request)
                request_complete(answer->request, 0, 0);
        answer->request = NULL;
}
