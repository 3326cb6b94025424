/* How devices reach the guest's memory.
 * Owns nothing; called by vm_config_judge. TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config_memory.h"

#include <inttypes.h>

#include "proto/base/checked.h"
#include "proto/refuse.h"

#define WINDOW "device %s: memory: the window of %" PRIu64 " bytes at 0x%" PRIx64

static int judge_window(const struct device_config *device, const struct device_window *window, char *why,
                        size_t why_size)
{
        uint64_t end;

        if (window->size == 0 || window->size % LIMIT_WINDOW_PAGE != 0 ||
            window->start % LIMIT_WINDOW_PAGE != 0)
                return refuse(why, why_size, WINDOW " is not of whole pages: use multiples of %u",
                              device->name, window->size, window->start, LIMIT_WINDOW_PAGE);
        if (!checked_add_u64(window->start, window->size, &end))
                return refuse(why, why_size, WINDOW " ends behind the last address: make it smaller",
                              device->name, window->size, window->start);
        return 0;
}

static bool overlap(const struct device_window *a, const struct device_window *b)
{
        return a->start < b->start + b->size && b->start < a->start + a->size;
}

static int judge_windows(const struct device_config *device, char *why, size_t why_size)
{
        const struct device_window *windows = device->memory.windows;

        if (device->memory.n_windows > LIMIT_WINDOWS)
                return refuse(why, why_size, "device %s: memory: %u windows: %u is the most", device->name,
                              device->memory.n_windows, LIMIT_WINDOWS);
        for (uint32_t i = 0; i < device->memory.n_windows; i++) {
                if (judge_window(device, &windows[i], why, why_size) < 0)
                        return -EINVAL;
                for (uint32_t k = 0; k < i; k++)
                        if (overlap(&windows[i], &windows[k]))
                                return refuse(
                                    why, why_size, WINDOW " overlaps the one at 0x%" PRIx64 ": say it as one",
                                    device->name, windows[i].size, windows[i].start, windows[k].start);
        }
        return 0;
}

/* What is refused beside it is what the broker does with requests, which it does not see there. */
static int judge_raw(const struct device_config *device, char *why, size_t why_size)
{
        if (!device_types[device->type].raw)
                return refuse(
                    why, why_size,
                    "device %s: memory: raw is for workers that walk their own rings, and %s is none: "
                    "remove it, or say windows",
                    device->name, device_types[device->type].name);
        if (device->memory.n_windows != 1)
                return refuse(why, why_size, "device %s: memory: raw is the only window: remove windows",
                              device->name);
        if (device->memory.iotlb)
                return refuse(why, why_size,
                              "device %s: memory: raw is of guest-physical addresses: remove iotlb",
                              device->name);
        if (device->rate.ops > 0 || device->rate.bytes > 0)
                return refuse(
                    why, why_size,
                    "device %s: rate counts requests, and with memory: raw there are none: remove rate",
                    device->name);
        return 0;
}

int vm_config_judge_memory(const struct vm_config *config, const struct device_config *device, char *why,
                           size_t why_size)
{
        if (device->memory.iotlb && config->frontend == VM_FRONTEND_KVM)
                return refuse(
                    why, why_size,
                    "device %s: memory: iotlb is for VMMs that attach and have an IOMMU: remove it, "
                    "or say frontend: vhost-user",
                    device->name);
        if (device->memory.raw && judge_raw(device, why, why_size) < 0)
                return -EINVAL;
        return judge_windows(device, why, why_size);
}
