/* What a configuration says of shared memory regions: the judgement and its sentences, make and check.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/pmem.h"
#include "proto/device/sample.h"
#include "tests/harness/good_config.h"
#include "tests/unit/unit.h"

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];
static struct device_config devices[2];
static struct vm_config config;
static char why[VM_CONFIG_WHY_BYTES];

/* A good configuration before every test: a sample with its region, and one of the type that a test asks for. */
static int setup(void **state)
{
        (void)state;
        memset(devices, 0, sizeof(devices));
        for (size_t i = 0; i < array_size(devices); i++) {
                snprintf(devices[i].name, sizeof(devices[i].name), "d%zu", i);
                devices[i].type = DEVICE_TYPE_SAMPLE;
                devices[i].n_queues = devices[i].n_lanes = 1;
                devices[i].request_timeout = 60;
                devices[i].options.value[SAMPLE_OPTION_SIZE] = (struct option_value){1u << 20, ""};
                devices[i].shmem.map = i == 0;
        }
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

static void good(void)
{
        if (vm_config_judge(&config, why, sizeof(why)) != 0)
                fail_msg("refused: %s", why);
}

static void bad(const char *words)
{
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        if (!strstr(why, words))
                fail_msg("\"%s\" does not say \"%s\"", why, words);
        assert_true(strlen(why) < sizeof(why) - 1);
}

static void regions_are_there_when_they_are_asked_for(void **state)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        uint64_t bytes;

        (void)state;
        good();
        assert_int_equal(device_regions(&devices[0], regions), 1);
        assert_true(regions[0].shmid == SAMPLE_SHMID && regions[0].len == 1u << 20 &&
                    regions[0].source == REGION_MEMORY);
        assert_true(device_regions_bytes(&devices[0]) == 1u << 20);
        assert_int_equal(device_regions_memory(&devices[0], &bytes), 1);
        assert_true(bytes == 1u << 20);
        assert_int_equal(device_regions(&devices[1], regions), 0);
        assert_true(device_regions_bytes(&devices[1]) == 0);
        assert_int_equal(device_regions_memory(&devices[1], &bytes), 0);
        assert_true(bytes == 0);
}

static void types_without_regions_have_none_to_map(void **state)
{
        (void)state;
        devices[1].type = DEVICE_TYPE_RNG;
        good();
        devices[1].shmem.map = true;
        bad("device d1: shmem is map: rng has no shared memory regions: remove it");
}

static void persistent_memory_is_nothing_without_its_region(void **state)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];
        uint64_t bytes;

        (void)state;
        devices[1].type = DEVICE_TYPE_PMEM;
        devices[1].options.value[PMEM_OPTION_PATH] = (struct option_value){0, "/srv/p.img"};
        devices[1].options.value[PMEM_OPTION_SIZE] = (struct option_value){64u << 20, ""};
        bad("device d1: pmem is nothing but a shared memory region: add shmem: map");
        devices[1].shmem.map = true;
        good();
        assert_int_equal(device_regions(&devices[1], regions), 1);
        assert_true(regions[0].source == REGION_FILES && regions[0].len == 64u << 20);
        assert_int_equal(device_regions_memory(&devices[1], &bytes), 0);
        devices[1].options.value[PMEM_OPTION_SIZE].number = (64u << 20) + 4096;
        bad("size is 67112960: use whole 2M, as in 64M");
        devices[1].options.value[PMEM_OPTION_SIZE].number = (2u << 20) - 1;
        bad("size");
}

static void limits_end_where_they_end(void **state)
{
        struct device_shmem *shmem = &devices[0].shmem;

        (void)state;
        shmem->limits.mappings = LIMIT_SHMEM_MAPPINGS;
        shmem->limits.bytes = LIMIT_SHMEM_LEN;
        shmem->foreign_dma = FOREIGN_DMA_REFUSE;
        good();
        shmem->limits.mappings++;
        bad("device d0: shmem_limits: mappings is 249: use 1 to 248");
        shmem->limits.mappings = 1;
        shmem->limits.bytes++;
        bad("device d0: shmem_limits: bytes is 1099511627777: use 4K to 1024G");
        shmem->limits.bytes = LIMIT_SHMEM_PAGE;
        good();
        shmem->limits.bytes--;
        bad("device d0: shmem_limits: bytes is 4095");
        shmem->limits.bytes = 0;
        shmem->foreign_dma = FOREIGN_DMA_COUNT_;
        bad("device d0: shmem_limits: there is no such foreign_dma: use allow or refuse");
}

static void limits_of_nothing_are_a_mistake(void **state)
{
        (void)state;
        devices[1].shmem.limits.mappings = 1;
        bad("device d1: shmem_limits without shmem: map: add that or remove this");
        devices[1].shmem = (struct device_shmem){.limits = {.bytes = 4096}};
        bad("device d1: shmem_limits without");
        devices[1].shmem = (struct device_shmem){.foreign_dma = FOREIGN_DMA_REFUSE};
        bad("device d1: shmem_limits without");
        devices[1].shmem = (struct device_shmem){0};
        good();
}

static void regions_by_vhost_user_are_a_power_of_two_together(void **state)
{
        (void)state;
        devices[0].options.value[SAMPLE_OPTION_SIZE].number = 3u << 20;
        bad("device d0: its shared memory regions are 3145728 bytes together");
        devices[0].shmem.map = false; /* it has none */
        good();
}

static void a_region_is_whole_pages(void **state)
{
        uint64_t *size = &devices[0].options.value[SAMPLE_OPTION_SIZE].number;

        (void)state;
        *size = (1u << 20) - 1;
        bad("device d0: its shared memory region 0 is 1048575 bytes: use whole 4K, 1024G at most");
        *size = (1u << 20) + 1;
        bad("device d0: its shared memory region 0 is 1048577 bytes");
        *size = 1u << 20;
        good();
}

static void all_of_it_comes_back(void **state)
{
        struct vm_config got;
        ssize_t n;

        (void)state;
        devices[0].shmem.foreign_dma = FOREIGN_DMA_REFUSE;
        devices[0].shmem.limits = (struct shmem_limits){.mappings = 7, .bytes = 8192};
        n = vm_config_make(&config, buf, sizeof(buf));
        assert_true(n > 0);
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), 0);
        assert_true(got.devices[0].shmem.map && got.devices[0].shmem.foreign_dma == FOREIGN_DMA_REFUSE &&
                    got.devices[0].shmem.limits.mappings == 7 && got.devices[0].shmem.limits.bytes == 8192);
        assert_true(!got.devices[1].shmem.map && got.devices[1].shmem.limits.mappings == 0);
        vm_config_done(&got);
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            CONFIG_TEST(regions_are_there_when_they_are_asked_for),
            CONFIG_TEST(types_without_regions_have_none_to_map),
            CONFIG_TEST(persistent_memory_is_nothing_without_its_region),
            CONFIG_TEST(limits_end_where_they_end),
            CONFIG_TEST(limits_of_nothing_are_a_mistake),
            CONFIG_TEST(regions_by_vhost_user_are_a_power_of_two_together),
            CONFIG_TEST(a_region_is_whole_pages),
            CONFIG_TEST(all_of_it_comes_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
