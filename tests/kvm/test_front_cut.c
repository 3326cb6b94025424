/* Files in shared memory regions of a VM of the real /dev/kvm that are cut short under its feet, or whose medium fails.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "tests/kvm/front_rig.h"

static void a_guest_survives_a_file_that_is_cut_short(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true), *whole = show(A, 200, 0, PAGE, true);
        bool cut;

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* the test's frame has its own handlers before */
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0);
        assert_int_equal(ftruncate(file, 2 * PAGE), 0);
        assert_false(reaches(B, A_AT + 2 * PAGE, false)); /* that request's error, and nobody is told */
        assert_int_equal(failed.n, 0);
        (void)guest_read(A_AT + 3 * PAGE); /* EFAULT and then zeros; ones where KVM emulates it */
        assert_int_equal(failed.n, 1);
        assert_ptr_equal(failed.device, &devices[A]);
        assert_ptr_equal(failed.mapping, mapping);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0);
        guest_write(A_AT + 3 * PAGE, 0x44);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0x44);
        assert_true(reaches(B, A_AT + 2 * PAGE, false));
        assert_true(front_memory_mend(memory, &cut)); /* another vCPU ran into it at the same time: again, */
        assert_false(cut);                            /* and nobody is told */
        assert_int_equal(failed.n, 1);
        hide(A, mapping);
        hide(A, whole);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0xff);
        assert_false(front_memory_mend(memory, &cut)); /* nothing is shown: it is something else */
}

/* Looks at files as the loop goes on, until the condition holds. */
#define until(condition)                                                                                     \
        for (uint64_t deadline_ = uv_hrtime() + UINT64_C(20000000000); !(condition);) {                      \
                if (uv_hrtime() > deadline_)                                                                 \
                        fail_msg("never: %s", #condition);                                                   \
                uv_run(&loop, UV_RUN_ONCE);                                                                  \
        }

/* KVM may wait for such a page without a word. */
static void a_file_that_is_cut_is_found_and_its_device_told_when_somebody_comes_there(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true),
                             *whole = show(A, 7, 8 * PAGE, PAGE, true);
        uint32_t slot = 0;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(kvm_vm_slot_find(real.vm, A_AT, &slot), 0);
        assert_int_equal(ftruncate(file, 2 * PAGE + 1), 0);
        until(kvm_vm_slot_own(real.vm, slot) < 4 * PAGE);
        assert_int_equal(kvm_vm_slot_own(real.vm, slot), 3 * PAGE); /* the page in which it ends is there */
        assert_false(kvm_vm_slot_touched(real.vm, slot));
        (void)guest_read(A_AT + 2 * PAGE);
        for (unsigned i = 0; i < 3; i++)
                uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(failed.n, 0);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0);
        until(failed.n > 0);
        assert_ptr_equal(failed.mapping, mapping);
        assert_int_equal(ftruncate(file, PAGE), 0); /* and once more */
        until(kvm_vm_slot_own(real.vm, slot) == PAGE);
        guest_write(A_AT + PAGE, 0x31);
        assert_true(reaches(B, A_AT + 2 * PAGE, true));
        for (unsigned i = 0; i < 3; i++)
                uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(failed.n, 1); /* once */
        hide(A, mapping);
        hide(A, whole);
}

/* A medium that fails shows as a page that cannot be read: here, as one without rights. */
static void medium_fails(const struct shmem_mapping *mapping, uint64_t at)
{
        assert_int_equal(mprotect((uint8_t *)mapping->host + at, PAGE, PROT_NONE), 0);
}

static void a_page_that_fails_under_an_access_is_zeros_at_the_next(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true);

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        file_put(PAGE, 0x21);
        file_put(2 * PAGE, 0x22);
        medium_fails(mapping, PAGE);
        (void)guest_read(A_AT + PAGE); /* ones where KVM emulates it */
        assert_int_equal(guest_read(A_AT + PAGE), 0);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x22);
        assert_int_equal(failed.n, 1);
        medium_fails(mapping, 3 * PAGE);
        guest_write(A_AT + 3 * PAGE, 0x33);
        guest_write(A_AT + 3 * PAGE, 0x34);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0x34);
        assert_int_equal(failed.n, 1);
        hide(A, mapping);
}

