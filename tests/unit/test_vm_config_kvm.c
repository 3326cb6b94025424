/* The configuration of a VM of the broker's own: the judgement and its sentences, make and check.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config.h"

#include <errno.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/device/fs.h"
#include "proto/vm_config_kvm.h"
#include "tests/harness/blk_set.h"
#include "tests/harness/good_config.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];
static struct device_config devices[2];
static struct vm_config config;
static char why[VM_CONFIG_WHY_BYTES];

/* A good VM of our own. */
static void be_kvm(void)
{
        config.frontend = VM_FRONTEND_KVM;
        config.kvm = (struct kvm_config){.vcpus = 2, .memory = VM_CONFIG_GUEST_MEMORY};
        snprintf(config.boot.kernel, PATH_MAX, "/boot/vmlinuz");
        snprintf(config.boot.initrd, PATH_MAX, "/boot/initrd.img");
        snprintf(config.boot.cmdline, LIMIT_CMDLINE, "console=ttyS0 quiet");
}

/* A good configuration of another front end. */
static void be_vhost_user(void)
{
        memset(devices, 0, sizeof(devices));
        memset(why, 0, sizeof(why));
        for (size_t i = 0; i < array_size(devices); i++) {
                snprintf(devices[i].name, sizeof(devices[i].name), "rng%zu", i);
                devices[i].type = DEVICE_TYPE_RNG;
                devices[i].n_queues = devices[i].n_lanes = 1;
                devices[i].request_timeout = 60;
        }
        config = (struct vm_config)GOOD_VM_CONFIG(devices, 2);
}

static int config_setup(void **state)
{
        (void)state;
        be_vhost_user();
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
        be_vhost_user();
}

static void bad_kvm(const char *words)
{
        bad(words);
        be_kvm();
}

static void a_vm_of_our_own_has_vcpus_and_memory_within_limits(void **state)
{
        (void)state;
        be_kvm();
        good();
        config.kvm.vcpus = LIMIT_VCPUS;
        good();
        config.kvm.vcpus++;
        bad_kvm("vcpus is 65: use 1 to 64");
        config.kvm.vcpus = 0;
        bad_kvm("vcpus is 0");
        config.kvm.memory = VM_CONFIG_GUEST_MIN;
        good();
        config.kvm.memory -= VM_CONFIG_GUEST_UNIT;
        bad_kvm("use 16M to 64T");
        config.kvm.memory = VM_CONFIG_GUEST_MAX;
        good();
        config.kvm.memory += VM_CONFIG_GUEST_UNIT;
        bad_kvm("use 16M to 64T");
        config.kvm.memory = VM_CONFIG_GUEST_MIN + 4096;
        bad_kvm("whole megabytes");
        config.kvm.serial = VM_SERIAL_NONE;
        good();
        config.kvm.serial = VM_SERIAL_COUNT_;
        bad_kvm("no such serial: use stdio or none");
}

static void a_vm_of_our_own_has_a_kernel(void **state)
{
        (void)state;
        be_kvm();
        config.boot.kernel[0] = '\0';
        bad_kvm("kernel: is missing");
        config.boot.kernel[0] = 'x';
        bad_kvm("kernel \"xboot/vmlinuz\" is not absolute");
        config.boot.initrd[0] = '\0';
        good();
        config.boot.initrd[0] = '\n';
        bad_kvm("initrd \"\\x0aboot/initrd.img\" is not absolute");
        config.boot.cmdline[0] = '\0';
        good();
        memset(config.boot.cmdline, 'a', LIMIT_CMDLINE - 1);
        good();
        config.boot.cmdline[LIMIT_CMDLINE - 1] = 'a';
        bad_kvm("at most 2047 printable ASCII characters");
        config.boot.cmdline[3] = '\n';
        bad_kvm("cmdline");
        config.boot.cmdline[3] = '\x7f';
        bad_kvm("cmdline");
}

