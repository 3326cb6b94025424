/* What a configuration says of how devices reach memory: the judgement and its sentences, make and check.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/sample.h"
#include "tests/harness/good_config.h"
#include "tests/unit/unit.h"

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];
static struct device_config devices[2];
static struct vm_config config;
static char why[VM_CONFIG_WHY_BYTES];

static int setup(void **state)
{
        (void)state;
        memset(devices, 0, sizeof(devices));
        for (unsigned i = 0; i < 2; i++) {
                snprintf(devices[i].name, sizeof(devices[i].name), "rng%u", i);
                devices[i].type = DEVICE_TYPE_RNG;
                devices[i].n_queues = devices[i].n_lanes = 1;
                devices[i].request_timeout = 60;
        }
        devices[1].memory.iotlb = true;
        config = (struct vm_config)GOOD_VM_CONFIG(devices, 2);
        why[0] = '\0';
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static void a_vmm_that_attaches_may_translate(void **state)
{
        (void)state;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
}

static void own_vm(void)
{
        config.frontend = VM_FRONTEND_KVM;
        config.kvm = (struct kvm_config){.vcpus = 1, .memory = VM_CONFIG_GUEST_MEMORY};
        snprintf(config.boot.kernel, PATH_MAX, "/boot/vmlinuz");
}

static void a_vm_of_our_own_needs_an_iommu_to_translate(void **state)
{
        uint64_t endpoints;

        (void)state;
        own_vm();
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why,
                            "device rng1: memory: iotlb needs an IOMMU, and this VM has none: add a device "
                            "of type iommu, or remove it");
        devices[0].type = DEVICE_TYPE_IOMMU;
        devices[0].n_queues = 2;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        assert_int_equal(vm_config_iommu(&config, &endpoints), 1);
        assert_int_equal(endpoints, 1u << 1);
        devices[1].memory.iotlb = false; /* one that nothing is behind */
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        assert_int_equal(vm_config_iommu(&config, &endpoints), 1);
        assert_int_equal(endpoints, 0);
        devices[0].type = DEVICE_TYPE_RNG;
        devices[0].n_queues = 1;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        assert_int_equal(vm_config_iommu(&config, &endpoints), 0);
}

static void an_iommu_is_one_of_a_vm_of_our_own_and_behind_none(void **state)
{
        (void)state;
        devices[0].type = DEVICE_TYPE_IOMMU;
        devices[0].n_queues = 2;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why,
                            "device rng0: an IOMMU is a device of a VM of our own: say frontend: kvm, or "
                            "remove it and let the VMM have one");
        own_vm();
        devices[0].memory.iotlb = true;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device rng0: memory: an IOMMU is behind none, and reaches all: remove it");
        devices[0].memory = (struct device_memory){.n_windows = 1, .windows = {{4096, 4096}}};
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        devices[0].memory = (struct device_memory){0};
        devices[1] = devices[0];
        snprintf(devices[1].name, sizeof(devices[1].name), "other");
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device other: the VM has an IOMMU, rng0: remove one of them");
}

static void it_comes_back_from_the_wire(void **state)
{
        struct vm_config got;
        ssize_t n = vm_config_make(&config, buf, sizeof(buf));

        (void)state;
        assert_true(n > 0);
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), 0);
        assert_false(got.devices[0].memory.iotlb);
        assert_true(got.devices[1].memory.iotlb);
        vm_config_done(&got);
}

static void windows(uint32_t n, const struct device_window *list)
{
        devices[0].memory.n_windows = n;
        for (uint32_t i = 0; i < MIN(n, LIMIT_WINDOWS); i++)
                devices[0].memory.windows[i] = list[i];
}

#define WINDOWS(...)                                                                                         \
        do {                                                                                                 \
                const struct device_window list_[] = {__VA_ARGS__};                                          \
                windows(array_size(list_), list_);                                                           \
        } while (0)

static void windows_of_whole_pages_side_by_side_are_good(void **state)
{
        (void)state;
        WINDOWS({0, 4096});
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        WINDOWS({0x2000, 4096}, {0x1000, 4096}, {0x3000, 4096}); /* in any order */
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        WINDOWS({UINT64_MAX - 8191, 4096}); /* the last that ends before the address space does */
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        WINDOWS({0x1000, UINT64_MAX - 0x1fff});
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        devices[0].memory.iotlb = true; /* and what the VMM translates lies in them */
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
}