/* ... and no end of a file: what lies behind it is there, whatever becomes of others. */
static void a_page_that_fails_is_no_end_while_another_file_is_cut(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true), *whole;
        int own = file, other = memfd_create("bulkhead-test", MFD_CLOEXEC);
        uint32_t slot = 0;
        bool cut;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(ftruncate(other, FILE_LEN), 0);
        file = other;
        whole = show(C, 1, 0, 4 * PAGE, true);
        file = own;
        medium_fails(whole, 3 * PAGE);
        assert_int_equal(ftruncate(file, PAGE), 0);
        assert_true(front_memory_mend(memory, &cut));
        assert_true(cut);
        assert_int_equal(failed.n, 1);
        assert_ptr_equal(failed.mapping, mapping);
        assert_int_equal(kvm_vm_slot_find(real.vm, C_AT, &slot), 0);
        assert_int_equal(kvm_vm_slot_own(real.vm, slot), 4 * PAGE);
        hide(A, mapping);
        hide(C, whole);
        close(other);
}

static void serve_unknown(void)
{
        assert_true(front_fault_serve(&fault, vcpu.fd, NULL));
}

static struct front_search search;
static unsigned n_looks;

static void look(void)
{
        front_fault_look(&fault, &search, vcpu.fd, ++n_looks);
}

/* The kernel does not say where: what the instruction may touch is tried, and what it may not is only when that has helped
 * nothing. */
static void a_page_that_fails_is_found_by_registers_and_then_by_trying_all(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true), *other = show(C, 1, 0, 4 * PAGE, true);

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        medium_fails(mapping, PAGE);
        medium_fails(other, 2 * PAGE);
        real_vcpu_load(&vcpu, &real, CODE_READ8, A_AT + PAGE, 0);
        n_looks = 0;
        on_thread(look);
        assert_int_equal(failed.n, 1);
        assert_ptr_equal(failed.mapping, mapping);
        on_thread(look);
        assert_int_equal(failed.n, 1);
        on_thread(serve_unknown);
        assert_int_equal(failed.n, 2);
        assert_ptr_equal(failed.mapping, other);
        on_thread(serve_unknown); /* nothing fails any more: it is not ours to say whose fault it is */
        assert_int_equal(failed.n, 2);
        hide(A, mapping);
        hide(C, other);
}

static void look_until(unsigned n)
{
        while (n_looks < n)
                on_thread(look);
}

/* What is pushed lies below the stack's pointer, which may be on the page behind. */
static void a_page_below_a_stack_is_found_by_registers(void **state)
{
        struct kvm_regs regs = {.rip = 2 * CODE_AT, .rflags = 2, .rsp = A_AT + 2 * PAGE}; /* at zeros */
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true);

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        medium_fails(mapping, PAGE);
        real_vcpu_load(&vcpu, &real, CODE_READ8, CODE_AT, 0);
        assert_int_equal(ioctl(vcpu.fd, KVM_SET_REGS, &regs), 0);
        n_looks = 0;
        look_until(1);
        assert_int_equal(failed.n, 1);
        hide(A, mapping);
}

/* No register says where, as with a vector's addresses, or page tables: all are tried when the guest has not moved for a while, one
 * that fails a look, and again when that has not helped. */
static void a_page_that_no_register_names_is_found_after_a_while(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true), *other = show(C, 1, 0, 4 * PAGE, true),
                             *late = show(A, 200, 0, 4 * PAGE, true);

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        medium_fails(mapping, PAGE);
        medium_fails(other, 3 * PAGE);
        real_vcpu_load(&vcpu, &real, CODE_READ8, CODE_AT, 0);
        n_looks = 0;
        look_until(7);
        assert_int_equal(failed.n, 0);
        look_until(8);
        assert_int_equal(failed.n, 1);
        look_until(9);
        assert_int_equal(failed.n, 2);
        assert_false(search.done);
        look_until(10);
        assert_true(search.done);
        medium_fails(late, 0);
        look_until(15);
        assert_int_equal(failed.n, 2);
        look_until(16);
        assert_int_equal(failed.n, 3);
        assert_ptr_equal(failed.mapping, late);
        assert_true(reaches(B, A_AT + PAGE, false)); /* zeros */
        hide(A, mapping);
        hide(C, other);
        hide(A, late);
}

