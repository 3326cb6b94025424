/* The loader's part of the control messages, wire <-> judged.
 * Owns nothing; called by control_check.c and control_make.c.
 * TRUST: bytes of the broker (options) or of the loader, which has read a hostile kernel file (the rest). Whether an
 * entry lies in RAM is judged by the receiver, who knows the RAM.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_boot.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/wire.h"

/* Whole pages, ascending, apart. */
static int check_ram(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        uint64_t end = 0;

        if (wire->n_ram_start < 1 || wire->n_ram_start > LIMIT_BOOT_RAM ||
            wire->n_ram_len != wire->n_ram_start)
                return -EPROTO;
        for (size_t i = 0; i < wire->n_ram_start; i++) {
                uint64_t start = wire->ram_start[i], len = wire->ram_len[i];

                if (start % BOOT_PAGE != 0 || len % BOOT_PAGE != 0 || len == 0 || start < end ||
                    len > UINT64_MAX - start)
                        return -EPROTO;
                ret->ram[i] = (struct boot_range){.start = start, .len = len};
                end = start + len;
        }
        ret->n_ram = (uint32_t)wire->n_ram_start;
        return 0;
}

static int check_devices(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        if (wire->n_interrupt > LIMIT_DEVICES || wire->devices_start % BOOT_PAGE != 0 ||
            wire->devices_start > UINT64_MAX - LIMIT_DEVICES * BOOT_DEVICE_WINDOW)
                return -EPROTO;
        for (size_t i = 0; i < wire->n_interrupt; i++) {
                if (wire->interrupt[i] >= LIMIT_BOOT_INTERRUPT)
                        return -EPROTO;
                ret->interrupt[i] = wire->interrupt[i];
        }
        ret->devices_start = wire->devices_start;
        ret->n_devices = (uint32_t)wire->n_interrupt;
        return 0;
}

/* Somewhere in RAM. */
static bool pool_in_ram(const struct boot_options *options, const struct boot_range *pool)
{
        for (uint32_t i = 0; i < options->n_ram; i++)
                if (pool->start >= options->ram[i].start &&
                    range_inside(pool->start - options->ram[i].start, pool->len, options->ram[i].len))
                        return true;
        return false;
}

/* Which device is held to which. A tree with a pool that is nobody's, or with devices of none, is not what the broker says. */
static int check_device_pools(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        bool used[LIMIT_DEVICES] = {0};

        if (wire->n_pool != (ret->n_pools > 0 ? ret->n_devices : 0))
                return -EPROTO;
        for (size_t i = 0; i < wire->n_pool; i++) {
                if (wire->pool[i] > ret->n_pools)
                        return -EPROTO;
                ret->device_pool[i] = wire->pool[i];
                if (wire->pool[i] > 0)
                        used[wire->pool[i] - 1] = true;
        }
        for (uint32_t i = 0; i < ret->n_pools; i++)
                if (!used[i])
                        return -EPROTO;
        return 0;
}

/* After RAM, devices and architecture. */
static int check_pools(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        uint64_t end = 0;

        if (wire->n_pool_start != wire->n_pool_len || wire->n_pool_start > ret->n_devices ||
            (wire->n_pool_start > 0 && ret->arch != BOOT_ARCH_ARM64))
                return -EPROTO;
        for (size_t i = 0; i < wire->n_pool_start; i++) {
                const struct boot_range pool = {.start = wire->pool_start[i], .len = wire->pool_len[i]};

                if (pool.start % BOOT_POOL_ALIGN != 0 || pool.len % BOOT_POOL_ALIGN != 0 || pool.len == 0 ||
                    pool.start < end || !pool_in_ram(ret, &pool))
                        return -EPROTO;
                ret->pool[i] = pool;
                end = pool.start + pool.len;
        }
        ret->n_pools = (uint32_t)wire->n_pool_start;
        return check_device_pools(wire, ret);
}

static int check_arch(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        switch (wire->arch) {
        case BULKHEAD__CONTROL__BOOT_ARCH__BOOT_ARCH_X86_64:
                if (wire->gic != 0)
                        return -EPROTO;
                break;
        case BULKHEAD__CONTROL__BOOT_ARCH__BOOT_ARCH_ARM64:
                if (wire->gic != 2 && wire->gic != 3)
                        return -EPROTO;
                break;
        default:
                return -EPROTO;
        }
        ret->arch = (enum boot_arch)wire->arch;
        ret->gic = wire->gic;
        return 0;
}

/* An IOMMU is a device, and behind none. */
static int check_iommu(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        uint64_t devices = ret->n_devices < 64 ? (UINT64_C(1) << ret->n_devices) - 1 : UINT64_MAX;

        if (wire->iommu > ret->n_devices || (wire->endpoints & ~devices))
                return -EPROTO;
        if (wire->iommu == 0 ? wire->endpoints != 0 : wire->endpoints >> (wire->iommu - 1) & 1)
                return -EPROTO;
        ret->iommu = wire->iommu;
        ret->endpoints = wire->endpoints;
        return 0;
}

