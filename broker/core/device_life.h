/* The life of a device inside the broker: what main and the admin server see of it. Front ends see device.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/core/spawner_client.h"
#include "proto/admin.h"
#include "proto/vm_config.h"

struct device;
struct supervisor;

/* What a device tells main. */
struct device_owner {
        void *context;
        void (*ready)(void *context, struct device *device); /* its first Hello has come */
        /* Its worker could not be started; quarantined: nobody will try again before a device reset. */
        void (*failed)(void *context, struct device *device, bool quarantined, const char *why);
};

/* Makes a device and starts its worker. `config` must outlive it. `area_len`: of vm_config_area. 0 or negative errno. */
int device_new(uv_loop_t *loop, const struct device_config *config, uint32_t area_len, uint32_t index,
               struct spawner_client *spawner, const struct device_owner *owner, struct device **ret_device);

/* Ends the worker, the lanes and everything else; `freed` comes from the loop when the memory is gone. */
void device_free(struct device *device, void (*freed)(void *context), void *context);

/* From now on what the device reaches is what the driver of `iommu`, of DEVICE_TYPE_IOMMU, has mapped for this endpoint ID (below
 * LIMIT_DEVICES, and no other device has it there); once its front end translates (device_translate). Before any worker runs; both are
 * freed in one go. */
void device_put_behind(struct device *device, struct device *iommu, uint32_t endpoint);

/* For the spawner's channel. */
struct supervisor *device_supervisor(struct device *device);
void device_spawner_gone(struct device *device);

/* What ps and audit are to be told of its workers' companion. */
void device_companion_is(struct device *device, const struct spawn_to_broker *companion);

/* For ps and audit. `attached` is the front end's to say and is left alone. */
void device_shmem_list(const struct device *device, struct admin_shmem *ret_shmem);
void device_status(const struct device *device, struct admin_device *ret_status);
