/* What a vCPU's thread does when KVM_RUN returns: one row an exit reason.
 * Owns nothing; called by vcpu.c on the vCPU's thread. TRUST: addresses, lengths and bytes in the run area are the
 * guest's; they go to the bus, which judges them. The kernel says which exit it is, and is believed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/vcpu_exit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"

/* Linux 6.8: EFAULT with an exit that says where. Older headers do not have it. */
#define EXIT_MEMORY_FAULT 39u

struct memory_fault {
        uint64_t flags, gpa, size;
};

static void count(atomic_uint_fast64_t *counter)
{
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Ends the VM with what happened and where the vCPU stands. */
static void crash(struct kvm_vcpu *vcpu, const char *what)
{
        char registers[256] = "", why[512];

        kvm_platform_registers(vcpu->fd, registers, sizeof(registers));
        snprintf(why, sizeof(why), "%s on vCPU %u: %s", what, vcpu->index, registers);
        kvm_ending_report(vcpu->options->ending, KVM_END_CRASH, why);
}

static void serve_mmio(struct kvm_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;

        count(&vcpu->mmio);
        kvm_bus_access(vcpu->options->bus, KVM_SPACE_MMIO, run->mmio.phys_addr, MIN(run->mmio.len, 8u),
                       run->mmio.is_write, run->mmio.data);
}

/* A string instruction brings several values for one port at once. */
static void serve_io(struct kvm_vcpu *vcpu)
{
        struct kvm_run *run = vcpu->run;
        uint64_t len = (uint64_t)run->io.size * run->io.count;
        uint8_t *bytes = (uint8_t *)run + run->io.data_offset;

        count(&vcpu->pio);
        if (run->io.size > 8 || !range_inside(run->io.data_offset, len, vcpu->run_len)) {
                crash(vcpu, "KVM describes an access to a port that cannot be");
                return;
        }
        for (uint32_t i = 0; i < run->io.count; i++)
                kvm_bus_access(vcpu->options->bus, KVM_SPACE_PIO, run->io.port, run->io.size,
                               run->io.direction == KVM_EXIT_IO_OUT, bytes + (uint64_t)i * run->io.size);
}

/* On AMD's processors KVM resets the vCPU first (the state is undefined there): then rip is 0xfff0. */
static void serve_shutdown(struct kvm_vcpu *vcpu)
{
        crash(vcpu, "triple fault");
}

static void serve_fail_entry(struct kvm_vcpu *vcpu)
{
        char what[96];

        snprintf(what, sizeof(what), "the processor refuses the guest's state (hardware reason 0x%llx)",
                 (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
        crash(vcpu, what);
}

static const char *internal_error_word(uint32_t suberror)
{
        switch (suberror) {
        case KVM_INTERNAL_ERROR_EMULATION:
                return "an instruction that it cannot emulate, at a device or at a part of a shared memory "
                       "region that "
                       "is not mapped";
        case KVM_INTERNAL_ERROR_SIMUL_EX:
                return "an exception while another was delivered";
        case KVM_INTERNAL_ERROR_DELIVERY_EV:
                return "an exit while an event was delivered";
        case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
                return "an exit that it does not know";
        default:
                return "no reason that we know";
        }
}

/* Room for up to 15 bytes in hex. */
static void instruction_words(const struct kvm_run *run, char *text, size_t size)
{
        unsigned n = MIN((unsigned)run->emulation_failure.insn_size, 15u);
        size_t at = 0;

        if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->emulation_failure.ndata < 3 ||
            !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
                return;
        at = (size_t)snprintf(text, size, ", bytes");
        for (unsigned i = 0; i < n; i++)
                at += (size_t)snprintf(text + at, size - at, " %02x", run->emulation_failure.insn_bytes[i]);
}

static void serve_internal_error(struct kvm_vcpu *vcpu)
{
        char bytes[64] = "", what[256];

        instruction_words(vcpu->run, bytes, sizeof(bytes));
        snprintf(what, sizeof(what), "internal error of KVM (%u: %s%s)", vcpu->run->internal.suberror,
                 internal_error_word(vcpu->run->internal.suberror), bytes);
        crash(vcpu, what);
}

static void serve_system_event(struct kvm_vcpu *vcpu)
{
        switch (vcpu->run->system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
                kvm_ending_report(vcpu->options->ending, KVM_END_SHUTDOWN,
                                  "the guest has switched itself off");
                break;
        case KVM_SYSTEM_EVENT_RESET:
                kvm_ending_report(vcpu->options->ending, KVM_END_RESET, "the guest asks for a reset");
                break;
        case KVM_SYSTEM_EVENT_CRASH:
                crash(vcpu, "the guest reports its own crash");
                break;
        default:
                crash(vcpu, "a system event that nobody has asked for");
                break;
        }
}

#ifdef KVM_EXIT_ARM_NISV
static void serve_undecoded(struct kvm_vcpu *vcpu)
{
        uint64_t at = vcpu->run->arm_nisv.fault_ipa;
        char what[192];

        snprintf(what, sizeof(what), "an access to 0x%llx (%s) by an instruction that KVM does not decode",
                 (unsigned long long)at, kvm_bus_name(vcpu->options->bus, KVM_SPACE_MMIO, at));
        crash(vcpu, what);
}
#endif

static void serve_nothing(struct kvm_vcpu *vcpu)
{
        (void)vcpu; /* a signal, or an event that the kernel has dealt with */
}

static const struct exit_row {
        uint32_t reason;
        void (*serve)(struct kvm_vcpu *vcpu);
} exit_rows[] = {
    {KVM_EXIT_MMIO, serve_mmio},
    {KVM_EXIT_IO, serve_io},
    {KVM_EXIT_INTR, serve_nothing},
    {KVM_EXIT_IRQ_WINDOW_OPEN, serve_nothing},
    {KVM_EXIT_SHUTDOWN, serve_shutdown},
    {KVM_EXIT_FAIL_ENTRY, serve_fail_entry},
    {KVM_EXIT_INTERNAL_ERROR, serve_internal_error},
    {KVM_EXIT_SYSTEM_EVENT, serve_system_event},
#ifdef KVM_EXIT_ARM_NISV
    {KVM_EXIT_ARM_NISV, serve_undecoded},
#endif
};

static void serve(struct kvm_vcpu *vcpu)
{
        char what[64];

        for (size_t i = 0; i < array_size(exit_rows); i++) {
                if (exit_rows[i].reason == vcpu->run->exit_reason) {
                        exit_rows[i].serve(vcpu);
                        return;
                }
        }
        snprintf(what, sizeof(what), "exit reason %u, which nobody serves", vcpu->run->exit_reason);
        crash(vcpu, what);
}

/* KVM_RUN ended with EFAULT. */
static void serve_fault(struct kvm_vcpu *vcpu)
{
        const struct memory_fault *at = (const struct memory_fault *)&vcpu->run->mmio;
        const uint64_t *gpa = vcpu->run->exit_reason == EXIT_MEMORY_FAULT ? &at->gpa : NULL;
        char what[96];

        count(&vcpu->failed);
        if (vcpu->faults++ < LIMIT_VCPU_FAULTS && vcpu->options->memory_fault &&
            vcpu->options->memory_fault(vcpu->options->context, vcpu->fd, gpa))
                return;
        if (gpa)
                snprintf(what, sizeof(what), "no memory at guest-physical address 0x%llx",
                         (unsigned long long)*gpa);
        else
                snprintf(what, sizeof(what), "guest memory that is not there");
        crash(vcpu, what);
}

/* Twice at the same place, and all registers the same: a loop that only waits, or an instruction that is begun again and again. */
static void serve_look(struct kvm_vcpu *vcpu)
{
        struct kvm_stand stand;

        atomic_store(&vcpu->looked, atomic_load(&vcpu->exits));
        if (!kvm_platform_stand(vcpu->fd, &stand)) {
                vcpu->still = 0;
                return;
        }
        vcpu->still = memcmp(&stand, &vcpu->stand, sizeof(stand)) == 0 ? vcpu->still + 1 : 0;
        vcpu->stand = stand;
        if (vcpu->still > 0 && vcpu->options->stuck)
                vcpu->options->stuck(vcpu->options->context, vcpu->index, vcpu->fd, vcpu->still);
}

static void serve_error(struct kvm_vcpu *vcpu, int error)
{
        char what[64];

        if (error == EINTR || error == EAGAIN) {
                count(&vcpu->signals);
                if (atomic_exchange(&vcpu->look, false))
                        serve_look(vcpu);
        } else if (error == EFAULT) {
                serve_fault(vcpu);
                vcpu->run->exit_reason = KVM_EXIT_UNKNOWN; /* the next one may come without an address */
        } else {
                snprintf(what, sizeof(what), "KVM_RUN: %s", strerror(error));
                crash(vcpu, what);
        }
}

void kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
        int r = ioctl(vcpu->fd, KVM_RUN, 0);

        count(&vcpu->exits);
        if (r < 0) {
                serve_error(vcpu, errno);
                return;
        }
        vcpu->faults = 0;
        serve(vcpu);
}
