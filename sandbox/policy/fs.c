/* fs: one directory, which is the worker's root. Descriptors come and go while it runs, by openat2 alone, so no row can name them:
 * what they can be is bounded by the root, by its mount and by the uid. Where a call could make something else of a name the row
 * bars that: no devices are made, no directory is created by opening.
 * fs-read-only: the same without any call that changes a file system; its mount is read-only beside.
 * fs-owners, fs-owners-read-only: of a share whose files belong to a range of owners. They keep capabilities in their own user
 * namespace, where no id exists but that range and the worker's own: the kernel asks for both of a file's ids there before one of
 * them counts, so what belongs to anybody else is as it is for a worker without any. Who may do what to a file the guest's kernel
 * has judged, by its own users; for these, beyond what their ids can tell the host (groups, a root), they are needed. Not kept: FSETID, so
 * that the host takes set-user-id bits away from what is written, as the guest is promised; MKNOD, SETFCAP, SYS_ADMIN, and all others.
 * fs-dax, fs-dax-read-only: of a share with a window for files: these are handed to the broker to be mapped.
 * Owns nothing; read by policy_find. TRUST: sees no foreign bytes.
 *
 * openat2 has what it may do in memory, where no filter can judge it. It can be nothing that openat could not, inside the root;
 * a worker that is taken over can open any file of the share, which it can also when it is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "sandbox/policy/rows.h"

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

static const struct policy_row start[] = {
    {__NR_geteuid, .reason = "fs: whose files are shown as the guest's root's"},
    {__NR_getegid, .reason = "fs: likewise, the group"},
    {__NR_umask, .tests = {ARG_IS(0, 0)}, .reason = "fs: modes are the guest's; its umask is in them"},
    {__NR_fcntl, .tests = {ARG_IS_RESOURCE(0, 1), ARG_IS(1, F_GET_SEALS)},
     .reason = "fs_memory: can the memory become shorter?"},
    {__NR_mmap, .tests = {ARG_ONLY(2, PROT_READ | PROT_WRITE), ARG_IS(3, MAP_SHARED), ARG_IS_RESOURCE(4, 1)},
     .reason = "fs_memory: what a successor is to know, in memory that the spawner keeps"},
};

static const struct policy_row look[] = {
    {__NR_openat2, .tests = {ARG_IS(3, 24)},
     .reason = "fs_host: open what has a name in the share; beneath it, by no link, on no other mount"},
    {__NR_close, .tests = {ARG_ONLY(0, 8191)},
     .reason = "fs_handle, fs_path: descriptors that openat2 has made"},
    {__NR_statx,
     .tests = {ARG_IS(2, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT),
               ARG_IS(3, STATX_BASIC_STATS | STATX_BTIME)},
     .reason = "fs_host: attributes of a name or of a descriptor, inside the root, and its birth"},
    {__NR_pread64, .reason = "fs_ops_file: read from a file that the guest has open"},
    {__NR_readlinkat, .tests = {ARG_IS(3, LIMIT_FS_LINK + 2)},
     .reason = "fs_ops_tree: what a symbolic link says; it is never followed"},
    {__NR_getdents64, .reason = "fs_ops_list: entries of a directory that the guest has open"},
    {__NR_lseek, .reason = "fs_ops_list: to where the guest reads on; fs_ops_file: holes and data"},
    {__NR_fstatfs, POLICY_FOLDER, .reason = "fs_ops_attr: how full the share's file system is"},
    {__NR_fsync, .reason = "fs_ops_file: what was written is on stable storage"},
    {__NR_fdatasync, .reason = "fs_ops_file: likewise, but for times"},
    {__NR_fgetxattr, .reason = "fs_ops_extra: an extended attribute of a user's"},
    {__NR_flistxattr, .reason = "fs_ops_extra: their names"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_DUPFD_CLOEXEC)},
     .reason = "fs_handle: open once more what has no name any more"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_OFD_GETLK)}, .reason = "fs_lock: who has a lock?"},
    {__NR_fcntl, .tests = {ARG_IS(1, F_OFD_SETLK)},
     .reason = "fs_lock: take one or let it go, never waiting"},
    {__NR_flock, .tests = {ARG_MASKED(1, ~(uint64_t)(LOCK_SH | LOCK_EX | LOCK_UN), LOCK_NB)},
     .reason = "fs_ops_extra: locks of a whole file, never waiting"},
    {__NR_madvise, .tests = {ARG_IS(2, MADV_DONTNEED)},
     .reason =
         "worker_memory: what the broker has copied to and from is given back at rest; it is our own memory"},
};

static const struct policy_row change[] = {
    {__NR_pwrite64, .reason = "fs_ops_file: write to a file that the guest has open"},
    {__NR_syncfs,
     .reason = "fs_ops_file: all that was written to the share's file system is on stable storage"},
    {__NR_ftruncate, .reason = "fs_ops_attr: a file's size"},
    {__NR_fallocate,
     .tests = {ARG_ONLY(1, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)},
     .reason = "fs_ops_file: space for a file, or given back"},
    {__NR_copy_file_range, .tests = {ARG_IS(5, 0)}, .reason = "fs_ops_file: from one open file to another"},
    {__NR_mkdirat, .reason = "fs_ops_tree: make a directory"},
    {__NR_mknodat, .tests = {ARG_MASKED(2, S_IFMT, S_IFREG)}, .reason = "fs_ops_tree: make a file"},
    {__NR_mknodat, .tests = {ARG_MASKED(2, S_IFMT, S_IFIFO)},
     .reason = "fs_ops_tree: make a pipe, which is the guest's own: we never open one"},
    {__NR_mknodat, .tests = {ARG_MASKED(2, S_IFMT, S_IFSOCK)},
     .reason = "fs_ops_tree: make a socket's name, likewise"},
    {__NR_symlinkat, .reason = "fs_ops_tree: make a symbolic link; what it says is the guest's business"},
    {__NR_linkat, .tests = {ARG_IS(4, 0)}, .reason = "fs_ops_tree: another name, through no link"},
    {__NR_unlinkat, .tests = {ARG_ONLY(2, AT_REMOVEDIR)}, .reason = "fs_ops_tree: remove a name"},
    {__NR_renameat2, .tests = {ARG_ONLY(4, RENAME_NOREPLACE | RENAME_EXCHANGE)},
     .reason = "fs_ops_tree: move a name; no whiteout, which is a device"},
    {__NR_fchmodat2, .tests = {ARG_IS(3, AT_EMPTY_PATH)},
     .reason = "fs_host: the mode of a descriptor's file"},
    {__NR_fchmod, .reason = "fs_ops_attr: likewise, opened for that, where the kernel is older than 6.6"},
    {__NR_fchownat, .tests = {ARG_IS(4, AT_EMPTY_PATH)},
     .reason = "fs_ops_attr: to whom it belongs already, which takes set-user-id bits away"},
    {__NR_utimensat, .tests = {ARG_IS(3, AT_EMPTY_PATH)}, .reason = "fs_ops_attr: times"},
    {__NR_fsetxattr, .reason = "fs_ops_extra: an extended attribute of a user's"},
    {__NR_fremovexattr, .reason = "fs_ops_extra: one less"},
};

/* Without the rights of an owner not all can be opened. */
static const struct policy_row by_name[] = {
    {__NR_fchmodat, .reason = "fs_ops_attr: likewise by name, of what cannot be opened"},
};

