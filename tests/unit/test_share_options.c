/* What a shared directory's options may say, by themselves and among others.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/fs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/vm_config.h"
#include "tests/harness/good_config.h"

static struct device_config share;
static struct vm_config config;
static char why[VM_CONFIG_WHY_BYTES];

static int setup(void **state)
{
        (void)state;
        share = (struct device_config){
            .name = "home", .type = DEVICE_TYPE_FS, .n_queues = 2, .n_lanes = 1, .request_timeout = 60};
        for (unsigned i = 0; i < FS_OPTION_COUNT_; i++)
                share.options.value[i].text = "";
        share.options.value[FS_OPTION_PATH].text = "/srv";
        share.options.value[FS_OPTION_TAG].text = "home";
        config = (struct vm_config)GOOD_VM_CONFIG(&share, 1);
        return 0;
}

static int judge_owners(const char *owners)
{
        share.options.value[FS_OPTION_OWNERS].text = owners;
        why[0] = '\0';
        return vm_config_judge(&config, why, sizeof(why));
}

static void expect_range(const char *text, uint32_t first, uint32_t count)
{
        struct fs_options options;

        if (judge_owners(text) < 0)
                fail_msg("%s: %s", text, why);
        options = fs_options_read(&share.options);
        assert_int_equal(options.first_owner, first);
        assert_int_equal(options.n_owners, count);
}

static void owners_are_a_range_of_the_hosts_without_its_root(void **state)
{
        static const char *const not [] = {"0+1",   "1+0",   "1",    "+1",           "1+",
                                           "1+1+1", "1 + 1", "-1+2", "1+16777217",   "2147483647+2",
                                           "a+1",   "1+1x",  "1+1 ", "4294967297+1", "00000000001+1"};

        (void)state;
        expect_range("", 0, 0);
        expect_range("1+1", 1, 1);
        expect_range("100000+65536", 100000, 65536);
        expect_range("2147483647+1", 2147483647, 1);
        expect_range("1+16777216", 1, 16777216);
        for (size_t i = 0; i < array_size(not ); i++) {
                assert_int_equal(judge_owners(not [i]), -EINVAL);
                if (!strstr(why, "owners") || !strstr(why, "FIRST+COUNT"))
                        fail_msg("%s: %s", not [i], why);
        }
}

static void files_are_one_owners_or_of_a_range(void **state)
{
        (void)state;
        share.options.value[FS_OPTION_OWNER].text = "1000:1000";
        assert_int_equal(judge_owners(""), 0);
        assert_int_equal(judge_owners("100000+65536"), -EINVAL);
        assert_non_null(strstr(why, "owner and owners"));
}

static void owners_are_none_of_those_that_our_processes_run_as(void **state)
{
        static const struct {
                uint32_t first, count;
                bool fine;
        } rows[] = {{999, 1, true},  {999, 2, false},   {1000, 1, false}, {1099, 1, false},
                    {1100, 1, true}, {900, 500, false}, {1050, 10, false}};

        (void)state;
        config.uid_first = 1000000;
        config.uid_count = 100;
        for (size_t i = 0; i < array_size(rows); i++) {
                char text[32];

                snprintf(text, sizeof(text), "%u+%u", rows[i].first + 999000, rows[i].count);
                assert_int_equal(judge_owners(text), rows[i].fine ? 0 : -EINVAL);
                assert_true(rows[i].fine || strstr(why, "in which our processes run"));
        }
}

#define GRANULE ((uint64_t)FS_DAX_GRANULE)

/* Where any number of granules will do. */
static void be_kvm(void)
{
        config.frontend = VM_FRONTEND_KVM;
        config.kvm = (struct kvm_config){.vcpus = 1, .memory = VM_CONFIG_GUEST_MEMORY};
        snprintf(config.boot.kernel, PATH_MAX, "/boot/vmlinuz");
}

