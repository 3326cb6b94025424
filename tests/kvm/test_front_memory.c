/* Shared memory regions of devices in a VM of the real /dev/kvm: where guests find them, what they see in them, what other
 * devices reach of them, and what is left when they are gone.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/front_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/kvm/front_rig.h"

static void a_guest_finds_its_regions_and_no_others(void **state)
{
        static const struct {
                unsigned device;
                uint8_t shmid;
                uint64_t base, len;
        } rows[] = {
            {A, 7, A_AT, A_LEN},
            {A, 200, A_SECOND, 2 * MIB},
            {C, 1, C_AT, 2 * MIB},
            {A, 0, UINT64_MAX, UINT64_MAX},
            {A, 1, UINT64_MAX, UINT64_MAX},
            {B, 7, UINT64_MAX, UINT64_MAX},
            {C, 7, UINT64_MAX, UINT64_MAX},
        };

        (void)state;
        assert_int_equal(guest_register(A, VIRTIO_MMIO_SHM_LEN_LOW), UINT64_MAX); /* none is selected: 0 */
        assert_int_equal(n_placed, regions.n); /* and devices know where theirs are */
        for (unsigned i = 0; i < n_placed; i++) {
                assert_ptr_equal(placed[i].device, &devices[regions.at[i].device]);
                assert_int_equal(placed[i].shmid, regions.at[i].shmid);
                assert_int_equal(placed[i].gpa, regions.at[i].start);
        }
        for (size_t i = 0; i < array_size(rows); i++) {
                guest_select(rows[i].device, rows[i].shmid);
                assert_int_equal(guest_register(rows[i].device, VIRTIO_MMIO_SHM_BASE_LOW), rows[i].base);
                assert_int_equal(guest_register(rows[i].device, VIRTIO_MMIO_SHM_LEN_LOW), rows[i].len);
        }
}

static void guest_and_file_share_the_bytes_of_a_mapping(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, PAGE, PAGE, true);

        (void)state;
        file_put(PAGE, 0x71);
        assert_int_equal(guest_read(A_AT + PAGE), 0x71);
        guest_write(A_AT + 2 * PAGE - 1, 0x72);
        assert_int_equal(file_byte(2 * PAGE - 1), 0x72);
        assert_int_equal(front_memory_holes(memory), 0);
        hide(A, mapping);
}

static void a_hole_reads_as_ones_and_is_counted(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, PAGE, PAGE, true);

        (void)state;
        assert_int_equal(guest_read(A_AT + PAGE - 1), 0xff);
        assert_int_equal(guest_read(A_AT + 2 * PAGE), 0xff);
        guest_write(A_AT, 0x11);
        assert_int_equal(file_byte(0), 0);
        assert_int_equal(guest_read(SHMEM + SHMEM_LEN - 1), 0xff); /* behind the last region */
        assert_int_equal(front_memory_holes(memory), 4);
        hide(A, mapping);
        assert_int_equal(guest_read(A_AT + PAGE), 0xff);
        assert_int_equal(front_memory_holes(memory), 5);
        assert_int_equal(kvm_bus_unknown(bus, KVM_SPACE_MMIO), 0);
}

static void what_is_read_only_is_not_written(void **state)
{
        struct shmem_mapping *mapping = show(A, 7, 0, PAGE, false);

        (void)state;
        file_put(5, 0x55);
        assert_int_equal(guest_read(A_AT + 5), 0x55);
        guest_write(A_AT + 5, 0x66);
        assert_int_equal(file_byte(5), 0x55);
        assert_int_equal(guest_read(A_AT + 5), 0x55);
        assert_int_equal(front_memory_holes(memory), 1);
        assert_true(reaches(B, A_AT + 5, false));
        assert_false(reaches(B, A_AT + 5, true));
        hide(A, mapping);
}

static void every_device_reaches_what_is_mapped_and_no_holes(void **state)
{
        struct shmem_mapping *first = show(A, 7, 0, PAGE, true), *second = show(A, 200, PAGE, PAGE, true);

        (void)state;
        for (unsigned i = 0; i < DEVICES; i++) {
                assert_true(reaches(i, A_AT, true));
                assert_false(reaches(i, A_AT + PAGE, false));
                assert_false(reaches(i, A_SECOND, false));
                assert_true(reaches(i, A_SECOND + PAGE, false));
                assert_true(guest_memory_covers(devices[i].memory, GPA(A_AT), A_LEN + 2 * MIB, true));
        }
        hide(A, first);
        assert_false(reaches(B, A_AT, true));
        assert_true(reaches(B, A_SECOND + PAGE, true));
        hide(A, second);
        for (unsigned i = 0; i < DEVICES; i++)
                assert_int_equal(guest_memory_n_regions(devices[i].memory), real.layout.n_ram);
}

