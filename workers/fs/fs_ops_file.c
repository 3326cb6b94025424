/* Open files.
 * Owns nothing; called by libfuse. TRUST: ids, names and numbers are the guest's: ids are found or not, names, offsets and
 * lengths judged.
 *
 * A file is opened with the guest's access mode, and O_SYNC or O_DSYNC if it said so. O_APPEND is the guest's own business: it
 * says where each write goes. O_DIRECT goes past the guest's cache; the host's stays, as alignment is not the guest's to keep.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"

/* ---- opening ---- */

/* Takes over the descriptor. */
static int fs_keep_open(struct fs *fs, uint32_t node, int fd, struct fuse_file_info *file)
{
        int r = fs_handle_add(&fs->handles, node, fd, file->flags, false, &file->fh);

        if (r < 0) {
                close(fd);
                return r;
        }
        file->direct_io = fs->cache == FS_CACHE_NONE;
        file->keep_cache = fs->cache == FS_CACHE_ALWAYS;
        return 0;
}

/* The file is made shorter when it is known to be the right one, and not before. */
static int fs_open(struct fs *fs, uint32_t node, struct fuse_file_info *file)
{
        _cleanup_close_ int fd = -1;

        if ((file->flags & O_ACCMODE) == O_ACCMODE)
                return -EINVAL;
        if (fs->read_only && ((file->flags & O_ACCMODE) != O_RDONLY || file->flags & O_TRUNC))
                return -EROFS; /* as the mount would say, but the filter would kill */
        fd = fs_handle_open(&fs->handles, node, file->flags, false);
        if (fd < 0)
                return fd;
        if (file->flags & O_TRUNC && ftruncate(fd, 0) < 0)
                return -errno;
        return fs_keep_open(fs, node, take_fd(&fd), file);
}

void fs_op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        uint32_t node = fs_node_find(&fs->nodes, id);
        int r = node == FS_NO_SLOT ? -ESTALE : fs_open(fs, node, file);

        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_open(req, file);
}

/* A file that was not there, by who asked for it. */
static int fs_create_as(fuse_req_t req, int folder, const char *name, int flags, mode_t mode)
{
        _cleanup_owner_ struct fs_owner as = FS_OWNER_NONE;
        int r = fs_act_as_caller(req, &as);

        return r < 0 ? r
                     : fs_host_open(folder, name, (flags & FS_HANDLE_FLAGS) | O_CREAT | O_EXCL, mode & 07777);
}

/* What is there already is opened as any other file: it may be none. */
static int fs_create(fuse_req_t req, uint32_t parent, int folder, const char *name, mode_t mode,
                     struct fuse_file_info *file, struct fuse_entry_param *ret_entry)
{
        struct fs *fs = fs_of(req);
        _cleanup_close_ int fd = fs_create_as(req, folder, name, file->flags, mode);
        struct fs_found found;
        uint32_t node;
        int r;

        if (fd < 0 && (fd != -EEXIST || file->flags & O_EXCL))
                return fd;
        r = fs_look_up(fs, parent, folder, name, ret_entry);
        if (r < 0)
                return r;
        node = fs_node_find(&fs->nodes, ret_entry->ino);
        if (fd < 0)
                r = fs_open(fs, node, file);
        else if (fs_host_find(fd, "", &found) < 0 ||
                 !fs_identity_equal(&found.is, &fs_node_record(&fs->nodes, node)->is))
                r = -ESTALE; /* somebody has put another in its place */
        else
                r = fs_keep_open(fs, node, take_fd(&fd), file);
        if (r < 0)
                fs_node_forget(&fs->nodes, node, 1);
        return r;
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *file)
{
        _cleanup_ref_ struct fs_ref folder = FS_REF_NONE;
        struct fuse_entry_param entry = {0};
        uint32_t slot = FS_ROOT;
        int r =
            (file->flags & O_ACCMODE) == O_ACCMODE ? -EINVAL : fs_folder(fs_of(req), parent, &slot, &folder);

        if (r == 0)
                r = fs_create(req, slot, folder.fd, name, mode, file, &entry);
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_create(req, &entry, file);
}

/* ---- reading and writing ---- */

/* All that there is, up to `len`; or negative errno, if it is none. */
static ssize_t fs_read_full(int fd, uint8_t *out, size_t len, off_t offset)
{
        size_t done = 0;

        for (unsigned tries = 0; done < len && tries < LIMIT_IO_RETRIES; tries++) {
                ssize_t n = pread(fd, out + done, len - done, offset + (off_t)done);

                if (n < 0 && errno != EINTR)
                        return done > 0 ? (ssize_t)done : -errno;
                if (n == 0)
                        break;
                done += n < 0 ? 0 : (size_t)n;
        }
        return (ssize_t)done;
}

