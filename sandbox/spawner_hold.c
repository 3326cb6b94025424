/* What outlives workers: opened once, after the VM's lock is ours and before anything runs.
 * Owns nothing: it is the spawner's; called by spawner_hold. TRUST: the configuration was judged; what its paths lead to is judged
 * by the openers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "sandbox/share.h"
#include "sandbox/spawner_companion.h"
#include "sandbox/spawner_device.h"

#define UNUSED_FOLDER "/proc/driver" /* that every kernel has, and nobody of ours looks into */

static bool needs_mounts(const struct spawner *spawner)
{
        struct resource_counts counts;

        for (uint32_t i = 0; i < spawner->n_workers; i++) {
                const struct companion_row *row = spawner->devices[i].companion.row;

                device_resources_count(spawner_worker(spawner, i), &counts);
                if (counts.of[RESOURCE_FOLDER] > 0 || (row && row->has_folder))
                        return true;
        }
        return false;
}

static int unlink_later(void *context, const char *path)
{
        return spawner_unlink_later(context, path);
}

static struct resource_owner make_owner(struct spawner *spawner, uint32_t device, const char *mounts)
{
        uid_t uid = spawner->claims ? spawner->claims[device].uid : spawner->broker_uid;

        return (struct resource_owner){.config = spawner->config,
                                       .uid = spawner->broker_uid,
                                       .worker_uid = uid,
                                       .worker_gid = spawner->claims ? (gid_t)uid : spawner->broker_gid,
                                       .rootless = spawner->rootless,
                                       .mounts = mounts,
                                       .number = device,
                                       .unlink_later = unlink_later,
                                       .context = spawner};
}

static int hold_device(struct spawner *spawner, uint32_t device, const char *mounts, char *why,
                       size_t why_size)
{
        const struct resource_owner owner = make_owner(spawner, device, mounts);
        int r = resources_hold(&owner, spawner_worker(spawner, device), &spawner->devices[device].held, why,
                               why_size);

        return r < 0 ? r : spawner_companion_prepare(spawner, device, &owner, why, why_size);
}

/* Hidden from us alone: a folder of our own would have to be removed at the end, when there is no right to unmount what lies on
 * it. Where /proc has processes only, there is such a folder all the same. */
static void choose_place(const struct spawner *spawner, char *ret_place, size_t size)
{
        if (access(UNUSED_FOLDER, F_OK) == 0)
                snprintf(ret_place, size, "%s", UNUSED_FOLDER);
        else
                snprintf(ret_place, size, "%.*s/%s/mounts", PATH_MAX - 1, spawner->config->run_dir,
                         spawner->config->name);
}

int spawner_hold(struct spawner *spawner, char *why, size_t why_size)
{
        char mounts[2 * PATH_MAX];
        int r = 0;

        choose_place(spawner, mounts, sizeof(mounts));
        if (needs_mounts(spawner))
                r = share_init(mounts, why, why_size);
        for (uint32_t i = 0; r == 0 && i < spawner->n_workers; i++) {
                int len = snprintf(why, why_size, "%s: ", spawner_worker(spawner, i)->name);

                len = MIN(len, (int)why_size - 1);
                snprintf(why + len, why_size - (size_t)len, "out of memory or descriptors");
                r = hold_device(spawner, i, mounts, why + len, why_size - (size_t)len);
        }
        return r;
}
