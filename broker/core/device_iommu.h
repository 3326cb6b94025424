/* An IOMMU of the VM's own, and the devices behind it: its worker says what each of them may reach, and they have it.
 *
 * How it works: the worker understands its driver's requests; here nothing is known of domains. Each of its messages is about one
 * device, is judged (is that behind this IOMMU? is it the guest's memory?) and carried out before it is answered. A page that is
 * taken back is gone from every lane of that device by then (device_iotlb.h), so when the worker tells its driver "unmapped",
 * nobody reaches it.
 *
 * What has been mapped is all there is: of such a device nothing is forgotten to make room, nobody is asked for what it lacks, and
 * the IOMMU's driver is told (IommuFault), LIMIT_IOMMU_FAULT_RATE times a second at most.
 *
 * Who owns what, and for how long: the translations are the device's, and outlive workers of both. A reset of the IOMMU takes
 * all of them; of the device, none, where its front end has them persist (device.h).
 *
 * Part of a device (device_state.h); on the main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/quota.h"
#include "proto/control.h"

struct device;

struct device_iommu {
        /* of a device behind one */
        struct device *is_behind; /* NULL: it is not */
        uint32_t endpoint;
        /* of an IOMMU */
        struct device *endpoints[LIMIT_DEVICES]; /* by endpoint ID; NULL: there is none */
        struct quota_bucket faults;
        uint64_t n_untold; /* faults beyond that, or while no worker served */
};

/* IommuMap or IommuUnmap of this device's worker. 0, and it is answered; -EPROTO: it may not say that. */
int device_iommu_message(struct device *device, const struct control_to_broker *message);

/* A page that the device behind it has needed is not there, with these rights (IOTLB_READ, IOTLB_WRITE). Nothing happens if it is
 * behind none. */
void device_iommu_fault(struct device *device, uint64_t iova, unsigned rights);

/* A device reset: if it is an IOMMU, nothing is mapped any more when this returns. */
void device_iommu_reset(struct device *device);

/* It goes away: nobody is behind it, and it is behind nobody. */
void device_iommu_end(struct device *device);
