/* The bits of guest-physical address that VMs need, judged against hosts of 32 to 52 bits and one that does not say.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/width.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define MIB     (1ull << 20)
#define GIB     (1ull << 30)
#define X86     KVM_ARCH_X86_64
#define ARM     KVM_ARCH_ARM64
#define UNKNOWN 0u /* as a host's width: it does not say */

static struct kvm_layout made(enum kvm_arch arch, uint64_t memory, uint64_t shmem_len)
{
        struct kvm_layout layout;
        char why[256];

        assert_int_equal(kvm_layout_make(arch, memory, 1, 1, shmem_len, &layout, why, sizeof(why)), 0);
        return layout;
}

static const struct {
        enum kvm_arch arch;
        uint64_t memory, shmem_len;
        unsigned bits;
        const char *what;
} needs[] = {
    {X86, 16 * MIB, 0, 32, "the platform's own devices end at 0x100000000"},
    {X86, 3 * GIB, 0, 32, "the platform's own devices end at 0x100000000"},
    {X86, 3 * GIB + MIB, 0, 33, "RAM ends at 0x100100000"},
    {X86, 7 * GIB, 0, 33, "RAM ends at 0x200000000"},
    {X86, 7 * GIB + MIB, 0, 34, "RAM ends at 0x200100000"},
    {X86, 16 * MIB, MIB, 33, "the shared memory regions end at 0x100100000"},
    {ARM, 16 * MIB, 0, 31, "RAM ends at 0x41000000"},
    {ARM, GIB, 0, 31, "RAM ends at 0x80000000"},
    {ARM, GIB + MIB, 0, 32, "RAM ends at 0x80100000"},
    {ARM, 3 * GIB, 0, 32, "RAM ends at 0x100000000"},
    {ARM, GIB, MIB, 32, "the shared memory regions end at 0x80100000"},
    {ARM, 63 * GIB, 0, 36, "RAM ends at 0x1000000000"},
    {ARM, (1ull << 52) - GIB, 0, 52, "RAM ends at 0x10000000000000"},
};

static void bits_are_those_of_the_last_byte(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(needs); i++) {
                struct kvm_layout layout = made(needs[i].arch, needs[i].memory, needs[i].shmem_len);
                char what[64];

                assert_int_equal(kvm_width_needed(&layout, what, sizeof(what)), needs[i].bits);
                assert_string_equal(what, needs[i].what);
        }
}

/* What is asked of a host. A width of 36 is an Apple M1's, 40 what KVM means by an arm64 VM of type 0, 44 a
 * Cortex-A57's, 48 most servers', 52 what the architectures have at most. */
static const struct {
        enum kvm_arch arch;
        unsigned host;
        uint64_t memory, shmem_len;
        unsigned bits;      /* 0: refused */
        const char *remedy; /* the end of the refusal */
} judged[] = {
    /* Everything that ends exactly at the limit, and a MiB beyond it. */
    {ARM, 32, 3 * GIB, 0, 32, NULL},
    {ARM, 32, 3 * GIB + MIB, 0, 0, "; give the VM at most 3072 MiB of memory"},
    {ARM, 36, 63 * GIB, 0, 36, NULL},
    {ARM, 36, 63 * GIB + MIB, 0, 0, "; give the VM at most 64512 MiB of memory"},
    {ARM, 40, 1023 * GIB, 0, 40, NULL},
    {ARM, 40, 1023 * GIB + MIB, 0, 0, "; give the VM at most 1047552 MiB of memory"},
    {ARM, 44, (1ull << 44) - GIB, 0, 44, NULL},
    {ARM, 44, (1ull << 44) - GIB + MIB, 0, 0, "; give the VM at most 16776192 MiB of memory"},
    {ARM, 48, (1ull << 48) - GIB, 0, 48, NULL},
    {ARM, 48, (1ull << 48) - GIB + MIB, 0, 0, "; give the VM at most 268434432 MiB of memory"},
    {ARM, 52, (1ull << 52) - GIB, 0, 52, NULL},
    {ARM, UNKNOWN, 1023 * GIB, 0, 40, NULL},
    {ARM, UNKNOWN, 1023 * GIB + MIB, 0, 0, "; give the VM at most 1047552 MiB of memory"},
    {X86, 36, 63 * GIB, 0, 36, NULL},
    {X86, 36, 63 * GIB + MIB, 0, 0, "; give the VM at most 64512 MiB of memory"},
    {X86, 39, 511 * GIB, 0, 39, NULL},
    {X86, 39, 511 * GIB + MIB, 0, 0, "; give the VM at most 523264 MiB of memory"},
    {X86, 40, 1023 * GIB, 0, 40, NULL},
    {X86, 52, (1ull << 52) - GIB, 0, 52, NULL},
    {X86, UNKNOWN, 1023 * GIB, 0, 40, NULL},
    {X86, UNKNOWN, 1023 * GIB + MIB, 0, 0, "; give the VM at most 1047552 MiB of memory"},
    /* Exactly what is needed, never what the host has. */
    {ARM, 52, 16 * MIB, 0, 32, NULL},
    {ARM, 48, 4 * GIB, 0, 33, NULL},
    {ARM, 40, 63 * GIB, 0, 36, NULL},
    {X86, 52, 16 * MIB, 0, 32, NULL},
    {X86, 46, 8 * GIB, 0, 34, NULL},
    /* Shared memory regions, whose start moves with RAM in steps of a GiB. */
    {ARM, 36, 31 * GIB, 32 * GIB, 36, NULL},
    {ARM, 36, 31 * GIB + MIB, 32 * GIB, 0,
     "; give the VM at most 31744 MiB of memory, or smaller shared memory regions"},
    {X86, 36, 31 * GIB, 32 * GIB, 36, NULL},
    {X86, 36, 31 * GIB + MIB, 32 * GIB, 0,
     "; give the VM at most 31744 MiB of memory, or smaller shared memory regions"},
    {ARM, 36, 16 * MIB, 62 * GIB, 36, NULL},
    {ARM, 36, 16 * MIB, 63 * GIB, 0,
     "; give it smaller shared memory regions, or run it on a host that has 37"},
    {X86, 32, 16 * MIB, MIB, 0, "; give it smaller shared memory regions, or run it on a host that has 33"},
    /* No amount of memory would do. */
    {ARM, 31, 16 * MIB, 0, 0, "; run it on a host that has 32"},
    {X86, 31, 16 * MIB, 0, 0, "; run it on a host that has 32"},
};

