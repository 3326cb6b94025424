/* What the operations share: names become inodes, and inodes descriptors and attributes.
 * Owns nothing. Called by the operations. TRUST: ids and names are the guest's: ids are found or not, names judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "workers/fs/fs_host.h"
#include "workers/fs/fs_ops.h"

#define NOBODY 65534u /* what the guest sees of files that are not the share's owner's */

double fs_timeout(const struct fs *fs)
{
        static const double seconds[] = {[FS_CACHE_NONE] = 0, [FS_CACHE_AUTO] = 1, [FS_CACHE_ALWAYS] = 86400};

        return seconds[fs->cache];
}

/* The namespace that we are in says who of a range it is; of others it says that they are none. */
static uint32_t fs_show_id(const struct fs *fs, uint32_t id, uint32_t own)
{
        if (fs->n_owners > 0)
                return id < fs->n_owners ? id : NOBODY;
        return id == own ? 0 : NOBODY;
}

void fs_show(const struct fs *fs, struct stat *stat)
{
        stat->st_uid = fs_show_id(fs, stat->st_uid, fs->uid);
        stat->st_gid = fs_show_id(fs, stat->st_gid, fs->gid);
        stat->st_rdev = 0;
}

/* By its name, without a descriptor of its own. */
static int fs_stat_by_name(struct fs *fs, uint32_t slot, struct stat *ret_stat)
{
        const struct fs_node_record *record = fs_node_record(&fs->nodes, slot);
        _cleanup_ref_ struct fs_ref parent = FS_REF_NONE;
        struct fs_found found;
        int r = fs_path_get_parent(&fs->paths, slot, &parent);

        if (r == 0)
                r = fs_host_find(parent.fd, record->name, &found);
        if (r < 0)
                return r == -ENOENT || r == -ENOTDIR ? -ESTALE : r;
        if (!fs_identity_equal(&found.is, &record->is))
                return -ESTALE;
        *ret_stat = found.stat;
        return 0;
}

static int fs_stat_of(struct fs *fs, uint32_t slot, struct stat *ret_stat)
{
        _cleanup_ref_ struct fs_ref ref = FS_REF_NONE;
        int r;

        if (slot != FS_ROOT && fs->nodes.own[slot].folder == 0) {
                r = fs_stat_by_name(fs, slot, ret_stat);
                if (r != -ESTALE)
                        return r;
        }
        r = fs_any(fs, slot, &ref);
        return r < 0 ? r : fs_host_stat(ref.fd, "", ret_stat);
}

int fs_stat(struct fs *fs, uint32_t slot, struct stat *ret_stat)
{
        struct stat st;
        int r;

        if (slot == FS_NO_SLOT)
                return -ESTALE;
        r = fs_stat_of(fs, slot, &st);
        if (r < 0)
                return r;
        fs_show(fs, &st);
        *ret_stat = st;
        return 0;
}

int fs_any(struct fs *fs, uint32_t slot, struct fs_ref *ret_ref)
{
        int r, fd;

        if (slot == FS_NO_SLOT)
                return -ESTALE;
        r = fs_path_get(&fs->paths, slot, ret_ref);
        if (r != -ESTALE)
                return r;
        fd = fs_handle_any(&fs->handles, slot, O_PATH);
        if (fd < 0)
                return -ESTALE;
        *ret_ref = (struct fs_ref){.fd = fd};
        return 0;
}

int fs_folder(struct fs *fs, fuse_ino_t id, uint32_t *ret_slot, struct fs_ref *ret_ref)
{
        uint32_t slot = fs_node_find(&fs->nodes, id);
        int r;

        if (slot == FS_NO_SLOT)
                return -ESTALE;
        r = fs_path_get(&fs->paths, slot, ret_ref);
        if (r == 0)
                *ret_slot = slot;
        return r;
}

int fs_act_as_caller(fuse_req_t req, struct fs_owner *ret_owner)
{
        const struct fuse_ctx *who = fuse_req_ctx(req);

        return fs_owner_act_as(fs_of(req), who->uid, who->gid, ret_owner);
}

int fs_look_up(struct fs *fs, uint32_t parent, int folder, const char *name,
               struct fuse_entry_param *ret_entry)
{
        struct fuse_entry_param entry = {.attr_timeout = fs_timeout(fs), .entry_timeout = fs_timeout(fs)};
        struct fs_found found;
        int r = fs_host_find(folder, name, &found);
        uint32_t slot;

        if (r < 0)
                return r;
        slot = fs_node_take(&fs->nodes, &found.is);
        if (slot == FS_NO_SLOT)
                return -ENFILE;
        fs_node_place(&fs->nodes, slot, parent, name);
        fs_node_looked_up(&fs->nodes, slot);
        entry.attr = found.stat;
        fs_show(fs, &entry.attr);
        entry.ino = fs_node_id(&fs->nodes, slot);
        *ret_entry = entry;
        return 0;
}
