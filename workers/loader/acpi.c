/* The ACPI tables of an x86_64 machine (ACPI 6.5, 5.2).
 * Owns nothing; called by load_x86.c. TRUST: everything here is our own or the broker's.
 *
 * Hardware-reduced: no PM timer, no PM1 registers, no SCI, no FACS. Sleep and reset registers are ports that the broker
 * serves (proto/kvm_platform.h). Debian's kernels find virtio-mmio devices by LNRO0005 alone; the rows of _SB are those, and
 * COM1, without which a kernel gives ttyS0 no interrupt.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/loader/aml.h"
#include "proto/base/bytes.h"

#define HEADER_BYTES 36u
#define RSDP_BYTES   36u
#define FADT_BYTES   276u /* revision 6 */
#define MADT_FIXED   (HEADER_BYTES + 8u)
#define MADT_LAPIC   8u
#define MADT_IOAPIC  12u
#define VIOT_FIXED   (HEADER_BYTES + 12u)
#define VIOT_IOMMU   16u
#define VIOT_MMIO    24u
#define TABLE_ALIGN  16u

#define EISA_PNP0501 0x0105d041u /* 16550 */

/* IAPC_BOOT_ARCH: no VGA, no CMOS clock. Without the second Linux waits for three seconds. */
#define BOOT_ARCH_FLAGS (1u << 2 | 1u << 5)
/* Flags: WBINVD works; no fixed power and sleep buttons; reset register; hardware-reduced. */
#define FADT_FLAGS (1u << 0 | 1u << 4 | 1u << 5 | 1u << 10 | 1u << 20)

static void set_checksum(uint8_t *bytes, size_t len, uint8_t *checksum)
{
        uint8_t sum = 0;

        *checksum = 0;
        for (size_t i = 0; i < len; i++)
                sum = (uint8_t)(sum + bytes[i]);
        *checksum = (uint8_t)-sum;
}

/* The head of a table whose other bytes are there already. */
static void finish_table(uint8_t *bytes, uint32_t len, const char signature[static 4], uint8_t revision)
{
        memcpy(bytes, signature, 4);
        bytes_store32(bytes + 4, len);
        bytes[8] = revision;
        memcpy(bytes + 10, "BLKHD ", 6);
        memcpy(bytes + 16, "BULKHEAD", 8);
        bytes_store32(bytes + 24, 1);
        memcpy(bytes + 28, "BLKH", 4);
        bytes_store32(bytes + 32, 1);
        set_checksum(bytes, len, &bytes[9]);
}

/* Generic address of an eight-bit port. */
static void put_port(uint8_t *at, uint64_t port)
{
        at[0] = 1; /* system I/O */
        at[1] = 8; /* bits */
        at[2] = 0;
        at[3] = 1; /* byte access */
        bytes_store64(at + 4, port);
}

static void make_rsdp(uint8_t *bytes, uint64_t xsdt)
{
        memcpy(bytes, "RSD PTR ", 8);
        memcpy(bytes + 9, "BLKHD ", 6);
        bytes[15] = 2; /* revision */
        bytes_store32(bytes + 20, RSDP_BYTES);
        bytes_store64(bytes + 24, xsdt);
        set_checksum(bytes, 20, &bytes[8]);
        set_checksum(bytes, RSDP_BYTES, &bytes[32]);
}

static void make_fadt(uint8_t *bytes, uint64_t dsdt)
{
        bytes_store16(bytes + 109, BOOT_ARCH_FLAGS);
        bytes_store32(bytes + 112, FADT_FLAGS);
        put_port(bytes + 116, KVM_X86_RESET_PORT);
        bytes[128] = KVM_X86_RESET_VALUE;
        bytes[131] = 5; /* 6.5 */
        bytes_store64(bytes + 140, dsdt);
        put_port(bytes + 244, KVM_X86_SLEEP_CONTROL_PORT);
        put_port(bytes + 256, KVM_X86_SLEEP_STATUS_PORT);
        finish_table(bytes, FADT_BYTES, "FACP", 6);
}

static uint32_t madt_bytes(const struct boot_options *options)
{
        return MADT_FIXED + options->n_vcpus * MADT_LAPIC + MADT_IOAPIC;
}

/* No interrupt source overrides: pins are GSIs as they are, edge and high unless a device says otherwise. */
static void make_madt(uint8_t *bytes, const struct boot_options *options)
{
        uint8_t *at = bytes + MADT_FIXED;

        bytes_store32(bytes + 36, KVM_X86_LOCAL_APIC);
        for (uint32_t i = 0; i < options->n_vcpus; i++, at += MADT_LAPIC) {
                at[0] = 0; /* processor local APIC */
                at[1] = MADT_LAPIC;
                at[2] = (uint8_t)i; /* processor */
                at[3] = (uint8_t)i; /* APIC */
                bytes_store32(at + 4, 1);
        }
        at[0] = 1; /* I/O APIC */
        at[1] = MADT_IOAPIC;
        bytes_store32(at + 4, KVM_X86_IOAPIC);
        finish_table(bytes, madt_bytes(options), "APIC", 5);
}

/* ---- VIOT (ACPI 6.5, 5.2.33): which devices are behind the IOMMU, as which endpoints ---- */

static uint64_t device_address(const struct boot_options *options, uint32_t i)
{
        return options->devices_start + (uint64_t)i * BOOT_DEVICE_WINDOW;
}

