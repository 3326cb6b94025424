/* The guest-physical width of an arm64 host: its KVM's limit for a VM's intermediate physical addresses.
 * Owns nothing; called by host.c. TRUST: answers of the kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/host_width.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "broker/kvm/width.h"

int kvm_host_width(int fd, unsigned *ret_width, bool *ret_known, char *why, size_t why_size)
{
        int width = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_ARM_VM_IPA_SIZE);

        (void)why;
        (void)why_size;
        *ret_width = width > 0 ? (unsigned)width : KVM_WIDTH_IMPLICIT;
        *ret_known = width > 0;
        return 0;
}
