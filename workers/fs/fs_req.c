/* The guest's words to a shared directory, judged.
 * Owns nothing; called by fs.c. TRUST: every byte is the guest's, and a request may be anything.
 *
 * libfuse takes its requests from a kernel and does not count: a name goes on to its NUL, and what is fixed is as long as it
 * should be. So the form of each request stands here, in one table, and nothing that has another gets through.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_req.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <string.h>

#include "proto/base/checked.h"

_Static_assert(FS_HEADER_BYTES == sizeof(struct fuse_in_header), "as the protocol has it");
_Static_assert(FS_ANSWER_BYTES == sizeof(struct fuse_out_header), "as the protocol has it");
_Static_assert(FS_WRITE_BYTES == FS_HEADER_BYTES + sizeof(struct fuse_write_in), "as the protocol has it");

/* What follows a request's fixed part. */
enum fs_tail {
        TAIL_NONE = 0,
        TAIL_NAME,    /* a name in a directory */
        TAIL_NAMES,   /* two of them */
        TAIL_LINK,    /* a name, and what the link says */
        TAIL_XATTR,   /* an attribute's name */
        TAIL_VALUE,   /* ... and its value, as long as the fixed part says */
        TAIL_DATA,    /* bytes, as many as the fixed part says */
        TAIL_FORGETS, /* a list, of as many as the fixed part says */
        TAIL_UNMAPS,  /* likewise, another list */
        TAIL_INIT,    /* the fixed part has a second half, since 7.36 */
};

struct fs_form {
        const char *name;
        uint16_t fixed;  /* bytes behind the header */
        uint16_t answer; /* bytes that a good answer has, behind its own header */
        enum fs_tail tail;
        bool sized; /* ... and as many more as the size in the fixed part says */
        bool silent, changes, once, unlocks;
};

/* As Linux sends them without FUSE_SETXATTR_EXT, which is not agreed on. */
#define SETXATTR_BYTES 8u
#define INIT_BYTES     16u

