/* Where windows of devices may lie in a VM of the broker's own, at each edge, and the pools that its guest is told of.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/windows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/kvm/width.h"
#include "proto/base/checked.h"

#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define PAGE 4096ull
#define ARM  KVM_ARCH_ARM64
#define X86  KVM_ARCH_X86_64

static struct device_config devices[4];
static struct vm_config config;
static struct kvm_layout layout;
static size_t held;
static char why[256];

static void begin(enum kvm_arch arch, uint64_t memory, uint64_t shmem_len)
{
        memset(devices, 0, sizeof(devices));
        for (unsigned i = 0; i < array_size(devices); i++)
                snprintf(devices[i].name, sizeof(devices[i].name), "dev%u", i);
        config = (struct vm_config){.devices = devices, .n_devices = array_size(devices)};
        assert_int_equal(kvm_layout_make(arch, memory, 1, 4, shmem_len, &layout, why, sizeof(why)), 0);
        held = 99;
        why[0] = '\0';
}

static void hold(unsigned device, uint64_t start, uint64_t size)
{
        struct device_memory *memory = &devices[device].memory;

        memory->windows[memory->n_windows++] = (struct device_window){start, size};
}

static int judge(void)
{
        return kvm_windows_judge(&config, &layout, &held, why, sizeof(why));
}

static void assert_refused(size_t device, const char *words)
{
        assert_int_equal(judge(), -EINVAL);
        assert_int_equal(held, device);
        if (!strstr(why, words))
                fail_msg("\"%s\" is not in \"%s\"", words, why);
}

/* x86: RAM in two pieces with devices in between, and regions behind. The first window of a device with another one is good. */
static void a_window_lies_in_one_piece_of_memory(void **state)
{
        static const struct {
                uint64_t start, size;
                bool good;
        } rows[] = {
            {0, 3 * GIB, true},
            {3 * GIB - PAGE, PAGE, true},
            {3 * GIB - PAGE, 2 * PAGE, false},
            {3 * GIB, PAGE, false}, /* no RAM */
            {4 * GIB - PAGE, 2 * PAGE, false},
            {4 * GIB, GIB, true},
            {4 * GIB, GIB + PAGE, false},
            {5 * GIB, PAGE, true}, /* the regions */
            {5 * GIB + 64 * MIB - PAGE, PAGE, true},
            {5 * GIB + 64 * MIB - PAGE, 2 * PAGE, false},
            {5 * GIB - PAGE, 2 * PAGE, false}, /* both */
            {0, 5 * GIB, false},               /* with a hole */
            {1ull << 52, PAGE, false},
            {0x1000, UINT64_MAX - 0x1fff, false},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin(X86, 4 * GIB, 64 * MIB);
                hold(2, MIB, MIB);
                hold(2, rows[i].start, rows[i].size);
                if (rows[i].good)
                        assert_int_equal(judge(), 0);
                else
                        assert_refused(2, "is not in one piece of the VM's memory");
        }
        assert_non_null(strstr(why, "device dev2: the window of"));
        assert_non_null(strstr(why, "begins at 0x0 and ends at 0x140000000; move it there, or part it"));
}

/* What they need of the host is what the layout needs: an end exactly at the limit is good, and of a page more there is no VM. */
static void the_address_width_of_windows_is_the_layout_s(void **state)
{
        static const struct {
                enum kvm_arch arch;
                uint64_t memory, shmem_len, end;
        } rows[] = {
            {ARM, 63 * GIB, 0, 64 * GIB},
            {ARM, 31 * GIB, 32 * GIB, 64 * GIB},
            {X86, 63 * GIB, 0, 64 * GIB},
            {X86, 31 * GIB, 32 * GIB, 64 * GIB},
        };
        unsigned bits;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                begin(rows[i].arch, rows[i].memory, rows[i].shmem_len);
                assert_int_equal(layout.end, rows[i].end);
                hold(0, layout.ram[0].start, 2 * MIB);
                hold(0, rows[i].end - PAGE, PAGE);
                assert_int_equal(judge(), 0);
                assert_int_equal(kvm_width_judge(&layout, 36, true, &bits, why, sizeof(why)), 0);
                assert_int_equal(bits, 36);
                devices[0].memory.windows[1].size += PAGE; /* it would need 37 */
                assert_refused(0, "is not in one piece");
                begin(rows[i].arch, rows[i].memory + (rows[i].shmem_len ? 0 : MIB),
                      rows[i].shmem_len ? rows[i].shmem_len + MIB : 0);
                hold(0, layout.ram[0].start, 2 * MIB);
                hold(0, rows[i].end, PAGE);
                assert_int_equal(judge(), 0);
                assert_int_equal(kvm_width_judge(&layout, 36, true, &bits, why, sizeof(why)), -ERANGE);
                assert_non_null(strstr(why, "needs 37 bits"));
        }
}

