/* The state of vCPU 0 at a kernel's first instruction.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/guest_memory.h"
#include "broker/kvm/platform.h"

/* Writes the tables that the mode needs into guest memory (KVM_X86_BOOT_START) and the vCPU's registers. -EINVAL: no mode
 * of this architecture; -EFAULT: no RAM there; or what KVM said. */
int start_vcpu(int vcpu_fd, struct guest_memory *memory, const struct kvm_boot *boot);
