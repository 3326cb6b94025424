/* How many bits of guest-physical address a VM needs, and whether the host has them. Pure; asked before KVM is asked
 * for a VM, so that what does not fit is refused in words and not by an errno of some later call.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/kvm/layout.h"

#define KVM_WIDTH_IMPLICIT                                                                                   \
        40u /* bits of a host that does not say: KVM's own meaning of an arm64 VM of type 0 */
#define KVM_WIDTH_ARM64_MIN 32u /* the fewest that an arm64 VM can be made with */

/* The bits that reach the layout's last byte: an end of exactly 2^n needs n. `what` says in a clause what lies there
 * ("RAM ends at 0x10000000000"). */
unsigned kvm_width_needed(const struct kvm_layout *layout, char *what, size_t size);

/* May this VM be made on a host with `host_width` bits (unknown: KVM_WIDTH_IMPLICIT)? 0: *ret_bits is what KVM is
 * asked for: exactly what is needed, on arm64 KVM_WIDTH_ARM64_MIN at least. -ERANGE: it has too few; `why` holds
 * one clause with both numbers, what needs them and what to change; *ret_bits is untouched. */
int kvm_width_judge(const struct kvm_layout *layout, unsigned host_width, bool host_width_known,
                    unsigned *ret_bits, char *why, size_t size);
