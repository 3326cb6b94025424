/* A VM's configuration: the judgement and its sentences, make and check.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/config.pb-c.h"
#include "tests/harness/blk_set.h"
#include "tests/harness/good_config.h"
#include "tests/unit/judged.h"
#include "tests/unit/same_options.h"
#include "tests/unit/unit.h"

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];
static struct device_config devices[LIMIT_DEVICES + 1];
static struct vm_config config;
static char why[VM_CONFIG_WHY_BYTES];
static char long_path[PATH_MAX];

/* A good configuration before every test: disk0 and rng0, and room for more rngs. */
static int config_setup(void **state)
{
        (void)state;
        memset(devices, 0, sizeof(devices));
        memset(why, 0, sizeof(why));
        for (size_t i = 0; i < array_size(devices); i++) {
                snprintf(devices[i].name, sizeof(devices[i].name), i == 0 ? "disk0" : "rng%zu", i - 1);
                devices[i].type = i == 0 ? DEVICE_TYPE_BLK : DEVICE_TYPE_RNG;
                devices[i].n_queues = devices[i].n_lanes = 1;
                devices[i].request_timeout = 60;
                devices[i].seccomp_log = i % 2;
        }
        devices[0].options = BLK_SET(.path = "/var/lib/bulkhead/demo.img", .serial = "12345678901234567890");
        config = (struct vm_config)GOOD_VM_CONFIG(devices, 2);
        return arena_init(&arena, LIMIT_ARENA);
}

static int config_teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static void good(void)
{
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), 0);
        assert_string_equal(why, "");
}

/* Refused with one whole sentence on one line that holds `words`; the next test starts from a good
 * configuration. */
static void bad(const char *words)
{
        assert_int_equal(vm_config_judge(&config, why, sizeof(why)), -EINVAL);
        if (!strstr(why, words))
                fail_msg("\"%s\" does not say \"%s\"", why, words);
        assert_null(strchr(why, '\n'));
        assert_true(strlen(why) < sizeof(why) - 1);
        assert_non_null(strchr(why, ':')); /* what is wrong: what to do */
        arena_done(&arena);
        assert_int_equal(config_setup(NULL), 0);
}

static void names_are_file_names(void **state)
{
        char name[LIMIT_NAME + 1];

        (void)state;
        memset(name, 'a', sizeof(name));
        name[LIMIT_NAME - 1] = '\0';
        assert_true(vm_config_name_ok(name));
        name[LIMIT_NAME - 1] = 'a';
        name[LIMIT_NAME] = '\0';
        assert_false(vm_config_name_ok(name));
        assert_true(vm_config_name_ok("a"));
        assert_true(vm_config_name_ok("_A0.b-c"));
        assert_true(vm_config_name_ok("0"));
        assert_false(vm_config_name_ok(""));
        assert_false(vm_config_name_ok("."));
        assert_false(vm_config_name_ok(".."));
        assert_false(vm_config_name_ok("-rf"));
        for (int c = 1; c < 256; c++) {
                char text[3] = {'a', (char)c, '\0'};
                bool expected = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '.' || c == '_' || c == '-';

                assert_int_equal(vm_config_name_ok(text), expected);
        }
}

static void serials_are_printable_and_short(void **state)
{
        static const char *const fine[] = {"", " ~", "12345678901234567890"};
        static const char *const not [] = {"123456789012345678901", "\x1f", "\x7f", "\xc3\xa4"};

        (void)state;
        for (size_t i = 0; i < array_size(fine); i++) {
                devices[0].options.value[BLK_OPTION_SERIAL].text = fine[i];
                good();
        }
        for (size_t i = 0; i < array_size(not ); i++) {
                devices[0].options.value[BLK_OPTION_SERIAL].text = not [i];
                bad("device disk0: serial: use at most 20 printable ASCII characters");
        }
}

static void a_good_configuration_is_good(void **state)
{
        (void)state;
        good();
}

