/* How many bits of guest-physical address a VM needs, and whether the host has them.
 * Owns nothing; called before KVM is asked for a VM.
 * TRUST: a layout that layout.c has made, and the host's own numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/width.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "broker/kvm/why.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/vm_config.h"

#define MIB (1ull << 20)

/* The fewest bits with which every address below `end` can be said. */
static unsigned bits_below(uint64_t end)
{
        return end <= 1 ? 1 : 64 - (unsigned)__builtin_clzll(end - 1);
}

unsigned kvm_width_needed(const struct kvm_layout *layout, char *what, size_t size)
{
        const struct kvm_range *ram = &layout->ram[layout->n_ram - 1];

        if (layout->shmem.len > 0)
                (void)snprintf(what, size, "the shared memory regions end at 0x%" PRIx64, layout->end);
        else if (ram->start + ram->len == layout->end)
                (void)snprintf(what, size, "RAM ends at 0x%" PRIx64, layout->end);
        else
                (void)snprintf(what, size, "the platform's own devices end at 0x%" PRIx64, layout->end);
        return bits_below(layout->end);
}

/* The most memory, in whole MiB, with which the same VM fits; 0: none. What lies above RAM moves in steps of its
 * alignment, so the answer is tried and not only computed. */
static uint64_t memory_most(const struct kvm_layout *layout, unsigned width)
{
        uint64_t fits = 0, too_much = kvm_layout_memory(layout) / MIB;
        struct kvm_layout tried;
        char ignored[1];

        while (too_much - fits > 1) {
                uint64_t middle = fits + (too_much - fits) / 2;
                int r = kvm_layout_make(layout->arch, middle * MIB, layout->n_vcpus, layout->n_devices,
                                        layout->shmem.len, &tried, ignored, sizeof(ignored));

                if (middle * MIB >= VM_CONFIG_GUEST_MIN && (r < 0 || bits_below(tried.end) > width))
                        too_much = middle;
                else
                        fits = middle;
        }
        return fits * MIB >= VM_CONFIG_GUEST_MIN ? fits : 0;
}

static void remedy_make(const struct kvm_layout *layout, unsigned width, unsigned needed, char *remedy,
                        size_t size)
{
        uint64_t most = memory_most(layout, width);

        if (most > 0)
                (void)snprintf(remedy, size, "give the VM at most %" PRIu64 " MiB of memory%s", most,
                               layout->shmem.len > 0 ? ", or smaller shared memory regions" : "");
        else
                (void)snprintf(remedy, size, "%srun it on a host that has %u",
                               layout->shmem.len > 0 ? "give it smaller shared memory regions, or " : "",
                               needed);
}

int kvm_width_judge(const struct kvm_layout *layout, unsigned host_width, bool host_width_known,
                    unsigned *ret_bits, char *why, size_t size)
{
        unsigned width = host_width_known ? host_width : KVM_WIDTH_IMPLICIT;
        char what[64], remedy[128];
        unsigned needed = kvm_width_needed(layout, what, sizeof(what));

        if (layout->arch == KVM_ARCH_ARM64 && needed < KVM_WIDTH_ARM64_MIN)
                needed = KVM_WIDTH_ARM64_MIN;
        if (needed <= width) {
                *ret_bits = needed;
                return 0;
        }
        remedy_make(layout, width, needed, remedy, sizeof(remedy));
        return kvm_why(-ERANGE, why, size,
                       "the VM needs %u bits of guest-physical address (%s), and this host has %u%s; %s",
                       needed, what, width,
                       host_width_known ? "" : " (its KVM does not say, which means so many)", remedy);
}
