/* A VM of the real KVM, without a processor: its memory, its slots' rules, its doorbells, and what is left of it.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "broker/core/sealed_memory.h"
#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/core/own_fds.h"
#include "tests/kvm/real_vm.h"

#define MIB (1ull << 20)

static struct real_vm real;
static uint64_t page;
static uint8_t *bytes; /* of the test's own, for slots */

#define N_PAGES 1024u

static int setup(void **state)
{
        (void)state;
        page = (uint64_t)sysconf(_SC_PAGESIZE);
        bytes = mmap(NULL, N_PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(bytes != MAP_FAILED);
        real_vm_init(&real);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        real_vm_done(&real);
        return munmap(bytes, N_PAGES * page);
}

/* Lines of /proc/self/`file` that name RAM; *last is the end of the last one's record. */
static unsigned ram_mappings(const char *file, char flags[static 256])
{
        char path[32], line[512];
        FILE *stream;
        bool inside = false;
        unsigned n = 0;

        (void)snprintf(path, sizeof(path), "/proc/self/%s", file);
        stream = fopen(path, "re");
        assert_non_null(stream);
        while (fgets(line, sizeof(line), stream)) {
                if (strstr(line, "/memfd:bulkhead-ram")) {
                        inside = true;
                        n++;
                } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
                        (void)snprintf(flags, 256, "%.255s", line + 8);
                        inside = false;
                }
        }
        fclose(stream);
        return n;
}

static void ram_can_neither_shrink_nor_grow_nor_lose_its_seals(void **state)
{
        struct stat st;
        int fd = -1, seals;

        (void)state;
        assert_int_equal(sealed_memory_open("bulkhead-test", 4 * MIB, &fd), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 4 * MIB);
        assert_int_equal(st.st_blocks, 0); /* nothing is taken before it is touched */
        assert_int_equal(ftruncate(fd, 3 * MIB), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 5 * MIB), -1);
        assert_int_equal(errno, EPERM);
        seals = fcntl(fd, F_GET_SEALS);
        assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        if (seals & 0x20) { /* F_SEAL_EXEC: the kernel knows MFD_NOEXEC_SEAL */
                assert_int_equal(st.st_mode & 0111, 0);
                assert_int_equal(fchmod(fd, 0777), -1);
        }
        close(fd);
}

static void ram_of_impossible_length_is_refused(void **state)
{
        unsigned before = count_fds();
        int fd = -1;

        (void)state;
        assert_int_equal(sealed_memory_open("bulkhead-test", UINT64_MAX, &fd), -EINVAL);
        assert_int_equal(sealed_memory_open("bulkhead-test", 1ull << 63, &fd), -EINVAL);
        assert_int_equal(fd, -1);
        assert_int_equal(count_fds(), before);
}

static void vm_has_the_memory_of_its_layout(void **state)
{
        struct guest_memory *memory = kvm_vm_memory(real.vm);
        uint64_t value = 0x1122334455667788, read = 0;

        (void)state;
        assert_int_equal(guest_memory_n_regions(memory), real.layout.n_ram);
        assert_int_equal(guest_memory_bytes(memory), REAL_VM_MEMORY);
        for (unsigned i = 0; i < real.layout.n_ram; i++) {
                const struct kvm_range *ram = &real.layout.ram[i];

                assert_true(guest_memory_covers(memory, GPA(ram->start), ram->len, true));
                assert_false(guest_memory_covers(memory, GPA(ram->start), ram->len + 1, false));
        }
        assert_int_equal(guest_memory_write(memory, GPA(real.layout.ram[0].start + 8), &value, 8), 0);
        assert_int_equal(guest_memory_read(memory, GPA(real.layout.ram[0].start + 8), &read, 8), 0);
        assert_int_equal(read, value);
}

static void ram_is_not_inherited_dumped_or_executable(void **state)
{
        char flags[256] = "";

        (void)state;
        assert_int_equal(ram_mappings("smaps", flags), real.layout.n_ram);
        assert_non_null(strstr(flags, " dc")); /* MADV_DONTFORK */
        assert_non_null(strstr(flags, " dd")); /* MADV_DONTDUMP */
        assert_non_null(strstr(flags, " sh"));
        assert_null(strstr(flags, " ex"));
}

