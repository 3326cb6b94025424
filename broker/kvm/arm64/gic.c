/* The interrupt controller in the kernel.
 * Owns nothing; called by platform.c. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/arm64/gic.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/kvm_platform.h"

#define N_PRIVATE 32u /* interrupts of each processor, before the shared ones */

static int set(int fd, uint32_t group, uint64_t attribute, void *value)
{
        struct kvm_device_attr attr = {.group = group, .attr = attribute, .addr = (uint64_t)value};

        return ioctl(fd, KVM_SET_DEVICE_ATTR, &attr) < 0 ? -errno : 0;
}

static const struct version_row {
        unsigned version;
        uint32_t device;
        uint64_t distributor, second;       /* kinds of address, ... */
        uint64_t distributor_at, second_at; /* ... and where they are */
} versions[] = {
    {3, KVM_DEV_TYPE_ARM_VGIC_V3, KVM_VGIC_V3_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_REDIST,
     KVM_ARM64_GIC_DISTRIBUTOR, KVM_ARM64_GIC_REDISTRIBUTOR},
    {2, KVM_DEV_TYPE_ARM_VGIC_V2, KVM_VGIC_V2_ADDR_TYPE_DIST, KVM_VGIC_V2_ADDR_TYPE_CPU,
     KVM_ARM64_GIC_DISTRIBUTOR, KVM_ARM64_GIC_CPU},
};

static int set_addresses(int fd, const struct version_row *row)
{
        uint64_t distributor = row->distributor_at, second = row->second_at;
        uint32_t n_interrupts = N_PRIVATE + KVM_ARM64_N_SPI;
        int r = set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, row->distributor, &distributor);

        if (r == 0)
                r = set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, row->second, &second);
        if (r == 0)
                r = set(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &n_interrupts);
        return r;
}

int gic_open(int vm_fd, struct gic *ret_gic)
{
        int r = -ENODEV;

        for (size_t i = 0; i < array_size(versions); i++) {
                struct kvm_create_device create = {.type = versions[i].device};
                _cleanup_close_ int fd = -1;

                if (ioctl(vm_fd, KVM_CREATE_DEVICE, &create) < 0) {
                        r = -errno;
                        continue;
                }
                fd = (int)create.fd;
                r = set_addresses(fd, &versions[i]);
                if (r == 0)
                        *ret_gic = (struct gic){.fd = take_fd(&fd), .version = versions[i].version};
                return r;
        }
        return r;
}

int gic_init(const struct gic *gic)
{
        return set(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}
