/* CPUID leaves of each vCPU, and x86's first state, on tables of our own.
 * Owns nothing. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "broker/kvm/x86/cpuid.h"

enum {
        FEATURES,
        CACHE_L1,
        CACHE_L3,
        CACHE_END,
        POWER,
        THREADS,
        CORES,
        TOPOLOGY_END,
        AMD_FEATURES,
        AMD_CORES,
        AMD_SVM,
        AMD_NODE,
        OTHER,
        N_LEAVES
};

/* A host of many processors, with all that a VM must not see. */
static struct kvm_cpuid2 *host_leaves(void)
{
        static const struct kvm_cpuid_entry2 leaves[N_LEAVES] = {
            [FEATURES] = {.function = 1, .ebx = 0x3f400800, .ecx = 0x7fffffff, .edx = 0xffffffff},
            [CACHE_L1] = {.function = 4, .index = 0, .eax = 0xfc004121, .ebx = 77},
            [CACHE_L3] = {.function = 4, .index = 3, .eax = 0xfc1fc163, .ebx = 78},
            [CACHE_END] = {.function = 4, .index = 4},
            [POWER] = {.function = 6, .eax = 0x77, .ebx = 2, .ecx = 9},
            [THREADS] = {.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 63},
            [CORES] = {.function = 0xb, .index = 1, .eax = 7, .ebx = 128, .ecx = 0x201, .edx = 63},
            [TOPOLOGY_END] = {.function = 0xb, .index = 2, .ecx = 2, .edx = 63},
            [AMD_FEATURES] = {.function = 0x80000001, .ecx = 0xffffffff},
            [AMD_CORES] = {.function = 0x80000008, .eax = 0x3028, .ecx = 0x707f},
            [AMD_SVM] = {.function = 0x8000000a, .eax = 1, .ebx = 2, .edx = 3},
            [AMD_NODE] = {.function = 0x8000001e, .eax = 63, .ebx = 0x101, .ecx = 0x300},
            [OTHER] = {.function = 0x40000001, .eax = 0x01007afb},
        };
        struct kvm_cpuid2 *cpuid = malloc(sizeof(*cpuid) + sizeof(leaves));

        assert_non_null(cpuid);
        cpuid->nent = N_LEAVES;
        memcpy(cpuid->entries, leaves, sizeof(leaves));
        return cpuid;
}

static void each_vcpu_has_its_place(void **state)
{
        static const struct {
                unsigned n, bits;
        } cases[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {64, 6}, {254, 8}};

        (void)state;
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
                struct kvm_cpuid2 *cpuid = host_leaves();
                const struct kvm_cpuid_entry2 *leaf = cpuid->entries;

                for (unsigned i = 0; i < cases[c].n; i++) {
                        cpuid_place(cpuid, i, cases[c].n, true);
                        assert_int_equal(leaf[FEATURES].ebx >> 24, i);
                        assert_int_equal(leaf[FEATURES].ebx & 0xffff, 0x0800);
                        assert_int_equal(leaf[FEATURES].edx >> 28 & 1, cases[c].n > 1);
                        assert_int_equal(leaf[THREADS].edx, i);
                        assert_int_equal(leaf[CORES].edx, i);
                        assert_int_equal(leaf[AMD_NODE].eax, i);
                }
                assert_int_equal(leaf[THREADS].eax, 0);
                assert_int_equal(leaf[THREADS].ebx, 1);
                assert_int_equal(leaf[THREADS].ecx, 0x100);
                assert_int_equal(leaf[CORES].eax, cases[c].bits);
                assert_int_equal(leaf[CORES].ebx, cases[c].n);
                assert_int_equal(leaf[CORES].ecx, 0x201);
                assert_int_equal(leaf[TOPOLOGY_END].eax, 0);
                assert_int_equal(leaf[TOPOLOGY_END].ebx, 0);
                assert_int_equal(leaf[TOPOLOGY_END].ecx, 2);
                assert_int_equal(leaf[AMD_CORES].ecx, cases[c].bits << 12 | (cases[c].n - 1));
                assert_int_equal(leaf[CACHE_L1].eax >> 14 & 0xfff, 0);
                assert_int_equal(leaf[CACHE_L3].eax >> 14 & 0xfff, (1u << cases[c].bits) - 1);
                free(cpuid);
        }
}

static void what_the_platform_does_not_have_is_not_there(void **state)
{
        struct kvm_cpuid2 *cpuid = host_leaves();
        const struct kvm_cpuid_entry2 *leaf = cpuid->entries;

        (void)state;
        cpuid_place(cpuid, 0, 1, false);
        assert_int_equal(leaf[FEATURES].ecx & (1u << 3 | 1u << 5 | 1u << 24), 0); /* MONITOR, VMX, deadline */
        assert_int_equal(leaf[FEATURES].ecx >> 31, 1);                            /* there is a hypervisor */
        assert_int_equal(leaf[AMD_FEATURES].ecx & 1u << 2, 0);                    /* SVM */
        assert_int_equal(leaf[AMD_SVM].eax | leaf[AMD_SVM].ebx | leaf[AMD_SVM].edx, 0);
        assert_int_equal(leaf[POWER].eax, 1u << 2);
        assert_int_equal(leaf[POWER].ebx | leaf[POWER].ecx, 0);
        cpuid_place(cpuid, 0, 1, true);
        assert_int_equal(leaf[FEATURES].ecx >> 24 & 1, 1);
        free(cpuid);
}

static void what_is_the_hosts_stays(void **state)
{
        struct kvm_cpuid2 *cpuid = host_leaves();
        const struct kvm_cpuid_entry2 *leaf = cpuid->entries;

        (void)state;
        cpuid_place(cpuid, 3, 4, true);
        assert_int_equal(leaf[OTHER].eax, 0x01007afb);
        assert_int_equal(leaf[AMD_CORES].eax, 0x3028); /* the width of addresses */
        assert_int_equal(leaf[CACHE_L1].ebx, 77);
        assert_int_equal(leaf[CACHE_L1].eax & 0x3fff, 0x0121);
        assert_int_equal(leaf[CACHE_END].eax, 0);
        free(cpuid);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_vcpu_has_its_place),
            cmocka_unit_test(what_the_platform_does_not_have_is_not_there),
            cmocka_unit_test(what_is_the_hosts_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
