/* What libfuse calls for each kind of request: one file for names and directories (fs_ops_tree.c), attributes (fs_ops_attr.c),
 * open files (fs_ops_file.c), lists of directories (fs_ops_list.c), extended attributes and locks (fs_ops_extra.c). Each
 * answers once, before it returns.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "workers/fs/fs.h"
#include "workers/fs/fs_owner.h"

extern const struct fuse_lowlevel_ops fs_ops;

static inline struct fs *fs_of(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

/* 0 or negative errno. */
static inline void fs_reply(fuse_req_t req, int r)
{
        fuse_reply_err(req, -r);
}

/* ---- fs_share.c: what they share ---- */

/* How long the guest may remember names and attributes, in seconds. */
double fs_timeout(const struct fs *fs);

/* As the guest is to see it: our files are its root's, all others nobody's. */
void fs_show(const struct fs *fs, struct stat *stat);

/* Of an inode, shown. 0; -ESTALE: there is none such, or it is gone. */
int fs_stat(struct fs *fs, uint32_t slot, struct stat *ret_stat);

/* The guest looks up a name in a directory: what is there, and the guest knows it from now on. */
int fs_look_up(struct fs *fs, uint32_t parent, int folder, const char *name,
               struct fuse_entry_param *ret_entry);

/* A directory by the guest's name for it, with its descriptor. */
int fs_folder(struct fs *fs, fuse_ino_t id, uint32_t *ret_slot, struct fs_ref *ret_ref);

/* A descriptor of an inode: its own, or an open file's. */
int fs_any(struct fs *fs, uint32_t slot, struct fs_ref *ret_ref);

/* As fs_owner_act_as, who has sent the request. */
int fs_act_as_caller(fuse_req_t req, struct fs_owner *ret_owner);

/* ---- the operations ---- */

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t id, uint64_t n);
void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_op_readlink(fuse_req_t req, fuse_ino_t id);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *to_name,
                  unsigned flags);

void fs_op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *stat, int valid, struct fuse_file_info *file);
void fs_op_statfs(fuse_req_t req, fuse_ino_t id);

void fs_op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *file);
void fs_op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void fs_op_write(fuse_req_t req, fuse_ino_t id, const char *bytes, size_t size, off_t offset,
                 struct fuse_file_info *file);
void fs_op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file);
void fs_op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t len,
                     struct fuse_file_info *file);
void fs_op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file);
void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
                           struct fuse_file_info *from_file, fuse_ino_t to, off_t to_offset,
                           struct fuse_file_info *to_file, size_t len, int flags);

void fs_op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void fs_op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void fs_op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file);

void fs_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name);
void fs_op_getlk(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct flock *lock);
void fs_op_setlk(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, struct flock *lock, int wait);
void fs_op_flock(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file, int op);

/* Not by libfuse (fs.c, fs_own). 0 or negative errno. */
int fs_sync(struct fs *fs); /* all that was written is on the host's disk; of a read-only share nothing was */
int fs_setxattr(struct fs *fs, uint64_t id, const char *name, const uint8_t *value, size_t len, int flags);
