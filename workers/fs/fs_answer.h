/* An answer, on its way from libfuse to the guest: a header and bytes, which libfuse hands over as it would to a kernel. Long ones
 * are made where they are sent from: fs_answer_room says where that is.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "workers/runtime/request.h"

struct fs_answer {
        struct request *request; /* that has none yet; NULL: none has to be answered */
        uint64_t unique;
        uint8_t *room;    /* given out; NULL: none */
        bool placed;      /* ... in the request's place */
        uint32_t written; /* bytes behind the header that are written already */
};

void fs_answer_start(struct fs_answer *answer, struct request *request, uint64_t unique);

/* Room for `len` bytes behind the header: give its address to libfuse, and it will not be copied. NULL: there is none in one
 * piece, write it by fs_answer_piece. */
uint8_t *fs_answer_room(struct fs_answer *answer, uint32_t len);

/* The next REQUEST_PIECE bytes at most; and they are written. After the last, answer with what fs_answer_written says. */
uint8_t *fs_answer_piece(struct fs_answer *answer);
void fs_answer_write(struct fs_answer *answer, uint32_t len);
const char *fs_answer_written(const struct fs_answer *answer);

/* What libfuse says: the request is done. Returns the length. */
ssize_t fs_answer_send(struct fs_answer *answer, const struct iovec *iov, unsigned n);

/* A header and nothing else. Negative errno, or 0. */
void fs_answer_error(struct fs_answer *answer, int error);

/* The guest wanted no answer, or gets none. */
void fs_answer_none(struct fs_answer *answer);