static void names_are_judged_and_shown_escaped(void **state)
{
        (void)state;
        config.name[0] = '\n';
        bad("VM name \"\\x0aemo\"");
        devices[1].name[0] = '\0';
        bad("device name \"\"");
        memset(devices[1].name, '\x1b', LIMIT_NAME - 1);
        bad("a digit or _"); /* the end of the sentence */
        snprintf(devices[1].name, LIMIT_NAME, "disk0");
        bad("two devices are named disk0");
}

static void paths_are_absolute(void **state)
{
        (void)state;
        snprintf(config.run_dir, PATH_MAX, "run/bulkhead");
        bad("run directory \"run/bulkhead\" is not absolute");
        config.run_dir[0] = '\0';
        bad("run directory");
        config.worker_dir[0] = '.';
        bad("worker directory");
        devices[0].options.value[BLK_OPTION_PATH].text = "xvar";
        bad("device disk0: path \"xvar\" is not absolute");
        devices[0].options.value[BLK_OPTION_PATH].text = "";
        bad("device disk0: path \"\" is not absolute");
        memset(long_path, '\n', PATH_MAX - 1);
        devices[0].options.value[BLK_OPTION_PATH].text = long_path;
        bad("write the whole path, from / on");
}

static void the_longest_socket_path_fits(void **state)
{
        (void)state;
        /* /dir + /demo + /disk0.sock: 5 and 11 bytes */
        memset(config.run_dir, 'd', 107 - 5 - 11);
        config.run_dir[0] = '/';
        config.run_dir[107 - 5 - 11] = '\0';
        good();
        config.run_dir[107 - 5 - 11] = 'd';
        config.run_dir[107 - 5 - 10] = '\0';
        bad("device disk0: its socket's path would have 108 bytes");
        memset(config.run_dir, 'd', PATH_MAX - 1);
        config.run_dir[0] = '/';
        bad("use a shorter run directory");
}

static void a_vm_has_one_to_the_most_devices(void **state)
{
        (void)state;
        config.n_devices = 0;
        bad("has no devices");
        config.n_devices = 1;
        good();
        config.n_devices = LIMIT_DEVICES;
        good();
        config.n_devices = LIMIT_DEVICES + 1;
        bad("64 is the most");
}

static void queues_and_lanes_are_in_the_types_range(void **state)
{
        (void)state;
        devices[0].n_queues = 0;
        bad("device disk0: queues is 0: blk has 1 to 16");
        devices[0].n_queues = 16;
        good();
        devices[0].n_lanes = 16;
        good();
        devices[0].n_queues = 17;
        bad("queues is 17");
        devices[1].n_queues = 2;
        bad("rng has 1 to 1");
        devices[0].n_lanes = 0;
        bad("lanes is 0");
        devices[0].n_queues = 4;
        devices[0].n_lanes = 5;
        bad("use 1 to 4");
        devices[1].type = DEVICE_TYPE_COUNT_;
        bad("device rng0: there is no such type");
}

static void rates_and_bursts_end_at_their_edges(void **state)
{
        struct device_rate *rate = &devices[1].rate;

        (void)state;
        *rate = (struct device_rate){.ops = 10, .bytes = 1u << 20};
        good();
        *rate = (struct device_rate){.ops = UINT32_MAX, .bytes = VM_CONFIG_RATE_MAX};
        good();
        rate->ops = 9;
        bad("device rng0: rate: ops is 9: use 10 to 4294967295");
        rate->ops = (uint64_t)UINT32_MAX + 1;
        bad("use 10 to 4294967295");
        rate->bytes = (1u << 20) - 1;
        bad("rate: bytes is 1048575: use 1048576 to 17179869184");
        rate->bytes = VM_CONFIG_RATE_MAX + 1;
        bad("use 1048576 to 17179869184");
        *rate = (struct device_rate){.ops = 1000, .ops_burst = 10};
        good();
        rate->ops++;
        bad("rate: ops_burst is 10: use 11 (a hundredth of ops) to 4294967295");
        *rate = (struct device_rate){.ops = 1000, .ops_burst = (uint64_t)UINT32_MAX + 1};
        bad("use 10 (a hundredth of ops)");
        *rate = (struct device_rate){.bytes = 100u << 20, .bytes_burst = 1u << 20};
        good();
        rate->bytes_burst--;
        bad("bytes_burst is 1048575: use 1048576 (a hundredth of bytes)");
        rate->bytes_burst = 1;
        bad("bytes_burst without bytes: add that or remove this");
}

