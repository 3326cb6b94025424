/* An IOMMU of the VM's own, and the devices behind it.
 * Owns nothing but the counters: the translations are those of device_iotlb.c. Called by the other device files. TRUST: messages are
 * a worker's, which its guest may have taken over: their form was judged by control_iommu.c, whom and what they name is judged here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_iommu.h"

#include <assert.h>
#include <errno.h>

#include "broker/core/device_state.h"
#include "proto/base/log.h"

_Static_assert(IOTLB_READ == CONTROL_IOMMU_READ && IOTLB_WRITE == CONTROL_IOMMU_WRITE, "the same bits");

static bool is_iommu(const struct device *device)
{
        return device->config->type == DEVICE_TYPE_IOMMU;
}

void device_put_behind(struct device *device, struct device *iommu, uint32_t endpoint)
{
        assert(is_iommu(iommu) && !is_iommu(device) && endpoint < LIMIT_DEVICES &&
               !iommu->iommu.endpoints[endpoint] && !device->iommu.is_behind);
        device->iommu.is_behind = iommu;
        device->iommu.endpoint = endpoint;
        iommu->iommu.endpoints[endpoint] = device;
        iommu->iommu.faults =
            quota_bucket_make(LIMIT_IOMMU_FAULT_BURST, LIMIT_IOMMU_FAULT_RATE, uv_now(iommu->loop));
        iommu->supervisor.configure.endpoints |= UINT64_C(1) << endpoint;
}

bool device_is_behind(const struct device *device)
{
        return device->iommu.is_behind != NULL;
}

/* ---- messages ---- */

static void answer(struct device *device, uint32_t id, int error)
{
        const struct control_to_worker message = {.kind = CONTROL_IOMMU_ANSWER,
                                                  .iommu_answer = {.id = id, .error = error}};

        (void)supervisor_tell(&device->supervisor, &message); /* one that does not read is dealt with there */
}

/* Of a device that its front end does not translate for (it was reset, or has none) nothing is kept: that is the broker's own
 * order of things, and the worker is not to blame. */
static int map(struct device *endpoint, const struct control_iommu *message)
{
        const struct iotlb_entry entry = {
            .iova = message->iova, .len = message->len, .gpa = message->gpa, .rights = message->rights};

        if (!endpoint->iotlb.memory ||
            !guest_memory_covers(endpoint->iotlb.memory, GPA(message->gpa), message->len,
                                 (message->rights & IOTLB_WRITE) != 0))
                return -EFAULT;
        return device_iotlb_update(endpoint, &entry);
}

static int unmap(struct device *endpoint, const struct control_iommu *message)
{
        int r = device_iotlb_invalidate(endpoint, message->iova, message->len);

        return r == -EPERM ? 0 : r;
}

int device_iommu_message(struct device *device, const struct control_to_broker *message)
{
        const struct control_iommu *said = &message->iommu;
        struct device *endpoint = device->iommu.endpoints[said->endpoint];

        if (!is_iommu(device) || !endpoint)
                return -EPROTO;
        answer(device, said->id,
               message->kind == CONTROL_IOMMU_MAP ? map(endpoint, said) : unmap(endpoint, said));
        return 0;
}

/* ---- faults ---- */

void device_iommu_fault(struct device *device, uint64_t iova, unsigned rights)
{
        struct device *iommu = device->iommu.is_behind;
        const struct control_to_worker message = {
            .kind = CONTROL_IOMMU_FAULT,
            .iommu_fault = {.endpoint = device->iommu.endpoint, .iova = iova, .rights = rights}};

        if (!iommu)
                return;
        log_limited(LOG_LEVEL_INFO, "page 0x%llx is not mapped for the device%s%s dev=%s",
                    (unsigned long long)iova, rights & IOTLB_READ ? " to read" : "",
                    rights & IOTLB_WRITE ? " to write" : "", device->config->name);
        if (iommu->supervisor.state != WORKER_SERVING ||
            !quota_bucket_take(&iommu->iommu.faults, uv_now(iommu->loop)) ||
            supervisor_tell(&iommu->supervisor, &message) < 0)
                iommu->iommu.n_untold++;
}

/* ---- ends ---- */

void device_iommu_reset(struct device *device)
{
        if (!is_iommu(device))
                return;
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++)
                if (device->iommu.endpoints[i])
                        (void)device_iotlb_invalidate(device->iommu.endpoints[i], 0, 0);
}

void device_iommu_end(struct device *device)
{
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++) {
                if (device->iommu.endpoints[i])
                        device->iommu.endpoints[i]->iommu.is_behind = NULL;
                device->iommu.endpoints[i] = NULL;
        }
        if (device->iommu.is_behind)
                device->iommu.is_behind->iommu.endpoints[device->iommu.endpoint] = NULL;
        device->iommu.is_behind = NULL;
}
