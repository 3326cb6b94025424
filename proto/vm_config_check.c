/* A VM's configuration, wire -> judged.
 * Owns nothing: the devices it allocates are the caller's (vm_config_done).
 * Called by the broker's start-up, before it gives up its rights.
 * TRUST: bytes of `bulkhead`, which the operator runs; judged as if a stranger had sent them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/option_wire.h"
#include "proto/wire.h"
#include "schema/config.pb-c.h"

/* Not there: none. */
static void check_limits(const Bulkhead__Config__Limits *wire, struct device_limits *ret)
{
        if (!wire)
                return;
        *ret = (struct device_limits){.memory = wire->memory,
                                      .cpu = wire->cpu,
                                      .cpu_weight = wire->cpu_weight,
                                      .io_weight = wire->io_weight,
                                      .read_bps = wire->read_bps,
                                      .write_bps = wire->write_bps,
                                      .read_iops = wire->read_iops,
                                      .write_iops = wire->write_iops};
}

static void check_rate(const Bulkhead__Config__Rate *wire, struct device_rate *ret)
{
        if (wire)
                *ret = (struct device_rate){.ops = wire->ops,
                                            .bytes = wire->bytes,
                                            .ops_burst = wire->ops_burst,
                                            .bytes_burst = wire->bytes_burst};
}

static void check_shmem(const Bulkhead__Config__Shmem *wire, struct device_shmem *ret)
{
        if (wire)
                *ret = (struct device_shmem){.map = true,
                                             .foreign_dma = (enum foreign_dma)wire->foreign_dma,
                                             .limits = {.mappings = wire->mappings, .bytes = wire->bytes}};
}

static int check_memory(const Bulkhead__Config__Memory *wire, struct device_memory *ret)
{
        if (!wire)
                return 0;
        if (wire->n_window_start != wire->n_window_size || wire->n_window_start > LIMIT_WINDOWS)
                return -EPROTO;
        *ret = (struct device_memory){
            .iotlb = wire->iotlb, .n_windows = (uint32_t)wire->n_window_start, .raw = wire->raw};
        for (uint32_t i = 0; i < ret->n_windows; i++)
                ret->windows[i] =
                    (struct device_window){.start = wire->window_start[i], .size = wire->window_size[i]};
        return 0;
}

/* The device's own copies. */
static int check_options(struct arena *arena, const Bulkhead__Config__Device *wire, struct device_config *ret)
{
        const struct device_type *type = device_type_find(wire->type);
        struct option_set options;
        int r;

        if (!type)
                return -EPROTO;
        ret->type = (enum device_type_id)(type - device_types);
        r = option_wire_check(arena, type, ret->name, wire->option, wire->n_option, OPTION_WIRE_ALL,
                              &options);
        return r < 0 ? r : option_set_copy(type, &options, &ret->options);
}

static int check_device(struct arena *arena, const Bulkhead__Config__Device *wire, struct device_config *ret)
{
        ret->n_queues = wire->n_queues;
        ret->n_lanes = wire->n_lanes;
        ret->request_timeout = wire->request_timeout ? wire->request_timeout : VM_CONFIG_REQUEST_TIMEOUT;
        ret->copy = (enum device_copy)wire->copy;
        ret->poll_us = wire->poll_us;
        ret->placement = (enum device_placement)wire->placement;
        check_limits(wire->limits, &ret->limits);
        check_rate(wire->rate, &ret->rate);
        check_shmem(wire->shmem, &ret->shmem);
        ret->legacy = (enum device_legacy)wire->legacy;
        ret->seccomp_log = wire->seccomp_log;
        if (check_memory(wire->memory, &ret->memory) < 0 ||
            wire_copy_string(wire->name, ret->name, sizeof(ret->name)) < 0)
                return -EPROTO;
        return check_options(arena, wire, ret);
}

/* Not there: all zeros, which the judge wants of every other front end. */
static int check_kvm(const Bulkhead__Config__Vm *wire, struct vm_config *ret)
{
        if (wire->kvm)
                ret->kvm = (struct kvm_config){.vcpus = wire->kvm->vcpus,
                                               .memory = wire->kvm->memory,
                                               .serial = (enum vm_serial)wire->kvm->serial};
        if (!wire->boot)
                return 0;
        if (wire_copy_string(wire->boot->kernel, ret->boot.kernel, sizeof(ret->boot.kernel)) < 0 ||
            wire_copy_string(wire->boot->initrd, ret->boot.initrd, sizeof(ret->boot.initrd)) < 0)
                return -EPROTO;
        return wire_copy_string(wire->boot->cmdline, ret->boot.cmdline, sizeof(ret->boot.cmdline));
}

static int check_vm(const Bulkhead__Config__Vm *wire, struct vm_config *ret)
{
        ret->frontend = (enum vm_frontend)wire->frontend;
        ret->socket_mode = wire->socket_mode;
        ret->socket_gid = wire->socket_gid;
        ret->uid_first = wire->uid_first;
        ret->uid_count = wire->uid_count;
        ret->worker_memory_max = wire->worker_memory_max ? wire->worker_memory_max : VM_CONFIG_MEMORY_MAX;
        if (wire_copy_string(wire->name, ret->name, sizeof(ret->name)) < 0 ||
            wire_copy_string(wire->run_dir, ret->run_dir, sizeof(ret->run_dir)) < 0 ||
            wire_copy_string(wire->worker_dir, ret->worker_dir, sizeof(ret->worker_dir)) < 0)
                return -EPROTO;
        return check_kvm(wire, ret);
}

/* The pre-scan has bounded n_device; none at all is for the judge to say. */
static int check_devices(struct arena *arena, const Bulkhead__Config__Vm *wire, struct vm_config *config)
{
        config->devices = calloc(wire->n_device + 1, sizeof(*config->devices));
        if (!config->devices)
                return -ENOMEM;
        config->n_devices = wire->n_device;
        for (size_t i = 0; i < wire->n_device; i++) {
                int r = check_device(arena, wire->device[i], &config->devices[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

int vm_config_check(struct arena *arena, const uint8_t *bytes, size_t len, struct vm_config *ret_config,
                    char *why, size_t why_size)
{
        _cleanup_(vm_config_done) struct vm_config config = {0};
        const Bulkhead__Config__Vm *wire;
        ProtobufCMessage *base;
        int r;

        r = wire_unpack(&bulkhead__config__vm__descriptor, arena, bytes, len, &base);
        if (r < 0)
                return r;
        wire = (const Bulkhead__Config__Vm *)base;
        r = check_vm(wire, &config);
        if (r < 0)
                return r;
        r = check_devices(arena, wire, &config);
        if (r < 0)
                return r;
        r = vm_config_judge(&config, why, why_size);
        if (r < 0)
                return r;
        *ret_config = config;
        config = (struct vm_config){0}; /* the caller's now */
        return 0;
}

_Static_assert((int)VM_FRONTEND_VHOST_USER == (int)BULKHEAD__CONFIG__FRONTEND__FRONTEND_VHOST_USER,
               "front ends");
_Static_assert((int)VM_FRONTEND_KVM == (int)BULKHEAD__CONFIG__FRONTEND__FRONTEND_KVM, "front ends");
_Static_assert((int)VM_SERIAL_STDIO == (int)BULKHEAD__CONFIG__SERIAL__SERIAL_STDIO &&
                   (int)VM_SERIAL_NONE == (int)BULKHEAD__CONFIG__SERIAL__SERIAL_NONE,
               "serial ports");
