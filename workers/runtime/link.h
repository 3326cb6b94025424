/* Frames from and to the broker, by a socket or two pipes, blocking. No call fails: when the broker is gone
 * the process exits 0, when a frame is not one the process traps (trap.h).
 *
 * One read takes a whole batch: bytes are read ahead into a stage, a header is judged there, and what of the
 * payload has not come along is read straight to where it belongs.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "proto/base/fd.h"
#include "proto/frame.h"

#define LINK_AHEAD                                                                                           \
        16384u /* bytes read beyond what is needed: a batch of small requests, and no long memcpy */
#define LINK_STAGE (FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER + LINK_AHEAD)

struct link {
        struct fd_duplex ends;
        uint32_t max_payload;
        uint8_t *stage;        /* LINK_STAGE bytes, the caller's */
        size_t at, end;        /* stage[at, end) has been read and not yet taken */
        uint32_t payload_left; /* of the frame taken last */
        uint64_t taken;        /* bytes of the stream taken so far */
};

void link_init(struct link *link, struct fd_duplex ends, uint8_t *stage, uint32_t max_payload);

/* Position in the stream of the first byte that has not been read. */
static inline uint64_t link_position(const struct link *link)
{
        return link->taken + (link->end - link->at);
}

/* Has some of the next frame been read already? */
static inline bool link_has_bytes(const struct link *link)
{
        return link->end > link->at;
}

/* Waits until it has. */
void link_wait(struct link *link);

/* Waits for a frame's head and header. *ret_header lives until the next call on this link. The payload of the
 * frame before must have been taken. */
void link_next(struct link *link, struct frame_head *ret_head, const uint8_t **ret_header);

/* Takes the next `len` bytes of the current frame's payload. */
void link_payload(struct link *link, void *buf, uint32_t len);

/* Writes one frame. `frame` is FRAME_HEAD_BYTES of room (filled in here) and then header_len bytes of
 * message. */
void link_send(struct link *link, uint8_t *frame, uint32_t header_len, const void *payload,
               uint32_t payload_len);

/* As link_send, without a payload, and with a descriptor, which stays the caller's. The run policy of who does so needs a row
 * for sendmsg. */
void link_send_fd(struct link *link, uint8_t *frame, uint32_t header_len, int fd);

/* Reads the first bytes of all, and the descriptors that come with them: at most `max`. */
void link_receive_fds(struct link *link, struct fd_set_owned *fds, unsigned max);

/* Bytes of a file, at least one. */
struct link_file {
        int fd;
        uint64_t offset;
        uint32_t len;
};

/* As link_send, but the payload is a file's bytes: the kernel hands its cached pages to the socket, and the one copy is the
 * broker's. 0, or negative errno of the file (-EIO: it ends before): the rest of them was zeros then, so the stream is in
 * step. The run policy of who does so needs a row for sendfile. */
int link_send_file(struct link *link, uint8_t *frame, uint32_t header_len, const struct link_file *file);
