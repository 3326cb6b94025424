/* A VM as KVM knows it: its descriptor, guest memory, memory slots, doorbells and interrupts.
 * Owns the VM's descriptor, the snapshot of its RAM and the table of its slots. Called by the KVM front end, in the
 * main thread; the kernel keeps vCPUs and changes of slots apart by itself.
 * TRUST: no guest's bytes are read here. Addresses and lengths of slots may have come from a worker, so they are
 * judged against the VM's width and against each other before the kernel sees them.
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

#include "broker/kvm/ram.h"
#include "broker/kvm/why.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"

#ifndef KVM_VM_TYPE_ARM_IPA_SIZE /* of the other architecture's header */
#define KVM_VM_TYPE_ARM_IPA_SIZE(bits) ((bits)&0xffull)
#endif

DEFINE_CLEANUP(struct guest_mapping, mapping, guest_mapping_unref)

struct slot {
        uint64_t gpa, len; /* len 0: free */
        void *host;
        uint32_t flags; /* KVM's */
};

struct kvm_vm {
        int fd;
        struct guest_memory *memory;
        uint64_t page;    /* the host's */
        uint64_t limit;   /* no slot ends beyond it */
        uint32_t n_ram;   /* the first slots: RAM, which stays */
        uint32_t n_slots; /* that may be used: LIMIT_KVM_SLOTS or the host's */
        struct slot slots[LIMIT_KVM_SLOTS];
};

/* ---- slots ---- */

static int slot_set(const struct kvm_vm *vm, uint32_t number, const struct slot *slot)
{
        struct kvm_userspace_memory_region region = {.slot = number,
                                                     .flags = slot->flags,
                                                     .guest_phys_addr = slot->gpa,
                                                     .memory_size = slot->len,
                                                     .userspace_addr = (uintptr_t)slot->host};

        return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static bool slot_overlaps(const struct slot *slot, uint64_t gpa, uint64_t len)
{
        return slot->len > 0 && (gpa < slot->gpa ? slot->gpa - gpa < len : gpa - slot->gpa < slot->len);
}

static struct slot *slot_at(struct kvm_vm *vm, uint32_t number)
{
        return number < vm->n_slots && vm->slots[number].len > 0 ? &vm->slots[number] : NULL;
}

/* A free number for these addresses. */
static int slot_choose(const struct kvm_vm *vm, uint64_t gpa, uint64_t len, uint32_t *ret_number)
{
        uint32_t number = vm->n_slots;

        for (uint32_t i = vm->n_slots; i-- > 0;) {
                if (slot_overlaps(&vm->slots[i], gpa, len))
                        return -EEXIST;
                if (vm->slots[i].len == 0)
                        number = i;
        }
        if (number == vm->n_slots)
                return -E2BIG;
        *ret_number = number;
        return 0;
}

int kvm_vm_slot_add(struct kvm_vm *vm, uint64_t gpa, uint64_t len, void *host, unsigned flags,
                    uint32_t *ret_slot)
{
        struct slot slot = {.gpa = gpa, .len = len, .host = host};
        uint32_t number = 0;
        int r;

        if (len == 0 || len > KVM_SLOT_MAX || ((gpa | len | (uintptr_t)host) & (vm->page - 1)) != 0 ||
            !range_inside(gpa, len, vm->limit) ||
            (flags & ~(unsigned)(KVM_SLOT_READ_ONLY | KVM_SLOT_LOG_DIRTY)) != 0)
                return -EINVAL;
        if (flags & KVM_SLOT_READ_ONLY)
                slot.flags |= KVM_MEM_READONLY;
        if (flags & KVM_SLOT_LOG_DIRTY)
                slot.flags |= KVM_MEM_LOG_DIRTY_PAGES;
        r = slot_choose(vm, gpa, len, &number);
        if (r < 0)
                return r;
        r = slot_set(vm, number, &slot);
        if (r < 0)
                return r;
        vm->slots[number] = slot;
        *ret_slot = number;
        return 0;
}

int kvm_vm_slot_remove(struct kvm_vm *vm, uint32_t number)
{
        struct slot *slot = slot_at(vm, number), none = {0};
        int r;

        if (!slot || number < vm->n_ram)
                return -ENOENT;
        none.gpa = slot->gpa;
        r = slot_set(vm, number, &none);
        if (r < 0)
                return r;
        *slot = (struct slot){0};
        return 0;
}

int kvm_vm_slot_log(struct kvm_vm *vm, uint32_t number, bool on)
{
        struct slot *slot = slot_at(vm, number), changed;
        int r;

        if (!slot)
                return -ENOENT;
        changed = *slot;
        changed.flags &= ~(uint32_t)KVM_MEM_LOG_DIRTY_PAGES;
        if (on)
                changed.flags |= KVM_MEM_LOG_DIRTY_PAGES;
        r = slot_set(vm, number, &changed);
        if (r < 0)
                return r;
        *slot = changed;
        return 0;
}

int kvm_vm_slot_find(const struct kvm_vm *vm, uint64_t gpa, uint32_t *ret_slot)
{
        for (uint32_t i = 0; i < vm->n_slots; i++) {
                if (!slot_overlaps(&vm->slots[i], gpa, 1))
                        continue;
                *ret_slot = i;
                return 0;
        }
        return -ENOENT;
}

size_t kvm_vm_dirty_size(const struct kvm_vm *vm, uint32_t number)
{
        uint64_t pages;

        if (number >= vm->n_slots)
                return 0;
        pages = vm->slots[number].len / vm->page;
        return (size_t)((pages + 63) / 64 * sizeof(uint64_t));
}

int kvm_vm_dirty_log(struct kvm_vm *vm, uint32_t number, uint64_t *bitmap, size_t size)
{
        const struct slot *slot = slot_at(vm, number);
        struct kvm_dirty_log log = {.slot = number, .dirty_bitmap = bitmap};

        if (!slot)
                return -ENOENT;
        if (size != kvm_vm_dirty_size(vm, number) || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
                return -EINVAL;
        return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
}

/* ---- the VM ---- */

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

/* One piece of RAM: its file, its mapping, its region of the snapshot, its slots. The file needs no descriptor then. */
static int ram_add(struct kvm_vm *vm, const struct kvm_range *ram)
{
        _cleanup_(cleanup_mapping) struct guest_mapping *mapping = NULL;
        _cleanup_close_ int fd = -1;
        struct guest_memory *memory;
        struct guest_region region;
        int r = kvm_ram_open("bulkhead-ram", ram->len, &fd);

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
                                       "%" PRIu64 " MiB of RAM at 0x%" PRIx64 " cannot be had: %s",
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
