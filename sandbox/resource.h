/* What a device's configuration names, opened by the spawner: a worker never sees a path. What a type has stands in
 * sandbox/resource_<type>.c, how many of which kind in proto/device_resource.c.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"
#include "proto/device_resource.h"
#include "proto/vm_config.h"

/* The descriptors of one incarnation, or those that outlive it. Zero `n` is empty. */
struct resources {
        int fds[LIMIT_RESOURCES];
        uint8_t kinds[LIMIT_RESOURCES]; /* enum resource_kind */
        unsigned n;
        uint32_t rw;         /* bit i: a file that may be written */
        dev_t device;        /* that the image is or lies on; 0: no image */
        uint64_t size_max;   /* bytes of the largest file: no worker may make one longer than that */
        uint64_t mapped_max; /* bytes of it that its worker may map beside its memory */
        bool as_owner; /* a folder whose owner cannot be exchanged: the worker must have these ids itself */
        uid_t uid;
        gid_t gid;
};

/* Appends. The descriptor is taken (*fd becomes -1), but not on failure: -E2BIG, there is no room. */
int resources_add(struct resources *resources, enum resource_kind kind, int *fd, bool writable);

/* Appends memory of `len` bytes, all zeros, that cannot change its length: a worker writes down there what its successor is to know.
 * 0, or negative errno with `why`. */
int resources_add_memory(struct resources *held, const char *name, uint64_t len, char *why, size_t why_size);

/* Appends a duplicate of what is held at `i`. -ENOENT: nothing is held there. -ENOTCONN: its companion is not there. */
int resources_add_held(struct resources *resources, const struct resources *held, unsigned i);

/* Really opens the regular file or block device that `path_fd` (O_PATH) is. A file that another process has a lease on is
 * not waited for: -EBUSY, and that process has been asked to give it up. Returns the descriptor, which waits as usual, or
 * negative errno. */
int resource_reopen(int path_fd, bool is_file, int flags);

/* For whom something is held, and where its path is remembered that is to vanish with the VM. */
struct resource_owner {
        const struct vm_config *config;
        uid_t uid; /* of the broker: whose sockets are */
        uid_t worker_uid;
        gid_t worker_gid;
        bool rootless;
        const char *mounts; /* where share_init has made a place for folders */
        uint32_t number;    /* of the device: the name of its mount there */
        int (*unlink_later)(void *context, const char *path);
        void *context;
};

/* Opens what outlives the workers of a device, in the order of their resources. The VM's lock is held and its folder there. 0, or
 * negative errno as below. The caller closes in both cases. */
int resources_hold(const struct resource_owner *owner, const struct device_config *device,
                   struct resources *held, char *why, size_t why_size);

/* Makes anew what is held at `i` and has died. 0, or negative errno with `why`, and it is as before. -ENOENT: that cannot be
 * made anew. */
int resources_renew(const struct device_config *device, struct resources *held, unsigned i, char *why,
                    size_t why_size);

/* Opens what one incarnation of the worker has. `held` is what outlives workers: of that it gets duplicates. NULL: the VM does
 * not run yet, and the rest is to be judged. Files are opened and locked (OFD lock over the whole file: write lock when writable, else read lock) on a fresh
 * open file description, so the lock lives exactly as long as the worker that holds the only copy. An image is a regular file
 * or a block device of a multiple of 512 bytes. 0, or negative errno with one sentence and its remedy in `why`; -EBUSY: held by
 * another process, perhaps by a predecessor that is still exiting; -ENOTCONN: its companion is not there again yet. The caller closes with resources_close. */
int resources_open(const struct device_config *device, const struct resources *held,
                   struct resources *ret_resources, char *why, size_t why_size);

/* Of one type each; used by resources_open only. They append to `resources`, whom the caller closes on failure too. */
/* Both files of a persistent memory device: [0] is locked, [1] is the one to be mapped. */
int resources_open_pmem(const struct device_config *device, const struct resources *held,
                        struct resources *resources, char *why, size_t why_size);
int resources_open_blk(const struct device_config *device, const struct resources *held,
                       struct resources *resources, char *why, size_t why_size);
int resources_open_fs(const struct device_config *device, const struct resources *held,
                      struct resources *resources, char *why, size_t why_size);
int resources_hold_fs(const struct resource_owner *owner, const struct device_config *device,
                      struct resources *held, char *why, size_t why_size);
int resources_open_iommu(const struct device_config *device, const struct resources *held,
                         struct resources *resources, char *why, size_t why_size);
int resources_hold_iommu(const struct resource_owner *owner, const struct device_config *device,
                         struct resources *held, char *why, size_t why_size);
int resources_hold_net(const struct resource_owner *owner, const struct device_config *device,
                       struct resources *held, char *why, size_t why_size);
int resources_open_net(const struct device_config *device, const struct resources *held,
                       struct resources *resources, char *why, size_t why_size);
int resources_renew_net(const struct device_config *device, struct resources *held, unsigned i, char *why,
                        size_t why_size);
int resources_hold_vsock(const struct resource_owner *owner, const struct device_config *device,
                         struct resources *held, char *why, size_t why_size);
int resources_open_vsock(const struct device_config *device, const struct resources *held,
                         struct resources *resources, char *why, size_t why_size);
int resources_open_loader(const struct device_config *device, const struct resources *held,
                          struct resources *resources, char *why, size_t why_size);

int resources_open_console(const struct device_config *device, const struct resources *held,
                           struct resources *resources, char *why, size_t why_size);
int resources_hold_console(const struct resource_owner *owner, const struct device_config *device,
                           struct resources *held, char *why, size_t why_size);

void resources_close(struct resources *resources);

/* The worker program of a device type in the configured directory: an O_PATH-free, CLOEXEC, read-only
 * descriptor of a regular executable file that others may read. 0, or negative errno with `why`. */
int resource_open_program(const struct vm_config *config, enum device_type_id type, int *ret_fd, char *why,
                          size_t why_size);