static void another_front_end_has_nothing_of_a_vm_of_our_own(void **state)
{
        (void)state;
        config.kvm.vcpus = 1;
        bad("vcpus: the VMM that attaches has its own: remove it, or say frontend: kvm");
        config.kvm.memory = 1;
        bad("memory: the VMM");
        config.kvm.serial = VM_SERIAL_NONE;
        bad("serial: the VMM");
        config.boot.kernel[0] = '/';
        bad("kernel: the VMM");
        config.boot.initrd[0] = '/';
        bad("initrd: the VMM");
        config.boot.cmdline[0] = 'a';
        bad("cmdline: the VMM");
}

static void a_vm_of_our_own_has_one_socket_and_one_more_uid(void **state)
{
        (void)state;
        be_kvm();
        assert_int_equal(vm_config_uids(&config), 4);
        config.uid_count = 4;
        good();
        config.uid_count = 3;
        bad_kvm(
            "has 3 ids: 4 are needed, one for the broker, one for the kernel's loader, one a device, and");
        /* /dir + /demo + /admin.sock: 5 and 11 bytes; no name of a device counts */
        memset(devices[0].name, 'n', LIMIT_NAME - 1);
        memset(config.run_dir, 'd', 107 - 5 - 11);
        config.run_dir[0] = '/';
        config.run_dir[107 - 5 - 11] = '\0';
        good();
        config.run_dir[107 - 5 - 11] = 'd';
        config.run_dir[107 - 5 - 10] = '\0';
        bad_kvm("admin: its socket's path would have 108 bytes");
}

/* The row that a spawner starts the loader by; a device of that name would share its control group. */
static void a_vm_of_our_own_has_a_loader_behind_its_devices(void **state)
{
        struct device_config loader = {.n_lanes = 77};

        (void)state;
        assert_false(vm_config_loader(&config, &loader));
        assert_int_equal(loader.n_lanes, 77);
        strcpy(devices[0].name, "loader");
        good();
        be_kvm();
        bad_kvm("no device can be called loader");
        assert_true(vm_config_loader(&config, &loader));
        assert_string_equal(loader.name, "loader");
        assert_int_equal(loader.type, DEVICE_TYPE_LOADER);
        assert_int_equal(loader.n_lanes, 1);
        assert_ptr_equal(loader.boot, &config.boot);
        assert_int_equal(vm_config_memory(&config, &loader), config.worker_memory_max);
}

static int make_and_check(struct vm_config *ret)
{
        ssize_t n = vm_config_make(&config, buf, sizeof(buf));

        assert_true(n > 0);
        return vm_config_check(&arena, buf, (size_t)n, ret, why, sizeof(why));
}

static void a_vm_of_our_own_comes_back_as_it_was(void **state)
{
        struct vm_config got;

        (void)state;
        be_kvm();
        config.kvm.serial = VM_SERIAL_NONE;
        memset(config.boot.cmdline, '~', LIMIT_CMDLINE - 1);
        assert_int_equal(make_and_check(&got), 0);
        vm_config_done(&got);
        got.devices = config.devices;
        got.n_devices = config.n_devices;
        assert_memory_equal(&got, &config, sizeof(got));
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
        be_kvm();
        unit_sweep(buf, (size_t)vm_config_make(&config, buf, sizeof(buf)), sweep, NULL);
        assert_true(accepted >= 100);
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, config_setup, config_teardown)

/* A disk, and a share with these two options; the rest is as nobody has said anything. */
static void share(const char *path, bool read_only)
{
        devices[0].type = DEVICE_TYPE_BLK;
        devices[0].options = BLK_SET(.path = "/var/lib/bulkhead/demo.img");
        devices[1].type = DEVICE_TYPE_FS;
        devices[1].n_queues = 2;
        for (unsigned i = 0; i < FS_OPTION_COUNT_; i++)
                devices[1].options.value[i] = (struct option_value){fs_option_rows[i].preset, ""};
        devices[1].options.value[FS_OPTION_TAG].text = "home";
        devices[1].options.value[FS_OPTION_PATH].text = path;
        devices[1].options.value[FS_OPTION_READ_ONLY].number = read_only;
}

static void what_a_guest_may_write_holds_no_path_of_ours(void **state)
{
        (void)state;
        share("/var/lib/bulkhead", false);
        bad("path lies in what");
        share("/", false);
        bad("path lies in what");
        share("/var/lib/bulkhead", true);
        good();
        share("/var/lib/bulk", false);
        good();
        share("/var/lib/bulkhead/demo.img/x", false);
        good();
        be_kvm();
        share("/boot", false);
        bad("kernel or initrd lies in what");
        be_kvm();
        share("/boot", true);
        good();
}

