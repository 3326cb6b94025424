/* What a guest's platform is made of, where two rooms must say the same number: the broker, which serves it, and
 * the kernel loader, which describes it to the guest (ACPI tables, device tree) and places a kernel in it. No
 * function, no state.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How vCPU 0 starts. The others wait for it (INIT and SIPI; PSCI CPU_ON). */
enum kvm_boot_mode {
        KVM_BOOT_LINUX64 = 1, /* x86-64 boot protocol, "64-bit": rsi = arg (boot_params) */
        KVM_BOOT_PVH = 2,     /* x86 PVH: 32-bit, no paging, ebx = arg (hvm_start_info) */
        KVM_BOOT_ARM64 = 3,   /* arm64 Linux: x0 = arg (device tree), MMU off */
};

/* ---- x86-64 ---- */

/* Low memory that the broker fills itself when vCPU 0 is made ready (GDT, page tables that map the first 4 GiB to
 * themselves). Ordinary RAM for the guest, which leaves it as soon as it has tables of its own; whatever the loader
 * puts here is overwritten. */
#define KVM_X86_BOOT_START 0x1000u
#define KVM_X86_BOOT_END   0x9000u

/* COM1: a 16550 whose interrupt is an edge. */
#define KVM_X86_SERIAL_PORT 0x3f8u
#define KVM_X86_SERIAL_GSI  4u

/* Hardware-reduced ACPI: byte-wide I/O ports for the FADT. A write of SLEEP_TYPE << 2 | 0x20 (SLP_EN) to the control
 * register is S5. */
#define KVM_X86_SLEEP_CONTROL_PORT 0x600u
#define KVM_X86_SLEEP_STATUS_PORT  0x601u
#define KVM_X86_RESET_PORT         0x604u
#define KVM_X86_RESET_VALUE        1u
#define KVM_X86_SLEEP_TYPE         5u

#define KVM_X86_IOAPIC       0xfec00000u
#define KVM_X86_LOCAL_APIC   0xfee00000u
#define KVM_X86_N_IOAPIC_PIN 24u

/* Three pages for task state and one for an identity map that some processors need inside KVM: never RAM or device. */
#define KVM_X86_TSS          0xfffbd000u
#define KVM_X86_IDENTITY_MAP 0xfffbc000u

/* ---- arm64 ---- */

#define KVM_ARM64_GIC_DISTRIBUTOR       0x08000000u
#define KVM_ARM64_GIC_DISTRIBUTOR_LEN   0x10000u
#define KVM_ARM64_GIC_CPU               0x08010000u /* GICv2 alone */
#define KVM_ARM64_GIC_CPU_LEN           0x2000u
#define KVM_ARM64_GIC_REDISTRIBUTOR     0x080a0000u /* GICv3 alone; one of ... */
#define KVM_ARM64_GIC_REDISTRIBUTOR_LEN 0x20000u    /* ... so many bytes a vCPU */
#define KVM_ARM64_N_SPI                 224u        /* shared interrupts: 256 interrupts in all */

/* PL011; its interrupt is SPI 1, an edge (device tree: <0 1 1>). */
#define KVM_ARM64_SERIAL     0x09000000u
#define KVM_ARM64_SERIAL_LEN 0x1000u
#define KVM_ARM64_SERIAL_SPI 1u

/* Private interrupts of the architected timer: secure, non-secure, virtual, hypervisor (device tree: <1 n 4>). */
#define KVM_ARM64_TIMER_PPIS                                                                                 \
        {                                                                                                    \
                13, 14, 11, 10                                                                               \
        }
