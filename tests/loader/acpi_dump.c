/* Writes the ACPI tables of a machine as files that iasl reads: FOLDER/<signature>.dat, for test_acpi.py.
 *
 *     acpi_dump FOLDER VCPUS DEVICES IOMMU
 *
 * IOMMU: 0, or the number of the device that is one, from 1; all others are behind it.
 *
 * TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "workers/loader/acpi.h"
#include "proto/base/bytes.h"

static int write_file(const char *folder, const char *name, const uint8_t *bytes, size_t len)
{
        char path[4096];
        FILE *file;
        size_t n;

        snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
        file = fopen(path, "wb");
        if (!file)
                return -1;
        n = fwrite(bytes, 1, len, file);
        return fclose(file) == 0 && n == len ? 0 : -1;
}

static int write_table(const char *folder, const uint8_t *tables, uint64_t at)
{
        const char name[5] = {(char)tables[at], (char)tables[at + 1], (char)tables[at + 2],
                              (char)tables[at + 3]};

        return write_file(folder, name, tables + at, bytes_load32(tables + at + 4));
}

int main(int argc, char **argv)
{
        static struct boot_options options = {.devices_start = 0xd0000000};
        static uint8_t tables[ACPI_BYTES];
        uint64_t xsdt, fadt, madt;

        if (argc != 5)
                return EXIT_FAILURE;
        options.n_vcpus = (uint32_t)atoi(argv[2]);
        options.n_devices = (uint32_t)atoi(argv[3]);
        options.iommu = (uint32_t)atoi(argv[4]);
        for (uint32_t i = 0; options.iommu > 0 && i < options.n_devices; i++)
                if (i + 1 != options.iommu)
                        options.endpoints |= UINT64_C(1) << i;
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++)
                options.interrupt[i] = 5 + i;
        /* Made for address 0: what points to a table is its place here. */
        if (options.n_vcpus > LIMIT_VCPUS || options.n_devices > LIMIT_DEVICES ||
            acpi_make(&options, 0, tables, sizeof(tables)) < 0)
                return EXIT_FAILURE;
        xsdt = bytes_load64(tables + 24);
        fadt = bytes_load64(tables + xsdt + 36);
        madt = bytes_load64(tables + xsdt + 44);
        if (write_file(argv[1], "RSDP", tables, 36) < 0 || write_table(argv[1], tables, xsdt) < 0 ||
            write_table(argv[1], tables, fadt) < 0 || write_table(argv[1], tables, madt) < 0 ||
            write_table(argv[1], tables, bytes_load64(tables + fadt + 140)) < 0)
                return EXIT_FAILURE;
        if (options.iommu > 0 && write_table(argv[1], tables, bytes_load64(tables + xsdt + 52)) < 0)
                return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
