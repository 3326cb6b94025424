/* Whose files are whose, where they are of a range of owners.
 * Owns nothing; called by the operations. TRUST: ids are the guest's, and inside the range or refused; that they are no others on the host
 * than the operator's range the kernel holds, by our user namespace and the mount.
 *
 * setfsuid says nothing of a failure. If one failed the file would be made as ourselves, which the mount refuses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_owner.h"

#include <errno.h>
#include <sys/fsuid.h>

#include "workers/fs/fs.h"

int fs_owner_id(const struct fs *fs, uint32_t id, uint32_t own, uint32_t *ret_id)
{
        if (fs->n_owners == 0 && id != 0)
                return -EPERM;
        if (fs->n_owners > 0 && id >= fs->n_owners)
                return -EINVAL;
        *ret_id = fs->n_owners > 0 ? id : own;
        return 0;
}

void fs_owner_act_as_group(const struct fs *fs, uint32_t gid, struct fs_owner *ret_owner)
{
        (void)setfsgid(gid);
        *ret_owner = (struct fs_owner){.fs = fs, .group = true};
}

int fs_owner_act_as(const struct fs *fs, uint32_t uid, uint32_t gid, struct fs_owner *ret_owner)
{
        if (fs->n_owners == 0)
                return 0;
        if (uid >= fs->n_owners || gid >= fs->n_owners)
                return -EOVERFLOW;
        fs_owner_act_as_group(fs, gid, ret_owner);
        (void)setfsuid(uid);
        ret_owner->user = true;
        return 0;
}

void fs_owner_back(struct fs_owner *owner)
{
        if (owner->user)
                (void)setfsuid(owner->fs->uid);
        if (owner->group)
                (void)setfsgid(owner->fs->gid);
        *owner = FS_OWNER_NONE;
}