/* A worker has its own fsuid between requests, whom no file belongs to. */
static const struct policy_row owners[] = {
    {__NR_setfsuid, .reason = "fs_owner: what is made belongs to who has made it: from its beginning"},
    {__NR_setfsgid, .reason = "fs_owner: likewise, its group; and that a group's bit may be set"},
};

const struct policy policy_fs_owners = {
    .type = "fs-owners",
    .capabilities =
        {
            {CAP_CHOWN, "fs_ops_attr: the guest's root gives a file to another of its users"},
            {CAP_DAC_OVERRIDE, "fs_host: the guest has judged who may, by groups that the host is not told, "
                               "and its root may all"},
            {CAP_FOWNER,
             "fs_ops_attr, fs_ops_tree: modes, times, what lies in a sticky folder: as its owner has judged"},
            {CAP_SETGID, "fs_owner: setfsgid, of that range; no other call of the kind is allowed"},
            {CAP_SETUID, "fs_owner: setfsuid, likewise"},
        },
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(look), ROWS(change), ROWS(owners)},
    .max_run_calls = 40,
};

const struct policy policy_fs_owners_read_only = {
    .type = "fs-owners-read-only",
    .capabilities =
        {
            {CAP_DAC_READ_SEARCH,
             "fs_host: the guest has judged who may read, by groups that the host is not told"},
        },
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(look)},
    .max_run_calls = 21,
};

const struct policy policy_fs_dax = {
    .type = "fs-dax",
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(policy_map_run), ROWS(look), ROWS(change), ROWS(by_name)},
    .max_run_calls = 40,
};

const struct policy policy_fs_dax_read_only = {
    .type = "fs-dax-read-only",
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(policy_map_run), ROWS(look)},
    .max_run_calls = 22,
};

const struct policy policy_fs = {
    .type = "fs",
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(look), ROWS(change), ROWS(by_name)},
    .max_run_calls = 40,
};

const struct policy policy_fs_read_only = {
    .type = "fs-read-only",
    .start = {ROWS(policy_base_start), ROWS(policy_folder_start), ROWS(policy_region_start), ROWS(start)},
    .run = {ROWS(policy_base_run), ROWS(look)},
    .max_run_calls = 21,
};
