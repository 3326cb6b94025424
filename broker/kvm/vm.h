/* A VM as KVM knows it, apart from its processors: the VM's descriptor, guest memory, memory slots, and the eventfds
 * that are its doorbells and interrupts. Used by the main thread alone; vCPUs may run all the while.
 *
 * KVM serves a VM only to the process that made it: kvm_vm_new is called where the vCPUs will run.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "broker/kvm/host.h"
#include "broker/kvm/layout.h"
#include "proto/base/cleanup.h"

struct kvm_vm;

/* Makes the VM with `width_bits` of address (kvm_width_judge's; x86_64 has no such number) and its RAM: a sealed
 * memfd for each piece (broker/core/sealed_memory.h), mapped, and a memory slot each. Opens one descriptor (the VM's),
 * O_CLOEXEC. Neither host nor layout is kept; host->fd is not needed afterwards. 0, or negative errno: `why` is
 * one clause, nothing is left, *ret_vm is untouched. */
int kvm_vm_new(const struct kvm_host *host, const struct kvm_layout *layout, unsigned width_bits,
               struct kvm_vm **ret_vm, char *why, size_t why_size);

/* Closes the VM and lets go of its memory (which lives on while a lane holds a snapshot). No vCPU may be running.
 * The kernel keeps the VM while a vCPU's descriptor is open: close these first. NULL is accepted; returns NULL. */
struct kvm_vm *kvm_vm_free(struct kvm_vm *vm);

DEFINE_CLEANUP(struct kvm_vm, kvm_vm, kvm_vm_free)

int kvm_vm_fd(const struct kvm_vm *vm); /* borrowed */

/* RAM, as the devices see it. Borrowed: take a reference to keep it. */
struct guest_memory *kvm_vm_memory(const struct kvm_vm *vm);

enum kvm_slot_flags {
        KVM_SLOT_READ_ONLY = 1u << 0, /* a guest's write is an MMIO exit and changes nothing */
        KVM_SLOT_LOG_DIRTY = 1u << 1,
        KVM_SLOT_MAY_END = 1u << 2, /* where its file ends is its caller's business */
};

/* One memory slot more, while vCPUs run or not: `len` bytes at `host`, mapped by the caller, appear at guest
 * address `gpa`. The bytes stay mapped until the slot is removed, or KVM_RUN fails with EFAULT at the guest's next
 * access. All are multiples of the host's page. 0; -EINVAL: not so, empty, over KVM_SLOT_MAX, wraps, ends beyond
 * the VM's width, or unknown flags; -EEXIST: overlaps another slot; -E2BIG: LIMIT_KVM_SLOTS, or the host's; or what
 * KVM said. *ret_slot is untouched on failure. */
int kvm_vm_slot_add(struct kvm_vm *vm, uint64_t gpa, uint64_t len, void *host, unsigned flags,
                    uint32_t *ret_slot);

/* Removes a slot of kvm_vm_slot_add; when it returns no vCPU touches its bytes any more, and they may be unmapped.
 * The guest's next access is an MMIO exit. -ENOENT: no such slot, or one of RAM. */
int kvm_vm_slot_remove(struct kvm_vm *vm, uint32_t slot);

/* Begins or ends to keep a slot's dirty log (RAM's slots are the first, 0 to kvm_layout_n_slots - 1); what was logged
 * is lost. -ENOENT; or what KVM said. */
int kvm_vm_slot_log(struct kvm_vm *vm, uint32_t slot, bool on);

/* This slot's file has been cut short; RAM's, which are sealed, cannot be, and those that may end are left alone. From the first page
 * that is missing, zeros of our own take the place of the slot's bytes, over the caller's mapping. 1: they do; 0: nothing is missing,
 * or there is no such slot; -ENOMEM: no zeros to be had. After fault_safe_install. */
int kvm_vm_mend(struct kvm_vm *vm, uint32_t slot);

/* The page at `offset` of a slot, which is none of RAM's, cannot be had: zeros of our own take its place. With one more than
 * LIMIT_SHMEM_GAPS of them in a slot the medium is taken for gone, and they take the place of all of it. 0; -ENOENT: no such
 * slot, or the page is zeros already; or what making them said. */
int kvm_vm_zero(struct kvm_vm *vm, uint32_t slot, uint64_t offset);

/* How many bytes of a slot are still its owner's: all, unless it has been mended. 0: no such slot. */
uint64_t kvm_vm_slot_own(const struct kvm_vm *vm, uint32_t slot);

/* Has anybody read or written the zeros that have taken the place of a slot's bytes? */
bool kvm_vm_slot_touched(const struct kvm_vm *vm, uint32_t slot);

/* The slot that holds a guest address. -ENOENT: none does. */
int kvm_vm_slot_find(const struct kvm_vm *vm, uint64_t gpa, uint32_t *ret_slot);

/* Bytes of a slot's dirty bitmap: a bit for each page of the host, in whole 64-bit words. 0: no such slot. */
size_t kvm_vm_dirty_size(const struct kvm_vm *vm, uint32_t slot);

/* The pages that the guest has written since the last call, which begin to count anew; with nested paging also some
 * that it has only read. Only writes by vCPUs: what the broker writes is its own to remember. -EINVAL: `size` is not kvm_vm_dirty_size, or the slot keeps no log;
 * -ENOENT. */
int kvm_vm_dirty_log(struct kvm_vm *vm, uint32_t slot, uint64_t *bitmap, size_t size);

/* Ties an eventfd to an interrupt: a write to it raises the interrupt once, from any process, without the broker.
 * `on` false unties it. The descriptor stays the caller's; KVM keeps what it stands for until it is untied, even
 * if it is closed. The interrupt controller must be there (platform_vm_init). Negative errno as KVM said: -EBUSY:
 * this eventfd is tied already. */
int kvm_vm_irqfd(struct kvm_vm *vm, uint32_t gsi, int fd, bool on);

/* Ties an eventfd to the guest's writes of `len` bytes (1, 2, 4, 8; 0: any) at an address, of the value *match
 * (NULL: of any): such a write causes no exit, only the event. `on` false unties it; all else as it was tied.
 * -EEXIST: tied already; -ENOENT. */
int kvm_vm_ioeventfd(struct kvm_vm *vm, uint64_t gpa, unsigned len, const uint64_t *match, int fd, bool on);
