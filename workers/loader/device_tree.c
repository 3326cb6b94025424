/* The device tree of an arm64 machine: memory, processors (PSCI), GIC, timer, PL011, virtio-mmio, and which of
 * those are behind an IOMMU.
 * Owns nothing; called by load_arm64.c. TRUST: everything here is our own or the broker's.
 *
 * libfdt remembers the first thing that went wrong in what each call returns; `tree` keeps it, so that the calls stand one
 * under the other and are judged once, at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/device_tree.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

#define PHANDLE_GIC   1u
#define PHANDLE_CLOCK 2u
#define PHANDLE_IOMMU 3u
#define PHANDLE_POOL  4u        /* and those behind it: of pool i */
#define CLOCK_HZ      24000000u /* of the PL011: nothing is timed by it */

/* Interrupt cells (Linux, arm,gic.yaml): kind, number, flags. */
#define GIC_SPI   0u
#define GIC_PPI   1u
#define GIC_EDGE  1u
#define GIC_LEVEL 4u

#define CELLS_MAX (4u * LIMIT_BOOT_RAM)

struct tree {
        void *fdt;
        int error; /* of libfdt; 0: none yet */
};

static void keep(struct tree *tree, int r)
{
        if (tree->error == 0)
                tree->error = r;
}

static void put_text(struct tree *tree, const char *name, const char *value)
{
        keep(tree, fdt_property(tree->fdt, name, value, (int)strlen(value) + 1));
}

static void put_none(struct tree *tree, const char *name)
{
        keep(tree, fdt_property(tree->fdt, name, NULL, 0));
}

static void put_cell(struct tree *tree, const char *name, uint32_t value)
{
        keep(tree, fdt_property_u32(tree->fdt, name, value));
}

static void put_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t n)
{
        fdt32_t wire[CELLS_MAX];

        for (size_t i = 0; i < n; i++)
                wire[i] = cpu_to_fdt32(cells[i]);
        keep(tree, fdt_property(tree->fdt, name, wire, (int)(n * sizeof(wire[0]))));
}

/* Addresses and lengths have two cells everywhere. */
static void put_ranges(struct tree *tree, const char *name, const struct boot_range *ranges, size_t n)
{
        uint32_t cells[CELLS_MAX];

        for (size_t i = 0; i < n; i++) {
                cells[4 * i] = (uint32_t)(ranges[i].start >> 32);
                cells[4 * i + 1] = (uint32_t)ranges[i].start;
                cells[4 * i + 2] = (uint32_t)(ranges[i].len >> 32);
                cells[4 * i + 3] = (uint32_t)ranges[i].len;
        }
        put_cells(tree, name, cells, 4 * n);
}

static void open_node(struct tree *tree, const char *name)
{
        keep(tree, fdt_begin_node(tree->fdt, name));
}

static void open_node_at(struct tree *tree, const char *name, uint64_t address)
{
        char full[64];

        snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
        open_node(tree, full);
}

static void close_node(struct tree *tree)
{
        keep(tree, fdt_end_node(tree->fdt));
}

/* ---- nodes ---- */

static void put_chosen(struct tree *tree, const struct boot_options *options, uint64_t initrd,
                       uint64_t initrd_len)
{
        char console[32];

        snprintf(console, sizeof(console), "/pl011@%x", KVM_ARM64_SERIAL);
        open_node(tree, "chosen");
        put_text(tree, "bootargs", options->cmdline);
        put_text(tree, "stdout-path", console);
        if (initrd_len > 0) {
                keep(tree, fdt_property_u64(tree->fdt, "linux,initrd-start", initrd));
                keep(tree, fdt_property_u64(tree->fdt, "linux,initrd-end", initrd + initrd_len));
        }
        close_node(tree);
}

static void put_memory(struct tree *tree, const struct boot_options *options)
{
        open_node_at(tree, "memory", options->ram[0].start);
        put_text(tree, "device_type", "memory");
        put_ranges(tree, "reg", options->ram, options->n_ram);
        close_node(tree);
}

