/* The bits of guest-physical address that this host's KVM has; one file for each architecture.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* `fd` is /dev/kvm. 0: *ret_width, and whether that is the kernel's word (*ret_known) or KVM_WIDTH_IMPLICIT.
 * Negative errno with a clause in `why`. */
int kvm_host_width(int fd, unsigned *ret_width, bool *ret_known, char *why, size_t why_size);
