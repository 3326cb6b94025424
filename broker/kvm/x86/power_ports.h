/* The I/O ports by which an x86 guest switches itself off or asks for a reset.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/kvm/bus.h"
#include "broker/kvm/ending.h"

/* Adds them to the bus: ACPI's sleep control, sleep status and reset (proto/kvm_platform.h), and the keyboard controller,
 * of which there is only the reset line. As kvm_bus_add. */
int power_ports_add(struct kvm_bus *bus, struct kvm_ending *ending);