static void a_pool_is_in_ram_and_aligned(void **state)
{
        (void)state;
        begin(ARM, GIB, 64 * MIB);
        hold(0, GIB, 2 * MIB);
        hold(1, 2 * GIB - 2 * MIB, 2 * MIB);
        assert_int_equal(judge(), 0);
        begin(ARM, GIB, 64 * MIB);
        hold(3, GIB + PAGE, 2 * MIB);
        assert_refused(
            3,
            "device dev3: the window of 2097152 bytes at 0x40001000 is the pool that its guest is told of; "
            "use multiples of 2 MiB");
        begin(ARM, GIB, 64 * MIB);
        hold(0, GIB, 2 * MIB + PAGE);
        assert_refused(0, "use multiples of 2 MiB");
        begin(ARM, GIB, 64 * MIB);
        hold(0, layout.shmem.start, 2 * MIB); /* a region is no RAM; */
        assert_refused(0, "is not in one piece");
        begin(ARM, GIB, 64 * MIB);
        hold(0, GIB, 2 * MIB);
        hold(0, layout.shmem.start, 2 * MIB); /* ... as a second window it is good, ... */
        hold(0, GIB + 2 * MIB, PAGE);         /* ... and so is one that is not aligned */
        assert_int_equal(judge(), 0);
        begin(X86, GIB, 0);
        hold(0, PAGE, PAGE); /* no guest is told there */
        assert_int_equal(judge(), 0);
}

static void pools_are_the_same_or_apart(void **state)
{
        (void)state;
        begin(ARM, GIB, 0);
        hold(0, GIB + 4 * MIB, 4 * MIB);
        hold(2, GIB + 8 * MIB, 4 * MIB);
        hold(3, GIB + 4 * MIB, 4 * MIB);
        assert_int_equal(judge(), 0);
        devices[3].memory.windows[0].size = 6 * MIB;
        assert_refused(3, "at 0x40400000 overlaps the pool of dev0; use the same for both, or move one");
        devices[3].memory.windows[0] = (struct device_window){GIB + 10 * MIB, 4 * MIB};
        assert_refused(3, "overlaps the pool of dev2");
        devices[3].memory.windows[0] = (struct device_window){GIB + 2 * MIB, 2 * MIB};
        assert_int_equal(judge(), 0);
}

static void a_guest_is_told_of_each_pool_once(void **state)
{
        struct boot_options options = {0};

        (void)state;
        begin(ARM, GIB, 0);
        hold(0, GIB + 8 * MIB, 4 * MIB);
        hold(0, GIB + 64 * MIB, PAGE); /* no pool */
        hold(2, GIB + 4 * MIB, 2 * MIB);
        hold(3, GIB + 8 * MIB, 4 * MIB);
        assert_int_equal(judge(), 0);
        kvm_windows_pools(&config, &layout, &options);
        assert_int_equal(options.n_pools, 2);
        assert_int_equal(options.pool[0].start, GIB + 4 * MIB);
        assert_int_equal(options.pool[0].len, 2 * MIB);
        assert_int_equal(options.pool[1].start, GIB + 8 * MIB);
        assert_int_equal(options.pool[1].len, 4 * MIB);
        assert_int_equal(options.device_pool[0], 2);
        assert_int_equal(options.device_pool[1], 0);
        assert_int_equal(options.device_pool[2], 1);
        assert_int_equal(options.device_pool[3], 2);
        begin(X86, GIB, 0);
        hold(0, 8 * MIB, 4 * MIB);
        options = (struct boot_options){0};
        kvm_windows_pools(&config, &layout, &options);
        assert_int_equal(options.n_pools, 0);
        assert_int_equal(options.device_pool[0], 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_window_lies_in_one_piece_of_memory),
            cmocka_unit_test(the_address_width_of_windows_is_the_layout_s),
            cmocka_unit_test(a_pool_is_in_ram_and_aligned),
            cmocka_unit_test(pools_are_the_same_or_apart),
            cmocka_unit_test(a_guest_is_told_of_each_pool_once),
        };

        return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
