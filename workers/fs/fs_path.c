/* Descriptors of inodes.
 * Owns those that it keeps. Called by fs_share.c and the operations. TRUST: what lies at a name may have been replaced by
 * whoever else has the share: what is not the same inode is stale.
 *
 * How it works: fs_path_get goes up from the inode, by what the records say, to the first directory that has a descriptor, the
 * root at last; and down again by openat2, one name at a time. Records may lie, and even go round in a circle: steps are counted,
 * and each step down is compared with what is expected there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"

/* ---- what is kept ---- */

static struct fs_folder *fs_folder_of(struct fs_paths *paths, uint32_t slot)
{
        uint16_t folder = paths->nodes->own[slot].folder;

        return folder == 0 ? NULL : &paths->folders[folder - 1];
}

static void fs_folder_close(struct fs_paths *paths, struct fs_folder *folder)
{
        paths->nodes->own[folder->slot].folder = 0;
        paths->n_removed -= folder->removed;
        close(folder->fd);
        *folder = (struct fs_folder){.fd = -1};
}

static void fs_folder_gone(void *state, uint32_t slot)
{
        struct fs_paths *paths = state;
        struct fs_folder *folder = fs_folder_of(paths, slot);

        if (folder && folder->users == 0)
                fs_folder_close(paths, folder);
        else if (folder)
                folder->slot =
                    FS_ROOT; /* in use: it is closed when its place is needed, and nobody finds it */
}

/* A free place, or that of the one used least recently. What was removed has its own limit. NULL: all are in use. */
static struct fs_folder *fs_folder_place(struct fs_paths *paths, bool removed)
{
        bool full = paths->n_removed >= LIMIT_FS_REMOVED;
        struct fs_folder *oldest = NULL;

        for (size_t i = 0; i < LIMIT_FS_FOLDERS; i++) {
                struct fs_folder *folder = &paths->folders[i];

                if (folder->fd < 0 && !(removed && full))
                        return folder;
                if (folder->fd < 0 || folder->users > 0 || folder->removed != (removed && full))
                        continue;
                if (!oldest || folder->used_at < oldest->used_at)
                        oldest = folder;
        }
        if (oldest)
                fs_folder_close(paths, oldest);
        return oldest;
}

/* The descriptor is kept from now on. False: there is no place. */
static bool fs_folder_keep(struct fs_paths *paths, uint32_t slot, struct fs_ref *ref)
{
        struct fs_folder *folder = fs_folder_place(paths, false);

        if (!folder)
                return false;
        *folder = (struct fs_folder){
            .fd = ref->fd, .slot = slot, .users = 1, .access = O_PATH, .used_at = ++paths->clock};
        paths->nodes->own[slot].folder = (uint16_t)(folder - paths->folders + 1);
        ref->own = false;
        ref->folder = folder;
        return true;
}

void fs_ref_put(struct fs_ref *ref)
{
        if (ref->folder)
                ref->folder->users--;
        if (ref->own)
                close(ref->fd);
        *ref = FS_REF_NONE;
}

void fs_paths_init(struct fs_paths *paths, struct fs_nodes *nodes, int root)
{
        paths->nodes = nodes;
        paths->root = root;
        paths->clock = 0;
        paths->n_removed = 0;
        for (size_t i = 0; i < LIMIT_FS_FOLDERS; i++)
                paths->folders[i] = (struct fs_folder){.fd = -1};
        nodes->gone = fs_folder_gone;
        nodes->state = paths;
}

void fs_paths_clear(struct fs_paths *paths)
{
        for (size_t i = 0; i < LIMIT_FS_FOLDERS; i++)
                if (paths->folders[i].fd >= 0)
                        fs_folder_close(paths, &paths->folders[i]);
}

/* ---- up and down ---- */

/* At hand without a system call? */
static bool fs_path_at_hand(struct fs_paths *paths, uint32_t slot, struct fs_ref *ret_ref)
{
        struct fs_folder *folder = fs_folder_of(paths, slot);

        if (slot == FS_ROOT) {
                *ret_ref = (struct fs_ref){.fd = paths->root};
                return true;
        }
        if (!folder)
                return false;
        folder->users++;
        folder->used_at = ++paths->clock;
        *ret_ref = (struct fs_ref){.fd = folder->fd, .folder = folder};
        return true;
}

