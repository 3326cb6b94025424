/* What an IOMMU's worker says of the devices behind it.
 * Borrows the control link. Called by worker.c and by the one device that is an IOMMU. TRUST: values are the device's own, judged by
 * it: the broker kills a worker for one that is out of shape.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_iommu.h"

#include "proto/control.h"
#include "proto/frame.h"
#include "workers/runtime/trap.h"

#define IOMMU_HEADER 128u /* bytes of our longest message here */

static struct link *iommu_control;

void worker_iommu_init(struct link *control)
{
        iommu_control = control;
}

static void say(enum control_kind_to_broker kind, const struct control_iommu *iommu)
{
        const struct control_to_broker message = {.kind = kind, .iommu = *iommu};
        uint8_t frame[FRAME_HEAD_BYTES + IOMMU_HEADER];
        ssize_t len = control_make_to_broker(&message, frame + FRAME_HEAD_BYTES, IOMMU_HEADER);

        if (!iommu_control || len <= 0)
                worker_trap();
        link_send(iommu_control, frame, (uint32_t)len, NULL, 0);
}

void worker_iommu_map(uint32_t id, uint32_t endpoint, uint64_t iova, uint64_t len, uint64_t gpa,
                      unsigned rights)
{
        say(CONTROL_IOMMU_MAP,
            &(struct control_iommu){
                .id = id, .endpoint = endpoint, .iova = iova, .len = len, .gpa = gpa, .rights = rights});
}

void worker_iommu_unmap(uint32_t id, uint32_t endpoint, uint64_t iova, uint64_t len)
{
        say(CONTROL_IOMMU_UNMAP,
            &(struct control_iommu){.id = id, .endpoint = endpoint, .iova = iova, .len = len});
}
