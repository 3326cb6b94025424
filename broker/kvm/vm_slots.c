/* The memory slots of a VM: added, removed and replaced while it runs, logged, and mended where bytes have gone.
 * Owns the table of slots; the kernel keeps vCPUs and changes of slots apart by itself. Called by the KVM front end,
 * in the main thread, and by vm.c for RAM.
 * TRUST: no guest's bytes are read here. Addresses and lengths of slots may have come from a worker, so they are
 * judged against the VM's width and against each other before the kernel sees them. The file behind a slot may be
 * cut short at any moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/core/fault_safe.h"
#include "broker/core/sealed_memory.h"
#include "broker/kvm/vm.h"
#include "broker/kvm/vm_state.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

static int slot_set(const struct kvm_vm *vm, uint32_t number, const struct kvm_slot *slot)
{
        struct kvm_userspace_memory_region region = {.slot = number,
                                                     .flags = slot->flags,
                                                     .guest_phys_addr = slot->gpa,
                                                     .memory_size = slot->len,
                                                     .userspace_addr = (uintptr_t)slot->host};

        return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

static bool slot_overlaps(const struct kvm_slot *slot, uint64_t gpa, uint64_t len)
{
        return slot->len > 0 && (gpa < slot->gpa ? slot->gpa - gpa < len : gpa - slot->gpa < slot->len);
}

static struct kvm_slot *slot_at(struct kvm_vm *vm, uint32_t number)
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
        struct kvm_slot slot = {
            .gpa = gpa, .len = len, .host = host, .own = len, .may_end = flags & KVM_SLOT_MAY_END};
        uint32_t number = 0;
        int r;

        if (len == 0 || len > KVM_SLOT_MAX || ((gpa | len | (uintptr_t)host) & (vm->page - 1)) != 0 ||
            !range_inside(gpa, len, vm->limit) ||
            (flags & ~(unsigned)(KVM_SLOT_READ_ONLY | KVM_SLOT_LOG_DIRTY | KVM_SLOT_MAY_END)) != 0)
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
        struct kvm_slot *slot = slot_at(vm, number), none = {0};
        int r;

        if (!slot || number < vm->n_ram)
                return -ENOENT;
        none.gpa = slot->gpa;
        r = slot_set(vm, number, &none);
        if (r < 0)
                return r;
        kvm_slot_done(slot);
        *slot = (struct kvm_slot){0};
        return 0;
}

int kvm_vm_slot_log(struct kvm_vm *vm, uint32_t number, bool on)
{
        struct kvm_slot *slot = slot_at(vm, number), changed;
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
        const struct kvm_slot *slot = slot_at(vm, number);
        struct kvm_dirty_log log = {.slot = number, .dirty_bitmap = bitmap};

        if (!slot)
                return -ENOENT;
        if (size != kvm_vm_dirty_size(vm, number) || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
                return -EINVAL;
        return ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) < 0 ? -errno : 0;
}

/* ---- bytes that have gone ---- */

static bool page_is_there(const struct kvm_vm *vm, const struct kvm_slot *slot, uint64_t number)
{
        uint8_t byte;

        return fault_safe_copy(&byte, slot->host + number * vm->page, 1) == 0;
}

/* The first page that is not there. A file loses its end, so that what is missing is all that follows. */
static uint64_t pages_there(const struct kvm_vm *vm, const struct kvm_slot *slot)
{
        uint64_t there = 0, missing = slot->own / vm->page;

        if (missing == 0 || page_is_there(vm, slot, missing - 1))
                return missing;
        for (missing--; there < missing;) {
                uint64_t middle = there + (missing - there) / 2;

                if (page_is_there(vm, slot, middle))
                        there = middle + 1;
                else
                        missing = middle;
        }
        return there;
}

static bool is_mended(const struct kvm_slot *slot)
{
        return slot->own < slot->len;
}

/* A page of them comes with the first touch. */
static bool zeros_touched(const struct kvm_slot *slot)
{
        struct stat st;

        return is_mended(slot) && (slot->touched || fstat(slot->zeros, &st) < 0 || st.st_blocks > 0);
}

/* What was moved away and not replaced must be nobody's, before somebody else's mapping comes to lie there. */
static void gap_close(uint8_t *at, uint64_t len)
{
        if (mmap(at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
                 0) == MAP_FAILED &&
            errno != EEXIST)
                abort();
}

/* Takes the place of [from, from + len). */
static int zeros_put(const struct kvm_slot *slot, uint64_t from, uint64_t len, int *ret_fd)
{
        int protection = PROT_READ | (slot->flags & KVM_MEM_READONLY ? 0 : PROT_WRITE), r;
        _cleanup_close_ int fd = -1;
        void *at;

        r = sealed_memory_open("bulkhead-cut", len, &fd);
        if (r < 0)
                return r;
        at = mmap(NULL, len, protection, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                return -errno;
        /* As all guest memory. What cannot be said of it is no reason to let the guest wait for ever. */
        (void)madvise(at, len, MADV_DONTFORK);
        (void)madvise(at, len, MADV_DONTDUMP);
        if (mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, slot->host + from) == MAP_FAILED) {
                r = -errno;
                (void)munmap(at, len);
                gap_close(slot->host + from, len);
                return r;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}

/* ... of what is behind `from` and is not zeros yet. */
static int zeros_map(struct kvm_slot *slot, uint64_t from)
{
        int fd, r = zeros_put(slot, from, slot->own - from, &fd);

        if (r < 0)
                return r;
        slot->touched = zeros_touched(slot);
        kvm_slot_done(slot);
        slot->zeros = fd;
        slot->own = from;
        return 0;
}

void kvm_slot_done(struct kvm_slot *slot)
{
        if (is_mended(slot))
                close(slot->zeros);
}

int kvm_vm_zero(struct kvm_vm *vm, uint32_t number, uint64_t offset)
{
        struct kvm_slot *slot = slot_at(vm, number);
        int fd, r;

        if (!slot || number < vm->n_ram || offset % vm->page != 0 || offset >= slot->own)
                return -ENOENT;
        if (slot->gaps == LIMIT_SHMEM_GAPS)
                return zeros_map(slot, 0);
        r = zeros_put(slot, offset, vm->page, &fd);
        if (r < 0)
                return r;
        close(fd); /* who asks for zeros has come there already: nobody is to be waited for */
        slot->gaps++;
        return 0;
}

uint64_t kvm_vm_slot_own(const struct kvm_vm *vm, uint32_t number)
{
        return number < vm->n_slots ? vm->slots[number].own : 0;
}

bool kvm_vm_slot_touched(const struct kvm_vm *vm, uint32_t number)
{
        return number < vm->n_slots && zeros_touched(&vm->slots[number]);
}

int kvm_vm_mend(struct kvm_vm *vm, uint32_t number)
{
        struct kvm_slot *slot = slot_at(vm, number);
        uint64_t there;
        int r;

        if (!slot || number < vm->n_ram || slot->may_end)
                return 0;
        there = pages_there(vm, slot) * vm->page;
        if (there == slot->own)
                return 0;
        r = zeros_map(slot, there);
        return r < 0 ? r : 1;
}