static const struct fs_form fs_forms[] = {
    [FUSE_LOOKUP] = {"lookup", 0, sizeof(struct fuse_entry_out), TAIL_NAME},
    [FUSE_FORGET] = {"forget", sizeof(struct fuse_forget_in), 0, TAIL_NONE, .silent = true, .once = true},
    [FUSE_GETATTR] = {"getattr", sizeof(struct fuse_getattr_in), sizeof(struct fuse_attr_out), TAIL_NONE},
    [FUSE_SETATTR] = {"setattr", sizeof(struct fuse_setattr_in), sizeof(struct fuse_attr_out), TAIL_NONE,
                      .changes = true},
    [FUSE_READLINK] = {"readlink", 0, 0, TAIL_NONE},
    [FUSE_SYMLINK] = {"symlink", 0, sizeof(struct fuse_entry_out), TAIL_LINK, .changes = true, .once = true},
    [FUSE_MKNOD] = {"mknod", sizeof(struct fuse_mknod_in), sizeof(struct fuse_entry_out), TAIL_NAME,
                    .changes = true, .once = true},
    [FUSE_MKDIR] = {"mkdir", sizeof(struct fuse_mkdir_in), sizeof(struct fuse_entry_out), TAIL_NAME,
                    .changes = true, .once = true},
    [FUSE_UNLINK] = {"unlink", 0, 0, TAIL_NAME, .changes = true, .once = true},
    [FUSE_RMDIR] = {"rmdir", 0, 0, TAIL_NAME, .changes = true, .once = true},
    [FUSE_RENAME] = {"rename", sizeof(struct fuse_rename_in), 0, TAIL_NAMES, .changes = true, .once = true},
    [FUSE_LINK] = {"link", sizeof(struct fuse_link_in), sizeof(struct fuse_entry_out), TAIL_NAME,
                   .changes = true, .once = true},
    [FUSE_OPEN] = {"open", sizeof(struct fuse_open_in), sizeof(struct fuse_open_out), TAIL_NONE},
    [FUSE_READ] = {"read", sizeof(struct fuse_read_in), 0, TAIL_NONE, .sized = true},
    [FUSE_WRITE] = {"write", sizeof(struct fuse_write_in), sizeof(struct fuse_write_out), TAIL_DATA,
                    .changes = true},
    [FUSE_STATFS] = {"statfs", 0, sizeof(struct fuse_statfs_out), TAIL_NONE},
    [FUSE_RELEASE] = {"release", sizeof(struct fuse_release_in), 0, TAIL_NONE, .unlocks = true},
    [FUSE_FSYNC] = {"fsync", sizeof(struct fuse_fsync_in), 0, TAIL_NONE},
    [FUSE_SETXATTR] = {"setxattr", SETXATTR_BYTES, 0, TAIL_VALUE, .changes = true, .once = true},
    [FUSE_GETXATTR] = {"getxattr", sizeof(struct fuse_getxattr_in), 0, TAIL_XATTR, .sized = true},
    [FUSE_LISTXATTR] = {"listxattr", sizeof(struct fuse_getxattr_in), 0, TAIL_NONE, .sized = true},
    [FUSE_REMOVEXATTR] = {"removexattr", 0, 0, TAIL_XATTR, .changes = true, .once = true},
    [FUSE_FLUSH] = {"flush", sizeof(struct fuse_flush_in), 0, TAIL_NONE, .unlocks = true},
    [FUSE_INIT] = {"init", INIT_BYTES, sizeof(struct fuse_init_out), TAIL_INIT},
    [FUSE_OPENDIR] = {"opendir", sizeof(struct fuse_open_in), sizeof(struct fuse_open_out), TAIL_NONE},
    [FUSE_READDIR] = {"readdir", sizeof(struct fuse_read_in), 0, TAIL_NONE, .sized = true},
    [FUSE_RELEASEDIR] = {"releasedir", sizeof(struct fuse_release_in), 0, TAIL_NONE},
    [FUSE_FSYNCDIR] = {"fsyncdir", sizeof(struct fuse_fsync_in), 0, TAIL_NONE},
    [FUSE_GETLK] = {"getlk", sizeof(struct fuse_lk_in), sizeof(struct fuse_lk_out), TAIL_NONE},
    [FUSE_SETLK] = {"setlk", sizeof(struct fuse_lk_in), 0, TAIL_NONE, .once = true, .unlocks = true},
    /* Who waited goes on to wait: a handle that had got a lock is stale to the next worker, and one that had none is as before. */
    [FUSE_SETLKW] = {"setlkw", sizeof(struct fuse_lk_in), 0, TAIL_NONE, .unlocks = true},
    [FUSE_CREATE] = {"create", sizeof(struct fuse_create_in),
                     sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out), TAIL_NAME, .changes = true,
                     .once = true},
    [FUSE_INTERRUPT] = {"interrupt", sizeof(struct fuse_interrupt_in), 0, TAIL_NONE, .silent = true},
    [FUSE_DESTROY] = {"destroy", 0, 0, TAIL_NONE},
    [FUSE_BATCH_FORGET] = {"batch_forget", sizeof(struct fuse_batch_forget_in), 0, TAIL_FORGETS,
                           .silent = true, .once = true},
    [FUSE_FALLOCATE] = {"fallocate", sizeof(struct fuse_fallocate_in), 0, TAIL_NONE, .changes = true},
    [FUSE_READDIRPLUS] = {"readdirplus", sizeof(struct fuse_read_in), 0, TAIL_NONE, .sized = true},
    [FUSE_RENAME2] = {"rename2", sizeof(struct fuse_rename2_in), 0, TAIL_NAMES, .changes = true,
                      .once = true},
    [FUSE_LSEEK] = {"lseek", sizeof(struct fuse_lseek_in), sizeof(struct fuse_lseek_out), TAIL_NONE},
    [FUSE_COPY_FILE_RANGE] = {"copy_file_range", sizeof(struct fuse_copy_file_range_in),
                              sizeof(struct fuse_write_out), TAIL_NONE, .changes = true, .once = true},
    [FUSE_SETUPMAPPING] = {"setupmapping", sizeof(struct fuse_setupmapping_in), 0, TAIL_NONE},
    [FUSE_REMOVEMAPPING] = {"removemapping", sizeof(struct fuse_removemapping_in), 0, TAIL_UNMAPS},
    [FUSE_SYNCFS] = {"syncfs", sizeof(struct fuse_syncfs_in), 0, TAIL_NONE},
};

