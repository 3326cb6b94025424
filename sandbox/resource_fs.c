/* What a shared directory's workers have: the directory, mounted to be their root, and memory in which each writes down, for its
 * successor, what its guest knows and has open.
 * Owns nothing; called by resource.c. TRUST: the path is the operator's; what lies there may be anything. What is in the memory is one worker's
 * word to the next, and never read here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/device/fs.h"
#include "sandbox/resource.h"
#include "sandbox/resource_folder.h"

/* The guest's root must be able to own what it makes at the top, as it can anywhere below. */
static int judge_owners(const struct fs_options *options, const struct stat *st, char *why, size_t why_size)
{
        const uint32_t first = options->first_owner, count = options->n_owners;

        if (count == 0 || (st->st_uid - first < count && st->st_gid - first < count))
                return 0;
        snprintf(why, why_size, "%s: belongs to %u:%u, who are not of owners %u+%u: chown %u:%u it",
                 options->path, st->st_uid, st->st_gid, first, count, first, first);
        return -EPERM;
}

/* A range: each is itself, and all others nobody. */
static struct share_ids make_range(const struct fs_options *options)
{
        return (struct share_ids){.owner_uid = options->first_owner,
                                  .owner_gid = options->first_owner,
                                  .uid = options->first_owner,
                                  .gid = options->first_owner,
                                  .count = options->n_owners};
}

/* "USER:GROUP", judged with the configuration; "": whose the directory is. */
static struct share_ids make_ids(const struct resource_owner *owner, const char *whose, const struct stat *st)
{
        struct share_ids ids = {.owner_uid = st->st_uid,
                                .owner_gid = st->st_gid,
                                .uid = owner->worker_uid,
                                .gid = owner->worker_gid};
        const char *colon = strchr(whose, ':');

        if (colon) {
                ids.owner_uid = (uid_t)strtoul(whose, NULL, 10);
                ids.owner_gid = (gid_t)strtoul(colon + 1, NULL, 10);
        }
        return ids;
}

int resources_hold_fs(const struct resource_owner *owner, const struct device_config *device,
                      struct resources *held, char *why, size_t why_size)
{
        const struct fs_options options = fs_options_read(&device->options);
        struct folder_wish wish = {.path = options.path, .read_only = options.read_only};
        struct stat st;
        int r = resource_look_at_folder(options.path, &st, why, why_size);

        if (r == 0)
                r = judge_owners(&options, &st, why, why_size);
        if (r < 0)
                return r;
        wish.ids = options.n_owners > 0 ? make_range(&options) : make_ids(owner, options.owner, &st);
        r = resource_add_folder(owner, &wish, held, why, why_size);
        if (r == 0)
                r = resources_add_memory(held, "share", LIMIT_FS_MEMORY, why, why_size);
        return r;
}

/* All of it is held; before the VM's start the path alone is looked at. Its files are as long as the guest makes them. */
int resources_open_fs(const struct device_config *device, const struct resources *held,
                      struct resources *resources, char *why, size_t why_size)
{
        struct stat st;
        int r = 0;

        if (!held)
                return resource_look_at_folder(fs_options_read(&device->options).path, &st, why, why_size);
        for (unsigned i = 0; i < held->n && r == 0; i++)
                r = resources_add_held(resources, held, i);
        resources->size_max = UINT64_MAX;
        return r;
}