static void a_burst_is_a_tenth_of_a_second_and_a_large_request(void **state)
{
        (void)state;
        assert_int_equal(vm_config_ops_burst(&(struct device_rate){.ops = 1000}), 100);
        assert_int_equal(vm_config_ops_burst(&(struct device_rate){.ops = 10}), 1);
        assert_int_equal(vm_config_ops_burst(&(struct device_rate){.ops = 10, .ops_burst = 7}), 7);
        assert_int_equal(vm_config_bytes_burst(&(struct device_rate){.bytes = 100u << 20}), 10u << 20);
        assert_int_equal(vm_config_bytes_burst(&(struct device_rate){.bytes = 2u << 20}), 1u << 20);
        assert_int_equal(vm_config_bytes_burst(&(struct device_rate){.bytes = 2u << 20, .bytes_burst = 9}),
                         9);
}

static void each_lane_has_the_memory_it_needs(void **state)
{
        (void)state;
        devices[0].n_queues = devices[0].n_lanes = 4;
        config.worker_memory_max = 14u << 20;
        good();
        config.worker_memory_max--;
        bad("device disk0: lanes is 4: its worker needs 14M for them: use fewer");
        devices[0].n_queues = devices[0].n_lanes = 4;
        devices[0].limits.memory = (14u << 20) - 1;
        bad("needs 14M");
        devices[0].n_queues = devices[0].n_lanes = 4;
        config.worker_memory_max = 8u << 20;
        devices[0].limits.memory = 14u << 20;
        good();
}

static void block_devices_have_a_block_size_and_a_serial(void **state)
{
        (void)state;
        devices[0].options.value[BLK_OPTION_BLOCK_SIZE].number = 1;
        good();
        devices[0].options.value[BLK_OPTION_BLOCK_SIZE].number = 2;
        bad("device disk0: block_size is none of its choices: use 512 or 4096");
        devices[0].options.value[BLK_OPTION_SERIAL].text = "1234\t";
        bad("serial");
}

/* A worker that must live with 8 MiB is not promised 8 of them. */
static void areas_are_a_quarter_of_the_memory(void **state)
{
        (void)state;
        config.worker_memory_max = VM_CONFIG_MEMORY_MAX;
        assert_int_equal(vm_config_area(&config, &devices[0]), LIMIT_AREA);
        devices[0].n_lanes = 16;
        assert_int_equal(vm_config_area(&config, &devices[0]), 1u << 20);
        devices[0].n_lanes = 3;
        devices[0].limits.memory = 8u << 20;
        assert_int_equal(vm_config_area(&config, &devices[0]),
                         (2u << 20) / 3 / LIMIT_AREA_PAGE * LIMIT_AREA_PAGE);
        devices[0].limits.memory = UINT32_MAX;
        assert_int_equal(vm_config_area(&config, &devices[0]), LIMIT_AREA);
        devices[0].copy = DEVICE_COPY_SOCKET;
        assert_int_equal(vm_config_area(&config, &devices[0]), 0);
}

static void requests_have_between_a_second_and_an_hour(void **state)
{
        (void)state;
        devices[1].request_timeout = 1;
        good();
        devices[1].request_timeout = LIMIT_REQUEST_TIMEOUT_S;
        good();
        devices[1].request_timeout++;
        bad("device rng0: request_timeout is 3601: use 1 to 3600 seconds");
        devices[1].request_timeout = 0;
        bad("use 1 to 3600");
}

