/* Whose files are whose, where they are of a range of owners: what a request makes belongs to who asked for it.
 *
 * Between requests the worker's own id is used, whom no file belongs to: with it nothing can be made in such a share.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/cleanup.h"

struct fs;

/* Who we were before. Empty: nobody else now. */
struct fs_owner {
        const struct fs *fs;
        bool user, group;
};

#define FS_OWNER_NONE                                                                                        \
        (struct fs_owner)                                                                                    \
        {                                                                                                    \
                .fs = NULL                                                                                   \
        }
#define _cleanup_owner_ _cleanup_(fs_owner_back)

/* What an id of the guest's is here: `own` for its root, where all files are one owner's. 0; -EPERM: nobody else can be it;
 * -EINVAL: it is not in the range. */
int fs_owner_id(const struct fs *fs, uint32_t id, uint32_t own, uint32_t *ret_id);

/* From now until fs_owner_back, what is made belongs to this user and group of the guest's; nothing happens where all files are
 * one owner's. 0; -EOVERFLOW: they are not in the range. */
int fs_owner_act_as(const struct fs *fs, uint32_t uid, uint32_t gid, struct fs_owner *ret_owner);

/* The group alone, which is of the range. */
void fs_owner_act_as_group(const struct fs *fs, uint32_t gid, struct fs_owner *ret_owner);

/* Takes an empty one, too. */
void fs_owner_back(struct fs_owner *owner);
