/* What a device's configuration names, opened by the spawner: a worker never sees a path.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/limits.h"
#include "proto/vm_config.h"

/* The descriptors of one incarnation. Zero `n` is empty. */
struct resources {
        int fds[LIMIT_RESOURCES];
        unsigned n;
        uint32_t rw;       /* bit i: writable */
        uint32_t events;   /* bit i: an eventfd, not a file */
        dev_t device;      /* that the image is or lies on; 0: no image */
        uint64_t size_max; /* bytes of the largest: no worker may make a file longer than that */
};

/* Opens and locks (OFD lock over the whole file: write lock when writable, else read lock) on a fresh open
 * file description, so the lock lives exactly as long as the worker that holds the only copy. Regular files
 * and block devices of a multiple of 512 bytes only. 0, or negative errno with one sentence and its remedy in
 * `why`; -EBUSY: held by another process, perhaps by a predecessor that is still exiting. The caller closes
 * with resources_close. */
int resources_open(const struct device_config *device, struct resources *ret_resources, char *why,
                   size_t why_size);

/* Of a loader: the kernel, and the initrd if one is named, read-only, without a lock: regular files only. Likewise. */
int resources_open_boot(const struct boot_config *boot, struct resources *ret_resources, char *why,
                        size_t why_size);

void resources_close(struct resources *resources);

/* The worker program of a device type in the configured directory: an O_PATH-free, CLOEXEC, read-only
 * descriptor of a regular executable file that others may read. 0, or negative errno with `why`. */
int resource_open_program(const struct vm_config *config, enum device_type_id type, int *ret_fd, char *why,
                          size_t why_size);
