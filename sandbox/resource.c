/* What a worker is given: a list that grows, and one opener a type.
 * Owns nothing; called by the spawner, at start and for each incarnation. TRUST: the openers judge what paths lead to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/resource.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

int resources_add(struct resources *resources, enum resource_kind kind, int *fd, bool writable)
{
        if (resources->n == LIMIT_RESOURCES)
                return -E2BIG;
        if (writable)
                resources->rw |= 1u << resources->n;
        resources->kinds[resources->n] = (uint8_t)kind;
        resources->fds[resources->n++] = take_fd(fd);
        return 0;
}

int resources_add_held(struct resources *resources, const struct resources *held, unsigned i)
{
        _cleanup_close_ int fd = -1;

        if (!held || i >= held->n)
                return -ENOENT;
        if (held->fds[i] < 0)
                return -ENOTCONN;
        fd = fcntl(held->fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        return resources_add(resources, held->kinds[i], &fd, (held->rw & (1u << i)) != 0);
}

void resources_close(struct resources *resources)
{
        for (unsigned i = 0; i < resources->n; i++)
                if (resources->fds[i] >= 0)
                        close(resources->fds[i]);
        *resources = (struct resources){0};
}

/* A device is opened as it always was: some take O_NONBLOCK for "is there a medium?". */
int resource_reopen(int path_fd, bool is_file, int flags)
{
        _cleanup_close_ int fd = -1;
        char again[64];

        snprintf(again, sizeof(again), "/proc/self/fd/%d", path_fd);
        fd = open(again, flags | (is_file ? O_NONBLOCK : 0));
        if (fd < 0)
                return is_file && errno == EWOULDBLOCK ? -EBUSY : -errno;
        if (is_file) {
                int status = fcntl(fd, F_GETFL);

                if (status < 0 || fcntl(fd, F_SETFL, status & ~O_NONBLOCK) < 0)
                        return -errno;
        }
        return take_fd(&fd);
}

/* What is opened and what is counted from the same configuration is the same, or the audit would not be true. */
static bool are_as_counted(const struct device_config *device, const struct resources *resources)
{
        struct resource_counts counts, have = {0};

        device_resources_count(device, &counts);
        for (unsigned i = 0; i < resources->n; i++)
                have.of[resources->kinds[i]]++;
        for (unsigned kind = 0; kind < RESOURCE_KIND_COUNT_; kind++)
                if (have.of[kind] != counts.of[kind])
                        return false;
        return true;
}

/* What a type has: NULL opens, holds, and renews nothing. */
static const struct {
        int (*open)(const struct device_config *device, const struct resources *held,
                    struct resources *resources, char *why, size_t why_size);
        int (*hold)(const struct resource_owner *owner, const struct device_config *device,
                    struct resources *held, char *why, size_t why_size);
        int (*renew)(const struct device_config *device, struct resources *held, unsigned i, char *why,
                     size_t why_size);
} types[] = {
    [DEVICE_TYPE_BLK] = {resources_open_blk},
    [DEVICE_TYPE_RNG] = {NULL},
    [DEVICE_TYPE_FS] = {resources_open_fs, resources_hold_fs},
    [DEVICE_TYPE_NET] = {resources_open_net, resources_hold_net, resources_renew_net},
    [DEVICE_TYPE_CONSOLE] = {resources_open_console, resources_hold_console},
    [DEVICE_TYPE_VSOCK] = {resources_open_vsock, resources_hold_vsock},
    [DEVICE_TYPE_PMEM] = {resources_open_pmem},
    [DEVICE_TYPE_SAMPLE] = {NULL},
    [DEVICE_TYPE_IOMMU] = {resources_open_iommu, resources_hold_iommu},
    [DEVICE_TYPE_LOADER] = {resources_open_loader},
};

static_assert(array_size(types) == WORKER_TYPE_COUNT_, "one row a type of worker");

int resources_hold(const struct resource_owner *owner, const struct device_config *device,
                   struct resources *held, char *why, size_t why_size)
{
        return types[device->type].hold ? types[device->type].hold(owner, device, held, why, why_size) : 0;
}

int resources_renew(const struct device_config *device, struct resources *held, unsigned i, char *why,
                    size_t why_size)
{
        return types[device->type].renew ? types[device->type].renew(device, held, i, why, why_size)
                                         : -ENOENT;
}

int resources_open(const struct device_config *device, const struct resources *held,
                   struct resources *ret_resources, char *why, size_t why_size)
{
        _cleanup_(resources_close) struct resources resources = {0};
        int r = 0;

        if ((unsigned)device->type >= array_size(types)) {
                snprintf(why, why_size, "unknown device type %d", (int)device->type);
                return -EINVAL;
        }
        if (types[device->type].open)
                r = types[device->type].open(device, held, &resources, why, why_size);
        if (r < 0)
                return r;
        assert(!held || are_as_counted(device, &resources));
        *ret_resources = resources;
        resources = (struct resources){0};
        return 0;
}