static void only_what_has_a_legacy_form_has_the_legacy_interface(void **state)
{
        static const struct {
                enum device_type_id type;
                uint32_t n_queues;
                const char *why; /* NULL: good */
        } rows[] = {{DEVICE_TYPE_RNG, 1, NULL},
                    {DEVICE_TYPE_BLK, 16, NULL},
                    {DEVICE_TYPE_CONSOLE, 4, NULL},
                    {DEVICE_TYPE_CONSOLE, 6, "console has one port by the legacy interface: name one"},
                    {DEVICE_TYPE_NET, 3, "net has the modern interface alone: remove it"},
                    {DEVICE_TYPE_VSOCK, 3, "vsock has the modern interface alone"},
                    {DEVICE_TYPE_FS, 2, "fs has the modern interface alone"},
                    {DEVICE_TYPE_SAMPLE, 1, "sample has the modern interface alone"}};

        (void)state;
        be_kvm();
        for (size_t i = 0; i < array_size(rows); i++)
                for (unsigned legacy = DEVICE_LEGACY_ONLY; legacy <= DEVICE_LEGACY_ONLY_BIG; legacy++) {
                        devices[1].type = rows[i].type;
                        devices[1].n_queues = rows[i].n_queues;
                        devices[1].legacy = (enum device_legacy)legacy;
                        assert_int_equal(vm_config_judge_legacy(&config, &devices[1], why, sizeof(why)),
                                         rows[i].why ? -EINVAL : 0);
                        if (rows[i].why)
                                assert_non_null(strstr(why, rows[i].why));
                }
        be_vhost_user();
        be_kvm();
        devices[1].legacy = DEVICE_LEGACY_COUNT_;
        bad_kvm("there is no such legacy: use off, only or only-big-endian");
        devices[1].legacy = DEVICE_LEGACY_ONLY;
        good();
        devices[1].memory.iotlb = true;
        assert_int_equal(vm_config_judge_legacy(&config, &devices[1], why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "such a driver knows nothing of an IOMMU"));
        devices[1].memory.iotlb = false;
        devices[1].memory.n_windows = 1;
        devices[1].memory.windows[0] = (struct device_window){.start = 4096, .size = 4096};
        bad("such a driver cannot be told to keep to the windows of memory");
        be_vhost_user();
        devices[1].legacy = DEVICE_LEGACY_ONLY;
        bad("nothing tells over vhost-user which format a driver has");
}

static void the_interface_comes_back_as_it_was(void **state)
{
        (void)state;
        for (unsigned legacy = 0; legacy < DEVICE_LEGACY_COUNT_; legacy++) {
                struct vm_config got;
                ssize_t n;

                be_kvm();
                devices[1].legacy = (enum device_legacy)legacy;
                n = vm_config_make(&config, buf, sizeof(buf));
                assert_true(n > 0);
                assert_int_equal(vm_config_check(&arena, buf, (size_t)n, &got, why, sizeof(why)), 0);
                assert_int_equal(got.devices[0].legacy, DEVICE_LEGACY_OFF);
                assert_int_equal(got.devices[1].legacy, legacy);
                vm_config_done(&got);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            CONFIG_TEST(a_vm_of_our_own_has_vcpus_and_memory_within_limits),
            CONFIG_TEST(a_vm_of_our_own_has_a_kernel),
            CONFIG_TEST(another_front_end_has_nothing_of_a_vm_of_our_own),
            CONFIG_TEST(a_vm_of_our_own_has_one_socket_and_one_more_uid),
            CONFIG_TEST(a_vm_of_our_own_has_a_loader_behind_its_devices),
            CONFIG_TEST(what_a_guest_may_write_holds_no_path_of_ours),
            CONFIG_TEST(a_vm_of_our_own_comes_back_as_it_was),
            CONFIG_TEST(only_what_has_a_legacy_form_has_the_legacy_interface),
            CONFIG_TEST(the_interface_comes_back_as_it_was),
            CONFIG_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
