/* Where everything of a VM lies: both architectures, every edge, and that nothing lies on anything else.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/kvm_platform.h"

#define MIB   (1ull << 20)
#define GIB   (1ull << 30)
#define PARTS 128u

static struct kvm_layout made(enum kvm_arch arch, uint64_t memory, unsigned n_devices, uint64_t shmem_len)
{
        struct kvm_layout layout;
        char why[256] = "";

        assert_int_equal(kvm_layout_make(arch, memory, 1, n_devices, shmem_len, &layout, why, sizeof(why)),
                         0);
        assert_string_equal(why, "");
        assert_int_equal(kvm_layout_memory(&layout), memory);
        return layout;
}

static void assert_range(const struct kvm_range *range, uint64_t start, uint64_t len)
{
        assert_int_equal(range->start, start);
        assert_int_equal(range->len, len);
}

static void pc_with_little_memory_has_one_piece(void **state)
{
        struct kvm_layout layout = made(KVM_ARCH_X86_64, 16 * MIB, 0, 0);

        (void)state;
        assert_int_equal(layout.n_ram, 1);
        assert_range(&layout.ram[0], 0, 16 * MIB);
        assert_range(&layout.shmem, 0, 0);
        assert_int_equal(layout.end, 4 * GIB); /* its reset vector */
        layout = made(KVM_ARCH_X86_64, 3 * GIB, 0, 0);
        assert_int_equal(layout.n_ram, 1);
        assert_range(&layout.ram[0], 0, 3 * GIB);
        assert_int_equal(layout.end, 4 * GIB);
}

static void pc_with_more_memory_has_a_hole_below_4g(void **state)
{
        struct kvm_layout layout = made(KVM_ARCH_X86_64, 3 * GIB + MIB, 0, 0);

        (void)state;
        assert_int_equal(layout.n_ram, 2);
        assert_range(&layout.ram[0], 0, 3 * GIB);
        assert_range(&layout.ram[1], 4 * GIB, MIB);
        assert_int_equal(layout.end, 4 * GIB + MIB);
        layout = made(KVM_ARCH_X86_64, 64 * GIB, 0, 0);
        assert_range(&layout.ram[1], 4 * GIB, 61 * GIB);
        assert_int_equal(layout.end, 65 * GIB);
}

static void arm64_has_one_piece_of_any_size(void **state)
{
        struct kvm_layout layout = made(KVM_ARCH_ARM64, 16 * MIB, 0, 0);

        (void)state;
        assert_int_equal(layout.n_ram, 1);
        assert_range(&layout.ram[0], GIB, 16 * MIB);
        assert_int_equal(layout.end, GIB + 16 * MIB);
        layout = made(KVM_ARCH_ARM64, 255 * GIB, 0, 0);
        assert_int_equal(layout.n_ram, 1);
        assert_int_equal(layout.end, 256 * GIB);
}

static void shared_memory_lies_behind_ram_at_the_next_gib(void **state)
{
        struct kvm_layout layout = made(KVM_ARCH_X86_64, 512 * MIB, 1, MIB);

        (void)state;
        assert_range(&layout.shmem, 4 * GIB, MIB); /* never in the hole */
        assert_int_equal(layout.end, 4 * GIB + MIB);
        layout = made(KVM_ARCH_X86_64, 3 * GIB + MIB, 1, 2 * GIB);
        assert_range(&layout.shmem, 5 * GIB, 2 * GIB);
        layout = made(KVM_ARCH_X86_64, 4 * GIB, 1, 2 * GIB);
        assert_range(&layout.shmem, 5 * GIB, 2 * GIB); /* RAM ends there already */
        layout = made(KVM_ARCH_ARM64, 512 * MIB, 1, 3 * MIB);
        assert_range(&layout.shmem, 2 * GIB, 3 * MIB);
        assert_int_equal(layout.end, 2 * GIB + 3 * MIB);
}

