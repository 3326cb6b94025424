/* A VM's configuration, wire -> judged.
 * Owns nothing: the devices it allocates are the caller's (vm_config_done).
 * Called by the broker's start-up, before it gives up its rights.
 * TRUST: bytes of `bulkhead`, which the operator runs; judged as if a stranger had sent them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/wire.h"
#include "schema/config.pb-c.h"

static int check_blk(const Bulkhead__Config__Blk *wire, struct blk_config *ret)
{
        ret->read_only = wire->read_only;
        ret->block_size = wire->block_size;
        ret->direct = wire->direct;
        if (wire_copy_string(wire->path, ret->path, sizeof(ret->path)) < 0)
                return -EPROTO;
        return wire_copy_string(wire->serial, ret->serial, sizeof(ret->serial));
}

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

static int check_device(const Bulkhead__Config__Device *wire, struct device_config *ret)
{
        ret->n_queues = wire->n_queues;
        ret->n_lanes = wire->n_lanes;
        ret->request_timeout = wire->request_timeout ? wire->request_timeout : VM_CONFIG_REQUEST_TIMEOUT;
        ret->copy = (enum device_copy)wire->copy;
        ret->poll_us = wire->poll_us;
        ret->placement = (enum device_placement)wire->placement;
        check_limits(wire->limits, &ret->limits);
        check_rate(wire->rate, &ret->rate);
        ret->seccomp_log = wire->seccomp_log;
        if (wire_copy_string(wire->name, ret->name, sizeof(ret->name)) < 0)
                return -EPROTO;
        switch (wire->type_case) {
        case BULKHEAD__CONFIG__DEVICE__TYPE_BLK:
                ret->type = DEVICE_TYPE_BLK;
                return check_blk(wire->blk, &ret->blk);
        case BULKHEAD__CONFIG__DEVICE__TYPE_RNG:
                ret->type = DEVICE_TYPE_RNG;
                return 0;
        default:
                return -EPROTO;
        }
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
static int check_devices(const Bulkhead__Config__Vm *wire, struct device_config **ret_devices)
{
        _cleanup_free_ struct device_config *devices = calloc(wire->n_device + 1, sizeof(*devices));

        if (!devices)
                return -ENOMEM;
        for (size_t i = 0; i < wire->n_device; i++) {
                int r = check_device(wire->device[i], &devices[i]);

                if (r < 0)
                        return r;
        }
        *ret_devices = take_ptr(devices);
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
        r = check_devices(wire, &config.devices);
        if (r < 0)
                return r;
        config.n_devices = wire->n_device;
        r = vm_config_judge(&config, why, why_size);
        if (r < 0)
                return r;
        *ret_config = config;
        config.devices = NULL; /* the caller's now */
        return 0;
}

_Static_assert((int)VM_FRONTEND_VHOST_USER == (int)BULKHEAD__CONFIG__FRONTEND__FRONTEND_VHOST_USER,
               "front ends");
_Static_assert((int)VM_FRONTEND_KVM == (int)BULKHEAD__CONFIG__FRONTEND__FRONTEND_KVM, "front ends");
_Static_assert((int)VM_SERIAL_STDIO == (int)BULKHEAD__CONFIG__SERIAL__SERIAL_STDIO &&
                   (int)VM_SERIAL_NONE == (int)BULKHEAD__CONFIG__SERIAL__SERIAL_NONE,
               "serial ports");
