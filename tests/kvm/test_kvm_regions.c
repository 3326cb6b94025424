/* Where the shared memory regions of a VM's devices lie. The devices' regions are the test's own.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define ALL (LIMIT_DEVICES * LIMIT_SHMEM_REGIONS)

static struct device_config devices[LIMIT_DEVICES];
static struct device_region wanted[LIMIT_DEVICES][LIMIT_SHMEM_REGIONS];
static unsigned n_wanted[LIMIT_DEVICES];
static struct vm_config config;
static struct kvm_regions regions;

unsigned __wrap_device_regions(const struct device_config *device,
                               struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);

unsigned __wrap_device_regions(const struct device_config *device,
                               struct device_region ret_regions[static LIMIT_SHMEM_REGIONS])
{
        memcpy(ret_regions, wanted[device - devices], sizeof(wanted[0]));
        return n_wanted[device - devices];
}

static int setup(void **state)
{
        (void)state;
        config = (struct vm_config){.devices = devices, .n_devices = LIMIT_DEVICES};
        memset(n_wanted, 0, sizeof(n_wanted));
        return 0;
}

static void want(unsigned device, uint8_t shmid, uint64_t len)
{
        wanted[device][n_wanted[device]++] =
            (struct device_region){.shmid = shmid, .len = len, .source = REGION_MEMORY};
}

static struct kvm_layout place(enum kvm_arch arch, uint64_t memory)
{
        struct kvm_layout layout;
        char why[256];

        assert_int_equal(
            kvm_layout_make(arch, memory, 1, 4, kvm_regions_len(&config), &layout, why, sizeof(why)), 0);
        kvm_regions_place(&config, &layout, &regions);
        return layout;
}

static void assert_region(unsigned i, unsigned device, uint8_t shmid, uint64_t start, uint64_t len)
{
        assert_true(i < regions.n);
        assert_int_equal(regions.at[i].device, device);
        assert_int_equal(regions.at[i].shmid, shmid);
        assert_int_equal(regions.at[i].start, start);
        assert_int_equal(regions.at[i].len, len);
}

static void devices_without_regions_take_no_addresses(void **state)
{
        struct kvm_layout layout;

        (void)state;
        assert_int_equal(kvm_regions_len(&config), 0);
        layout = place(KVM_ARCH_X86_64, GIB);
        assert_int_equal(layout.shmem.len, 0);
        assert_int_equal(regions.n, 0);
}

static void regions_lie_in_the_order_of_the_configuration_each_at_a_large_page(void **state)
{
        struct kvm_layout layout;

        (void)state;
        want(1, 0, 4 * KIB);
        want(1, 3, 2 * MIB);
        want(3, 255, 2 * MIB + 4 * KIB);
        want(63, 1, MIB);
        assert_int_equal(kvm_regions_len(&config), 10 * MIB);
        layout = place(KVM_ARCH_X86_64, GIB);
        assert_int_equal(layout.shmem.start, 4 * GIB);
        assert_int_equal(layout.shmem.len, 10 * MIB);
        assert_int_equal(regions.n, 4);
        assert_region(0, 1, 0, 4 * GIB, 4 * KIB);
        assert_region(1, 1, 3, 4 * GIB + 2 * MIB, 2 * MIB);
        assert_region(2, 3, 255, 4 * GIB + 4 * MIB, 2 * MIB + 4 * KIB);
        assert_region(3, 63, 1, 4 * GIB + 8 * MIB, MIB);
}

static void regions_of_a_gibibyte_lie_at_one(void **state)
{
        (void)state;
        want(0, 0, 4 * KIB);
        want(0, 1, GIB);
        want(1, 0, GIB - 4 * KIB);
        want(2, 0, GIB + 4 * KIB);
        place(KVM_ARCH_ARM64, GIB);
        assert_region(0, 0, 0, 2 * GIB, 4 * KIB);
        assert_region(1, 0, 1, 3 * GIB, GIB);
        assert_region(2, 1, 0, 4 * GIB, GIB - 4 * KIB);
        assert_region(3, 2, 0, 5 * GIB, GIB + 4 * KIB);
        assert_int_equal(kvm_regions_len(&config), 4 * GIB + 2 * MIB);
}

/* As many and as long as there may be: a layout still holds them, and all end in it. */
static void all_regions_there_may_be_fit_and_do_not_overlap(void **state)
{
        struct kvm_layout layout;

        (void)state;
        for (unsigned i = 0; i < ALL; i++)
                want(i / LIMIT_SHMEM_REGIONS, (uint8_t)i, LIMIT_SHMEM_LEN - (i % 3) * 4 * KIB);
        layout = place(KVM_ARCH_X86_64, GIB);
        assert_int_equal(regions.n, ALL);
        for (unsigned i = 0; i < ALL; i++) {
                const struct kvm_region *region = &regions.at[i];

                assert_true(range_inside(region->start - layout.shmem.start, region->len, layout.shmem.len));
                assert_true(i == 0 || region->start >= region[-1].start + region[-1].len);
                assert_int_equal(region->start % GIB, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(devices_without_regions_take_no_addresses, setup),
            cmocka_unit_test_setup(regions_lie_in_the_order_of_the_configuration_each_at_a_large_page, setup),
            cmocka_unit_test_setup(regions_of_a_gibibyte_lie_at_one, setup),
            cmocka_unit_test_setup(all_regions_there_may_be_fit_and_do_not_overlap, setup),
        };

        return cmocka_run_group_tests_name("kvm_regions", tests, NULL, NULL);
}
