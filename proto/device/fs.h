/* The options of a shared directory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device_option.h"
#include "proto/device_region.h"

#define FS_SHMID_DAX   0u         /* the window for files (virtio 1.3, 5.11.5) */
#define FS_DAX_GRANULE (2u << 20) /* what Linux maps at a time, and we */

enum fs_option {
        FS_OPTION_PATH = 0,
        FS_OPTION_TAG,
        FS_OPTION_READ_ONLY,
        FS_OPTION_CACHE,
        FS_OPTION_XATTR,
        FS_OPTION_LOCKS,
        FS_OPTION_OWNER,
        FS_OPTION_OWNERS,
        FS_OPTION_DAX_WINDOW,
        FS_OPTION_COUNT_,
};

/* What of the share the guest may remember. */
enum fs_cache {
        FS_CACHE_NONE = 0, /* nothing: it asks each time */
        FS_CACHE_AUTO,     /* names and attributes for a second; contents while the file has not changed */
        FS_CACHE_ALWAYS,   /* all, for ever: nobody else changes anything */
};

extern const struct option_row fs_option_rows[FS_OPTION_COUNT_];

/* The same as what they mean. Texts are the set's. */
struct fs_options {
        const char *path; /* "" to a worker */
        const char *tag;  /* LIMIT_FS_TAG bytes at most */
        bool read_only;
        enum fs_cache cache;
        bool xattr; /* the guest may have extended attributes, user.* alone */
        bool locks; /* its locks are the host's */
        const char
            *owner; /* "USER:GROUP" in numbers, whose files these are; "": the directory's. "" to a worker */
        /* The guest's ids from 0 on are the host's from first_owner on, n_owners of them. 0: all files are one owner's. */
        uint32_t first_owner, n_owners;
        uint64_t dax_window; /* bytes of files that the guest can have mapped at a time; 0: none */
};

/* No more than one of `owner` and `owners`; a window is whole granules. 0, or -EINVAL with `why`. */
int fs_options_judge(const struct option_set *set, char *why, size_t why_size);

struct fs_options fs_options_read(const struct option_set *set);

unsigned fs_regions(const struct option_set *set,
                    struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);
