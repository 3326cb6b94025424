/* The ACPI tables: checksums, addresses, room. What they say is judged by iasl (test_acpi.py).
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "proto/base/checked.h"
#include "tests/unit/unit.h"
#include "workers/loader/acpi.h"
#include "proto/base/bytes.h"

#define ADDRESS 0xe0000u

static uint8_t tables[ACPI_BYTES];
static struct boot_options options;

static void machine(uint32_t n_vcpus, uint32_t n_devices)
{
        options = (struct boot_options){.arch = BOOT_ARCH_X86_64,
                                        .n_vcpus = n_vcpus,
                                        .devices_start = 0xd0000000,
                                        .n_devices = n_devices};
        for (uint32_t i = 0; i < n_devices; i++)
                options.interrupt[i] = 5 + i;
}

static void expect_sum_zero(const uint8_t *bytes, size_t len)
{
        uint8_t sum = 0;

        for (size_t i = 0; i < len; i++)
                sum = (uint8_t)(sum + bytes[i]);
        assert_int_equal(sum, 0);
}

/* A guest address, and what lies there. */
static const uint8_t *table_at(uint64_t address, int len, const char *signature)
{
        const uint8_t *table = tables + (address - ADDRESS);

        assert_true(address >= ADDRESS && address % 16 == 0);
        assert_true(range_inside(address - ADDRESS, 36, (uint64_t)len));
        assert_memory_equal(table, signature, 4);
        assert_true(range_inside(address - ADDRESS, bytes_load32(table + 4), (uint64_t)len));
        expect_sum_zero(table, bytes_load32(table + 4));
        return table;
}

static void each_table_is_found_and_sums_to_zero(void **state)
{
        static const uint32_t sizes[][2] = {{1, 0}, {1, 1}, {3, 17}, {LIMIT_VCPUS, LIMIT_DEVICES}};

        (void)state;
        for (size_t i = 0; i < array_size(sizes); i++) {
                const uint8_t *xsdt, *fadt, *madt;
                int len;

                machine(sizes[i][0], sizes[i][1]);
                len = acpi_make(&options, ADDRESS, tables, sizeof(tables));
                assert_true(len > 0);
                assert_memory_equal(tables, "RSD PTR ", 8);
                expect_sum_zero(tables, 20);
                expect_sum_zero(tables, 36);
                xsdt = table_at(bytes_load64(tables + 24), len, "XSDT");
                assert_int_equal(bytes_load32(xsdt + 4), 36 + 16);
                fadt = table_at(bytes_load64(xsdt + 36), len, "FACP");
                madt = table_at(bytes_load64(xsdt + 44), len, "APIC");
                table_at(bytes_load64(fadt + 140), len, "DSDT");
                assert_int_equal(bytes_load32(madt + 4), 44 + 8 * sizes[i][0] + 12);
        }
}

/* The same numbers as the ports that the broker serves. */
static void the_fadt_names_the_ports_of_the_platform(void **state)
{
        const uint8_t *fadt;

        (void)state;
        machine(1, 1);
        assert_true(acpi_make(&options, ADDRESS, tables, sizeof(tables)) > 0);
        fadt = tables + (bytes_load64(tables + (bytes_load64(tables + 24) - ADDRESS) + 36) - ADDRESS);
        assert_int_equal(bytes_load64(fadt + 116 + 4), KVM_X86_RESET_PORT);
        assert_int_equal(fadt[128], KVM_X86_RESET_VALUE);
        assert_int_equal(bytes_load64(fadt + 244 + 4), KVM_X86_SLEEP_CONTROL_PORT);
        assert_int_equal(bytes_load64(fadt + 256 + 4), KVM_X86_SLEEP_STATUS_PORT);
        assert_int_equal(bytes_load32(fadt + 112) >> 20 & 1, 1);       /* hardware-reduced */
        assert_int_equal(bytes_load16(fadt + 109) & 1u << 5, 1u << 5); /* no CMOS clock */
}

/* VIOT: which is the IOMMU, and who is behind it, by the addresses of their registers. */
static void devices_behind_an_iommu_are_named(void **state)
{
        const uint8_t *xsdt, *viot;
        int len;

        (void)state;
        machine(1, 5);
        options.iommu = 2;
        options.endpoints = 1u << 0 | 1u << 4;
        len = acpi_make(&options, ADDRESS, tables, sizeof(tables));
        xsdt = table_at(bytes_load64(tables + 24), len, "XSDT");
        assert_int_equal(bytes_load32(xsdt + 4), 36 + 24);
        viot = table_at(bytes_load64(xsdt + 52), len, "VIOT");
        assert_int_equal(bytes_load32(viot + 4), 48 + 16 + 2 * 24);
        assert_int_equal(bytes_load16(viot + 36), 3);
        assert_int_equal(bytes_load16(viot + 38), 48);
        assert_int_equal(viot[48], 4);
        assert_int_equal(bytes_load64(viot + 48 + 8), 0xd0001000);
        for (unsigned i = 0; i < 2; i++) {
                const uint8_t *node = viot + 64 + 24 * i;

                assert_int_equal(node[0], 2);
                assert_int_equal(bytes_load16(node + 2), 24);
                assert_int_equal(bytes_load32(node + 4), i == 0 ? 0 : 4);
                assert_int_equal(bytes_load64(node + 8), i == 0 ? 0xd0000000 : 0xd0004000);
                assert_int_equal(bytes_load16(node + 16), 48);
        }
}

static void tables_that_do_not_fit_are_not_made(void **state)
{
        int len;

        (void)state;
        machine(LIMIT_VCPUS, LIMIT_DEVICES);
        options.iommu = 1;
        options.endpoints = UINT64_MAX - 1;
        len = acpi_make(&options, ADDRESS, tables, sizeof(tables));
        assert_true(len > 0 && len < (int)sizeof(tables) / 2);
        for (int size = 0; size < len; size++) {
                uint8_t *exact = malloc((size_t)size + 1);

                assert_non_null(exact);
                exact[size] = 0x5a;
                assert_int_equal(acpi_make(&options, ADDRESS, exact, (size_t)size), -E2BIG);
                assert_int_equal(exact[size], 0x5a);
                free(exact);
        }
        assert_int_equal(acpi_make(&options, ADDRESS, tables, (size_t)len), len);
}

static void devices_lie_below_4_gib(void **state)
{
        (void)state;
        machine(1, 2);
        options.devices_start = 0xffffe000;
        assert_true(acpi_make(&options, ADDRESS, tables, sizeof(tables)) > 0);
        options.devices_start = 0xfffff000;
        assert_int_equal(acpi_make(&options, ADDRESS, tables, sizeof(tables)), -ERANGE);
        options.devices_start = UINT64_C(0x100000000);
        assert_int_equal(acpi_make(&options, ADDRESS, tables, sizeof(tables)), -ERANGE);
        options.n_devices = 0;
        assert_true(acpi_make(&options, ADDRESS, tables, sizeof(tables)) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_table_is_found_and_sums_to_zero),
            cmocka_unit_test(the_fadt_names_the_ports_of_the_platform),
            cmocka_unit_test(devices_behind_an_iommu_are_named),
            cmocka_unit_test(tables_that_do_not_fit_are_not_made),
            cmocka_unit_test(devices_lie_below_4_gib),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
