/* The judgement of what only a VM of the broker's own has: vCPUs, memory, kernel.
 * Owns nothing; called by vm_config_judge. What a host can give is not judged here but where it is asked for
 * (broker/kvm/).
 * TRUST: values are the operator's, by way of a message on the broker's side; shown only escaped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config_kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/log.h"
#include "proto/refuse.h"

bool vm_config_cmdline_ok(const char *cmdline)
{
        size_t len = strnlen(cmdline, LIMIT_CMDLINE);

        if (len >= LIMIT_CMDLINE)
                return false;
        for (size_t i = 0; i < len; i++)
                if (cmdline[i] < 0x20 || cmdline[i] > 0x7e)
                        return false;
        return true;
}

/* The values of another front end's VM: nobody would look at them, so they are a mistake. */
static int judge_none(const struct vm_config *config, char *why, size_t why_size)
{
        const struct {
                const char *key;
                bool there;
        } keys[] = {
            {"vcpus", config->kvm.vcpus != 0},
            {"memory", config->kvm.memory != 0},
            {"serial", config->kvm.serial != VM_SERIAL_STDIO},
            {"kernel", config->boot.kernel[0] != '\0'},
            {"initrd", config->boot.initrd[0] != '\0'},
            {"cmdline", config->boot.cmdline[0] != '\0'},
        };

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                if (keys[i].there)
                        return refuse(
                            why, why_size,
                            "%s: the VMM that attaches has its own: remove it, or say frontend: kvm",
                            keys[i].key);
        return 0;
}

static int judge_path(const char *key, const char *path, char *why, size_t why_size)
{
        char shown[SHOWN_BYTES];

        if (path[0] == '/' && strnlen(path, PATH_MAX) < PATH_MAX)
                return 0;
        log_escape(path, strnlen(path, LIMIT_NAME), shown, sizeof(shown));
        return refuse(why, why_size, "%s \"%s\" is not absolute: write the whole path, from / on", key,
                      shown);
}

static int judge_boot(const struct boot_config *boot, char *why, size_t why_size)
{
        if (boot->kernel[0] == '\0')
                return refuse(why, why_size, "kernel: is missing: a VM of frontend kvm boots one");
        if (judge_path("kernel", boot->kernel, why, why_size) < 0)
                return -EINVAL;
        if (boot->initrd[0] != '\0' && judge_path("initrd", boot->initrd, why, why_size) < 0)
                return -EINVAL;
        if (!vm_config_cmdline_ok(boot->cmdline))
                return refuse(why, why_size, "cmdline: use at most %u printable ASCII characters",
                              LIMIT_CMDLINE - 1);
        return 0;
}

int vm_config_judge_kvm(const struct vm_config *config, char *why, size_t why_size)
{
        const struct kvm_config *kvm = &config->kvm;

        if (config->frontend != VM_FRONTEND_KVM)
                return judge_none(config, why, why_size);
        if (kvm->vcpus < 1 || kvm->vcpus > LIMIT_VCPUS)
                return refuse(why, why_size, "vcpus is %" PRIu32 ": use 1 to %u", kvm->vcpus, LIMIT_VCPUS);
        if (kvm->memory < VM_CONFIG_GUEST_MIN || kvm->memory > VM_CONFIG_GUEST_MAX)
                return refuse(why, why_size, "memory is %" PRIu64 " bytes: use 16M to 64T", kvm->memory);
        if (kvm->memory % VM_CONFIG_GUEST_UNIT != 0)
                return refuse(why, why_size, "memory is %" PRIu64 " bytes: use whole megabytes, such as 512M",
                              kvm->memory);
        if ((unsigned)kvm->serial >= VM_SERIAL_COUNT_)
                return refuse(why, why_size, "there is no such serial: use stdio or none");
        return judge_boot(&config->boot, why, why_size);
}

int vm_config_judge_legacy(const struct vm_config *config, const struct device_config *device, char *why,
                           size_t why_size)
{
        const struct device_type *type = &device_types[device->type];

        if ((unsigned)device->legacy >= DEVICE_LEGACY_COUNT_)
                return refuse(why, why_size,
                              "device %s: there is no such legacy: use off, only or only-big-endian",
                              device->name);
        if (device->legacy == DEVICE_LEGACY_OFF)
                return 0;
        if (config->frontend != VM_FRONTEND_KVM)
                return refuse(why, why_size,
                              "device %s: legacy: nothing tells over vhost-user which format a driver has: "
                              "remove it, or say frontend: kvm",
                              device->name);
        if (!type->legacy)
                return refuse(why, why_size,
                              "device %s: legacy: %s has the modern interface alone: remove it", device->name,
                              type->name);
        if (type->legacy_queues > 0 && device->n_queues > type->legacy_queues)
                return refuse(why, why_size,
                              "device %s: legacy: %s has one port by the legacy interface: name one",
                              device->name, type->name);
        if (device->memory.iotlb)
                return refuse(
                    why, why_size,
                    "device %s: legacy: such a driver knows nothing of an IOMMU: remove one of both",
                    device->name);
        if (device->memory.n_windows > 0)
                return refuse(why, why_size,
                              "device %s: legacy: such a driver cannot be told to keep to the windows of "
                              "memory: remove one of both",
                              device->name);
        return 0;
}
