/* A folder that somebody in a jail has as its root: looked at, and mounted.
 * Owns nothing; called while what outlives workers is made. TRUST: the path is the operator's; what lies there may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/resource_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

int resource_look_at_folder(const char *path, struct stat *ret_stat, char *why, size_t why_size)
{
        _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                int r = -errno;

                snprintf(why, why_size, "%s: %s; %s", path, strerror(-r),
                         r == -EACCES ? "let us enter what leads there"
                                      : "make it, or name another directory");
                return r;
        }
        if (!S_ISDIR(st.st_mode)) {
                snprintf(why, why_size, "%s: is no directory; name one", path);
                return -ENOTDIR;
        }
        *ret_stat = st;
        return 0;
}

/* A plain user has no ids to exchange: what is its own is the worker's, and nothing else. */
int resource_add_folder(const struct resource_owner *owner, const struct folder_wish *wish,
                        struct resources *held, char *why, size_t why_size)
{
        struct share_ids ids = wish->ids;
        _cleanup_close_ int fd = -1;
        char name[16];
        bool mapped;
        int r;

        if (owner->rootless && ids.count > 0) {
                snprintf(why, why_size,
                         "%s: a plain user has no range of owners to give: start as root, or remove owners",
                         wish->path);
                return -EPERM;
        }
        if (owner->rootless) {
                ids.owner_uid = ids.uid;
                ids.owner_gid = ids.gid;
        }
        snprintf(name, sizeof(name), "%u", owner->number);
        r = share_mount(wish->path, owner->mounts, name, wish->read_only, &ids, &fd, &mapped, why, why_size);
        if (r < 0)
                return r;
        if (!mapped && ids.count > 0) {
                snprintf(why, why_size,
                         "%s: its file system or this kernel has no id-mapped mounts, which bound owners: "
                         "remove owners, or "
                         "move the folder (Linux has them on ext4 since 5.12, btrfs 5.15, tmpfs 6.3)",
                         wish->path);
                return -EOPNOTSUPP;
        }
        if (!mapped && ids.owner_uid == 0) {
                snprintf(why, why_size,
                         "%s: belongs to root, and its file system cannot lend it to another user (no "
                         "id-mapped mounts); "
                         "give it to another owner",
                         wish->path);
                return -EPERM;
        }
        if (!mapped) {
                held->as_owner = true;
                held->uid = ids.owner_uid;
                held->gid = ids.owner_gid;
        }
        return resources_add(held, RESOURCE_FOLDER, &fd, false);
}
