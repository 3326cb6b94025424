/* What connects a VMM to a VM's devices, as text: one row a VMM, and in each one row a device type.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/vm_config.h"

struct attach {
        const struct vm_config *config;
        uint64_t memory;       /* bytes of the guest, whole mebibytes */
        uint32_t qemu_version; /* major * 100 + minor; 0: not known */
        FILE *out;
};

/* How one device type is told to a VMM. */
struct attach_row {
        const char *type;
        int (*print)(struct attach *attach, const struct device_config *device);
        const char *cannot; /* when `print` is NULL: what is wrong, and after a colon what to do */
};

struct attach_vmm {
        const char *name; /* of --print */
        int (*print)(
            struct attach *attach); /* 0, or negative errno: said on stderr, and `out` is worth nothing */
        const struct attach_row *rows;
        size_t n_rows;
};

extern const struct attach_vmm attach_qemu, attach_libvirt, attach_cloud_hypervisor, attach_crosvm;

/* NULL: there is no such VMM. */
const struct attach_vmm *attach_find(const char *name);

/* NULL: this VMM is not told how. */
const struct attach_row *attach_find_row(const struct attach_vmm *vmm, const char *type);

/* Prints every device by its row; each that cannot be is named on stderr. 0 or negative errno. */
int attach_devices(struct attach *attach, const struct attach_vmm *vmm);

/* Says on stderr why a device cannot be attached. Returns -EOPNOTSUPP. */
int attach_refuse(const struct device_config *device, const char *why);

/* Prints the device's socket. */
void attach_print_socket(struct attach *attach, const struct device_config *device);

/* An option by its key: "" and 0 when its type has none such. */
const char *attach_text(const struct device_config *device, const char *key);
uint64_t attach_number(const struct device_config *device, const char *key);

/* Is it something else than what is without it? */
bool attach_is_given(const struct device_config *device, const char *key);

/* Pairs of queues of a net device, as VMMs count them that have its control queue themselves. */
uint32_t attach_pairs(const struct device_config *device);

/* A shared directory's tag, if it can stand in arguments without quotes; NULL: refused on stderr. */
const char *attach_tag(const struct device_config *device);

/* QEMU's arguments for one device, one a line: what libvirt passes on of devices that it has no element for. 0 or negative
 * errno, said on stderr. */
int attach_qemu_device(struct attach *attach, const struct device_config *device);

/* For a socket of a device that QEMU waits for: ",reconnect=1", as its version spells it; "" when that is not known. */
const char *attach_qemu_reconnect(const struct attach *attach);