static const struct {
        enum kvm_arch arch;
        uint64_t memory;
        unsigned n_vcpus, n_devices;
        uint64_t shmem_len;
        const char *refused; /* words of the message; NULL: accepted */
} edges[] = {
    {KVM_ARCH_X86_64, 16 * MIB, 1, 0, 0, NULL},
    {KVM_ARCH_X86_64, 15 * MIB, 1, 0, 0, "memory is 15728640 bytes; give whole MiB, 16 at least"},
    {KVM_ARCH_X86_64, 0, 1, 0, 0, "give whole MiB, 16 at least"},
    {KVM_ARCH_X86_64, 16 * MIB + 4096, 1, 0, 0, "give whole MiB"},
    {KVM_ARCH_X86_64, UINT64_MAX, 1, 0, 0, "give whole MiB"},
    {KVM_ARCH_X86_64, UINT64_MAX - MIB + 1, 1, 0, 0, "no processor has more than 52 bits"},
    {KVM_ARCH_X86_64, 16 * MIB, 0, 0, 0, "vcpus is 0; give 1 to 64"},
    {KVM_ARCH_X86_64, 16 * MIB, LIMIT_VCPUS, 0, 0, NULL},
    {KVM_ARCH_X86_64, 16 * MIB, LIMIT_VCPUS + 1, 0, 0, "vcpus is 65; give 1 to 64"},
    {KVM_ARCH_X86_64, 16 * MIB, UINT32_MAX, 0, 0, "vcpus is 4294967295"},
    {KVM_ARCH_X86_64, 16 * MIB, 1, 17, 0, NULL},
    {KVM_ARCH_X86_64, 16 * MIB, 1, 18, 0, "18 devices, and 17 interrupts for them; leave out 1"},
    {KVM_ARCH_X86_64, 16 * MIB, 1, UINT32_MAX, 0, "interrupts for them"},
    {KVM_ARCH_ARM64, 16 * MIB, 1, LIMIT_DEVICES, 0, NULL},
    {KVM_ARCH_ARM64, 16 * MIB, 1, LIMIT_DEVICES + 1, 0,
     "65 devices, and 64 interrupts for them; leave out 1"},
    {KVM_ARCH_ARM64, 16 * MIB, LIMIT_VCPUS, 0, 0, NULL},
    {KVM_ARCH_X86_64, 16 * MIB, 1, 0, 4096, "the shared memory regions are 4096 bytes; give whole MiB"},
    {KVM_ARCH_X86_64, 16 * MIB, 1, 0, UINT64_MAX - MIB + 1, "no processor has more than 52 bits"},
    /* An end of exactly 2^52, by RAM and by shared memory, and a MiB more. */
    {KVM_ARCH_X86_64, (1ull << 52) - GIB, 1, 0, 0, NULL},
    {KVM_ARCH_X86_64, (1ull << 52) - GIB + MIB, 1, 0, 0, "ends at 0x10000000100000"},
    {KVM_ARCH_ARM64, (1ull << 52) - GIB, 1, 0, 0, NULL},
    {KVM_ARCH_ARM64, (1ull << 52) - GIB + MIB, 1, 0, 0, "ends at 0x10000000100000"},
    {KVM_ARCH_ARM64, GIB, 1, 0, (1ull << 52) - 2 * GIB, NULL},
    {KVM_ARCH_ARM64, GIB, 1, 0, (1ull << 52) - 2 * GIB + MIB, "give less memory"},
    {KVM_ARCH_ARM64, 1ull << 52, 1, 0, 1ull << 52, "give less memory"},
};

static void every_edge_is_judged(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(edges); i++) {
                struct kvm_layout layout, before;
                char why[256] = "";
                int r;

                memset(&layout, 0xa5, sizeof(layout));
                before = layout;
                r = kvm_layout_make(edges[i].arch, edges[i].memory, edges[i].n_vcpus, edges[i].n_devices,
                                    edges[i].shmem_len, &layout, why, sizeof(why));
                if (!edges[i].refused) {
                        if (r != 0)
                                fail_msg("edge %zu is refused: %s", i, why);
                        continue;
                }
                if (r != -EINVAL || !strstr(why, edges[i].refused))
                        fail_msg("edge %zu: %d \"%s\", not \"%s\"", i, r, why, edges[i].refused);
                assert_memory_equal(&layout, &before, sizeof(layout));
        }
}

/* All that a layout holds, as ranges. */
static unsigned parts_of(const struct kvm_layout *layout, struct kvm_range parts[static PARTS])
{
        unsigned n = 0;

        for (unsigned i = 0; i < layout->n_ram; i++)
                parts[n++] = layout->ram[i];
        for (unsigned i = 0; i < layout->n_devices; i++)
                parts[n++] = (struct kvm_range){kvm_layout_device(layout, i), KVM_DEVICE_WINDOW};
        if (layout->shmem.len > 0)
                parts[n++] = layout->shmem;
        if (layout->arch == KVM_ARCH_X86_64) {
                parts[n++] = (struct kvm_range){KVM_X86_IOAPIC, 0x1000};
                parts[n++] = (struct kvm_range){KVM_X86_LOCAL_APIC, 0x1000};
                parts[n++] = (struct kvm_range){KVM_X86_IDENTITY_MAP, 0x1000};
                parts[n++] = (struct kvm_range){KVM_X86_TSS, 0x3000};
        } else {
                parts[n++] = (struct kvm_range){KVM_ARM64_GIC_DISTRIBUTOR, KVM_ARM64_GIC_DISTRIBUTOR_LEN};
                parts[n++] = (struct kvm_range){KVM_ARM64_GIC_CPU, KVM_ARM64_GIC_CPU_LEN};
                parts[n++] = (struct kvm_range){KVM_ARM64_GIC_REDISTRIBUTOR,
                                                LIMIT_VCPUS * KVM_ARM64_GIC_REDISTRIBUTOR_LEN};
                parts[n++] = (struct kvm_range){KVM_ARM64_SERIAL, KVM_ARM64_SERIAL_LEN};
        }
        return n;
}

