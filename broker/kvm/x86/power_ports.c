/* Power ports: one row a port.
 * Owns nothing; called by vCPU threads through the bus. TRUST: bytes are the guest's; they can end its own VM, no more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/x86/power_ports.h"

#include "proto/base/checked.h"
#include "proto/kvm_platform.h"

#define SLEEP_ENABLE     0x20u
#define SLEEP_TYPE_SHIFT 2u
#define SLEEP_TYPE_MASK  0x1cu

#define I8042_DATA_PORT    0x60u
#define I8042_COMMAND_PORT 0x64u
#define I8042_RESET        0xfeu

/* ACPI 6.4, 4.8.3.7. */
static void sleep_control(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        (void)offset;
        if (!write) {
                *bytes = 0;
                return;
        }
        if (len == 1 && *bytes & SLEEP_ENABLE &&
            (*bytes & SLEEP_TYPE_MASK) == KVM_X86_SLEEP_TYPE << SLEEP_TYPE_SHIFT)
                kvm_ending_report(context, KVM_END_SHUTDOWN, "the guest has switched itself off (ACPI S5)");
}

/* It has never woken up. */
static void sleep_status(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        (void)context, (void)offset, (void)len;
        if (!write)
                *bytes = 0;
}

static void acpi_reset(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        (void)offset, (void)len;
        if (write && *bytes == KVM_X86_RESET_VALUE)
                kvm_ending_report(context, KVM_END_RESET, "the guest asks for a reset (ACPI)");
}

static void i8042_command(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        (void)offset, (void)len;
        if (!write)
                *bytes = 0; /* nothing to read, ready for a command: who resets so does not wait */
        else if (*bytes == I8042_RESET)
                kvm_ending_report(context, KVM_END_RESET, "the guest asks for a reset (keyboard controller)");
}

static void i8042_data(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        (void)context, (void)offset, (void)len;
        if (!write)
                *bytes = 0;
}

static const struct port {
        uint64_t port;
        const char *name;
        kvm_bus_handler *handler;
} ports[] = {
    {KVM_X86_SLEEP_CONTROL_PORT, "sleep control", sleep_control},
    {KVM_X86_SLEEP_STATUS_PORT, "sleep status", sleep_status},
    {KVM_X86_RESET_PORT, "reset", acpi_reset},
    {I8042_DATA_PORT, "keyboard data", i8042_data},
    {I8042_COMMAND_PORT, "keyboard command", i8042_command},
};

int power_ports_add(struct kvm_bus *bus, struct kvm_ending *ending)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < array_size(ports); i++)
                r = kvm_bus_add(bus, KVM_SPACE_PIO, ports[i].port, 1, ports[i].name, ports[i].handler,
                                ending);
        return r;
}
