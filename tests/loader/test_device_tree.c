/* The device tree of an arm64 machine, read back.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/device_tree.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "tests/unit/unit.h"

#define GIB UINT64_C(0x40000000)

static uint8_t tree[DEVICE_TREE_BYTES];

static struct boot_options machine(uint32_t n_vcpus, uint32_t n_devices, uint32_t gic)
{
        struct boot_options options = {.arch = BOOT_ARCH_ARM64,
                                       .n_vcpus = n_vcpus,
                                       .n_ram = 2,
                                       .ram = {{GIB, GIB}, {5 * GIB, 2 * GIB}},
                                       .devices_start = 0x0a000000,
                                       .n_devices = n_devices,
                                       .gic = gic,
                                       .cmdline = "console=ttyAMA0 quiet"};

        for (uint32_t i = 0; i < n_devices; i++)
                options.interrupt[i] = 16 + i;
        return options;
}

static int make(const struct boot_options *options)
{
        int len = device_tree_make(options, 0x48000000, 1000, tree, sizeof(tree));

        if (len > 0)
                assert_int_equal(fdt_check_full(tree, (size_t)len), 0);
        return len;
}

static int node(const char *path)
{
        int at = fdt_path_offset(tree, path);

        if (at < 0)
                fail_msg("there is no %s", path);
        return at;
}

static void expect_text(const char *path, const char *name, const char *expected)
{
        const char *value = fdt_getprop(tree, node(path), name, NULL);

        assert_non_null(value);
        assert_string_equal(value, expected);
}

static void expect_cells(const char *path, const char *name, const uint32_t *expected, int n)
{
        int len;
        const fdt32_t *value = fdt_getprop(tree, node(path), name, &len);

        assert_non_null(value);
        assert_int_equal(len, 4 * n);
        for (int i = 0; i < n; i++)
                assert_int_equal(fdt32_to_cpu(value[i]), expected[i]);
}

#define CELLS(path, name, ...)                                                                               \
        expect_cells(path, name, (const uint32_t[]){__VA_ARGS__},                                            \
                     (int)(sizeof((const uint32_t[]){__VA_ARGS__}) / 4))

static void a_tree_names_everything_that_the_broker_serves(void **state)
{
        struct boot_options options = machine(2, 3, 3);

        (void)state;
        assert_true(make(&options) > 0);
        expect_text("/chosen", "bootargs", "console=ttyAMA0 quiet");
        expect_text("/chosen", "stdout-path", "/pl011@9000000");
        CELLS("/chosen", "linux,initrd-start", 0, 0x48000000);
        CELLS("/chosen", "linux,initrd-end", 0, 0x48000000 + 1000);
        CELLS("/memory@40000000", "reg", 0, 0x40000000, 0, 0x40000000, 1, 0x40000000, 0, 0x80000000);
        expect_text("/psci", "compatible", "arm,psci-1.0");
        expect_text("/psci", "method", "hvc");
        expect_text("/cpus/cpu@1", "enable-method", "psci");
        expect_text("/timer", "compatible", "arm,armv8-timer");
        CELLS("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
        expect_text("/interrupt-controller@8000000", "compatible", "arm,gic-v3");
        CELLS("/interrupt-controller@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x080a0000, 0, 0x40000);
        expect_text("/pl011@9000000", "compatible", "arm,pl011");
        CELLS("/pl011@9000000", "interrupts", 0, 1, 1);
        for (uint32_t i = 0; i < 3; i++) {
                char path[64];

                snprintf(path, sizeof(path), "/virtio_mmio@%x", 0x0a000000 + i * 0x1000);
                expect_text(path, "compatible", "virtio,mmio");
                CELLS(path, "reg", 0, 0x0a000000 + i * 0x1000, 0, 0x1000);
                CELLS(path, "interrupts", 0, 16 + i, 1);
        }
}

static void a_version_2_controller_has_a_cpu_interface_and_masks(void **state)
{
        struct boot_options options = machine(3, 0, 2);

        (void)state;
        assert_true(make(&options) > 0);
        expect_text("/interrupt-controller@8000000", "compatible", "arm,cortex-a15-gic");
        CELLS("/interrupt-controller@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x08010000, 0, 0x2000);
        CELLS("/timer", "interrupts", 1, 13, 0x704, 1, 14, 0x704, 1, 11, 0x704, 1, 10, 0x704);
}

/* As KVM numbers them: sixteen in a cluster. */
static void processors_are_named_by_their_affinity(void **state)
{
        struct boot_options options = machine(18, 0, 3);

        (void)state;
        assert_true(make(&options) > 0);
        CELLS("/cpus/cpu@f", "reg", 0xf);
        CELLS("/cpus/cpu@100", "reg", 0x100);
        CELLS("/cpus/cpu@101", "reg", 0x101);
        assert_true(fdt_path_offset(tree, "/cpus/cpu@10") < 0);
}

