/* What the guest has open.
 * Owns the descriptors. Called by the operations. TRUST: ids are the guest's, and found or not; records of a predecessor are
 * judged in fs_handles_adopt; a file that is opened again is compared with what it was.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/fs/fs_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "workers/fs/fs_host.h"
#include "workers/runtime/worker_memory.h"

#define SLOT_MASK ((1u << FS_SLOT_BITS) - 1)

_Static_assert(LIMIT_FS_FILES < UINT16_MAX && LIMIT_FS_FILES <= SLOT_MASK + 1, "a slot fits");

int fs_handles_init(struct fs_handles *handles, struct fs_paths *paths)
{
        handles->memory = paths->nodes->memory;
        handles->nodes = paths->nodes;
        handles->paths = paths;
        handles->free = 0;
        handles->own = worker_memory(LIMIT_FS_FILES * sizeof(*handles->own));
        if (!handles->own)
                return -ENOMEM;
        for (uint32_t i = 0; i < LIMIT_FS_FILES; i++)
                handles->own[i].fd = -1;
        return 0;
}

/* ---- the list of an inode ---- */

static void fs_handle_link(struct fs_handles *handles, uint32_t slot, uint32_t node)
{
        struct fs_node_own *own = &handles->nodes->own[node];

        handles->own[slot].next = own->handle;
        own->handle = (uint16_t)(slot + 1);
        own->n_handles++;
}

static void fs_handle_unlink(struct fs_handles *handles, uint32_t slot, uint32_t node)
{
        struct fs_node_own *own = &handles->nodes->own[node];
        uint16_t *link = &own->handle;

        for (uint32_t n = 0; *link != 0 && n < LIMIT_FS_FILES; n++) {
                if (*link == slot + 1) {
                        *link = handles->own[slot].next;
                        own->n_handles--;
                        return;
                }
                link = &handles->own[*link - 1].next;
        }
}

static int fs_handle_other(const struct fs_handles *handles, uint32_t node, int access, bool is_folder)
{
        uint16_t link = handles->nodes->own[node].handle;

        for (uint32_t n = 0; link != 0 && n < LIMIT_FS_FILES; n++) {
                const struct fs_handle_record *record = &handles->memory->handles[link - 1];
                const struct fs_handle_own *own = &handles->own[link - 1];

                if (own->fd >= 0 && (record->is_folder != 0) == is_folder &&
                    fs_access_covers((int)record->flags, access))
                        return own->fd;
                link = own->next;
        }
        return -1;
}

int fs_handle_any(const struct fs_handles *handles, uint32_t node, int access)
{
        int fd = fs_handle_other(handles, node, access, false);

        return fd >= 0 || !(access & O_PATH) ? fd : fs_handle_other(handles, node, access, true);
}

/* ---- opening ---- */

/* It is looked at before it is opened: to open a device or a pipe may do something. */
static int fs_open_file(int folder, const struct fs_node_record *record, int flags)
{
        _cleanup_close_ int fd = -1;
        struct fs_found found;
        int r = fs_host_find(folder, record->name, &found);

        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        if (!fs_identity_equal(&found.is, &record->is))
                return -ESTALE;
        if (!S_ISREG(found.stat.st_mode))
                return S_ISLNK(found.stat.st_mode) ? -ELOOP : -ENXIO;
        fd = fs_host_open(folder, record->name, flags, 0);
        if (fd < 0)
                return fd == -ENOENT || fd == -ELOOP ? -ESTALE : fd;
        r = fs_host_find(fd, "", &found);
        if (r < 0)
                return r;
        if (!S_ISREG(found.stat.st_mode) || !fs_identity_equal(&found.is, &record->is))
                return -ESTALE;
        return take_fd(&fd);
}