/* MPIDR of vCPU i, as KVM numbers them: sixteen to a cluster. */
static uint32_t mpidr(uint32_t i)
{
        return (i & 0xf) | (i >> 4) << 8;
}

static void put_processors(struct tree *tree, const struct boot_options *options)
{
        open_node(tree, "cpus");
        put_cell(tree, "#address-cells", 1);
        put_cell(tree, "#size-cells", 0);
        for (uint32_t i = 0; i < options->n_vcpus; i++) {
                open_node_at(tree, "cpu", mpidr(i));
                put_text(tree, "device_type", "cpu");
                put_text(tree, "compatible", "arm,armv8");
                put_text(tree, "enable-method", "psci");
                put_cell(tree, "reg", mpidr(i));
                close_node(tree);
        }
        close_node(tree);
}

static void put_psci(struct tree *tree)
{
        static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

        open_node(tree, "psci");
        keep(tree, fdt_property(tree->fdt, "compatible", compatible, sizeof(compatible)));
        put_text(tree, "method", "hvc");
        close_node(tree);
}

/* Private interrupts of a version 2 controller name the processors that have them. */
static uint32_t ppi_flags(const struct boot_options *options, uint32_t flags)
{
        return options->gic == 2 ? flags | ((1u << MIN(options->n_vcpus, 8u)) - 1) << 8 : flags;
}

static void put_timer(struct tree *tree, const struct boot_options *options)
{
        static const uint32_t ppis[] = KVM_ARM64_TIMER_PPIS;
        uint32_t cells[3 * array_size(ppis)];

        for (size_t i = 0; i < array_size(ppis); i++) {
                cells[3 * i] = GIC_PPI;
                cells[3 * i + 1] = ppis[i];
                cells[3 * i + 2] = ppi_flags(options, GIC_LEVEL);
        }
        open_node(tree, "timer");
        put_text(tree, "compatible", "arm,armv8-timer");
        put_cells(tree, "interrupts", cells, array_size(cells));
        put_none(tree, "always-on");
        close_node(tree);
}