static void limits_end_at_their_edges(void **state)
{
        static const struct {
                size_t offset;
                uint64_t min, max;
                const char *name;
                bool disk;
        } rows[] = {
            {offsetof(struct device_limits, memory), 8u << 20, UINT32_MAX, "limits: memory is ", false},
            {offsetof(struct device_limits, cpu), 1, 100, "limits: cpu is ", false},
            {offsetof(struct device_limits, cpu_weight), 1, 10000, "limits: cpu_weight is ", false},
            {offsetof(struct device_limits, io_weight), 1, 10000, "limits: io_weight is ", true},
            {offsetof(struct device_limits, read_bps), 1u << 20, INT64_MAX, "limits: read_bps is ", true},
            {offsetof(struct device_limits, write_bps), 1u << 20, INT64_MAX, "limits: write_bps is ", true},
            {offsetof(struct device_limits, read_iops), 10, UINT32_MAX, "limits: read_iops is ", true},
            {offsetof(struct device_limits, write_iops), 10, UINT32_MAX, "limits: write_iops is ", true},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                const uint64_t values[] = {0, rows[i].min - 1, rows[i].min, rows[i].max, rows[i].max + 1};

                for (size_t v = 0; v < array_size(values); v++) {
                        memcpy((uint8_t *)&devices[0].limits + rows[i].offset, &values[v], 8);
                        if (values[v] == 0 || (values[v] >= rows[i].min && values[v] <= rows[i].max))
                                good();
                        else
                                bad(rows[i].name);
                }
                arena_done(&arena);
                assert_int_equal(config_setup(NULL), 0);
                memcpy((uint8_t *)&devices[1].limits + rows[i].offset, &rows[i].min, 8);
                if (rows[i].disk)
                        bad("rng has no disk: remove it");
                else
                        good();
        }
        assert_int_equal(vm_config_memory(&config, &devices[0]), VM_CONFIG_MEMORY_MAX);
        devices[0].limits.memory = UINT32_MAX;
        assert_true(vm_config_memory(&config, &devices[0]) == UINT32_MAX);
}

static void uid_ranges_are_large_enough_and_nobodys(void **state)
{
        (void)state;
        config.uid_first = 999;
        bad("start at 1000 or above");
        config.uid_first = 1000;
        config.uid_count = 3;
        good();
        config.uid_count = 2;
        bad("has 2 ids: 3 are needed");
        config.uid_first = 65530;
        config.uid_count = 4; /* 65530 to 65533 */
        good();
        config.uid_count = 5;
        bad("holds 65534");
        config.uid_first = 65535;
        config.uid_count = 10;
        bad("holds 65535");
        config.uid_first = 65536;
        config.uid_count = 10;
        good();
        config.uid_first = UINT32_MAX - 10;
        config.uid_count = 10; /* the last is 4294967294 */
        good();
        config.uid_count = 11;
        bad("holds 4294967295");
        config.uid_first = UINT32_MAX - 10;
        config.uid_count = 12;
        bad("passes the largest uid");
        config.uid_first = UINT32_MAX;
        config.uid_count = UINT32_MAX;
        bad("passes the largest uid");
}

static void numbers_of_the_vm_end_at_their_limits(void **state)
{
        (void)state;
        config.frontend = (enum vm_frontend)0;
        bad("use vhost-user or kvm");
        config.frontend = VM_FRONTEND_END_;
        bad("use vhost-user or kvm");
        config.socket_mode = 0777;
        good();
        config.socket_mode = 01660;
        bad("socket mode 01660");
        config.socket_mode = 0460;
        bad("socket mode 0460");
        config.worker_memory_max = 8u << 20;
        good();
        config.worker_memory_max--;
        bad("8 MiB");
        config.worker_memory_max = 0;
        bad("8 MiB");
}