/* More than one piece, written as it comes. */
static void fs_read_pieces(fuse_req_t req, int fd, size_t size, off_t offset)
{
        struct fs_answer *answer = &fs_of(req)->answer;
        ssize_t n = 1;

        while (answer->written < size && n > 0) {
                size_t want = MIN(size - answer->written, (size_t)REQUEST_PIECE);

                n = fs_read_full(fd, fs_answer_piece(answer), want, offset + answer->written);
                if (n > 0)
                        fs_answer_write(answer, (uint32_t)n);
                if (n < (ssize_t)want)
                        break;
        }
        if (n < 0 && answer->written == 0)
                fs_reply(req, (int)n);
        else
                fuse_reply_buf(req, fs_answer_written(answer), answer->written);
}

void fs_op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);
        uint8_t *room;
        ssize_t n;

        if (slot < 0) {
                fs_reply(req, slot);
                return;
        }
        room = fs_answer_room(&fs->answer, (uint32_t)size);
        if (!room) {
                fs_read_pieces(req, fs_handle_fd(&fs->handles, slot), size, offset);
                return;
        }
        n = fs_read_full(fs_handle_fd(&fs->handles, slot), room, size, offset);
        if (n < 0)
                fs_reply(req, (int)n);
        else
                fuse_reply_buf(req, (const char *)room, (size_t)n);
}

static ssize_t fs_write_full(int fd, const char *bytes, size_t len, off_t offset)
{
        size_t done = 0;

        for (unsigned tries = 0; done < len && tries < LIMIT_IO_RETRIES; tries++) {
                ssize_t n = pwrite(fd, bytes + done, len - done, offset + (off_t)done);

                if (n < 0 && errno != EINTR)
                        return done > 0 ? (ssize_t)done : -errno;
                done += n < 0 ? 0 : (size_t)n;
        }
        return (ssize_t)done;
}

void fs_op_write(fuse_req_t req, fuse_ino_t id, const char *bytes, size_t size, off_t offset,
                 struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);
        ssize_t n = slot < 0 ? slot : fs_write_full(fs_handle_fd(&fs->handles, slot), bytes, size, offset);

        if (n < 0)
                fs_reply(req, (int)n);
        else
                fuse_reply_write(req, (size_t)n);
}

/* ---- the rest ---- */

/* The guest closes one of its descriptors: byte-range locks of that owner end, as POSIX has it. */
void fs_op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);

        if (fs->locks_shared)
                fs_lock_drop(&fs->locks, id, file->lock_owner);
        fs_reply(req, slot == -EBADF ? slot : 0);
}

/* Of a handle that is not known any more too: the guest cannot do anything about it. */
void fs_op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);

        fs_handle_close(&fs->handles, file->fh, id);
        fs_reply(req, 0);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);
        int r = slot;

        if (slot >= 0) {
                int fd = fs_handle_fd(&fs->handles, slot);

                r = (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
        }
        fs_reply(req, r);
}

int fs_sync(struct fs *fs)
{
        _cleanup_close_ int fd = -1;

        if (fs->read_only)
                return 0;
        fd = fs_handle_open(&fs->handles, FS_ROOT, O_RDONLY, true);
        if (fd < 0)
                return fd;
        return syncfs(fd) < 0 ? -errno : 0;
}

static bool fs_may_allocate(int mode)
{
        return mode == 0 || mode == FALLOC_FL_KEEP_SIZE ||
               mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) || mode == FALLOC_FL_ZERO_RANGE ||
               mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
}

void fs_op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t len,
                     struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);
        int r = slot;

        if (slot >= 0 && !fs_may_allocate(mode))
                r = -EOPNOTSUPP;
        else if (slot >= 0)
                r = fallocate(fs_handle_fd(&fs->handles, slot), mode, offset, len) < 0 ? -errno : 0;
        fs_reply(req, r);
}

/* Holes and data; other places the guest finds by itself. */
void fs_op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file)
{
        struct fs *fs = fs_of(req);
        int slot = fs_handle_find(&fs->handles, file->fh, id, false);
        off_t at = -1;
        int r = slot;

        if (slot >= 0 && whence != SEEK_DATA && whence != SEEK_HOLE)
                r = -EINVAL;
        else if (slot >= 0)
                at = lseek(fs_handle_fd(&fs->handles, slot), offset, whence);
        if (r >= 0 && at < 0)
                r = -errno;
        if (r < 0)
                fs_reply(req, r);
        else
                fuse_reply_lseek(req, at);
}

void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
                           struct fuse_file_info *from_file, fuse_ino_t to, off_t to_offset,
                           struct fuse_file_info *to_file, size_t len, int flags)
{
        struct fs *fs = fs_of(req);
        int source = fs_handle_find(&fs->handles, from_file->fh, from, false);
        int target = fs_handle_find(&fs->handles, to_file->fh, to, false);
        ssize_t n = source < 0 ? source : target < 0 ? target : flags != 0 ? -EINVAL : 0;

        if (n == 0) {
                n = copy_file_range(fs_handle_fd(&fs->handles, source), &from_offset,
                                    fs_handle_fd(&fs->handles, target), &to_offset,
                                    MIN(len, (size_t)LIMIT_FS_COPY), 0);
                n = n < 0 ? -errno : n;
        }
        if (n < 0)
                fs_reply(req, (int)n);
        else
                fuse_reply_write(req, (size_t)n);
}