/* 0: there is no IOMMU, and no table. */
static uint32_t viot_bytes(const struct boot_options *options)
{
        uint32_t n = (uint32_t)__builtin_popcountll(options->endpoints);

        return options->iommu > 0 ? VIOT_FIXED + VIOT_IOMMU + n * VIOT_MMIO : 0;
}

static void make_viot(uint8_t *bytes, const struct boot_options *options)
{
        uint8_t *at = bytes + VIOT_FIXED;

        if (options->iommu == 0)
                return;
        bytes_store16(bytes + 36, (uint16_t)(1 + __builtin_popcountll(options->endpoints))); /* nodes, ... */
        bytes_store16(bytes + 38, VIOT_FIXED); /* ... the first of which is here: */
        at[0] = 4;                             /* virtio-iommu, by virtio-mmio */
        bytes_store16(at + 2, VIOT_IOMMU);
        bytes_store64(at + 8, device_address(options, options->iommu - 1));
        at += VIOT_IOMMU;
        for (uint32_t i = 0; i < options->n_devices; i++) {
                if (!(options->endpoints >> i & 1))
                        continue;
                at[0] = 2; /* a device with registers in memory */
                bytes_store16(at + 2, VIOT_MMIO);
                bytes_store32(at + 4, i);
                bytes_store64(at + 8, device_address(options, i));
                bytes_store16(at + 16, VIOT_FIXED); /* what it is behind */
                at += VIOT_MMIO;
        }
        finish_table(bytes, viot_bytes(options), "VIOT", 0);
}

/* ---- DSDT ---- */

static void put_serial(struct aml *aml)
{
        size_t device = aml_open_device(aml, "COM1"), resources;

        aml_name_eisa_id(aml, "_HID", EISA_PNP0501);
        aml_name_byte(aml, "_UID", 0);
        resources = aml_open_resources(aml);
        aml_ports(aml, KVM_X86_SERIAL_PORT, 8);
        aml_interrupt_edge(aml, KVM_X86_SERIAL_GSI);
        aml_close_resources(aml, resources);
        aml_close(aml, device);
}

static void put_virtio(struct aml *aml, const struct boot_options *options, uint32_t i)
{
        uint32_t start = (uint32_t)device_address(options, i);
        size_t device, resources;
        char name[8];

        snprintf(name, sizeof(name), "VR%02X", i & 0xff);
        device = aml_open_device(aml, name);
        aml_name_string(aml, "_HID", "LNRO0005");
        aml_name_byte(aml, "_UID", (uint8_t)i);
        resources = aml_open_resources(aml);
        aml_memory32(aml, start, BOOT_DEVICE_WINDOW);
        aml_interrupt_edge(aml, options->interrupt[i]);
        aml_close_resources(aml, resources);
        aml_close(aml, device);
}

/* Length, or -E2BIG. */
static int make_dsdt(uint8_t *bytes, size_t size, const struct boot_options *options)
{
        static const uint8_t off[] = {KVM_X86_SLEEP_TYPE, KVM_X86_SLEEP_TYPE, 0, 0};
        struct aml aml;
        size_t scope;

        if (size < HEADER_BYTES)
                return -E2BIG;
        aml_init(&aml, bytes + HEADER_BYTES, size - HEADER_BYTES);
        aml_name_byte_package(&aml, "_S5_", off, sizeof(off));
        scope = aml_open_scope(&aml, "\\_SB_");
        put_serial(&aml);
        for (uint32_t i = 0; i < options->n_devices; i++)
                put_virtio(&aml, options, i);
        aml_close(&aml, scope);
        if (aml.full)
                return -E2BIG;
        finish_table(bytes, (uint32_t)(HEADER_BYTES + aml.len), "DSDT", 2);
        return (int)(HEADER_BYTES + aml.len);
}

/* ---- all together ---- */

static size_t align(size_t at)
{
        return (at + TABLE_ALIGN - 1) / TABLE_ALIGN * TABLE_ALIGN;
}

static uint32_t xsdt_bytes(const struct boot_options *options)
{
        return HEADER_BYTES + 8u * (options->iommu > 0 ? 3u : 2u);
}

int acpi_make(const struct boot_options *options, uint32_t address, uint8_t *bytes, size_t size)
{
        size_t xsdt = align(RSDP_BYTES), fadt = align(xsdt + xsdt_bytes(options));
        size_t madt = align(fadt + FADT_BYTES), viot = align(madt + madt_bytes(options));
        size_t dsdt = align(viot + viot_bytes(options));
        int dsdt_len;

        if (!range_inside(options->devices_start, (uint64_t)options->n_devices * BOOT_DEVICE_WINDOW,
                          UINT64_C(1) << 32))
                return -ERANGE;
        if (dsdt > size)
                return -E2BIG;
        memset(bytes, 0, size);
        dsdt_len = make_dsdt(bytes + dsdt, size - dsdt, options);
        if (dsdt_len < 0)
                return dsdt_len;
        make_rsdp(bytes, address + xsdt);
        bytes_store64(bytes + xsdt + HEADER_BYTES, address + fadt);
        bytes_store64(bytes + xsdt + HEADER_BYTES + 8, address + madt);
        if (options->iommu > 0)
                bytes_store64(bytes + xsdt + HEADER_BYTES + 16, address + viot);
        finish_table(bytes + xsdt, xsdt_bytes(options), "XSDT", 1);
        make_fadt(bytes + fadt, address + dsdt);
        make_madt(bytes + madt, options);
        make_viot(bytes + viot, options);
        return (int)dsdt + dsdt_len;
}
