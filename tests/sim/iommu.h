/* The VMM's IOMMU before a simulated device: keeps the guest's translations, in which every page stands for itself, answers late, and
 * takes back what it likes, while requests are in flight.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"
#include "proto/base/limits.h"

struct sim_device;

struct sim_iommu {
        bool on;
        unsigned n; /* questions that are open */
        uint64_t iova[LIMIT_IOTLB_MISSES];
        uint64_t answer_ms; /* when the next of them is answered */
};

/* Completes what the device is attached with; then, in every run with an IOMMU: it translates. */
void iommu_front(struct sim_device *dev, struct device_front *front);
void iommu_attach(struct sim_device *dev);
void iommu_detach(struct sim_device *dev);

/* When it does something by itself; UINT64_MAX: never. And: does it. */
uint64_t iommu_next_wake_ms(const struct sim_device *dev);
void iommu_answer(struct sim_device *dev);

/* Takes back a range, or everything. */
void iommu_flush(struct sim_device *dev);

/* A queue is to stop: what is missing now is an error of the requests that are under way. */
void iommu_stops(struct sim_device *dev);