/* Who has seen a page may come late: what is shown there by then is another. */
static void only_the_page_that_was_lost_is_zeros(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, 4 * PAGE, true), *other;
        struct front_page found;

        (void)state;
        for (unsigned i = 0; i < 4; i++)
                file_put(i * PAGE, (uint8_t)(0x11 + i));
        assert_false(front_memory_page(memory, A_AT + 4 * PAGE, &found));
        assert_false(front_memory_page(memory, 0, &found)); /* RAM */
        assert_true(front_memory_page(memory, A_AT + 2 * PAGE + 5, &found));
        assert_ptr_equal(found.host, (uint8_t *)mapping->host + 2 * PAGE);
        hide(A, mapping);
        front_memory_lost(memory, &found);
        mapping = show(A, 7, 0, 4 * PAGE, true);
        front_memory_lost(memory, &found);
        assert_int_equal(failed.n, 0);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x13);

        assert_true(front_memory_page(memory, A_AT + 2 * PAGE, &found));
        front_memory_lost(memory, &found);
        assert_int_equal(failed.n, 1);
        assert_ptr_equal(failed.mapping, mapping);
        assert_int_equal(guest_read(A_AT + PAGE), 0x12);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0);
        guest_write(A_AT + 2 * PAGE, 0x77);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x77);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0x14);
        assert_int_equal(file_byte(2 * PAGE), 0x13);
        front_memory_lost(memory, &found);
        assert_int_equal(failed.n, 1); /* told once */
        other = show(A, 200, 0, PAGE, true);
        assert_true(front_memory_next(memory, 0, &found));
        assert_true(front_memory_next(memory, found.slot + 1, &found));
        assert_false(front_memory_next(memory, found.slot + 1, &found));
        hide(A, other);
        hide(A, mapping);
        assert_false(front_memory_next(memory, 0, &found));
}

/* ---- files that may end ---- */

/* A share's: it is mapped whether it is as long or not. */
static struct shmem_mapping *show_ending(unsigned device, uint8_t shmid)
{
        struct shmem_mapping *mapping = mapping_made(shmid, 0, 4 * PAGE, true);
        const struct device_front *front = &devices[device].front;

        mapping->may_end = true;
        assert_true(front->shmem_show(front->context, mapping));
        return mapping;
}

/* Has the guest zeros behind the file's end? As far as anybody can say who does not touch them. */
static bool reads_zeros(void)
{
        struct front_page page;

        return !front_memory_page(memory, A_AT + 2 * PAGE, &page);
}

static void looks(unsigned n)
{
        while (n-- > 0)
                uv_run(&loop, UV_RUN_ONCE);
}

static void a_file_that_may_end_is_seen_as_far_as_it_goes(void **state)
{
        struct shmem_mapping *mapping;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(ftruncate(file, PAGE + 1), 0);
        file_put(PAGE, 0x11);
        mapping = show_ending(A, 7);
        assert_int_equal(guest_read(A_AT + PAGE), 0x11);
        assert_int_equal(guest_read(A_AT + 2 * PAGE - 1), 0);
        file_put(4 * PAGE - 1, 0x22); /* it has become longer, and the guest comes at once */
        assert_int_equal(guest_read(A_AT + 4 * PAGE - 1), 0x22);
        guest_write(A_AT + 3 * PAGE, 0x33);
        assert_int_equal(file_byte(3 * PAGE), 0x33);
        assert_true(reaches(B, A_AT + 3 * PAGE, true));
        assert_int_equal(ftruncate(file, PAGE), 0);
        assert_false(reaches(B, A_AT + PAGE, false));
        looks(2);
        assert_int_equal(guest_read(A_AT), 0);
        file_put(2 * PAGE, 0x44);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x44);
        looks(2);
        guest_write(A_AT + 2 * PAGE, 0x55);
        assert_int_equal(file_byte(2 * PAGE), 0x55);
        assert_int_equal(front_memory_holes(memory), 0);
        assert_int_equal(failed.n, 0);
        hide(A, mapping);
}