/* A request that is being judged: what is behind its header. */
struct fs_body {
        const uint8_t *bytes; /* `seen` of them */
        uint32_t seen, len;   /* len: all that the request has */
};

static uint32_t fs_load32(const uint8_t *at)
{
        uint32_t v;

        memcpy(&v, at, sizeof(v));
        return v;
}

static uint64_t fs_load64(const uint8_t *at)
{
        uint64_t v;

        memcpy(&v, at, sizeof(v));
        return v;
}

static uint32_t fs_opcode(const uint8_t *header)
{
        return fs_load32(header + offsetof(struct fuse_in_header, opcode));
}

uint64_t fs_req_unique(const uint8_t header[static FS_HEADER_BYTES])
{
        return fs_load64(header + offsetof(struct fuse_in_header, unique));
}

uint32_t fs_req_judged_len(const uint8_t header[static FS_HEADER_BYTES], uint32_t readable)
{
        return fs_opcode(header) == FUSE_WRITE ? MIN(readable, FS_WRITE_BYTES) : readable;
}

/* ---- names ---- */

/* A text that ends where it should: *ret_len without its NUL. */
static int fs_check_text(const struct fs_body *body, uint32_t at, uint32_t max, uint32_t *ret_len)
{
        const uint8_t *nul;

        if (at >= body->len)
                return -EINVAL;
        nul = memchr(body->bytes + at, 0, body->len - at);
        if (!nul)
                return -EINVAL;
        *ret_len = (uint32_t)(nul - (body->bytes + at));
        if (*ret_len == 0)
                return -ENOENT;
        return *ret_len > max ? -ENAMETOOLONG : 0;
}