static void what_is_no_window_is_refused_in_words(void **state)
{
        static const struct {
                struct device_window windows[2];
                const char *why;
        } rows[] = {
            {{{0x8000, 0x1000}, {0x1000, 0}},
             "device rng0: memory: the window of 0 bytes at 0x1000 is not of whole pages: use multiples of "
             "4096"},
            {{{0x8000, 0x1000}, {0x1000, 4095}}, "is not of whole pages"},
            {{{0x8000, 0x1000}, {0x1001, 4096}}, "is not of whole pages"},
            {{{0x8000, 0x1000}, {UINT64_MAX - 4095, 4096}}, "ends behind the last address"},
            {{{0x8000, 0x1000}, {0x1000, UINT64_MAX - 4095}}, "ends behind the last address"},
            {{{0x8000, 0x2000}, {0x9000, 0x1000}},
             "device rng0: memory: the window of 4096 bytes at 0x9000 overlaps the one at 0x8000: say it as "
             "one"},
            {{{0x8000, 0x2000}, {0x7000, 0x1001000}}, "overlaps"},
            {{{0x8000, 0x2000}, {0x8000, 0x2000}}, "overlaps"},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                windows(2, rows[i].windows);
                assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
                assert_non_null(strstr(why, rows[i].why));
        }
}

static void a_device_has_as_many_windows_as_it_may_have(void **state)
{
        struct device_window list[LIMIT_WINDOWS];
        struct vm_config got;
        ssize_t n;

        (void)state;
        for (uint32_t i = 0; i < LIMIT_WINDOWS; i++)
                list[i] = (struct device_window){.start = (i + 1) * UINT64_C(0x100000000), .size = 8192};
        windows(LIMIT_WINDOWS + 1, list);
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device rng0: memory: 9 windows: 8 is the most");
        windows(LIMIT_WINDOWS, list);
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        n = vm_config_make(&config, buf, sizeof(buf));
        assert_true(n > 0);
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), 0);
        assert_int_equal(got.devices[0].memory.n_windows, LIMIT_WINDOWS);
        assert_memory_equal(got.devices[0].memory.windows, list, sizeof(list));
        assert_int_equal(got.devices[1].memory.n_windows, 0);
        vm_config_done(&got);
}

static void raw_is_one_window_of_a_worker_that_walks_its_rings(void **state)
{
        struct vm_config got;
        ssize_t n;

        (void)state;
        devices[0].type = DEVICE_TYPE_SAMPLE;
        devices[0].options.value[SAMPLE_OPTION_SIZE].number = 1 << 20;
        devices[0].memory.raw = true;
        WINDOWS({0x100000, 0x100000});
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        n = vm_config_make(&config, buf, sizeof(buf));
        assert_true(n > 0);
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), 0);
        assert_true(got.devices[0].memory.raw);
        assert_int_equal(got.devices[0].memory.n_windows, 1);
        assert_false(got.devices[1].memory.raw);
        vm_config_done(&got);
        devices[0].memory.iotlb = true;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device rng0: memory: raw is of guest-physical addresses: remove iotlb");
        devices[0].memory.iotlb = false;
        devices[0].rate.ops = 100;
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device rng0: rate counts requests, and with memory: raw there are none: "
                                 "remove rate");
        devices[0].rate.ops = 0;
        windows(0, NULL);
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        WINDOWS({0x100000, 0x100000}, {0x300000, 0x100000});
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_string_equal(why, "device rng0: memory: raw is the only window: remove windows");
        WINDOWS({0x100000, 0x100001});
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "is not of whole pages"));
}

/* Of all that ship, only the sample does: it is what authors start from. */
static void raw_is_refused_for_every_other_type(void **state)
{
        (void)state;
        for (unsigned type = 0; type < DEVICE_TYPE_COUNT_; type++) {
                assert_int_equal(device_types[type].raw, type == DEVICE_TYPE_SAMPLE);
                devices[0].memory.raw = true;
                WINDOWS({0x100000, 0x100000});
                devices[0].type = type;
                if (type == DEVICE_TYPE_SAMPLE)
                        continue;
                assert_int_equal(vm_config_judge_memory(&devices[0], why, sizeof(why)), -EINVAL);
                assert_non_null(strstr(why, "memory: raw is for workers that walk their own rings"));
        }
        assert_false(device_types[DEVICE_TYPE_LOADER].raw);
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            CONFIG_TEST(a_vmm_that_attaches_may_translate),
            CONFIG_TEST(a_vm_of_our_own_needs_an_iommu_to_translate),
            CONFIG_TEST(an_iommu_is_one_of_a_vm_of_our_own_and_behind_none),
            CONFIG_TEST(it_comes_back_from_the_wire),
            CONFIG_TEST(windows_of_whole_pages_side_by_side_are_good),
            CONFIG_TEST(what_is_no_window_is_refused_in_words),
            CONFIG_TEST(a_device_has_as_many_windows_as_it_may_have),
            CONFIG_TEST(raw_is_one_window_of_a_worker_that_walks_its_rings),
            CONFIG_TEST(raw_is_refused_for_every_other_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
