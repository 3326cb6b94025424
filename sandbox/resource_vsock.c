/* What a vsock device's worker is given: the socket to its proxy, which outlives it.
 * Owns nothing; called by resources_open. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proto/device/vsock.h"
#include "sandbox/resource.h"
#include "sandbox/resource_folder.h"

/* Its place: the socket comes with the companion. */
int resources_hold_vsock(const struct resource_owner *owner, const struct device_config *device,
                         struct resources *held, char *why, size_t why_size)
{
        int none = -1;

        (void)owner;
        (void)device;
        (void)why;
        (void)why_size;
        return resources_add(held, RESOURCE_STREAM, &none, false);
}

/* Before the VM's start the folder alone is looked at. */
static int look_at_folder(const struct device_config *device, char *why, size_t why_size)
{
        const char *path = vsock_options_read(&device->options).path;
        char folder[PATH_MAX];
        struct stat st;

        snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') + 1 - path), path);
        return resource_look_at_folder(folder, &st, why, why_size);
}

int resources_open_vsock(const struct device_config *device, const struct resources *held,
                         struct resources *resources, char *why, size_t why_size)
{
        int r;

        if (!held)
                return look_at_folder(device, why, why_size);
        r = resources_add_held(resources, held, 0);
        if (r == -ENOTCONN)
                snprintf(why, why_size, "its companion is not there yet");
        return r;
}
