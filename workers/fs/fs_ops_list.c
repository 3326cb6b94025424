/* Lists of directories.
 * Owns nothing; called by libfuse. TRUST: ids and offsets are the guest's; an offset is the host file system's own word, which it
 * judges; names are the host's.
 *
 * The host says as many entries as fit our buffer; those that do not fit the guest's are read again the next time, from the offset
 * of the last that did.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"

#define PLUS_BYTES 160u  /* an entry's with attributes, and a short name: about how many are worth reading */
#define LIST_MIN   1024u /* bytes: an entry of any name fits */

/* What getdents64 says of an entry. */
struct fs_dirent {
        uint64_t inode;
        int64_t next; /* offset behind it */
        uint16_t len;
        uint8_t type;
        char name[];
};

struct fs_list {
        struct fs *fs;
        fuse_req_t req;
        uint32_t node;
        int fd;
        bool plus;
        char *out;
        size_t size, used;
};

void fs_op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        uint32_t node = fs_node_find(&fs->nodes, id);
        _cleanup_close_ int fd =
            node == FS_NO_SLOT ? -ESTALE : fs_handle_open(&fs->handles, node, O_RDONLY, true);
        int r = fd < 0 ? fd : fs_handle_add(&fs->handles, node, fd, O_RDONLY, true, &file->fh);

        if (r < 0) {
                fs_reply(req, r);
                return;
        }
        take_fd(&fd);
        file->keep_cache = file->cache_readdir = fs->cache == FS_CACHE_ALWAYS;
        fuse_reply_open(req, file);
}

static bool fs_is_dots(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t fs_put_plain(struct fs_list *list, const struct fs_dirent *dirent)
{
        const struct stat st = {.st_ino = dirent->inode, .st_mode = (mode_t)dirent->type << 12};

        return fuse_add_direntry(list->req, list->out + list->used, list->size - list->used, dirent->name,
                                 &st, dirent->next);
}

/* The guest knows it from now on, if it fits. What cannot be looked up is shown without attributes. */
static size_t fs_put_plus(struct fs_list *list, const struct fs_dirent *dirent)
{
        struct fuse_entry_param entry = {
            .attr = {.st_ino = dirent->inode, .st_mode = (mode_t)dirent->type << 12}};
        size_t room = list->size - list->used;
        size_t len = fuse_add_direntry_plus(list->req, NULL, 0, dirent->name, &entry, 0);

        if (len > room)
                return len;
        if (!fs_is_dots(dirent->name))
                (void)fs_look_up(list->fs, list->node, list->fd, dirent->name, &entry);
        return fuse_add_direntry_plus(list->req, list->out + list->used, room, dirent->name, &entry,
                                      dirent->next);
}

/* False: it is full. */
static bool fs_put(struct fs_list *list, const struct fs_dirent *dirent)
{
        size_t len = list->plus ? fs_put_plus(list, dirent) : fs_put_plain(list, dirent);

        if (len > list->size - list->used)
                return false;
        list->used += len;
        return true;
}

/* How many bytes of the host's entries may fit: about, and one entry at least. */
static size_t fs_list_want(const struct fs_list *list)
{
        size_t want = list->plus ? list->size / PLUS_BYTES * 32 : list->size;

        return MIN(MAX(want, (size_t)LIST_MIN), (size_t)LIMIT_FS_FOLDER);
}

/* 0, or negative errno if there is nothing else to say. */
static int fs_list(struct fs_list *list, off_t offset)
{
        uint8_t *entries = list->fs->entries;
        long n, at = 0;

        if (lseek(list->fd, offset, SEEK_SET) < 0)
                return -errno;
        n = syscall(SYS_getdents64, list->fd, entries, fs_list_want(list));
        if (n < 0)
                return -errno;
        while (at + (long)offsetof(struct fs_dirent, name) < n) {
                const struct fs_dirent *dirent = (const struct fs_dirent *)(const void *)(entries + at);

                if (dirent->len == 0 || dirent->len > n - at)
                        return -EIO;
                if (!fs_put(list, dirent))
                        return list->used > 0 ? 0 : -EINVAL; /* not even one fits */
                at += dirent->len;
        }
        return 0;
}

static void fs_op_list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file,
                       bool plus)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, true);
        struct fs_list list = {.fs = fs,
                               .req = req,
                               .plus = plus,
                               .out = (char *)fs->bytes,
                               .size = MIN(size, (size_t)LIMIT_FS_FOLDER)};
        int r = slot;

        if (slot >= 0) {
                list.node = fs_node_find(&fs->nodes, id);
                list.fd = fs_handle_fd(&fs->handles, slot);
                r = list.node == FS_NO_SLOT ? -ESTALE : fs_list(&list, offset);
        }
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_buf(req, list.out, list.used);
}

void fs_op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
        fs_op_list(req, id, size, offset, file, false);
}

void fs_op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
        fs_op_list(req, id, size, offset, file, true);
}

void fs_op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        fs_op_release(req, id, file);
}

void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, true);
        int r = slot;

        (void)data_only;
        if (slot >= 0)
                r = fsync(fs_handle_fd(&fs->handles, slot)) < 0 ? -errno : 0;
        fs_reply(req, r);
}