static void assert_judged(size_t i)
{
        struct kvm_layout layout = made(judged[i].arch, judged[i].memory, judged[i].shmem_len);
        unsigned bits = 99;
        char why[256] = "";
        size_t end;
        int r = kvm_width_judge(&layout, judged[i].host, judged[i].host != UNKNOWN, &bits, why, sizeof(why));

        if (judged[i].bits > 0) {
                if (r != 0 || bits != judged[i].bits)
                        fail_msg("row %zu: %d, %u bits, \"%s\"", i, r, bits, why);
                return;
        }
        end = strlen(judged[i].remedy);
        if (r != -ERANGE || bits != 99 || strlen(why) < end ||
            strcmp(why + strlen(why) - end, judged[i].remedy) != 0)
                fail_msg("row %zu: %d, %u bits, \"%s\"", i, r, bits, why);
}

static void hosts_of_each_width_are_judged(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(judged); i++)
                assert_judged(i);
}

static void refusal_names_both_numbers_and_what_needs_them(void **state)
{
        struct kvm_layout layout = made(ARM, 64 * GIB, 0);
        unsigned bits = 99;
        char why[256] = "";

        (void)state;
        assert_int_equal(kvm_width_judge(&layout, 36, true, &bits, why, sizeof(why)), -ERANGE);
        assert_string_equal(
            why,
            "the VM needs 37 bits of guest-physical address (RAM ends at 0x1040000000), and this host has "
            "36; give the VM at most 64512 MiB of memory");
        layout = made(ARM, 1024 * GIB, 0);
        assert_int_equal(kvm_width_judge(&layout, 36, false, &bits, why, sizeof(why)), -ERANGE);
        assert_string_equal(
            why,
            "the VM needs 41 bits of guest-physical address (RAM ends at 0x10040000000), and this host has "
            "40 (its KVM does not say, which means so many); give the VM at most 1047552 MiB of memory");
}

/* The remedy is true: with what it says the VM fits, with a MiB more it does not. */
static void remedy_fits_and_a_mib_more_does_not(void **state)
{
        static const uint64_t shmems[] = {0, MIB, GIB - MIB, GIB, GIB + MIB, 5 * GIB};

        (void)state;
        for (unsigned k = 0; k < 2 * array_size(shmems) * 16; k++) {
                enum kvm_arch arch = k & 1 ? ARM : X86;
                uint64_t shmem_len = shmems[k / 2 % array_size(shmems)], most;
                unsigned host = 36 + k / 2 / (unsigned)array_size(shmems), bits;
                struct kvm_layout layout = made(arch, 1ull << host, shmem_len);
                char why[256] = "";

                assert_int_equal(kvm_width_judge(&layout, host, true, &bits, why, sizeof(why)), -ERANGE);
                assert_int_equal(
                    sscanf(strstr(why, "at most "), "at most %llu MiB", (unsigned long long *)&most), 1);
                layout = made(arch, most * MIB, shmem_len);
                assert_int_equal(kvm_width_judge(&layout, host, true, &bits, why, sizeof(why)), 0);
                layout = made(arch, (most + 1) * MIB, shmem_len);
                assert_int_equal(kvm_width_judge(&layout, host, true, &bits, why, sizeof(why)), -ERANGE);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(bits_are_those_of_the_last_byte),
            cmocka_unit_test(hosts_of_each_width_are_judged),
            cmocka_unit_test(refusal_names_both_numbers_and_what_needs_them),
            cmocka_unit_test(remedy_fits_and_a_mib_more_does_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
