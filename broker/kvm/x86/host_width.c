/* The guest-physical width of an x86_64 host: what KVM would tell a guest of it.
 * Owns nothing; called by host.c. TRUST: answers of the kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/host_width.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "broker/kvm/why.h"
#include "proto/base/cleanup.h"

#define CPUID_ENTRIES   256u        /* KVM_MAX_CPUID_ENTRIES: KVM has never more to say */
#define CPUID_ADDRESSES 0x80000008u /* EAX: bits 0-7 physical width, 16-23 that of guests if it is less */
#define WIDTH_NO_LEAF   36u         /* of a processor without that leaf */

static unsigned addresses_width(uint32_t eax)
{
        unsigned physical = eax & 0xff, guest = eax >> 16 & 0xff;

        return guest > 0 && guest < physical ? guest : physical;
}

int kvm_host_width(int fd, unsigned *ret_width, bool *ret_known, char *why, size_t why_size)
{
        _cleanup_free_ struct kvm_cpuid2 *cpuid =
            calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
        unsigned width = WIDTH_NO_LEAF;

        if (!cpuid)
                return kvm_why(-ENOMEM, why, why_size, "out of memory");
        cpuid->nent = CPUID_ENTRIES;
        if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
                return kvm_why(-errno, why, why_size, "KVM does not say what its processor can do: %s",
                               strerror(errno));
        for (unsigned i = 0; i < cpuid->nent && i < CPUID_ENTRIES; i++) {
                if (cpuid->entries[i].function == CPUID_ADDRESSES)
                        width = addresses_width(cpuid->entries[i].eax);
        }
        *ret_width = width;
        *ret_known = true;
        return 0;
}
