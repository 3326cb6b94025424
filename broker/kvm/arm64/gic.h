/* The interrupt controller in the kernel: GICv3, or v2 where the host has no other.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct gic {
        int fd;           /* the KVM device; -1: none */
        unsigned version; /* 2 or 3 */
};

/* Before the vCPUs: the device and its addresses. Negative errno as KVM said. */
int gic_open(int vm_fd, struct gic *ret_gic);

/* After the vCPUs, before interrupts are wired: it takes its final shape. */
int gic_init(const struct gic *gic);