static void a_small_place_for_the_sentence_is_not_overrun(void **state)
{
        char small[8] = "xxxxxxx";

        (void)state;
        config.n_devices = 0;
        assert_int_equal(vm_config_judge(&config, small, 4), -EINVAL);
        assert_string_equal(small, "the");
        assert_string_equal(small + 4, "xxx");
}

static int make_and_check(struct vm_config *ret)
{
        ssize_t n = vm_config_make(&config, buf, sizeof(buf));

        assert_true(n > 0);
        return vm_config_check(&arena, buf, (size_t)n, ret, why, sizeof(why));
}

static void configurations_come_back_as_they_were(void **state)
{
        struct option_set own;
        struct vm_config got;

        (void)state;
        devices[0].options.value[BLK_OPTION_READ_ONLY].number = 1;
        devices[0].options.value[BLK_OPTION_DIRECT].number = 1;
        devices[0].limits = (struct device_limits){.memory = 9u << 20,
                                                   .cpu = 50,
                                                   .cpu_weight = 3,
                                                   .io_weight = 4,
                                                   .read_bps = UINT64_C(5) << 40,
                                                   .write_bps = UINT64_C(6) << 40,
                                                   .read_iops = 70,
                                                   .write_iops = 80};
        devices[1].limits.cpu = 1;
        config.socket_gid = 7;
        config.n_devices = LIMIT_DEVICES;
        assert_int_equal(make_and_check(&got), 0);
        assert_int_equal(got.n_devices, LIMIT_DEVICES);
        assert_same_options(DEVICE_TYPE_BLK, &got.devices[0].options, &devices[0].options);
        own = got.devices[0].options;
        got.devices[0].options = devices[0].options;
        assert_memory_equal(got.devices, devices, sizeof(devices[0]) * LIMIT_DEVICES);
        got.devices[0].options = own;
        vm_config_done(&got);
        assert_null(got.devices);
        vm_config_done(&got);
        got.devices = config.devices;
        got.n_devices = config.n_devices;
        assert_memory_equal(&got, &config, sizeof(got));
}

static void refused_configurations_leave_nothing_behind(void **state)
{
        struct vm_config got, before;
        size_t heap = 0;

        (void)state;
        memset(&got, 0x7e, sizeof(got));
        before = got;
        devices[1].n_queues = 9;
        for (int round = 0; round < 20; round++) { /* the allocator keeps some small pieces, not many */
                heap = mallinfo2().uordblks;
                config.n_devices = 2;
                assert_int_equal(make_and_check(&got), -EINVAL);
                assert_non_null(strstr(why, "device rng0"));
                config.n_devices = 0;
                assert_int_equal(make_and_check(&got), -EINVAL);
                assert_non_null(strstr(why, "no devices"));
                assert_int_equal(vm_config_check(&arena, (const uint8_t *)"\xff", 1, &got, why, sizeof(why)),
                                 -EPROTO);
                assert_memory_equal(&got, &before, sizeof(got));
        }
        assert_int_equal(mallinfo2().uordblks, heap);
}

static void copies_go_as_the_configuration_says(void **state)
{
        struct vm_config got;

        (void)state;
        devices[1].copy = DEVICE_COPY_SOCKET;
        assert_int_equal(make_and_check(&got), 0);
        assert_int_equal(got.devices[0].copy, DEVICE_COPY_AUTO);
        assert_int_equal(got.devices[1].copy, DEVICE_COPY_SOCKET);
        vm_config_done(&got);
        devices[1].copy = DEVICE_COPY_COUNT_;
        bad("device rng0: there is no such copy: use auto or socket");
}

static void a_spin_lasts_a_millisecond_at_most(void **state)
{
        struct vm_config got;

        (void)state;
        devices[1].poll_us = LIMIT_POLL_US;
        good();
        assert_int_equal(make_and_check(&got), 0);
        assert_int_equal(got.devices[0].poll_us, 0);
        assert_int_equal(got.devices[1].poll_us, 1000);
        vm_config_done(&got);
        devices[1].poll_us++;
        bad("device rng0: poll_us is 1001: use 0 to 1000 microseconds");
}