static void a_guest_behind_an_end_that_others_have_set_finds_zeros_until_it_moves(void **state)
{
        struct shmem_mapping *first = show_ending(A, 7), *second = show_ending(C, 1),
                             *whole = show(A, 200, 0, PAGE, true);

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0);
        assert_int_equal(ftruncate(file, 2 * PAGE), 0);
        looks(2);
        assert_int_equal(failed.n, 0); /* nobody was there */
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0);
        until(ended.n > 0);
        assert_ptr_equal(ended.device, &devices[A]);
        assert_ptr_equal(ended.mapping, first);
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0);
        assert_false(reaches(B, A_AT + 3 * PAGE, false)); /* zeros are the guest's alone */
        looks(2);
        file_put(3 * PAGE, 0x66);
        assert_int_equal(guest_read(C_AT + 3 * PAGE), 0x66);
        looks(2); /* the file has become longer: zeros are gone */
        assert_int_equal(guest_read(A_AT + 3 * PAGE), 0x66);
        guest_write(A_AT + 2 * PAGE, 0x67);
        assert_int_equal(file_byte(2 * PAGE), 0x67);
        assert_int_equal(ended.n, 1);
        assert_int_equal(ftruncate(file, 2 * PAGE), 0);
        guest_write(A_AT + 2 * PAGE, 0x68);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x68);
        until(ended.n > 1); /* it is told once more */
        assert_int_equal(failed.n, 0);
        hide(A, first);
        hide(C, second);
        hide(A, whole);
}

static void serve_behind(void)
{
        assert_true(front_fault_serve(&fault, vcpu.fd, NULL));
}

/* The kernel does not say where, and registers do not, either. */
static void a_guest_behind_an_end_that_nobody_knows_of_is_found_by_trying(void **state)
{
        struct shmem_mapping *mapping = show_ending(A, 7);
        uint64_t began = uv_hrtime();

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(ftruncate(file, 2 * PAGE), 0);
        looks(2);
        real_vcpu_load(&vcpu, &real, CODE_READ8, SHMEM + SHMEM_LEN, 0);
        assert_true(front_memory_patient(memory)); /* first it may be the guest's own doing */
        assert_false(reads_zeros());
        while (!reads_zeros() && uv_hrtime() - began < UINT64_C(20000000000))
                on_thread(serve_behind);
        assert_true(reads_zeros());
        until(!reads_zeros()); /* nobody has touched them */
        assert_int_equal(ended.n, 0);
        file_put(2 * PAGE, 0x77);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x77);
        hide(A, mapping);
}

static void a_medium_that_fails_before_the_end_breaks_the_device(void **state)
{
        struct shmem_mapping *mapping = show_ending(A, 7);
        struct front_page page;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        file_put(2 * PAGE, 0x22);
        assert_true(front_memory_page(memory, A_AT + PAGE, &page));
        assert_int_equal(mprotect(page.host, PAGE, PROT_NONE), 0);
        (void)guest_read(A_AT + PAGE);
        until(failed.n > 0);
        assert_ptr_equal(failed.mapping, mapping);
        assert_int_equal(guest_read(A_AT + PAGE), 0);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0x22);
        assert_int_equal(ended.n, 0);
        hide(A, mapping);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_guest_survives_a_file_that_is_cut_short, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_page_that_fails_is_no_end_while_another_file_is_cut,
                                            front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(a_page_below_a_stack_is_found_by_registers, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_page_that_no_register_names_is_found_after_a_while, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(only_the_page_that_was_lost_is_zeros, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_page_that_fails_under_an_access_is_zeros_at_the_next,
                                            front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(a_page_that_fails_is_found_by_registers_and_then_by_trying_all,
                                            front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(
                a_file_that_is_cut_is_found_and_its_device_told_when_somebody_comes_there, front_setup,
                front_teardown),
            cmocka_unit_test_setup_teardown(a_file_that_may_end_is_seen_as_far_as_it_goes, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(
                a_guest_behind_an_end_that_others_have_set_finds_zeros_until_it_moves, front_setup,
                front_teardown),
            cmocka_unit_test_setup_teardown(a_guest_behind_an_end_that_nobody_knows_of_is_found_by_trying,
                                            front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(a_medium_that_fails_before_the_end_breaks_the_device, front_setup,
                                            front_teardown),
        };
        int status;

        if (!real_vm_possible(&status))
                return status;
        return cmocka_run_group_tests_name("front_cut", tests, NULL, NULL);
}
