/* A VM's configuration, struct -> wire.
 * Owns nothing; called by `bulkhead run`.
 * TRUST: the configuration has been judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/option_wire.h"
#include "proto/wire.h"
#include "schema/config.pb-c.h"

/* A device's message and its options, which it points to. */
struct device_wire {
        Bulkhead__Config__Device device;
        Bulkhead__Config__Limits limits;
        Bulkhead__Config__Rate rate;
        Bulkhead__Config__Shmem shmem;
        Bulkhead__Config__Memory memory;
        uint64_t window_start[LIMIT_WINDOWS], window_size[LIMIT_WINDOWS];
        struct option_wire options;
};

static void make_limits(const struct device_limits *limits, Bulkhead__Config__Limits *ret)
{
        bulkhead__config__limits__init(ret);
        ret->memory = limits->memory;
        ret->cpu = limits->cpu;
        ret->cpu_weight = limits->cpu_weight;
        ret->io_weight = limits->io_weight;
        ret->read_bps = limits->read_bps;
        ret->write_bps = limits->write_bps;
        ret->read_iops = limits->read_iops;
        ret->write_iops = limits->write_iops;
}

static void make_rate(const struct device_rate *rate, Bulkhead__Config__Rate *ret)
{
        bulkhead__config__rate__init(ret);
        ret->ops = rate->ops;
        ret->bytes = rate->bytes;
        ret->ops_burst = rate->ops_burst;
        ret->bytes_burst = rate->bytes_burst;
}

static void make_shmem(const struct device_shmem *shmem, Bulkhead__Config__Shmem *ret)
{
        bulkhead__config__shmem__init(ret);
        ret->foreign_dma = shmem->foreign_dma;
        ret->mappings = shmem->limits.mappings;
        ret->bytes = shmem->limits.bytes;
}

/* Nothing to say: it is left out. */
static Bulkhead__Config__Memory *make_memory(const struct device_memory *memory, struct device_wire *ret)
{
        bulkhead__config__memory__init(&ret->memory);
        ret->memory.iotlb = memory->iotlb;
        ret->memory.raw = memory->raw;
        for (uint32_t i = 0; i < memory->n_windows; i++) {
                ret->window_start[i] = memory->windows[i].start;
                ret->window_size[i] = memory->windows[i].size;
        }
        ret->memory.n_window_start = ret->memory.n_window_size = memory->n_windows;
        ret->memory.window_start = ret->window_start;
        ret->memory.window_size = ret->window_size;
        return memory->iotlb || memory->raw || memory->n_windows > 0 ? &ret->memory : NULL;
}

static void make_device(const struct device_config *device, struct device_wire *ret)
{
        bulkhead__config__device__init(&ret->device);
        ret->device.name = (char *)device->name;
        ret->device.n_queues = device->n_queues;
        ret->device.n_lanes = device->n_lanes;
        ret->device.request_timeout = device->request_timeout;
        ret->device.copy = device->copy;
        ret->device.poll_us = device->poll_us;
        ret->device.placement = device->placement;
        make_limits(&device->limits, &ret->limits);
        ret->device.limits = &ret->limits;
        make_rate(&device->rate, &ret->rate);
        ret->device.rate = &ret->rate;
        make_shmem(&device->shmem, &ret->shmem);
        ret->device.shmem = device->shmem.map ? &ret->shmem : NULL;
        ret->device.memory = make_memory(&device->memory, ret);
        ret->device.legacy = device->legacy;
        ret->device.seccomp_log = device->seccomp_log;
        ret->device.type = (char *)device_types[device->type].name;
        ret->device.n_option = option_wire_make(&device_types[device->type], device->name, &device->options,
                                                OPTION_WIRE_ALL, &ret->options);
        ret->device.option = ret->options.row;
}

/* Adds what a VM of our own has; the parts live as long as the message. */
static void make_kvm(const struct vm_config *config, Bulkhead__Config__Kvm *kvm, Bulkhead__Config__Boot *boot,
                     Bulkhead__Config__Vm *ret)
{
        bulkhead__config__kvm__init(kvm);
        bulkhead__config__boot__init(boot);
        if (config->frontend != VM_FRONTEND_KVM)
                return;
        kvm->vcpus = config->kvm.vcpus;
        kvm->memory = config->kvm.memory;
        kvm->serial = (Bulkhead__Config__Serial)config->kvm.serial;
        boot->kernel = (char *)config->boot.kernel;
        boot->initrd = (char *)config->boot.initrd;
        boot->cmdline = (char *)config->boot.cmdline;
        ret->kvm = kvm;
        ret->boot = boot;
}

ssize_t vm_config_make(const struct vm_config *config, uint8_t *buf, size_t size)
{
        Bulkhead__Config__Vm wire = BULKHEAD__CONFIG__VM__INIT;
        _cleanup_free_ struct device_wire *devices = calloc(LIMIT_DEVICES, sizeof(*devices));
        Bulkhead__Config__Device *rows[LIMIT_DEVICES];
        Bulkhead__Config__Kvm kvm;
        Bulkhead__Config__Boot boot;

        if (!devices)
                return -ENOMEM;
        if (config->n_devices > LIMIT_DEVICES)
                return -E2BIG;
        for (size_t i = 0; i < config->n_devices; i++) {
                if ((unsigned)config->devices[i].type >= DEVICE_TYPE_COUNT_)
                        return -EINVAL;
                make_device(&config->devices[i], &devices[i]);
                rows[i] = &devices[i].device;
        }
        wire.name = (char *)config->name;
        wire.frontend = (Bulkhead__Config__Frontend)config->frontend;
        wire.run_dir = (char *)config->run_dir;
        wire.worker_dir = (char *)config->worker_dir;
        wire.socket_mode = config->socket_mode;
        wire.socket_gid = config->socket_gid;
        wire.uid_first = config->uid_first;
        wire.uid_count = config->uid_count;
        wire.worker_memory_max = config->worker_memory_max;
        make_kvm(config, &kvm, &boot, &wire);
        wire.n_device = config->n_devices;
        wire.device = rows;
        return wire_pack(&wire.base, buf, size);
}
