/* What a vCPU says of itself: the host processor's leaves as KVM can keep them, with this vCPU's place in the VM.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* KVM_GET_SUPPORTED_CPUID. To be freed. -E2BIG: over LIMIT_CPUID_LEAVES; or what KVM said. */
int cpuid_new(int kvm_fd, struct kvm_cpuid2 **ret_cpuid);

/* Pure: the leaves of vCPU `index` of `n` (one package of n cores, one thread each, APIC id = index). What the platform
 * does not have is not there: no nested virtualisation, no monitor of hardware. `tsc_deadline`: the kernel's timer. */
void cpuid_place(struct kvm_cpuid2 *cpuid, unsigned index, unsigned n, bool tsc_deadline);