static int by_start(const void *a, const void *b)
{
        const struct kvm_range *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

static void nothing_lies_on_anything_else(void **state)
{
        static const uint64_t memories[] = {16 * MIB,      3 * GIB - MIB, 3 * GIB,
                                            3 * GIB + MIB, 4 * GIB,       1ull << 45};

        (void)state;
        for (unsigned k = 0; k < 2 * array_size(memories); k++) {
                enum kvm_arch arch = k % 2 == 0 ? KVM_ARCH_X86_64 : KVM_ARCH_ARM64;
                struct kvm_layout layout =
                    made(arch, memories[k / 2], arch == KVM_ARCH_X86_64 ? 17 : LIMIT_DEVICES, 5 * MIB);
                struct kvm_range parts[PARTS];
                unsigned n = parts_of(&layout, parts);

                qsort(parts, n, sizeof(parts[0]), by_start);
                for (unsigned i = 1; i < n; i++)
                        assert_true(parts[i - 1].start + parts[i - 1].len <= parts[i].start);
                assert_true(parts[n - 1].start + parts[n - 1].len == layout.end);
        }
}

static void ram_takes_a_slot_for_each_4t_of_a_piece(void **state)
{
        static const struct {
                uint64_t memory;
                unsigned pc, arm64;
        } rows[] = {
            {16 * MIB, 1, 1},
            {3 * GIB + MIB, 2, 1},
            {4096 * GIB, 2, 1},
            {4096 * GIB + MIB, 2, 2},
            {4099 * GIB, 2, 2},
            {4099 * GIB + MIB, 3, 2},
            {(1ull << 52) - GIB, 1025, 1024},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                struct kvm_layout layout = made(KVM_ARCH_X86_64, rows[i].memory, 0, 0);

                assert_int_equal(kvm_layout_n_slots(&layout), rows[i].pc);
                layout = made(KVM_ARCH_ARM64, rows[i].memory, 0, 0);
                assert_int_equal(kvm_layout_n_slots(&layout), rows[i].arm64);
        }
}

static void each_device_has_an_interrupt_of_its_own(void **state)
{
        static const uint32_t pins[] = {5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
        struct kvm_layout layout = made(KVM_ARCH_X86_64, 16 * MIB, 17, 0);

        (void)state;
        for (unsigned i = 0; i < 17; i++)
                assert_int_equal(kvm_layout_gsi(&layout, i), pins[i]);
        layout = made(KVM_ARCH_ARM64, 16 * MIB, LIMIT_DEVICES, 0);
        for (unsigned i = 0; i < LIMIT_DEVICES; i++)
                assert_int_equal(kvm_layout_gsi(&layout, i), 16 + i);
}

static void devices_lie_where_the_guest_is_told(void **state)
{
        struct kvm_layout layout = made(KVM_ARCH_X86_64, 16 * MIB, 17, 0);

        (void)state;
        assert_int_equal(kvm_layout_device(&layout, 0), 0xd0000000);
        assert_int_equal(kvm_layout_device(&layout, 16), 0xd0010000);
        layout = made(KVM_ARCH_ARM64, 16 * MIB, LIMIT_DEVICES, 0);
        assert_int_equal(kvm_layout_device(&layout, 0), 0x0a000000);
        assert_int_equal(kvm_layout_device(&layout, 63), 0x0a03f000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(pc_with_little_memory_has_one_piece),
            cmocka_unit_test(pc_with_more_memory_has_a_hole_below_4g),
            cmocka_unit_test(arm64_has_one_piece_of_any_size),
            cmocka_unit_test(shared_memory_lies_behind_ram_at_the_next_gib),
            cmocka_unit_test(every_edge_is_judged),
            cmocka_unit_test(nothing_lies_on_anything_else),
            cmocka_unit_test(ram_takes_a_slot_for_each_4t_of_a_piece),
            cmocka_unit_test(each_device_has_an_interrupt_of_its_own),
            cmocka_unit_test(devices_lie_where_the_guest_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
