/* The table of device types.
 * Owns nothing; called by the configuration, the spawner, the broker and `bulkhead`.
 * TRUST: names are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_type.h"

#include <stddef.h>
#include <string.h>

const struct device_type *device_type_find(const char *name)
{
        for (size_t i = 0; i < DEVICE_TYPE_COUNT_; i++)
                if (strcmp(device_types[i].name, name) == 0)
                        return &device_types[i];
        return NULL;
}

#define BLK_S_IOERR 1 /* VIRTIO_BLK_S_IOERR, in a request's last byte (virtio 1.3, 5.2.6) */

const struct device_type device_types[WORKER_TYPE_COUNT_] = {
    [DEVICE_TYPE_BLK] = {"blk", "bulkhead-worker-blk", 2, 16, 1, "vhost-user-blk-pci", {BLK_S_IOERR}, 1},
    [DEVICE_TYPE_RNG] = {"rng", "bulkhead-worker-rng", 4, 1, 1, "vhost-user-rng-pci", {0}, 0},
    [DEVICE_TYPE_LOADER] = {"loader", "bulkhead-worker-loader", 0, 0, 0, NULL, {0}, 0},
};
