/* The guest's words to a shared directory, judged: FUSE's requests (virtio 1.3, 5.11.6; linux/fuse.h). Pure: bytes and numbers
 * in, a struct out. What has passed here may be given to a decoder that trusts its kernel, as libfuse does.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define FS_HEADER_BYTES 40u /* struct fuse_in_header */
#define FS_ANSWER_BYTES 16u /* struct fuse_out_header: what each answer begins with */
#define FS_WRITE_BYTES  80u /* header of a write; its data follow */

/* Readable bytes of the longest request: a write; and of the longest of any other kind, a batch of forgets or an attribute. */
#define FS_REQ_MAX   (FS_WRITE_BYTES + LIMIT_FS_TRANSFER)
#define FS_REQ_SMALL (FS_HEADER_BYTES + 16u + LIMIT_FS_NAME + 1u + LIMIT_FS_XATTR)

/* Versions of FUSE that are spoken: Linux has virtio-fs since 7.31. */
#define FS_MAJOR     7u
#define FS_MINOR_MIN 31u

/* Made by fs_req_check alone. Pointers are into its bytes. */
struct fs_req {
        uint32_t opcode; /* one of those that are served */
        uint64_t unique, nodeid;
        bool silent;  /* the guest wants no answer: forgets */
        bool changes; /* the share, or a file of it */
        bool once;    /* doing it twice is not as good as once */
        bool unlocks; /* a lock may be let go by it */
        /* FUSE_SETXATTR only */
        const char *name;
        const uint8_t *value;
        uint32_t value_len, flags;
};

/* Names the request in its answer. */
uint64_t fs_req_unique(const uint8_t header[static FS_HEADER_BYTES]);

/* How many of the readable bytes fs_req_check has to see: of a write its header, else all. `header` is their beginning. */
uint32_t fs_req_judged_len(const uint8_t header[static FS_HEADER_BYTES], uint32_t readable);

/* `bytes` are the first `len` readable bytes: fs_req_judged_len of them, or all when there are fewer than a header. 0: *ret_req
 * may be carried out: its lengths agree with each other, its names end and are names, it fits our buffers and its answer the
 * writable part. -EPROTO: no header, or no room for any answer: the guest is out of order. Any other: answer with this error
 * (-ENOSYS: no such request is served). */
int fs_req_check(uint32_t readable, uint32_t writable, const uint8_t *bytes, size_t len,
                 struct fs_req *ret_req);