int control_boot_check_options(const Bulkhead__Control__BootOptions *wire, struct boot_options *ret)
{
        if (wire->n_vcpus < 1 || wire->n_vcpus > LIMIT_VCPUS)
                return -EPROTO;
        ret->n_vcpus = wire->n_vcpus;
        if (check_arch(wire, ret) < 0 || check_ram(wire, ret) < 0 || check_devices(wire, ret) < 0 ||
            check_pools(wire, ret) < 0 || check_iommu(wire, ret) < 0)
                return -EPROTO;
        return wire_copy_string(wire->cmdline, ret->cmdline, sizeof(ret->cmdline));
}

int control_boot_check_booted(const Bulkhead__Control__Booted *wire, struct boot_done *ret)
{
        switch (wire->mode) {
        case BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_LINUX64:
        case BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_PVH:
        case BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_ARM64:
                break;
        default:
                return -EPROTO;
        }
        ret->entry = (struct boot_entry){
            .mode = (enum kvm_boot_mode)wire->mode, .entry = wire->entry, .arg = wire->arg};
        ret->kernel_len = wire->kernel_len;
        ret->initrd_len = wire->initrd_len;
        return 0;
}

int control_boot_check_failed(const Bulkhead__Control__BootFailed *wire, char ret_reason[LIMIT_BOOT_REASON])
{
        if (wire->reason[0] == '\0')
                return -EPROTO;
        return wire_copy_string(wire->reason, ret_reason, LIMIT_BOOT_REASON);
}

int control_boot_fill_options(const struct boot_options *options, struct control_boot_wire *ret_wire)
{
        Bulkhead__Control__BootOptions *wire = &ret_wire->options;

        if (options->n_ram > LIMIT_BOOT_RAM || options->n_devices > LIMIT_DEVICES ||
            options->n_pools > LIMIT_DEVICES)
                return -E2BIG;
        bulkhead__control__boot_options__init(wire);
        for (uint32_t i = 0; i < options->n_ram; i++) {
                ret_wire->ram_start[i] = options->ram[i].start;
                ret_wire->ram_len[i] = options->ram[i].len;
        }
        wire->arch = (Bulkhead__Control__BootArch)options->arch;
        wire->n_vcpus = options->n_vcpus;
        wire->n_ram_start = wire->n_ram_len = options->n_ram;
        wire->ram_start = ret_wire->ram_start;
        wire->ram_len = ret_wire->ram_len;
        wire->devices_start = options->devices_start;
        wire->n_interrupt = options->n_devices;
        wire->interrupt = (uint32_t *)options->interrupt; /* protobuf-c has no const; packing only reads */
        for (uint32_t i = 0; i < options->n_pools; i++) {
                ret_wire->pool_start[i] = options->pool[i].start;
                ret_wire->pool_len[i] = options->pool[i].len;
        }
        wire->n_pool_start = wire->n_pool_len = options->n_pools;
        wire->pool_start = ret_wire->pool_start;
        wire->pool_len = ret_wire->pool_len;
        wire->n_pool = options->n_pools > 0 ? options->n_devices : 0;
        wire->pool = (uint32_t *)options->device_pool;
        wire->gic = options->gic;
        wire->iommu = options->iommu;
        wire->endpoints = options->endpoints;
        wire->cmdline = (char *)options->cmdline;
        return 0;
}

ssize_t control_boot_make_booted(const struct boot_done *done, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Booted body = BULKHEAD__CONTROL__BOOTED__INIT;

        body.mode = (Bulkhead__Control__BootMode)done->entry.mode;
        body.entry = done->entry.entry;
        body.arg = done->entry.arg;
        body.kernel_len = done->kernel_len;
        body.initrd_len = done->initrd_len;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_BOOTED;
        wire.booted = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_boot_make_failed(const char *reason, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__BootFailed body = BULKHEAD__CONTROL__BOOT_FAILED__INIT;

        if (strnlen(reason, LIMIT_BOOT_REASON) == LIMIT_BOOT_REASON)
                return -E2BIG;
        body.reason = (char *)reason;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_BOOT_FAILED;
        wire.boot_failed = &body;
        return wire_pack(&wire.base, buf, size);
}

/* The casts above rely on it. */
_Static_assert((int)BOOT_ARCH_X86_64 == (int)BULKHEAD__CONTROL__BOOT_ARCH__BOOT_ARCH_X86_64, "architectures");
_Static_assert((int)BOOT_ARCH_ARM64 == (int)BULKHEAD__CONTROL__BOOT_ARCH__BOOT_ARCH_ARM64, "architectures");
_Static_assert((int)KVM_BOOT_LINUX64 == (int)BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_LINUX64, "modes");
_Static_assert((int)KVM_BOOT_PVH == (int)BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_PVH, "modes");
_Static_assert((int)KVM_BOOT_ARM64 == (int)BULKHEAD__CONTROL__BOOT_MODE__BOOT_MODE_ARM64, "modes");