/* One step down, to what is expected there. */
static int fs_path_step(struct fs_paths *paths, int folder, uint32_t slot, struct fs_ref *ret_ref)
{
        const struct fs_node_record *record = fs_node_record(paths->nodes, slot);
        _cleanup_close_ int fd = fs_host_open(folder, record->name, O_PATH, 0);
        struct fs_found found;
        int r;

        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
                return -ESTALE;
        if (fd < 0)
                return fd;
        r = fs_host_find(fd, "", &found);
        if (r < 0)
                return r;
        if (!fs_identity_equal(&found.is, &record->is))
                return -ESTALE;
        *ret_ref = (struct fs_ref){.fd = take_fd(&fd), .own = true};
        if (S_ISDIR(found.stat.st_mode))
                fs_folder_keep(paths, slot, ret_ref);
        return 0;
}

int fs_path_get(struct fs_paths *paths, uint32_t slot, struct fs_ref *ret_ref)
{
        uint32_t steps[LIMIT_FS_DEPTH] _uninitialized_, n = 0;
        _cleanup_ref_ struct fs_ref at = FS_REF_NONE;

        while (!fs_path_at_hand(paths, slot, &at)) {
                if (n == LIMIT_FS_DEPTH || fs_node_record(paths->nodes, slot)->name_len == 0)
                        return -ESTALE;
                steps[n++] = slot;
                slot = fs_node_record(paths->nodes, slot)->parent;
        }
        while (n > 0) {
                struct fs_ref next = FS_REF_NONE;
                int r = fs_path_step(paths, at.fd, steps[--n], &next);

                if (r < 0)
                        return r;
                fs_ref_put(&at);
                at = next;
        }
        *ret_ref = at;
        at = FS_REF_NONE;
        return 0;
}

int fs_path_get_parent(struct fs_paths *paths, uint32_t slot, struct fs_ref *ret_ref)
{
        const struct fs_node_record *record = fs_node_record(paths->nodes, slot);

        return record->name_len == 0 ? -ESTALE : fs_path_get(paths, record->parent, ret_ref);
}

/* ---- what is removed while it is known ---- */

/* For reading and writing, as far as its mode lets us, if the guest has it open. A file that somebody executes is not written. */
static int fs_path_open(const struct fs_paths *paths, uint32_t slot, int folder, const char *name,
                        mode_t mode, int *ret_access)
{
        static const int accesses[] = {O_RDWR, O_RDONLY};

        for (size_t i = 0; S_ISREG(mode) && paths->nodes->own[slot].n_handles > 0 && i < array_size(accesses);
             i++) {
                int fd = fs_host_open(folder, name, accesses[i], 0);

                if (fd < 0)
                        continue;
                *ret_access = accesses[i];
                return fd;
        }
        *ret_access = O_PATH;
        return fs_host_open(folder, name, O_PATH, 0);
}

int fs_path_opened(struct fs_paths *paths, uint32_t slot, int access)
{
        const struct fs_folder *folder = fs_folder_of(paths, slot);

        return folder && folder->access != O_PATH && fs_access_covers(folder->access, access) ? folder->fd
                                                                                              : -1;
}

uint32_t fs_path_keep(struct fs_paths *paths, int folder, const char *name)
{
        _cleanup_ref_ struct fs_ref ref = FS_REF_NONE;
        struct fs_found found;
        uint32_t slot;
        int access;

        if (fs_host_find(folder, name, &found) < 0)
                return FS_NO_SLOT;
        slot = fs_node_known(paths->nodes, &found.is);
        if (slot == FS_NO_SLOT || fs_folder_of(paths, slot))
                return slot;
        ref.fd = fs_path_open(paths, slot, folder, name, found.stat.st_mode, &access);
        ref.own = ref.fd >= 0;
        if (ref.fd >= 0 && fs_host_find(ref.fd, "", &found) == 0 &&
            fs_identity_equal(&found.is, &fs_node_record(paths->nodes, slot)->is) &&
            fs_folder_keep(paths, slot, &ref))
                ref.folder->access = access;
        return slot;
}

void fs_path_removed(struct fs_paths *paths, uint32_t slot, uint32_t parent, const char *name)
{
        struct fs_folder *folder = fs_folder_of(paths, slot);

        if (!fs_node_is_at(paths->nodes, slot, parent, name))
                return; /* it has been seen by another name since */
        fs_node_place(paths->nodes, slot, parent, NULL);
        if (!folder || folder->removed)
                return;
        if (paths->n_removed >= LIMIT_FS_REMOVED)
                fs_folder_place(paths, true);
        folder->removed = true;
        paths->n_removed++;
}