/* A name of one component that leads no way but down. */
static int fs_check_name(const struct fs_body *body, uint32_t at, uint32_t *ret_len)
{
        const char *name = (const char *)body->bytes + at;
        int r = fs_check_text(body, at, LIMIT_FS_NAME, ret_len);

        if (r < 0)
                return r;
        if (memchr(name, '/', *ret_len) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return -EINVAL;
        return 0;
}

static int fs_check_end(const struct fs_body *body, uint32_t at)
{
        return at == body->len ? 0 : -EINVAL;
}

static int fs_check_one_name(const struct fs_body *body, uint32_t at)
{
        uint32_t len;
        int r = fs_check_name(body, at, &len);

        return r < 0 ? r : fs_check_end(body, at + len + 1);
}

static int fs_check_two_names(const struct fs_body *body, uint32_t at)
{
        uint32_t len;
        int r = fs_check_name(body, at, &len);

        return r < 0 ? r : fs_check_one_name(body, at + len + 1);
}

static int fs_check_link(const struct fs_body *body, uint32_t at)
{
        uint32_t len, target_len = 0;
        int r = fs_check_name(body, at, &len);

        if (r == 0)
                r = fs_check_text(body, at + len + 1, LIMIT_FS_LINK, &target_len);
        return r < 0 ? r : fs_check_end(body, at + len + 1 + target_len + 1);
}

static int fs_check_xattr(const struct fs_body *body, uint32_t at, uint32_t *ret_end)
{
        uint32_t len;
        int r = fs_check_text(body, at, LIMIT_FS_NAME, &len);

        if (r < 0)
                return r == -ENOENT || r == -ENAMETOOLONG ? -ERANGE : r;
        *ret_end = at + len + 1;
        return 0;
}

/* ---- lists and numbers ---- */

static int fs_check_value(const struct fs_body *body, uint32_t at, struct fs_req *req)
{
        uint32_t end;
        int r = fs_check_xattr(body, at, &end);

        if (r < 0)
                return r;
        req->name = (const char *)body->bytes + at;
        req->value_len = fs_load32(body->bytes);
        req->flags = fs_load32(body->bytes + 4);
        req->value = body->bytes + end;
        if (req->value_len > LIMIT_FS_XATTR)
                return -E2BIG;
        return body->len - end == req->value_len ? 0 : -EINVAL;
}

/* Its data need not have been seen. */
static int fs_check_data(const struct fs_body *body, uint32_t at)
{
        uint32_t size = fs_load32(body->bytes + offsetof(struct fuse_write_in, size));

        return size <= LIMIT_FS_TRANSFER && body->len - at == size ? 0 : -EINVAL;
}

static int fs_check_forgets(const struct fs_body *body, uint32_t at)
{
        uint32_t count = fs_load32(body->bytes);

        if (count > LIMIT_FS_FORGETS)
                return -EINVAL;
        return fs_check_end(body, at + count * (uint32_t)sizeof(struct fuse_forget_one));
}

static int fs_check_unmaps(const struct fs_body *body, uint32_t at)
{
        uint32_t count = fs_load32(body->bytes);

        if (count == 0 || count > LIMIT_FS_UNMAPS)
                return -EINVAL;
        return fs_check_end(body, at + count * (uint32_t)sizeof(struct fuse_removemapping_one));
}

static int fs_check_init(const struct fs_body *body, uint32_t at)
{
        uint32_t flags = fs_load32(body->bytes + offsetof(struct fuse_init_in, flags));

        if (fs_load32(body->bytes) != FS_MAJOR || fs_load32(body->bytes + 4) < FS_MINOR_MIN)
                return -EPROTONOSUPPORT;
        if (body->len == at)
                return flags & FUSE_INIT_EXT ? -EINVAL : 0;
        return fs_check_end(body, sizeof(struct fuse_init_in));
}

static int fs_check_tail(enum fs_tail tail, const struct fs_body *body, uint32_t at, struct fs_req *req)
{
        uint32_t end;
        int r;

        switch (tail) {
        case TAIL_NONE:
                return fs_check_end(body, at);
        case TAIL_NAME:
                return fs_check_one_name(body, at);
        case TAIL_NAMES:
                return fs_check_two_names(body, at);
        case TAIL_LINK:
                return fs_check_link(body, at);
        case TAIL_XATTR:
                r = fs_check_xattr(body, at, &end);
                return r < 0 ? r : fs_check_end(body, end);
        case TAIL_VALUE:
                return fs_check_value(body, at, req);
        case TAIL_DATA:
                return fs_check_data(body, at);
        case TAIL_FORGETS:
                return fs_check_forgets(body, at);
        case TAIL_UNMAPS:
                return fs_check_unmaps(body, at);
        case TAIL_INIT:
                return fs_check_init(body, at);
        }
        return -EINVAL;
}

/* ---- sizes and offsets ---- */

_Static_assert(offsetof(struct fuse_write_in, offset) == offsetof(struct fuse_read_in, offset), "one judge");

/* No sum of an offset and a length may leave off_t; sizes of answers fit the request, and our buffers. */
static int fs_check_range(uint64_t offset, uint64_t len)
{
        return range_inside(offset, len, INT64_MAX) ? 0 : -EINVAL;
}

static int fs_check_lock(const uint8_t *bytes)
{
        uint64_t start = fs_load64(bytes + offsetof(struct fuse_lk_in, lk.start));
        uint64_t end = fs_load64(bytes + offsetof(struct fuse_lk_in, lk.end));
        uint32_t type = fs_load32(bytes + offsetof(struct fuse_lk_in, lk.type));

        return start <= end && end <= INT64_MAX && type <= 2 ? 0 : -EINVAL;
}

static int fs_check_numbers(uint32_t opcode, const uint8_t *bytes)
{
        switch (opcode) {
        case FUSE_READ:
                if (fs_load32(bytes + offsetof(struct fuse_read_in, size)) > LIMIT_FS_TRANSFER)
                        return -EINVAL;
                __attribute__((fallthrough));
        case FUSE_WRITE:
                return fs_check_range(fs_load64(bytes + offsetof(struct fuse_read_in, offset)),
                                      fs_load32(bytes + offsetof(struct fuse_read_in, size)));
        case FUSE_FALLOCATE:
                return fs_check_range(fs_load64(bytes + offsetof(struct fuse_fallocate_in, offset)),
                                      fs_load64(bytes + offsetof(struct fuse_fallocate_in, length)));
        case FUSE_GETLK:
        case FUSE_SETLK:
        case FUSE_SETLKW:
                return fs_check_lock(bytes);
        default:
                return 0;
        }
}

static uint32_t fs_answer_size(uint32_t opcode, const struct fs_form *form, const uint8_t *bytes)
{
        if (!form->sized)
                return form->answer;
        if (opcode != FUSE_GETXATTR && opcode != FUSE_LISTXATTR)
                return fs_load32(bytes + offsetof(struct fuse_read_in, size));
        return MAX(fs_load32(bytes), (uint32_t)sizeof(struct fuse_getxattr_out) * (fs_load32(bytes) == 0));
}

/* ---- the whole ---- */

static int fs_check_form(const struct fs_form *form, const struct fs_body *body, uint32_t writable,
                         struct fs_req *req)
{
        int r;

        if (body->seen < form->fixed)
                return -EINVAL;
        r = fs_check_tail(form->tail, body, form->fixed, req);
        if (r == 0)
                r = fs_check_numbers(req->opcode, body->bytes);
        if (r < 0 || form->silent)
                return r;
        return fs_answer_size(req->opcode, form, body->bytes) <= writable - FS_ANSWER_BYTES ? 0 : -EINVAL;
}

static const struct fs_form *fs_find_form(uint32_t opcode)
{
        if (opcode >= array_size(fs_forms) || !fs_forms[opcode].name)
                return NULL;
        return &fs_forms[opcode];
}

static int fs_check_lengths(const struct fs_form *form, uint32_t readable, size_t len, const uint8_t *bytes)
{
        if (fs_load32(bytes) != readable)
                return -EINVAL;
        if (form->tail == TAIL_DATA)
                return readable <= FS_REQ_MAX && len >= MIN(readable, FS_WRITE_BYTES) ? 0 : -EINVAL;
        return readable <= FS_REQ_SMALL && len == readable ? 0 : -EINVAL;
}

int fs_req_check(uint32_t readable, uint32_t writable, const uint8_t *bytes, size_t len,
                 struct fs_req *ret_req)
{
        const struct fs_form *form;
        struct fs_req req = {0};
        struct fs_body body;
        int r;

        if (readable < FS_HEADER_BYTES || len < FS_HEADER_BYTES || len > readable)
                return -EPROTO;
        req.opcode = fs_opcode(bytes);
        form = fs_find_form(req.opcode);
        if ((!form || !form->silent) && writable < FS_ANSWER_BYTES)
                return -EPROTO;
        if (!form)
                return -ENOSYS;
        r = fs_check_lengths(form, readable, len, bytes);
        if (r < 0)
                return r;
        body = (struct fs_body){.bytes = bytes + FS_HEADER_BYTES,
                                .seen = (uint32_t)len - FS_HEADER_BYTES,
                                .len = readable - FS_HEADER_BYTES};
        r = fs_check_form(form, &body, writable, &req);
        if (r < 0)
                return r;
        req.unique = fs_req_unique(bytes);
        req.nodeid = fs_load64(bytes + offsetof(struct fuse_in_header, nodeid));
        req.silent = form->silent;
        req.changes = form->changes;
        req.once = form->once;
        req.unlocks = form->unlocks;
        *ret_req = req;
        return 0;
}