static int judge_window(uint64_t window, bool map)
{
        share.options.value[FS_OPTION_DAX_WINDOW].number = window;
        share.shmem.map = map;
        why[0] = '\0';
        return vm_config_judge(&config, why, sizeof(why));
}

static void expect_refused(uint64_t window, bool map, const char *words)
{
        assert_int_equal(judge_window(window, map), -EINVAL);
        if (!strstr(why, words))
                fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void a_window_is_whole_granules_up_to_its_limit(void **state)
{
        const uint64_t most = LIMIT_FS_MAPS * GRANULE;

        (void)state;
        be_kvm();
        assert_int_equal(judge_window(0, false), 0);
        assert_int_equal(judge_window(GRANULE, true), 0);
        assert_int_equal(judge_window(most, true), 0);
        assert_int_equal(fs_options_read(&share.options).dax_window, most);
        expect_refused(GRANULE - 1, true, "use whole 2M");
        expect_refused(GRANULE + 4096, true, "use whole 2M");
        expect_refused(most + GRANULE, true, "dax_window is 498M: use 0 to 496M");
}

static void a_window_and_shmem_map_want_each_other(void **state)
{
        (void)state;
        be_kvm();
        expect_refused(GRANULE, false, "device home: dax_window without shmem: map: add that");
        expect_refused(0, true,
                       "device home: shmem is map, but there is no region: add dax_window, or remove it");
}

static void a_window_excludes_owners(void **state)
{
        (void)state;
        be_kvm();
        share.options.value[FS_OPTION_OWNERS].text = "100000+65536";
        expect_refused(GRANULE, true, "dax_window and owners exclude each other");
        share.options.value[FS_OPTION_OWNERS].text = "";
        share.options.value[FS_OPTION_OWNER].text = "1000:1000";
        assert_int_equal(judge_window(GRANULE, true), 0);
}

/* A guest's kernel uses all of its window, and takes a refusal for an error. */
static void limits_leave_the_window_whole(void **state)
{
        struct shmem_limits *limits = &share.shmem.limits;

        (void)state;
        be_kvm();
        limits->mappings = 8;
        assert_int_equal(judge_window(8 * GRANULE, true), 0);
        expect_refused(9 * GRANULE, true, "shmem_limits: mappings is 8: its window takes 9");
        limits->mappings = 0;
        limits->bytes = 8 * GRANULE;
        assert_int_equal(judge_window(8 * GRANULE, true), 0);
        expect_refused(9 * GRANULE, true, "shmem_limits: bytes is 16777216: its window takes 18874368");
}

static void a_window_is_one_region_of_granules(void **state)
{
        struct device_region regions[LIMIT_SHMEM_REGIONS];

        (void)state;
        be_kvm();
        assert_int_equal(judge_window(100 * GRANULE, true), 0);
        assert_int_equal(device_regions(&share, regions), 1);
        assert_int_equal(regions[0].shmid, 0);
        assert_int_equal(regions[0].len, 100 * GRANULE);
        assert_int_equal(regions[0].source, REGION_FILES);
        assert_int_equal(regions[0].granule, GRANULE);
        assert_int_equal(device_regions_granules(&share), 100);
        share.shmem.map = false;
        assert_int_equal(device_regions(&share, regions), 0);
        assert_int_equal(device_regions_granules(&share), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(owners_are_a_range_of_the_hosts_without_its_root, setup),
            cmocka_unit_test_setup(files_are_one_owners_or_of_a_range, setup),
            cmocka_unit_test_setup(owners_are_none_of_those_that_our_processes_run_as, setup),
            cmocka_unit_test_setup(a_window_is_whole_granules_up_to_its_limit, setup),
            cmocka_unit_test_setup(a_window_and_shmem_map_want_each_other, setup),
            cmocka_unit_test_setup(a_window_excludes_owners, setup),
            cmocka_unit_test_setup(limits_leave_the_window_whole, setup),
            cmocka_unit_test_setup(a_window_is_one_region_of_granules, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