static void put_gic(struct tree *tree, const struct boot_options *options)
{
        struct boot_range ranges[2] = {{KVM_ARM64_GIC_DISTRIBUTOR, KVM_ARM64_GIC_DISTRIBUTOR_LEN}};

        if (options->gic == 3)
                ranges[1] = (struct boot_range){KVM_ARM64_GIC_REDISTRIBUTOR,
                                                (uint64_t)options->n_vcpus * KVM_ARM64_GIC_REDISTRIBUTOR_LEN};
        else
                ranges[1] = (struct boot_range){KVM_ARM64_GIC_CPU, KVM_ARM64_GIC_CPU_LEN};
        open_node_at(tree, "interrupt-controller", KVM_ARM64_GIC_DISTRIBUTOR);
        put_text(tree, "compatible", options->gic == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
        put_none(tree, "interrupt-controller");
        put_cell(tree, "#interrupt-cells", 3);
        put_ranges(tree, "reg", ranges, array_size(ranges));
        put_cell(tree, "phandle", PHANDLE_GIC);
        close_node(tree);
}

static void put_spi(struct tree *tree, uint32_t spi)
{
        put_cells(tree, "interrupts", (const uint32_t[]){GIC_SPI, spi, GIC_EDGE}, 3);
}

static void put_serial(struct tree *tree)
{
        static const char compatible[] = "arm,pl011\0arm,primecell";
        static const char clock_names[] = "uartclk\0apb_pclk";
        static const struct boot_range range = {KVM_ARM64_SERIAL, KVM_ARM64_SERIAL_LEN};

        open_node(tree, "apb-pclk");
        put_text(tree, "compatible", "fixed-clock");
        put_cell(tree, "#clock-cells", 0);
        put_cell(tree, "clock-frequency", CLOCK_HZ);
        put_text(tree, "clock-output-names", "clk24mhz");
        put_cell(tree, "phandle", PHANDLE_CLOCK);
        close_node(tree);
        open_node_at(tree, "pl011", KVM_ARM64_SERIAL);
        keep(tree, fdt_property(tree->fdt, "compatible", compatible, sizeof(compatible)));
        put_ranges(tree, "reg", &range, 1);
        put_spi(tree, KVM_ARM64_SERIAL_SPI);
        put_cells(tree, "clocks", (const uint32_t[]){PHANDLE_CLOCK, PHANDLE_CLOCK}, 2);
        keep(tree, fdt_property(tree->fdt, "clock-names", clock_names, sizeof(clock_names)));
        close_node(tree);
}

static void put_virtio(struct tree *tree, const struct boot_options *options, uint32_t i)
{
        const struct boot_range range = {options->devices_start + (uint64_t)i * BOOT_DEVICE_WINDOW,
                                         BOOT_DEVICE_WINDOW};

        open_node_at(tree, "virtio_mmio", range.start);
        put_text(tree, "compatible", "virtio,mmio");
        put_ranges(tree, "reg", &range, 1);
        put_spi(tree, options->interrupt[i]);
        put_none(tree, "dma-coherent");
        if (options->n_pools > 0 && options->device_pool[i] > 0)
                put_cell(tree, "memory-region", PHANDLE_POOL + options->device_pool[i] - 1);
        if (i + 1 == options->iommu) {
                put_cell(tree, "#iommu-cells", 1);
                put_cell(tree, "phandle", PHANDLE_IOMMU);
        }
        if (options->endpoints >> i & 1) /* as endpoint i */
                put_cells(tree, "iommus", (const uint32_t[]){PHANDLE_IOMMU, i}, 2);
        close_node(tree);
}

/* RAM that a guest keeps for what it shares with some devices, which are held to it (Linux, shared-dma-pool.yaml, restricted-dma-pool): it
 * bounces their buffers there, and takes their rings from there. */
static void put_pools(struct tree *tree, const struct boot_options *options)
{
        if (options->n_pools == 0)
                return;
        open_node(tree, "reserved-memory");
        put_cell(tree, "#address-cells", 2);
        put_cell(tree, "#size-cells", 2);
        put_none(tree, "ranges");
        for (uint32_t i = 0; i < options->n_pools; i++) {
                open_node_at(tree, "restricted-dma-pool", options->pool[i].start);
                put_text(tree, "compatible", "restricted-dma-pool");
                put_ranges(tree, "reg", &options->pool[i], 1);
                put_cell(tree, "phandle", PHANDLE_POOL + i);
                close_node(tree);
        }
        close_node(tree);
}

int device_tree_make(const struct boot_options *options, uint64_t initrd, uint64_t initrd_len, uint8_t *bytes,
                     size_t size)
{
        struct tree tree = {.fdt = bytes};

        keep(&tree, fdt_create(bytes, (int)size));
        keep(&tree, fdt_finish_reservemap(bytes));
        open_node(&tree, "");
        put_text(&tree, "compatible", "linux,dummy-virt");
        put_text(&tree, "model", "bulkhead");
        put_cell(&tree, "#address-cells", 2);
        put_cell(&tree, "#size-cells", 2);
        put_cell(&tree, "interrupt-parent", PHANDLE_GIC);
        put_chosen(&tree, options, initrd, initrd_len);
        put_memory(&tree, options);
        put_pools(&tree, options);
        put_processors(&tree, options);
        put_psci(&tree);
        put_gic(&tree, options);
        put_timer(&tree, options);
        put_serial(&tree);
        for (uint32_t i = 0; i < options->n_devices; i++)
                put_virtio(&tree, options, i);
        close_node(&tree);
        keep(&tree, fdt_finish(bytes));
        return tree.error < 0 ? -E2BIG : (int)fdt_totalsize(bytes);
}
