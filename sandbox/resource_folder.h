/* A folder that somebody in a jail has as its root: looked at, and mounted.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/stat.h>

#include "sandbox/resource.h"
#include "sandbox/share.h"

/* Is it a directory? 0, or negative errno with one sentence and its remedy in `why`. */
int resource_look_at_folder(const char *path, struct stat *ret_stat, char *why, size_t why_size);

struct folder_wish {
        const char *path;
        bool read_only;
        struct share_ids ids;
};

/* Mounts it at the device's place and appends it to `held`. Where its owner cannot be made the worker, held->as_owner says that the
 * worker must be the owner; -EPERM: which would be root. 0, or negative errno with `why`. */
int resource_add_folder(const struct resource_owner *owner, const struct folder_wish *wish,
                        struct resources *held, char *why, size_t why_size);