static void vm_opens_one_descriptor_and_leaves_nothing(void **state)
{
        char why[256] = "", flags[256];
        unsigned fds = count_fds(), mappings = ram_mappings("maps", flags);
        struct kvm_vm *vm = NULL;

        (void)state;
        assert_int_equal(kvm_vm_new(&real.host, &real.layout, real.bits, &vm, why, sizeof(why)), 0);
        assert_int_equal(count_fds(), fds + 1);
        assert_int_equal(fcntl(kvm_vm_fd(vm), F_GETFD), FD_CLOEXEC);
        assert_int_equal(ram_mappings("maps", flags), mappings + real.layout.n_ram);
        assert_null(kvm_vm_free(vm));
        assert_int_equal(count_fds(), fds);
        assert_int_equal(ram_mappings("maps", flags), mappings);
        assert_null(kvm_vm_free(NULL));
}

static void memory_outlives_the_vm_for_who_holds_it(void **state)
{
        char why[256] = "", byte = 'x';
        struct guest_memory *memory;
        struct kvm_vm *vm = NULL;

        (void)state;
        assert_int_equal(kvm_vm_new(&real.host, &real.layout, real.bits, &vm, why, sizeof(why)), 0);
        memory = guest_memory_ref(kvm_vm_memory(vm));
        assert_int_equal(guest_memory_write(memory, GPA(real.layout.ram[0].start), &byte, 1), 0);
        (void)kvm_vm_free(vm);
        byte = 0;
        assert_int_equal(guest_memory_read(memory, GPA(real.layout.ram[0].start), &byte, 1), 0);
        assert_int_equal(byte, 'x');
        (void)guest_memory_unref(memory);
}

static void vm_that_cannot_be_made_leaves_nothing(void **state)
{
        struct kvm_host host = real.host;
        struct kvm_layout layout = real.layout;
        unsigned fds = count_fds();
        char why[256] = "", flags[256];
        unsigned mappings = ram_mappings("maps", flags);
        struct kvm_vm *vm = NULL;

        (void)state;
        host.fd = -1;
        assert_int_equal(kvm_vm_new(&host, &layout, real.bits, &vm, why, sizeof(why)), -EBADF);
        assert_non_null(strstr(why, "KVM makes no VM with "));
        /* More than an address space holds; the first piece is there already. */
        layout.ram[layout.n_ram++] = (struct kvm_range){1ull << 40, 1ull << 50};
        assert_int_equal(kvm_vm_new(&real.host, &layout, real.host.width, &vm, why, sizeof(why)), -ENOMEM);
        assert_string_equal(why,
                            "1073741824 MiB of RAM at 0x10000000000 cannot be had: Cannot allocate memory; "
                            "give the VM less memory");
        assert_null(vm);
        assert_int_equal(count_fds(), fds);
        assert_int_equal(ram_mappings("maps", flags), mappings);
}

static void slots_that_make_no_sense_are_refused(void **state)
{
        uint64_t at = real.layout.shmem.start, limit = 1ull << real.bits;
        const struct {
                uint64_t gpa, len;
                void *host;
                unsigned flags;
                int error;
        } rows[] = {
            {at, 0, bytes, 0, -EINVAL},
            {at + 1, page, bytes, 0, -EINVAL},
            {at, page - 1, bytes, 0, -EINVAL},
            {at, page + 1, bytes, 0, -EINVAL},
            {at, page, bytes + 1, 0, -EINVAL},
            {at, page, bytes, 8, -EINVAL},
            {at, page, bytes, UINT32_MAX, -EINVAL},
            {limit, page, bytes, 0, -EINVAL},
            {limit - page, 2 * page, bytes, 0, -EINVAL},
            {UINT64_MAX - page + 1, page, bytes, 0, -EINVAL},
            {UINT64_MAX - page + 1, 2 * page, bytes, 0, -EINVAL},
            {at, UINT64_MAX - page + 1, bytes, 0, -EINVAL},
            {0, KVM_SLOT_MAX + page, bytes, 0, -EINVAL},
            {real.layout.ram[0].start, page, bytes, 0, -EEXIST},
            {real.layout.ram[0].start + REAL_VM_MEMORY - page, 2 * page, bytes, 0, -EEXIST},
        };
        uint32_t slot = 77;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                int r =
                    kvm_vm_slot_add(real.vm, rows[i].gpa, rows[i].len, rows[i].host, rows[i].flags, &slot);

                if (r != rows[i].error)
                        fail_msg("row %zu: %d", i, r);
        }
        assert_int_equal(slot, 77);
}

