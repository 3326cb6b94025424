/* The VMM's IOMMU before a simulated device.
 * Owns the open questions; called by the front end, on the broker's main thread. TRUST: it plays a VMM that tells the truth.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/iommu.h"

#include "broker/core/iotlb.h"
#include "tests/sim/chance.h"
#include "tests/sim/clock.h"
#include "tests/sim/sim_device.h"
#include "tests/sim/trace.h"

static void on_miss(void *context, uint64_t iova, unsigned rights)
{
        struct sim_device *dev = context;
        struct sim_iommu *iommu = &dev->iommu;

        trace_event("misses", dev->index, iova, rights);
        sim_check(iommu->n < LIMIT_IOTLB_MISSES, "%s: more questions than there may be", dev->name);
        for (unsigned i = 0; i < iommu->n; i++)
                sim_check(iommu->iova[i] != iova, "%s: asks twice", dev->name);
        if (iommu->n == 0)
                iommu->answer_ms = sim_now_ms() + (chance_one_in(4) ? chance_below(40) : 0);
        iommu->iova[iommu->n++] = iova;
}

void iommu_front(struct sim_device *dev, struct device_front *front)
{
        if (dev->odds->iommu == 0)
                return;
        front->iotlb_miss = on_miss;
        front->iotlb_persists = chance_one_in(2);
}

void iommu_attach(struct sim_device *dev)
{
        dev->iommu = (struct sim_iommu){.on = dev->odds->iommu > 0};
        sim_check(device_translate(dev->device, dev->iommu.on) == 0, "%s: does not translate", dev->name);
}

void iommu_detach(struct sim_device *dev)
{
        dev->iommu = (struct sim_iommu){.on = false};
}

uint64_t iommu_next_wake_ms(const struct sim_device *dev)
{
        return dev->iommu.n > 0 ? dev->iommu.answer_ms : UINT64_MAX;
}

void iommu_answer(struct sim_device *dev)
{
        struct sim_iommu *iommu = &dev->iommu;
        unsigned which = chance_below(iommu->n);
        const struct iotlb_entry entry = {.iova = iommu->iova[which],
                                          .len = LIMIT_IOTLB_PAGE,
                                          .gpa = iommu->iova[which],
                                          .rights = IOTLB_READ | IOTLB_WRITE};

        trace_event("translates", dev->index, entry.iova, iommu->n);
        iommu->iova[which] = iommu->iova[--iommu->n];
        if (entry.iova < RAM_START || entry.iova >= RAM_END) /* a bad chain: it is mapped nowhere */
                device_iotlb_missed(dev->device, entry.iova);
        else
                sim_check(device_iotlb_update(dev->device, &entry) == 0, "%s: refuses a translation",
                          dev->name);
        iommu->answer_ms = sim_now_ms() + (chance_one_in(16) ? chance_below(40) : 0);
}

/* While a queue stops the keeper is quiet: what it takes then it cannot give again in time, and the model could not tell whose fault
 * an error is. */
void iommu_flush(struct sim_device *dev)
{
        uint64_t start =
            RAM_START + (uint64_t)chance_below((RAM_END - RAM_START) / LIMIT_IOTLB_PAGE) * LIMIT_IOTLB_PAGE;
        uint64_t len = (uint64_t)chance_between(1, 64) * LIMIT_IOTLB_PAGE;

        for (unsigned i = 0; i < dev->n_queues; i++)
                if (dev->queues[i].phase == QUEUE_STOPPING)
                        return;
        if (chance_one_in(2))
                start = len = 0;
        trace_event("takes back", dev->index, start, len);
        sim_check(device_iotlb_invalidate(dev->device, start, len) == 0, "%s: refuses an invalidation",
                  dev->name);
}

void iommu_stops(struct sim_device *dev)
{
        if (!dev->iommu.on)
                return;
        for (unsigned i = 0; i < SIM_POSTINGS; i++)
                dev->postings[i].shaky |= dev->postings[i].serial != 0;
        for (unsigned i = 0; i < dev->n_queues; i++)
                dev->queues[i].may_break = true;
}
