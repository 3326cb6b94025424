/* A VM as KVM knows it: its descriptor, its RAM, doorbells and interrupts. Its slots: vm_slots.c.
 * Owns the VM's descriptor and the snapshot of its RAM. Called by the KVM front end, in the main thread.
 * TRUST: no guest's bytes are read here; sizes are the layout's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/vm.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker/core/sealed_memory.h"
#include "broker/kvm/vm_state.h"
#include "broker/kvm/why.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#ifndef KVM_VM_TYPE_ARM_IPA_SIZE /* of the other architecture's header */
#define KVM_VM_TYPE_ARM_IPA_SIZE(bits) ((bits)&0xffull)
#endif

DEFINE_CLEANUP(struct guest_mapping, mapping, guest_mapping_unref)

static int ram_slots_add(struct kvm_vm *vm, const struct kvm_range *ram, uint8_t *host)
{
        for (uint64_t at = 0; at < ram->len; at += KVM_SLOT_MAX) {
                uint64_t len = MIN(ram->len - at, KVM_SLOT_MAX);
                uint32_t number = 0;
                int r = kvm_vm_slot_add(vm, ram->start + at, len, host + at, 0, &number);

                if (r < 0)
                        return r;
                assert(number == vm->n_ram);
                vm->n_ram++;
        }
        return 0;
}

/* One piece of RAM: its file, its mapping, its region of the snapshot, its slots. Then the file needs no descriptor. */
static int ram_add(struct kvm_vm *vm, const struct kvm_range *ram)
{
        _cleanup_(cleanup_mapping) struct guest_mapping *mapping = NULL;
        _cleanup_close_ int fd = -1;
        struct guest_memory *memory;
        struct guest_region region;
        int r = sealed_memory_open("bulkhead-ram", ram->len, &fd);

        if (r < 0)
                return r;
        r = guest_mapping_new(fd, 0, ram->len, true, &mapping);
        if (r < 0)
                return r;
        region = (struct guest_region){
            .start = GPA(ram->start), .len = ram->len, .mapping = mapping, .offset = 0, .writable = true};
        r = guest_memory_with(vm->memory, &region, &memory);
        if (r < 0)
                return r;
        vm->memory = (guest_memory_unref(vm->memory), memory);
        return ram_slots_add(vm, ram, guest_memory_ring(memory, GPA(ram->start), ram->len, vm->page, true));
}

/* x86_64 has one type of VM; on arm64 the type is the width, and 0 where the kernel knows no widths. */
static unsigned long vm_type(const struct kvm_host *host, const struct kvm_layout *layout,
                             unsigned width_bits)
{
        if (layout->arch != KVM_ARCH_ARM64 || !host->width_known)
                return 0;
        return KVM_VM_TYPE_ARM_IPA_SIZE(width_bits);
}

static int vm_open(struct kvm_vm *vm, const struct kvm_host *host, const struct kvm_layout *layout,
                   unsigned width_bits, char *why, size_t why_size)
{
        vm->fd =
            ioctl(host->fd, KVM_CREATE_VM, vm_type(host, layout, width_bits)); /* is O_CLOEXEC by itself */
        if (vm->fd < 0)
                return kvm_why(-errno, why, why_size, "KVM makes no VM with %u bits of address: %s",
                               width_bits, strerror(errno));
        for (unsigned i = 0; i < layout->n_ram; i++) {
                const struct kvm_range *ram = &layout->ram[i];
                int r = ram_add(vm, ram);

                if (r < 0)
                        return kvm_why(r, why, why_size,
                                       "%" PRIu64 " MiB of RAM at 0x%" PRIx64
                                       " cannot be had: %s; give the VM less memory",
                                       ram->len >> 20, ram->start, strerror(-r));
        }
        return 0;
}

int kvm_vm_new(const struct kvm_host *host, const struct kvm_layout *layout, unsigned width_bits,
               struct kvm_vm **ret_vm, char *why, size_t why_size)
{
        _cleanup_(cleanup_kvm_vm) struct kvm_vm *vm = calloc(1, sizeof(*vm));
        long page = sysconf(_SC_PAGESIZE);
        int r;

        assert(layout->arch == KVM_ARCH_HERE && page > 0 && width_bits > 0 && width_bits <= KVM_ADDRESS_BITS);
        if (!vm)
                return kvm_why(-ENOMEM, why, why_size, "out of memory");
        vm->fd = -1;
        vm->page = (uint64_t)page;
        vm->limit = 1ull << width_bits;
        vm->n_slots = MIN(host->max_memslots, LIMIT_KVM_SLOTS);
        vm->memory = guest_memory_new();
        if (!vm->memory)
                return kvm_why(-ENOMEM, why, why_size, "out of memory");
        r = vm_open(vm, host, layout, width_bits, why, why_size);
        if (r < 0)
                return r;
        *ret_vm = take_ptr(vm);
        return 0;
}

struct kvm_vm *kvm_vm_free(struct kvm_vm *vm)
{
        if (!vm)
                return NULL;
        if (vm->fd >= 0)
                close(vm->fd); /* before the memory: no slot may outlive its mapping */
        for (uint32_t i = 0; i < vm->n_slots; i++)
                kvm_slot_done(&vm->slots[i]);
        vm->memory = guest_memory_unref(vm->memory);
        free(vm);
        return NULL;
}

int kvm_vm_fd(const struct kvm_vm *vm)
{
        return vm->fd;
}

struct guest_memory *kvm_vm_memory(const struct kvm_vm *vm)
{
        return vm->memory;
}

/* ---- doorbells and interrupts ---- */

int kvm_vm_irqfd(struct kvm_vm *vm, uint32_t gsi, int fd, bool on)
{
        struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

        return ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int kvm_vm_ioeventfd(struct kvm_vm *vm, uint64_t gpa, unsigned len, const uint64_t *match, int fd, bool on)
{
        struct kvm_ioeventfd event = {.datamatch = match ? *match : 0,
                                      .addr = gpa,
                                      .len = len,
                                      .fd = fd,
                                      .flags = (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
                                               (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN)};

        return ioctl(vm->fd, KVM_IOEVENTFD, &event) < 0 ? -errno : 0;
}
