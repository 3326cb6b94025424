/* The ACPI tables of an x86_64 machine: hardware-reduced, with a serial port, virtio-mmio devices, and which of them
 * are behind an IOMMU.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/boot.h"

#define ACPI_BYTES 16384u /* room for the tables of LIMIT_DEVICES devices and LIMIT_VCPUS processors */

/* Makes RSDP (first), XSDT, FADT, MADT, with an IOMMU VIOT, and DSDT for a guest that has them at `address`, a multiple of 16, in this order.
 * Returns their length, or -E2BIG (more than `size`), -ERANGE (a device above 4 GiB). */
int acpi_make(const struct boot_options *options, uint32_t address, uint8_t *bytes, size_t size);