static void placement_is_as_the_configuration_says(void **state)
{
        struct vm_config got;

        (void)state;
        devices[1].placement = DEVICE_PLACEMENT_AUTO;
        assert_int_equal(make_and_check(&got), 0);
        assert_int_equal(got.devices[0].placement, DEVICE_PLACEMENT_FREE);
        assert_int_equal(got.devices[1].placement, DEVICE_PLACEMENT_AUTO);
        vm_config_done(&got);
        devices[1].placement = DEVICE_PLACEMENT_COUNT_;
        bad("device rng0: there is no such placement: use auto or free");
}

static void who_polls_or_has_several_lanes_may_not_be_placed(void **state)
{
        struct device_config device = {.placement = DEVICE_PLACEMENT_AUTO, .n_lanes = 1};

        (void)state;
        assert_true(device_config_may_place(&device));
        device.n_lanes = 2;
        assert_false(device_config_may_place(&device));
        device.n_lanes = 1;
        device.poll_us = 1;
        assert_false(device_config_may_place(&device));
        device.poll_us = 0;
        device.placement = DEVICE_PLACEMENT_FREE;
        assert_false(device_config_may_place(&device));
}

static void no_limit_on_the_wire_means_the_default(void **state)
{
        struct vm_config got;

        (void)state;
        config.worker_memory_max = 0;
        devices[0].request_timeout = 0;
        devices[1].request_timeout = 7;
        assert_int_equal(make_and_check(&got), 0);
        assert_int_equal(got.worker_memory_max, VM_CONFIG_MEMORY_MAX);
        assert_int_equal(got.devices[0].request_timeout, 60);
        assert_int_equal(got.devices[1].request_timeout, 7);
        vm_config_done(&got);
}

/* Sets one text of a forged message to `len` bytes; -EPROTO where it does not fit its place. */
static int forged(size_t which, size_t len)
{
        static char text[LIMIT_WIRE_STRING + 1];
        Bulkhead__Config__Vm wire = BULKHEAD__CONFIG__VM__INIT;
        Bulkhead__Config__Device device = BULKHEAD__CONFIG__DEVICE__INIT;
        Bulkhead__Option__Option path = BULKHEAD__OPTION__OPTION__INIT;
        Bulkhead__Option__Option serial = BULKHEAD__OPTION__OPTION__INIT;
        Bulkhead__Option__Option *options[] = {&path, &serial};
        Bulkhead__Config__Boot boot = BULKHEAD__CONFIG__BOOT__INIT;
        Bulkhead__Config__Device *rows[1] = {&device};
        char **texts[] = {&wire.name,   &wire.run_dir, &wire.worker_dir, &device.name,
                          &boot.kernel, &boot.initrd,  &boot.cmdline};
        struct vm_config got;
        ssize_t n;

        memset(text, 'x', len);
        text[len] = '\0';
        wire.device = rows;
        wire.n_device = 1;
        wire.boot = &boot;
        device.type = (char[]){"blk"};
        device.option = options;
        device.n_option = array_size(options);
        path.key = (char[]){"path"};
        serial.key = (char[]){"serial"};
        *texts[which] = text;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        return vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why));
}

static void texts_longer_than_their_place_are_refused(void **state)
{
        static const size_t room[] = {LIMIT_NAME, PATH_MAX, PATH_MAX,     LIMIT_NAME,
                                      PATH_MAX,   PATH_MAX, LIMIT_CMDLINE};

        (void)state;
        for (size_t i = 0; i < array_size(room); i++) {
                assert_int_equal(forged(i, room[i] - 1),
                                 -EINVAL); /* fits, but the rest of the message is empty */
                assert_int_equal(forged(i, room[i]), -EPROTO);
        }
}

