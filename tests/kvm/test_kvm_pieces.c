/* RAM's memory slots as KVM is told of them, by a KVM of the test's own: pieces larger than a slot, calls that fail.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/core/own_fds.h"
#include "tests/kvm/real_vm.h"

#define MIB      (1ull << 20)
#define KVM_FD   77 /* nobody's: answered here */
#define SLOTS    16u
#define IPA_BITS 44u

/* What KVM has been told, and the call for a slot that it refuses. */
static struct {
        struct kvm_userspace_memory_region slots[SLOTS];
        unsigned n, refused;
        unsigned long type;
} told;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
        const struct kvm_userspace_memory_region *region;
        va_list arguments;
        void *argument;

        va_start(arguments, request);
        argument = va_arg(arguments, void *);
        va_end(arguments);
        if (request == KVM_CREATE_VM) {
                assert_int_equal(fd, KVM_FD);
                told.type = (unsigned long)(uintptr_t)argument;
                return eventfd(0, EFD_CLOEXEC);
        }
        assert_int_equal(request, KVM_SET_USER_MEMORY_REGION);
        region = argument;
        assert_true(told.n < SLOTS);
        told.slots[told.n++] = *region;
        errno = ENOSPC;
        return told.n == told.refused ? -1 : 0;
}

static int vm_make(uint64_t memory, bool width_known, unsigned refused, struct kvm_vm **ret_vm,
                   char why[static 256])
{
        struct kvm_host host = {.fd = KVM_FD, .max_memslots = 32, .width_known = width_known};
        struct kvm_layout layout;

        memset(&told, 0, sizeof(told));
        told.refused = refused;
        assert_int_equal(kvm_layout_make(KVM_ARCH_HERE, memory, 1, 0, 0, &layout, why, 256), 0);
        return kvm_vm_new(&host, &layout, IPA_BITS, ret_vm, why, 256);
}

/* Slot i is the next of its piece, in the guest and here. */
static void assert_follows(unsigned i, uint64_t len)
{
        assert_int_equal(told.slots[i].slot, i);
        assert_int_equal(told.slots[i].flags, 0);
        assert_int_equal(told.slots[i].memory_size, len);
        assert_int_equal(told.slots[i].guest_phys_addr,
                         told.slots[i - 1].guest_phys_addr + told.slots[i - 1].memory_size);
        assert_int_equal(told.slots[i].userspace_addr,
                         told.slots[i - 1].userspace_addr + told.slots[i - 1].memory_size);
}

static void piece_beyond_a_slot_has_several(void **state)
{
        unsigned first = KVM_ARCH_HERE == KVM_ARCH_X86_64 ? 1 : 0; /* a PC's first piece is below 4 GiB */
        uint64_t memory = 2 * KVM_SLOT_MAX + 5 * MIB + (first == 1 ? 3ull << 30 : 0);
        struct kvm_vm *vm = NULL;
        char why[256] = "";
        uint32_t slot = 77;

        (void)state;
        assert_int_equal(vm_make(memory, true, 0, &vm, why), 0);
        assert_int_equal(told.n, first + 3);
        assert_int_equal(told.slots[first].guest_phys_addr, first == 1 ? 4ull << 30 : 1ull << 30);
        assert_int_equal(told.slots[first].memory_size, KVM_SLOT_MAX);
        assert_follows(first + 1, KVM_SLOT_MAX);
        assert_follows(first + 2, 5 * MIB);
        assert_int_equal(guest_memory_bytes(kvm_vm_memory(vm)), memory);
        assert_int_equal(kvm_vm_slot_find(vm, told.slots[first + 2].guest_phys_addr, &slot), 0);
        assert_int_equal(slot, first + 2);
        for (uint32_t i = 0; i < told.n; i++)
                assert_int_equal(kvm_vm_slot_remove(vm, i), -ENOENT);
        (void)kvm_vm_free(vm);
}

static void refused_slot_leaves_nothing(void **state)
{
        unsigned before = count_fds();
        struct kvm_vm *vm = NULL;
        char why[256] = "";

        (void)state;
        for (unsigned refused = 1; refused <= 3; refused++) {
                assert_int_equal(vm_make(2 * KVM_SLOT_MAX + (4ull << 30), true, refused, &vm, why), -ENOSPC);
                assert_int_equal(told.n, refused);
                assert_non_null(strstr(why, "MiB of RAM at 0x"));
                assert_non_null(strstr(why, "cannot be had: No space left on device"));
                assert_null(vm);
                assert_int_equal(count_fds(), before);
        }
}

/* KVM would refuse it too; that it is not even asked is the test. */
static void overlap_is_refused_before_kvm_is_asked(void **state)
{
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = 1ull << 33;
        uint8_t *host = (uint8_t *)(uintptr_t)(64 * page); /* nobody looks there */
        struct kvm_vm *vm = NULL;
        uint32_t slot = 77;
        char why[256] = "";
        unsigned before;

        (void)state;
        assert_int_equal(vm_make(16 * MIB, true, 0, &vm, why), 0);
        assert_int_equal(kvm_vm_slot_add(vm, at, 4 * page, host, 0, &slot), 0);
        before = told.n;
        for (uint64_t from = at - 3 * page; from < at + 4 * page; from += page)
                assert_int_equal(kvm_vm_slot_add(vm, from, 4 * page, host, 0, &slot), -EEXIST);
        assert_int_equal(told.n, before);
        (void)kvm_vm_free(vm);
}

/* arm64: a VM's type is its width, and 0 where the kernel knows no widths; a PC's is 0. */
static void width_is_asked_for_where_the_kernel_knows_it(void **state)
{
        struct kvm_vm *vm = NULL;
        char why[256] = "";

        (void)state;
        assert_int_equal(vm_make(16 * MIB, true, 0, &vm, why), 0);
        assert_int_equal(told.type, KVM_ARCH_HERE == KVM_ARCH_ARM64 ? IPA_BITS : 0);
        (void)kvm_vm_free(vm);
        assert_int_equal(vm_make(16 * MIB, false, 0, &vm, why), 0);
        assert_int_equal(told.type, 0);
        (void)kvm_vm_free(vm);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(piece_beyond_a_slot_has_several),
            cmocka_unit_test(refused_slot_leaves_nothing),
            cmocka_unit_test(overlap_is_refused_before_kvm_is_asked),
            cmocka_unit_test(width_is_asked_for_where_the_kernel_knows_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
