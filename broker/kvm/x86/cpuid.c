/* CPUID leaves: one row a leaf that says something about one vCPU's place or about what a VM does not have.
 * Owns nothing; called by platform.c before the vCPU runs. TRUST: the host's leaves, which are believed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/x86/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

#define BIT(n) (1u << (n))

struct place {
        unsigned index, n;
        unsigned id_bits; /* of an APIC id: 2^id_bits >= n */
        bool tsc_deadline;
};

int cpuid_new(int kvm_fd, struct kvm_cpuid2 **ret_cpuid)
{
        struct kvm_cpuid2 *cpuid =
            calloc(1, sizeof(*cpuid) + LIMIT_CPUID_LEAVES * sizeof(struct kvm_cpuid_entry2));

        if (!cpuid)
                return -ENOMEM;
        cpuid->nent = LIMIT_CPUID_LEAVES;
        if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
                int r = -errno;

                free(cpuid);
                return r;
        }
        *ret_cpuid = cpuid;
        return 0;
}

static void set_bit(uint32_t *word, unsigned bit, bool on)
{
        *word = on ? *word | BIT(bit) : *word & ~BIT(bit);
}

/* Features. Without bit 31 of ECX a Linux does not look for a hypervisor, and calibrates its clocks in vain. */
static void leaf_1(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        leaf->ebx = (leaf->ebx & 0xffff) | MIN(BIT(place->id_bits), 255u) << 16 | place->index << 24;
        set_bit(&leaf->edx, 28, place->n > 1); /* HTT: the count in EBX says something */
        set_bit(&leaf->ecx, 3, false);         /* MONITOR */
        set_bit(&leaf->ecx, 5, false);         /* VMX */
        set_bit(&leaf->ecx, 24, place->tsc_deadline);
        set_bit(&leaf->ecx, 31, true);
}

/* Caches (Intel: 4; AMD: 0x8000001d): the last level is shared by all, the others by nobody. */
static void leaf_cache(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        unsigned level = leaf->eax >> 5 & 7, sharing = level >= 3 ? BIT(place->id_bits) - 1 : 0;

        if ((leaf->eax & 0x1f) == 0)
                return; /* the end of the list */
        leaf->eax = (leaf->eax & 0x3fff) | sharing << 14;
        if (leaf->function == 4)
                leaf->eax |= MIN(BIT(place->id_bits) - 1, 63u) << 26;
}

/* Thermal and power: but for the timer that never stops, this is the host's. */
static void leaf_6(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        (void)place;
        leaf->eax &= BIT(2);
        leaf->ebx = leaf->ecx = leaf->edx = 0;
}

/* The processor's monitors: none. */
static void leaf_none(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        (void)place;
        leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
}

/* Topology: level 0 is a thread of a core, level 1 a core of the package. */
static void leaf_topology(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        static const uint32_t types[] = {1, 2};
        bool known = leaf->index < array_size(types);

        leaf->eax = leaf->index == 1 ? place->id_bits : 0;
        leaf->ebx = leaf->index == 1 ? place->n : known;
        leaf->ecx = leaf->index | (known ? types[leaf->index] << 8 : 0);
        leaf->edx = place->index;
}

/* AMD: features of the extended range. */
static void leaf_80000001(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        set_bit(&leaf->ecx, 1, place->n > 1); /* CmpLegacy: cores, not threads */
        set_bit(&leaf->ecx, 2, false);        /* SVM */
}

static void leaf_80000008(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        leaf->ecx = place->id_bits << 12 | (place->n - 1);
}

/* AMD: extended APIC id, core, node. */
static void leaf_8000001e(struct kvm_cpuid_entry2 *leaf, const struct place *place)
{
        leaf->eax = place->index;
        leaf->ebx = place->index & 0xff;
        leaf->ecx = 0;
        leaf->edx = 0;
}

static const struct leaf_row {
        uint32_t function;
        void (*place)(struct kvm_cpuid_entry2 *leaf, const struct place *place);
} rows[] = {
    {0x1, leaf_1},
    {0x4, leaf_cache},
    {0x6, leaf_6},
    {0xb, leaf_topology},
    {0x1f, leaf_topology},
    {0x80000001, leaf_80000001},
    {0x80000008, leaf_80000008},
    {0x8000000a, leaf_none}, /* SVM's own */
    {0x8000001d, leaf_cache},
    {0x8000001e, leaf_8000001e},
};

void cpuid_place(struct kvm_cpuid2 *cpuid, unsigned index, unsigned n, bool tsc_deadline)
{
        struct place place = {.index = index, .n = n, .tsc_deadline = tsc_deadline};

        while (BIT(place.id_bits) < n)
                place.id_bits++;
        for (uint32_t i = 0; i < cpuid->nent; i++) {
                for (size_t row = 0; row < array_size(rows); row++) {
                        if (rows[row].function == cpuid->entries[i].function)
                                rows[row].place(&cpuid->entries[i], &place);
                }
        }
}
