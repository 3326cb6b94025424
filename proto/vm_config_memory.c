/* How devices reach the guest's memory.
 * Owns nothing; called by vm_config_judge and by a VM of our own. TRUST: values are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config_memory.h"

#include <errno.h>
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

int vm_config_judge_memory(const struct device_config *device, char *why, size_t why_size)
{
        if (device->memory.raw && judge_raw(device, why, why_size) < 0)
                return -EINVAL;
        return judge_windows(device, why, why_size);
}

static size_t find_iommu(const struct vm_config *config)
{
        size_t i = 0;

        while (i < config->n_devices && config->devices[i].type != DEVICE_TYPE_IOMMU)
                i++;
        return i;
}

/* A VMM that attaches has an IOMMU of its own or none; a VM of ours has the one that its configuration names. */
static int judge_iommu(const struct vm_config *config, size_t index, char *why, size_t why_size)
{
        const struct device_config *device = &config->devices[index];
        const bool own_vm = config->frontend == VM_FRONTEND_KVM;
        const size_t iommu = find_iommu(config);

        if (device->type != DEVICE_TYPE_IOMMU) {
                if (device->memory.iotlb && own_vm && iommu == config->n_devices)
                        return refuse(why, why_size,
                                      "device %s: memory: iotlb needs an IOMMU, and this VM has none: add a "
                                      "device of type iommu, or remove it",
                                      device->name);
                return 0;
        }
        if (!own_vm)
                return refuse(why, why_size,
                              "device %s: an IOMMU is a device of a VM of our own: say frontend: kvm, or "
                              "remove it and let the VMM have one",
                              device->name);
        if (index != iommu)
                return refuse(why, why_size, "device %s: the VM has an IOMMU, %s: remove one of them",
                              device->name, config->devices[iommu].name);
        if (device->memory.iotlb || device->memory.n_windows > 0)
                return refuse(why, why_size,
                              "device %s: memory: an IOMMU is behind none, and reaches all: remove it",
                              device->name);
        return 0;
}

int vm_config_judge_iommu(const struct vm_config *config, char *why, size_t why_size)
{
        for (size_t i = 0; i < config->n_devices; i++)
                if (judge_iommu(config, i, why, why_size) < 0)
                        return -EINVAL;
        return 0;
}

uint32_t vm_config_iommu(const struct vm_config *config, uint64_t *ret_endpoints)
{
        const size_t iommu = find_iommu(config);
        uint64_t endpoints = 0;

        if (iommu == config->n_devices || config->frontend != VM_FRONTEND_KVM) {
                *ret_endpoints = 0;
                return 0;
        }
        for (size_t i = 0; i < config->n_devices; i++)
                if (config->devices[i].memory.iotlb)
                        endpoints |= UINT64_C(1) << i;
        *ret_endpoints = endpoints;
        return (uint32_t)iommu + 1;
}
