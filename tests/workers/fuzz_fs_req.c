/* libFuzzer target: any bytes as a FUSE request. The input is u32 writable, request bytes. What is accepted must be sound: as
 * a decoder reads it that counts nothing.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/fs/fs_req.h"

#define FUZZ_PREFIX 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

/* A name at `at`, as libfuse finds it; the place behind it. */
static size_t require_name(const uint8_t *bytes, size_t at, size_t len)
{
        size_t n;

        require(at < len);
        n = strnlen((const char *)bytes + at, len - at);
        require(n > 0 && n <= LIMIT_FS_NAME && at + n < len);
        require(!memchr(bytes + at, '/', n) && strcmp((const char *)bytes + at, "..") != 0 &&
                strcmp((const char *)bytes + at, ".") != 0);
        return at + n + 1;
}

static void require_sound(const uint8_t *bytes, size_t len, uint32_t writable, const struct fs_req *req)
{
        size_t at = FS_HEADER_BYTES;
        uint32_t size;

        require(req->silent || writable >= FS_ANSWER_BYTES);
        switch (req->opcode) {
        case FUSE_RENAME2:
                at += 8;
                __attribute__((fallthrough));
        case FUSE_RENAME:
                at = require_name(bytes, at + 8, len);
                require(require_name(bytes, at, len) == len);
                break;
        case FUSE_MKDIR:
        case FUSE_LINK:
                at += 8;
                __attribute__((fallthrough));
        case FUSE_LOOKUP:
        case FUSE_UNLINK:
        case FUSE_RMDIR:
                require(require_name(bytes, at, len) == len);
                break;
        case FUSE_READ:
        case FUSE_READDIR:
                memcpy(&size, bytes + at + 16, sizeof(size));
                require(size <= writable - FS_ANSWER_BYTES);
                break;
        case FUSE_SETUPMAPPING:
                require(len == at + sizeof(struct fuse_setupmapping_in));
                break;
        case FUSE_REMOVEMAPPING:
                memcpy(&size, bytes + at, sizeof(size));
                require(size > 0 && size <= LIMIT_FS_UNMAPS);
                require(len == at + sizeof(size) + size * sizeof(struct fuse_removemapping_one));
                break;
        case FUSE_SETXATTR:
                require(req->value >= bytes && req->value + req->value_len == bytes + len);
                break;
        default:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint32_t writable, readable;
        struct fs_req req;
        uint8_t *bytes;
        size_t len;

        if (size < FUZZ_PREFIX)
                return 0;
        memcpy(&writable, data, 4);
        len = MIN(size - FUZZ_PREFIX, (size_t)FS_REQ_MAX + 64);
        bytes = malloc(len + (len == 0)); /* its own block, so that one byte too far is seen */
        if (!bytes)
                return 0;
        memcpy(bytes, data + FUZZ_PREFIX, len);
        readable = (uint32_t)len;
        if (len >= FS_HEADER_BYTES && data[0] & 1)
                memcpy(bytes, &readable,
                       sizeof(readable)); /* the length is right: the rest is worth a look */
        if (len >= FS_HEADER_BYTES)
                require(fs_req_judged_len(bytes, readable) <= readable);
        if (fs_req_check(readable, writable, bytes, len, &req) == 0)
                require_sound(bytes, len, writable, &req);
        free(bytes);
        return 0;
}