static void slot_may_end_exactly_at_the_vms_limit(void **state)
{
        uint32_t slot;

        (void)state;
        assert_int_equal(kvm_vm_slot_add(real.vm, (1ull << real.bits) - page, page, bytes, 0, &slot), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
}

static void slots_never_overlap(void **state)
{
        uint64_t at = real.layout.shmem.start + 16 * page;
        uint32_t slot, other = 77;

        (void)state;
        assert_int_equal(kvm_vm_slot_add(real.vm, at, 4 * page, bytes, 0, &slot), 0);
        for (uint64_t from = at - 3 * page; from < at + 4 * page; from += page)
                assert_int_equal(kvm_vm_slot_add(real.vm, from, 4 * page, bytes, 0, &other), -EEXIST);
        assert_int_equal(kvm_vm_slot_add(real.vm, at - 8 * page, 64 * page, bytes, 0, &other), -EEXIST);
        assert_int_equal(other, 77);
        /* What is adjacent does not. */
        assert_int_equal(kvm_vm_slot_add(real.vm, at - page, page, bytes, 0, &other), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, other), 0);
        assert_int_equal(kvm_vm_slot_add(real.vm, at + 4 * page, page, bytes, 0, &other), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, other), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
}

static void slot_is_found_by_its_addresses(void **state)
{
        uint64_t at = real.layout.shmem.start + 16 * page;
        uint32_t slot, found = 77;

        (void)state;
        assert_int_equal(kvm_vm_slot_add(real.vm, at, 2 * page, bytes, 0, &slot), 0);
        assert_int_equal(kvm_vm_slot_find(real.vm, at - 1, &found), -ENOENT);
        assert_int_equal(kvm_vm_slot_find(real.vm, at + 2 * page, &found), -ENOENT);
        assert_int_equal(found, 77);
        assert_int_equal(kvm_vm_slot_find(real.vm, at, &found), 0);
        assert_int_equal(found, slot);
        found = 77;
        assert_int_equal(kvm_vm_slot_find(real.vm, at + 2 * page - 1, &found), 0);
        assert_int_equal(found, slot);
        assert_int_equal(kvm_vm_slot_find(real.vm, real.layout.ram[0].start, &found), 0);
        assert_int_equal(found, 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(kvm_vm_slot_find(real.vm, at, &found), -ENOENT);
}

static void only_slots_that_were_added_are_removed(void **state)
{
        uint32_t slot;

        (void)state;
        for (uint32_t i = 0; i < real.layout.n_ram; i++)
                assert_int_equal(kvm_vm_slot_remove(real.vm, i), -ENOENT);
        assert_int_equal(kvm_vm_slot_remove(real.vm, LIMIT_KVM_SLOTS - 1), -ENOENT);
        assert_int_equal(kvm_vm_slot_remove(real.vm, LIMIT_KVM_SLOTS), -ENOENT);
        assert_int_equal(kvm_vm_slot_remove(real.vm, UINT32_MAX), -ENOENT);
        assert_int_equal(kvm_vm_slot_add(real.vm, real.layout.shmem.start, page, bytes, 0, &slot), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), -ENOENT);
}

static void slots_are_as_many_as_the_limit_and_no_more(void **state)
{
        uint32_t n = MIN(LIMIT_KVM_SLOTS, real.host.max_memslots), slots[LIMIT_KVM_SLOTS], extra = 77;

        (void)state;
        assert_int_equal(n, LIMIT_KVM_SLOTS);
        for (uint32_t i = real.layout.n_ram; i < n; i++)
                assert_int_equal(kvm_vm_slot_add(real.vm, real.layout.shmem.start + i * page, page,
                                                 bytes + i * page, 0, &slots[i]),
                                 0);
        assert_int_equal(kvm_vm_slot_add(real.vm, real.layout.shmem.start, page, bytes, 0, &extra), -E2BIG);
        assert_int_equal(extra, 77);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slots[n / 2]), 0);
        assert_int_equal(kvm_vm_slot_add(real.vm, real.layout.shmem.start, page, bytes, 0, &slots[n / 2]), 0);
        for (uint32_t i = real.layout.n_ram; i < n; i++)
                assert_int_equal(kvm_vm_slot_remove(real.vm, slots[i]), 0);
}

static void host_with_few_slots_has_no_more(void **state)
{
        struct kvm_host host = real.host;
        struct kvm_vm *vm = NULL;
        char why[256] = "";
        uint32_t slot;

        (void)state;
        host.max_memslots = real.layout.n_ram + 1;
        assert_int_equal(kvm_vm_new(&host, &real.layout, real.bits, &vm, why, sizeof(why)), 0);
        assert_int_equal(kvm_vm_slot_add(vm, real.layout.shmem.start, page, bytes, 0, &slot), 0);
        assert_int_equal(kvm_vm_slot_add(vm, real.layout.shmem.start + page, page, bytes, 0, &slot), -E2BIG);
        (void)kvm_vm_free(vm);
}