static void devices_that_are_held_to_a_pool_name_it(void **state)
{
        struct boot_options options = machine(1, 3, 3);

        (void)state;
        assert_true(make(&options) > 0);
        assert_true(fdt_path_offset(tree, "/reserved-memory") < 0);
        options.n_pools = 2;
        options.pool[0] = (struct boot_range){GIB + (64 << 20), 4 << 20};
        options.pool[1] = (struct boot_range){5 * GIB, 2 << 20};
        options.device_pool[0] = 2;
        options.device_pool[2] = 1;
        assert_true(make(&options) > 0);
        CELLS("/reserved-memory", "#address-cells", 2);
        CELLS("/reserved-memory", "#size-cells", 2);
        assert_non_null(fdt_getprop(tree, node("/reserved-memory"), "ranges", NULL));
        expect_text("/reserved-memory/restricted-dma-pool@44000000", "compatible", "restricted-dma-pool");
        CELLS("/reserved-memory/restricted-dma-pool@44000000", "reg", 0, 0x44000000, 0, 0x400000);
        CELLS("/reserved-memory/restricted-dma-pool@140000000", "reg", 1, 0x40000000, 0, 0x200000);
        CELLS("/virtio_mmio@a000000", "memory-region",
              fdt_get_phandle(tree, node("/reserved-memory/restricted-dma-pool@140000000")));
        CELLS("/virtio_mmio@a002000", "memory-region",
              fdt_get_phandle(tree, node("/reserved-memory/restricted-dma-pool@44000000")));
        assert_null(fdt_getprop(tree, node("/virtio_mmio@a001000"), "memory-region", NULL));
}

static void devices_behind_an_iommu_name_it(void **state)
{
        struct boot_options options = machine(1, 3, 3);
        const uint32_t one = 1, behind[] = {3, 2};

        (void)state;
        options.iommu = 2;
        options.endpoints = 1u << 2;
        assert_true(make(&options) > 0);
        expect_cells("/virtio_mmio@a001000", "#iommu-cells", &one, 1);
        expect_cells("/virtio_mmio@a001000", "phandle", behind, 1);
        expect_cells("/virtio_mmio@a002000", "iommus", behind, 2);
        assert_null(fdt_getprop(tree, node("/virtio_mmio@a000000"), "iommus", NULL));
        assert_null(fdt_getprop(tree, node("/virtio_mmio@a001000"), "iommus", NULL));
}

static void without_an_initrd_none_is_named(void **state)
{
        struct boot_options options = machine(1, 1, 3);

        (void)state;
        assert_true(device_tree_make(&options, 0, 0, tree, sizeof(tree)) > 0);
        assert_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-start", NULL));
}

static void the_largest_machine_fits_and_a_small_buffer_is_told(void **state)
{
        struct boot_options options = machine(LIMIT_VCPUS, LIMIT_DEVICES, 3);
        int len;

        (void)state;
        options.n_pools = LIMIT_DEVICES;
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++) {
                options.pool[i] = (struct boot_range){GIB + i * (4 << 20), 2 << 20};
                options.device_pool[i] = 1 + i;
        }
        memset(options.cmdline, 'c', LIMIT_CMDLINE - 1);
        len = make(&options);
        assert_true(len > 0 && len < (int)DEVICE_TREE_BYTES / 2);
        for (int size = 0; size < len; size += size < 256 ? 1 : 97) {
                uint8_t *exact = malloc((size_t)size + 1);

                assert_non_null(exact);
                exact[size] = 0x5a;
                assert_int_equal(device_tree_make(&options, 0x48000000, 1000, exact, (size_t)size), -E2BIG);
                assert_int_equal(exact[size], 0x5a);
                free(exact);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_tree_names_everything_that_the_broker_serves),
            cmocka_unit_test(a_version_2_controller_has_a_cpu_interface_and_masks),
            cmocka_unit_test(processors_are_named_by_their_affinity),
            cmocka_unit_test(devices_that_are_held_to_a_pool_name_it),
            cmocka_unit_test(devices_behind_an_iommu_name_it),
            cmocka_unit_test(without_an_initrd_none_is_named),
            cmocka_unit_test(the_largest_machine_fits_and_a_small_buffer_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
