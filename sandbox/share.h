/* A folder as a worker's root: a mount of its own, in which the folder's owner is the worker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who it belongs to, on the host and in the mount. Nobody else's files become the worker's. */
struct share_ids {
        uid_t owner_uid, uid;
        gid_t owner_gid, gid;
        uint32_t count; /* so many ids from these on; 0: one */
};

/* Once, before the first mount: a mount namespace of our own, and in it a place for mounts at `dir`, which is made if it is not there. What the
 * host mounts later still reaches us; nothing of ours is seen outside. 0, or negative errno with one sentence in `why`. */
int share_init(const char *dir, char *why, size_t why_size);

/* A mount of the folder `path`, and of nothing that is mounted below it (where the kernel lets us leave that out), at dir/name:
 * nosuid, nodev, noexec, read-only if that is wanted, and with owner and worker exchanged. Where file system or kernel have
 * no such exchange, *ret_mapped is false: then the worker needs the owner's own ids. *ret_fd (O_PATH, CLOEXEC) is its root, for
 * jail_spec.root_fd. 0, or negative errno with `why`. */
int share_mount(const char *path, const char *dir, const char *name, bool read_only,
                const struct share_ids *ids, int *ret_fd, bool *ret_mapped, char *why, size_t why_size);

/* In the child of a program that is not ours: a root that has these paths of the host, read-only, nosuid, nodev, where it has
 * them; symbolic links as such; more such links, in pairs of name and target; and an empty /tmp, for it to mount on.
 * Async-signal-safe. */
int share_root_of_paths(const char *const *paths, const char *const *links);

/* In the child, whose working directory the mount is (its copy of it, in its own mount namespace): it becomes the root, and
 * nothing else is left. Async-signal-safe. */
int share_become_root(void);