static void dirty_log_is_refused_where_there_is_none(void **state)
{
        uint64_t bitmap[8];
        uint32_t slot;

        (void)state;
        assert_int_equal(kvm_vm_slot_add(real.vm, real.layout.shmem.start, 65 * page, bytes, 0, &slot), 0);
        assert_int_equal(kvm_vm_dirty_size(real.vm, slot), 16);
        assert_int_equal(kvm_vm_dirty_size(real.vm, 0), REAL_VM_MEMORY / page / 8);
        assert_int_equal(kvm_vm_dirty_size(real.vm, slot + 1), 0);
        assert_int_equal(kvm_vm_dirty_size(real.vm, UINT32_MAX), 0);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 16), -EINVAL);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, true), 0);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 8), -EINVAL);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 24), -EINVAL);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 16), 0);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, false), 0);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 16), -EINVAL);
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(kvm_vm_slot_log(real.vm, slot, true), -ENOENT);
        assert_int_equal(kvm_vm_dirty_log(real.vm, slot, bitmap, 16), -ENOENT);
        assert_int_equal(kvm_vm_dirty_log(real.vm, UINT32_MAX, bitmap, 16), -ENOENT);
}

/* ---- files that are cut short ---- */

#define CUT_PAGES 9u

/* A slot whose file holds 1, 2, 3 ... in its pages; *ret_fd can cut it. */
static uint32_t file_slot(uint64_t at, unsigned flags, int *ret_fd, uint8_t **ret_bytes)
{
        int fd = memfd_create("bulkhead-test", MFD_CLOEXEC);
        uint8_t *file;
        uint32_t slot;

        assert_int_equal(ftruncate(fd, (off_t)(CUT_PAGES * page)), 0);
        file = mmap(NULL, CUT_PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(file != MAP_FAILED);
        for (unsigned i = 0; i < CUT_PAGES; i++)
                file[i * page] = (uint8_t)(i + 1);
        assert_int_equal(kvm_vm_slot_add(real.vm, at, CUT_PAGES * page, file, flags, &slot), 0);
        *ret_fd = fd;
        *ret_bytes = file;
        return slot;
}

static void file_slot_remove(uint32_t slot, int fd, uint8_t *file)
{
        assert_int_equal(kvm_vm_slot_remove(real.vm, slot), 0);
        assert_int_equal(munmap(file, CUT_PAGES * page), 0);
        close(fd);
}

static void assert_mended(uint32_t slot, const uint8_t *file, unsigned left)
{
        assert_int_equal(kvm_vm_mend(real.vm, slot), 1);
        for (unsigned i = 0; i < CUT_PAGES; i++)
                assert_int_equal(file[i * page], i < left ? i + 1 : 0);
        assert_int_equal(kvm_vm_mend(real.vm, slot), 0);
}

static void file_cut_anywhere_is_mended_from_there_on(void **state)
{
        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        for (unsigned left = 0; left < CUT_PAGES; left++) {
                uint8_t *file, *other_file;
                int fd, other_fd;
                uint32_t other = file_slot(real.layout.shmem.start + MIB, 0, &other_fd, &other_file);
                uint32_t slot = file_slot(real.layout.shmem.start, 0, &fd, &file);

                assert_int_equal(kvm_vm_mend(real.vm, slot), 0);
                assert_int_equal(kvm_vm_mend(real.vm, 0), 0); /* RAM's */
                assert_int_equal(ftruncate(fd, (off_t)(left * page)), 0);
                assert_int_equal(kvm_vm_mend(real.vm, other), 0);
                assert_mended(slot, file, left);
                file[(CUT_PAGES - 1) * page] = 1; /* they can be written */
                assert_int_equal(other_file[(CUT_PAGES - 1) * page], CUT_PAGES);
                file_slot_remove(slot, fd, file);
                file_slot_remove(other, other_fd, other_file);
        }
}

static void file_is_cut_again_and_again(void **state)
{
        uint8_t *file;
        uint32_t slot;
        int fd;

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* again: cmocka has handlers of its own for each test */
        slot = file_slot(real.layout.shmem.start, KVM_SLOT_READ_ONLY, &fd, &file);
        assert_int_equal(ftruncate(fd, (off_t)(6 * page + 1)),
                         0); /* a page of which a byte is left is there */
        assert_mended(slot, file, 7);
        assert_int_equal(ftruncate(fd, (off_t)(CUT_PAGES * page)), 0); /* what has gone stays so */
        assert_int_equal(kvm_vm_mend(real.vm, slot), 0);
        assert_int_equal(file[8 * page], 0);
        assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
        assert_mended(slot, file, 2);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_mended(slot, file, 0);
        file_slot_remove(slot, fd, file);
}

static void a_page_that_cannot_be_had_is_zeros_and_its_neighbours_are_not(void **state)
{
        uint8_t *file;
        uint32_t slot;
        int fd;

        (void)state;
        slot = file_slot(real.layout.shmem.start, 0, &fd, &file);
        assert_int_equal(kvm_vm_zero(real.vm, 0, 0), -ENOENT); /* RAM's */
        assert_int_equal(kvm_vm_zero(real.vm, slot, 1), -ENOENT);
        assert_int_equal(kvm_vm_zero(real.vm, slot, CUT_PAGES * page), -ENOENT);
        assert_int_equal(kvm_vm_zero(real.vm, slot + 1, 0), -ENOENT);
        assert_int_equal(kvm_vm_zero(real.vm, slot, 3 * page), 0);
        for (unsigned i = 0; i < CUT_PAGES; i++)
                assert_int_equal(file[i * page], i == 3 ? 0 : i + 1);
        file[3 * page] = 1;
        assert_int_equal(kvm_vm_slot_own(real.vm, slot), CUT_PAGES * page);
        file_slot_remove(slot, fd, file);
        assert_int_equal(kvm_vm_zero(real.vm, slot, 3 * page), -ENOENT);
}

static void a_medium_with_too_many_such_pages_is_taken_for_gone(void **state)
{
        uint8_t *file;
        uint32_t slot;
        int fd;

        (void)state;
        slot = file_slot(real.layout.shmem.start, 0, &fd, &file);
        for (unsigned i = 0; i < LIMIT_SHMEM_GAPS; i++)
                assert_int_equal(kvm_vm_zero(real.vm, slot, i % 2 * page), 0);
        assert_int_equal(file[2 * page], 3);
        assert_int_equal(kvm_vm_zero(real.vm, slot, 2 * page), 0);
        for (unsigned i = 0; i < CUT_PAGES; i++)
                assert_int_equal(file[i * page], 0);
        assert_int_equal(kvm_vm_slot_own(real.vm, slot), 0);
        assert_int_equal(kvm_vm_zero(real.vm, slot, 2 * page), -ENOENT);
        file_slot_remove(slot, fd, file);
}

static void doorbells_are_tied_once_and_untied(void **state)
{
        uint64_t at = kvm_layout_device(&real.layout, 0) + 0x50, one = 1, two = 2;
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        (void)state;
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &one, fd, true), 0);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &one, other, true), -EEXIST);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &two, other, true), 0);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &two, fd, false), -ENOENT);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &one, fd, false), 0);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &one, fd, false), -ENOENT);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 4, &one, fd, true), 0);
        assert_int_equal(kvm_vm_ioeventfd(real.vm, at, 3, NULL, fd, true), -EINVAL);
        assert_true(kvm_vm_ioeventfd(real.vm, at, 4, NULL, -1, true) < 0);
        close(fd);
        close(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(ram_can_neither_shrink_nor_grow_nor_lose_its_seals),
            cmocka_unit_test(ram_of_impossible_length_is_refused),
            cmocka_unit_test(vm_has_the_memory_of_its_layout),
            cmocka_unit_test(ram_is_not_inherited_dumped_or_executable),
            cmocka_unit_test(vm_opens_one_descriptor_and_leaves_nothing),
            cmocka_unit_test(memory_outlives_the_vm_for_who_holds_it),
            cmocka_unit_test(vm_that_cannot_be_made_leaves_nothing),
            cmocka_unit_test(slots_that_make_no_sense_are_refused),
            cmocka_unit_test(slot_may_end_exactly_at_the_vms_limit),
            cmocka_unit_test(slots_never_overlap),
            cmocka_unit_test(slot_is_found_by_its_addresses),
            cmocka_unit_test(only_slots_that_were_added_are_removed),
            cmocka_unit_test(slots_are_as_many_as_the_limit_and_no_more),
            cmocka_unit_test(host_with_few_slots_has_no_more),
            cmocka_unit_test(dirty_log_is_refused_where_there_is_none),
            cmocka_unit_test(file_cut_anywhere_is_mended_from_there_on),
            cmocka_unit_test(file_is_cut_again_and_again),
            cmocka_unit_test(a_page_that_cannot_be_had_is_zeros_and_its_neighbours_are_not),
            cmocka_unit_test(a_medium_with_too_many_such_pages_is_taken_for_gone),
            cmocka_unit_test(doorbells_are_tied_once_and_untied),
        };
        int status;

        if (!real_vm_possible(&status))
                return status;
        return cmocka_run_group_tests(tests, setup, teardown);
}