/* A buffer there is nothing but a hole to others: their requests fail, and they are not broken. */
static void a_region_that_refuses_others_is_its_devices_alone(void **state)
{
        struct shmem_mapping *first = show(A, 7, 0, PAGE, true), *second = show(C, 1, 0, PAGE, true),
                             *third = show(A, 7, PAGE, PAGE, true);

        (void)state;
        assert_true(reaches(C, C_AT, true));
        assert_false(reaches(A, C_AT, false));
        assert_false(reaches(B, C_AT, false));
        assert_true(guest_memory_covers(devices[B].memory, GPA(C_AT), PAGE, true));
        for (unsigned i = 0; i < DEVICES; i++) {
                assert_true(reaches(i, A_AT, true));
                assert_true(reaches(i, A_AT + PAGE, true));
        }
        hide(C, second);
        assert_false(reaches(C, C_AT, true));
        assert_true(reaches(C, A_AT, true));
        hide(A, first);
        hide(A, third);
        for (unsigned i = 0; i < DEVICES; i++)
                assert_false(reaches(i, A_AT, false));
}

static void a_device_that_comes_later_reaches_what_is_mapped(void **state)
{
        struct shmem_mapping *mapping;

        (void)state;
        for (unsigned i = B; i < DEVICES; i++) {
                front_device_close(&fronts[i]);
                fake_device_done(&devices[i]);
        }
        bus = kvm_bus_free(bus); /* where they stood, there is a range for ever */
        bus = kvm_bus_new();
        mapping = show(A, 7, 0, PAGE, true);
        open_device(B);
        open_device(C);
        assert_true(reaches(B, A_AT, true));
        assert_true(reaches(C, A_AT, true));
        hide(A, mapping);
        assert_false(reaches(B, A_AT, true));
        assert_false(reaches(C, A_AT, true));
}

/* As after each of ten resets: slots are as many as before, and nobody sees anything. */
static void ten_resets_leave_no_slot(void **state)
{
        uint32_t slot;

        (void)state;
        for (unsigned round = 0; round < 10; round++) {
                struct shmem_mapping *some[8];

                for (unsigned i = 0; i < 8; i++)
                        some[i] = show(A, i % 2 ? 7 : 200, 2 * i * PAGE, PAGE, i % 3);
                assert_int_equal(front_memory_n_shown(memory), 8);
                for (unsigned i = 0; i < 8; i++)
                        hide(A, some[(i * 5 + round) % 8]);
                assert_int_equal(front_memory_n_shown(memory), 0);
                assert_int_equal(kvm_vm_slot_find(real.vm, A_AT, &slot), -ENOENT);
                assert_int_equal(guest_memory_n_regions(devices[B].memory), real.layout.n_ram);
                assert_int_equal(guest_read(A_AT + 2 * PAGE), 0xff);
        }
}

static void a_mapping_that_cannot_be_shown_is_told_and_changes_nothing(void **state)
{
        struct shmem_mapping *wrong = mapping_made(8, 0, PAGE, true);
        const struct device_front *front = &devices[A].front;
        unsigned changes = devices[B].memory_changes;

        (void)state;
        assert_false(front->shmem_show(front->context, wrong));
        assert_int_equal(shown.n, 1);
        assert_ptr_equal(shown.device, &devices[A]);
        assert_ptr_equal(shown.mapping, wrong);
        assert_int_equal(shown.error, -ENOENT);
        assert_null(wrong->front);
        assert_int_equal(devices[B].memory_changes, changes);
        front->shmem_hide(front->context, wrong); /* nothing happens */
        assert_int_equal(devices[B].memory_changes, changes);
        unmap(wrong);
}

static void slots_that_run_out_are_an_error_of_the_mapping(void **state)
{
        const struct device_front *front = &devices[A].front;
        unsigned n = 0;

        (void)state;
        for (;; n++) {
                struct shmem_mapping *mapping = mapping_made(7, n * PAGE, PAGE, true);

                if (front->shmem_show(front->context, mapping))
                        continue;
                unmap(mapping);
                break;
        }
        assert_int_equal(shown.error, -E2BIG);
        assert_int_equal(n, MIN(real.host.max_memslots, LIMIT_KVM_SLOTS) - 1); /* one is RAM's */
        assert_false(reaches(B, A_AT + n * PAGE, false));
        assert_true(reaches(B, A_AT + (n - 1) * PAGE, false));
        hide(A, &mappings[0]);
        hide(A, show(A, 7, 0, PAGE, true)); /* there is room for one again */
        for (unsigned i = 1; i < n; i++)
                hide(A, &mappings[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_guest_finds_its_regions_and_no_others, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(guest_and_file_share_the_bytes_of_a_mapping, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_hole_reads_as_ones_and_is_counted, front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(what_is_read_only_is_not_written, front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(every_device_reaches_what_is_mapped_and_no_holes, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_region_that_refuses_others_is_its_devices_alone, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(a_device_that_comes_later_reaches_what_is_mapped, front_setup,
                                            front_teardown),
            cmocka_unit_test_setup_teardown(ten_resets_leave_no_slot, front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(a_mapping_that_cannot_be_shown_is_told_and_changes_nothing,
                                            front_setup, front_teardown),
            cmocka_unit_test_setup_teardown(slots_that_run_out_are_an_error_of_the_mapping, front_setup,
                                            front_teardown),
        };
        int status;

        if (!real_vm_possible(&status))
                return status;
        return cmocka_run_group_tests_name("front_memory", tests, NULL, NULL);
}