static void devices_without_a_type_are_refused(void **state)
{
        Bulkhead__Config__Vm wire = BULKHEAD__CONFIG__VM__INIT;
        Bulkhead__Config__Device device = BULKHEAD__CONFIG__DEVICE__INIT;
        Bulkhead__Config__Device *rows[LIMIT_DEVICES + 1];
        struct vm_config got;
        ssize_t n;

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++)
                rows[i] = &device;
        wire.device = rows;
        wire.n_device = 1;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), -EPROTO);
        wire.n_device = LIMIT_DEVICES + 1;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), -EPROTO);
        devices[1].type = DEVICE_TYPE_COUNT_;
        assert_int_equal(vm_config_make(&config, buf, sizeof(buf)), -EINVAL);
        config.n_devices = LIMIT_DEVICES + 1;
        assert_int_equal(vm_config_make(&config, buf, sizeof(buf)), -E2BIG);
}

static void a_configuration_that_fits_no_frame_is_not_made(void **state)
{
        (void)state;
        memset(long_path, 'p', PATH_MAX - 1);
        config.n_devices = 20;
        for (size_t i = 0; i < config.n_devices; i++) {
                devices[i].type = DEVICE_TYPE_BLK;
                devices[i].options = BLK_SET(.path = long_path);
        }
        assert_int_equal(vm_config_make(&config, buf, sizeof(buf)), -E2BIG);
}

static unsigned accepted;

static void sweep(const uint8_t *bytes, size_t n, void *context)
{
        struct vm_config got;
        int r = vm_config_check(&arena, bytes, n, &got, why, sizeof(why));

        (void)context;
        assert_true(r == 0 || r == -EPROTO || r == -EINVAL);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_vm_config(&got));
        vm_config_done(&got);
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        (void)state;
        unit_sweep(buf, (size_t)vm_config_make(&config, buf, sizeof(buf)), sweep, NULL);
        assert_true(accepted >= 100);
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, config_setup, config_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            CONFIG_TEST(names_are_file_names),
            CONFIG_TEST(serials_are_printable_and_short),
            CONFIG_TEST(a_good_configuration_is_good),
            CONFIG_TEST(names_are_judged_and_shown_escaped),
            CONFIG_TEST(paths_are_absolute),
            CONFIG_TEST(the_longest_socket_path_fits),
            CONFIG_TEST(a_vm_has_one_to_the_most_devices),
            CONFIG_TEST(queues_and_lanes_are_in_the_types_range),
            CONFIG_TEST(each_lane_has_the_memory_it_needs),
            CONFIG_TEST(rates_and_bursts_end_at_their_edges),
            CONFIG_TEST(a_burst_is_a_tenth_of_a_second_and_a_large_request),
            CONFIG_TEST(block_devices_have_a_block_size_and_a_serial),
            CONFIG_TEST(copies_go_as_the_configuration_says),
            CONFIG_TEST(areas_are_a_quarter_of_the_memory),
            CONFIG_TEST(requests_have_between_a_second_and_an_hour),
            CONFIG_TEST(limits_end_at_their_edges),
            CONFIG_TEST(uid_ranges_are_large_enough_and_nobodys),
            CONFIG_TEST(numbers_of_the_vm_end_at_their_limits),
            CONFIG_TEST(a_small_place_for_the_sentence_is_not_overrun),
            CONFIG_TEST(configurations_come_back_as_they_were),
            CONFIG_TEST(refused_configurations_leave_nothing_behind),
            CONFIG_TEST(a_spin_lasts_a_millisecond_at_most),
            CONFIG_TEST(placement_is_as_the_configuration_says),
            CONFIG_TEST(who_polls_or_has_several_lanes_may_not_be_placed),
            CONFIG_TEST(no_limit_on_the_wire_means_the_default),
            CONFIG_TEST(texts_longer_than_their_place_are_refused),
            CONFIG_TEST(devices_without_a_type_are_refused),
            CONFIG_TEST(a_configuration_that_fits_no_frame_is_not_made),
            CONFIG_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
