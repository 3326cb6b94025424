/* What answers say of the window: FUSE_INIT's how mappings have to be aligned, and each file's that it is to be mapped. libfuse
 * knows of neither.
 * Owns nothing; called by fs_mount.c. TRUST: answers are our own; the guest's FUSE_INIT says what it knows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "workers/fs/fs.h"

#define GRANULE_BITS    21u /* of FS_DAX_GRANULE */
#define HAS_INODE_DAX   ((uint32_t)(FUSE_HAS_INODE_DAX >> 32))
#define DIRENT_ALIGN(n) (((n) + 7u) & ~7u)

_Static_assert(FS_DAX_GRANULE == 1u << GRANULE_BITS, "one size");

static struct fuse_init_in offered(const struct fs *fs)
{
        struct fuse_init_in in = {0};

        memcpy(&in, fs->mount.state.init, MIN(sizeof(in), sizeof(fs->mount.state.init)));
        return in;
}

static bool by_inode(const struct fuse_init_in *in)
{
        return in->flags & FUSE_INIT_EXT && in->flags2 & HAS_INODE_DAX;
}

static void show_init(const struct fs *fs, const struct iovec *body)
{
        const struct fuse_init_in in = offered(fs);
        struct fuse_init_out out;

        if (body->iov_len < sizeof(out))
                return;
        memcpy(&out, body->iov_base, sizeof(out));
        if (in.flags & FUSE_MAP_ALIGNMENT) {
                out.flags |= FUSE_MAP_ALIGNMENT;
                out.map_alignment = GRANULE_BITS;
        }
        if (by_inode(&in)) {
                out.flags |= FUSE_INIT_EXT;
                out.flags2 |= HAS_INODE_DAX;
        }
        memcpy(body->iov_base, &out, sizeof(out));
}

static void show_attr(uint8_t *at)
{
        struct fuse_attr attr;

        memcpy(&attr, at, sizeof(attr));
        if (S_ISREG(attr.mode))
                attr.flags |= FUSE_ATTR_DAX;
        memcpy(at, &attr, sizeof(attr));
}

static void show_one(const struct iovec *body, size_t at)
{
        if (body->iov_len >= at + sizeof(struct fuse_attr))
                show_attr((uint8_t *)body->iov_base + at);
}

static void show_list(const struct iovec *body)
{
        uint8_t *bytes = body->iov_base;
        size_t at = 0;

        while (body->iov_len - at >= FUSE_NAME_OFFSET_DIRENTPLUS) {
                struct fuse_direntplus entry;

                memcpy(&entry, bytes + at, FUSE_NAME_OFFSET_DIRENTPLUS);
                show_attr(bytes + at + offsetof(struct fuse_direntplus, entry_out.attr));
                at += DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + (size_t)entry.dirent.namelen);
                if (at > body->iov_len)
                        return;
        }
}

void fs_dax_show(const struct fs *fs, uint32_t opcode, const struct iovec *body)
{
        const struct fuse_init_in in = offered(fs);

        if (fs->dax.n_granules == 0)
                return;
        if (opcode == FUSE_INIT)
                show_init(fs, body);
        if (!by_inode(&in))
                return;
        switch (opcode) {
        case FUSE_LOOKUP:
        case FUSE_CREATE:
        case FUSE_MKNOD:
        case FUSE_LINK:
                show_one(body, offsetof(struct fuse_entry_out, attr));
                break;
        case FUSE_GETATTR:
        case FUSE_SETATTR:
                show_one(body, offsetof(struct fuse_attr_out, attr));
                break;
        case FUSE_READDIRPLUS:
                show_list(body);
                break;
        default:
                break;
        }
}