/* By its name: to go through "." takes a right to search the directory, which its mode may deny whom it lets read. */
static int fs_open_named_folder(struct fs_handles *handles, uint32_t node)
{
        const struct fs_node_record *record = fs_node_record(handles->nodes, node);
        _cleanup_ref_ struct fs_ref parent = FS_REF_NONE;
        _cleanup_close_ int fd = -1;
        struct fs_found found;
        int r = fs_path_get_parent(handles->paths, node, &parent);

        if (r < 0)
                return r;
        fd = fs_host_open(parent.fd, record->name, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return fd;
        r = fs_host_find(fd, "", &found);
        if (r < 0)
                return r;
        return fs_identity_equal(&found.is, &record->is) ? take_fd(&fd) : -ESTALE;
}

static int fs_open_folder(struct fs_handles *handles, uint32_t node)
{
        _cleanup_ref_ struct fs_ref ref = FS_REF_NONE;
        int r = fs_path_get(handles->paths, node, &ref);

        if (r == 0)
                r = fs_host_open(ref.fd, ".", O_RDONLY | O_DIRECTORY, 0);
        return r == -EACCES && node != FS_ROOT ? fs_open_named_folder(handles, node) : r;
}

/* A file without a name is there as long as it is open, or was when its name went; its descriptor has no position that matters. */
static int fs_open_again(struct fs_handles *handles, uint32_t node, int flags)
{
        int fd = fs_handle_any(handles, node, flags);

        if (fd < 0)
                fd = fs_path_opened(handles->paths, node, flags);
        if (fd < 0)
                return -ESTALE;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
}

int fs_handle_open_named(struct fs_handles *handles, uint32_t node, int flags)
{
        _cleanup_ref_ struct fs_ref parent = FS_REF_NONE;
        int r;

        if (node == FS_ROOT)
                return -EISDIR;
        r = fs_path_get_parent(handles->paths, node, &parent);
        if (r < 0)
                return r;
        return fs_open_file(parent.fd, fs_node_record(handles->nodes, node), flags & FS_HANDLE_FLAGS);
}

int fs_handle_open(struct fs_handles *handles, uint32_t node, int flags, bool is_folder)
{
        int fd;

        if (is_folder)
                return fs_open_folder(handles, node);
        fd = fs_handle_open_named(handles, node, flags);
        return fd == -ESTALE ? fs_open_again(handles, node, flags & O_ACCMODE) : fd;
}

/* ---- coming and going ---- */

int fs_handle_add(struct fs_handles *handles, uint32_t node, int fd, int flags, bool is_folder,
                  uint64_t *ret_id)
{
        struct fs_handle_record *record;
        uint32_t slot;

        if (handles->free != 0) {
                slot = handles->free - 1u;
                handles->free = handles->own[slot].next;
        } else if (handles->memory->handles_used < LIMIT_FS_FILES) {
                slot = handles->memory->handles_used++;
        } else {
                return -ENFILE;
        }
        record = &handles->memory->handles[slot];
        *record = (struct fs_handle_record){.node = fs_node_id(handles->nodes, node),
                                            .flags = (uint32_t)flags & FS_HANDLE_FLAGS,
                                            .is_folder = is_folder};
        fs_memory_order();
        record->id = ++handles->memory->serial << FS_SLOT_BITS | slot;
        handles->own[slot] = (struct fs_handle_own){.fd = fd};
        fs_handle_link(handles, slot, node);
        *ret_id = record->id;
        return 0;
}

static struct fs_handle_record *fs_handle_record(struct fs_handles *handles, uint64_t id, uint64_t node_id)
{
        uint32_t slot = (uint32_t)id & SLOT_MASK;

        if (id == 0 || slot >= handles->memory->handles_used)
                return NULL;
        if (handles->memory->handles[slot].id != id || handles->memory->handles[slot].node != node_id)
                return NULL;
        return &handles->memory->handles[slot];
}

/* Of a predecessor: by name, and what is there must be the same inode. */
static int fs_handle_reopen(struct fs_handles *handles, const struct fs_handle_record *record, uint32_t slot)
{
        uint32_t node = fs_node_find(handles->nodes, record->node);
        int fd;

        if (node == FS_NO_SLOT || record->has_locked != 0)
                return -ESTALE;
        fd = fs_handle_open(handles, node, (int)record->flags, record->is_folder != 0);
        if (fd < 0)
                return fd;
        handles->own[slot].fd = fd;
        return 0;
}

int fs_handle_find(struct fs_handles *handles, uint64_t id, uint64_t node_id, bool is_folder)
{
        struct fs_handle_record *record = fs_handle_record(handles, id, node_id);
        uint32_t slot;
        int r = 0;

        if (!record || (record->is_folder != 0) != is_folder)
                return -EBADF;
        slot = (uint32_t)(record - handles->memory->handles);
        if (handles->own[slot].fd < 0)
                r = fs_handle_reopen(handles, record, slot);
        return r < 0 ? r : (int)slot;
}

void fs_handle_close(struct fs_handles *handles, uint64_t id, uint64_t node_id)
{
        struct fs_handle_record *record = fs_handle_record(handles, id, node_id);
        uint32_t slot, node;

        if (!record)
                return;
        slot = (uint32_t)(record - handles->memory->handles);
        node = fs_node_find(handles->nodes, node_id);
        record->id = 0;
        if (handles->own[slot].fd >= 0)
                close(handles->own[slot].fd);
        if (node != FS_NO_SLOT) {
                fs_handle_unlink(handles, slot, node);
                fs_node_settle(handles->nodes, node);
        }
        handles->own[slot] = (struct fs_handle_own){.fd = -1, .next = handles->free};
        handles->free = (uint16_t)(slot + 1);
}

/* ---- the beginning ---- */

void fs_handles_clear(struct fs_handles *handles)
{
        uint32_t used = MIN(handles->memory->handles_used, LIMIT_FS_FILES);

        for (uint32_t i = 0; i < used; i++) {
                if (handles->own[i].fd >= 0)
                        close(handles->own[i].fd);
                handles->own[i] = (struct fs_handle_own){.fd = -1};
        }
        handles->free = 0;
}

static bool fs_handle_makes_sense(struct fs_handles *handles, uint32_t slot)
{
        const struct fs_handle_record *record = &handles->memory->handles[slot];

        return record->id != 0 && (record->id & SLOT_MASK) == slot &&
               record->id >> FS_SLOT_BITS <= handles->memory->serial &&
               (record->flags & ~(uint32_t)FS_HANDLE_FLAGS) == 0 &&
               (record->flags & O_ACCMODE) != O_ACCMODE &&
               fs_node_find(handles->nodes, record->node) != FS_NO_SLOT;
}

void fs_handles_adopt(struct fs_handles *handles)
{
        handles->memory->handles_used = MIN(handles->memory->handles_used, LIMIT_FS_FILES);
        fs_handles_clear(handles);
        for (uint32_t slot = 0; slot < handles->memory->handles_used; slot++) {
                struct fs_handle_record *record = &handles->memory->handles[slot];

                if (fs_handle_makes_sense(handles, slot)) {
                        fs_handle_link(handles, slot, fs_node_find(handles->nodes, record->node));
                        continue;
                }
                record->id = 0;
                handles->own[slot].next = handles->free;
                handles->free = (uint16_t)(slot + 1);
        }
}
