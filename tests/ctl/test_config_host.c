/* Images and programs on this host.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_host.h"
#include "proto/device/fs.h"
#include "proto/device/pmem.h"
#include "tests/harness/blk_set.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/bulkhead-test-XXXXXX";
static char path[128];
static const char *key;
static struct device_config device;
static char why[512];

static int setup(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(folder));
        device = (struct device_config){.type = DEVICE_TYPE_BLK, .options = BLK_SET(.path = path)};
        snprintf(path, sizeof(path), "%s/image", folder);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        unlink(path);
        rmdir(folder);
        memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
        return 0;
}

static void make_image(off_t size)
{
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, size), 0);
        close(fd);
}

static void a_missing_image_is_told_with_the_remedy(void **state)
{
        (void)state;
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -ENOENT);
        assert_non_null(strstr(why, "cannot be opened for writing"));
        assert_string_equal(key, "path");
        assert_non_null(strstr(why, "truncate -s"));
}

static void a_kernel_is_a_file_with_bytes_in_it(void **state)
{
        (void)state;
        assert_int_equal(config_host_boot_file("kernel", path, why, sizeof(why)), -ENOENT);
        assert_non_null(strstr(why, "kernel "));
        assert_non_null(strstr(why, "correct the path"));
        assert_int_equal(config_host_boot_file("initrd", folder, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "is not a file: name the initrd itself"));
        make_image(0);
        assert_int_equal(config_host_boot_file("kernel", path, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "is empty"));
        make_image(1);
        assert_int_equal(config_host_boot_file("kernel", path, why, sizeof(why)), 0);
}

static void a_guest_larger_than_the_host_is_told_of(void **state)
{
        (void)state;
        assert_int_equal(config_host_memory(16u << 20, why, sizeof(why)), 0);
        assert_int_equal(config_host_memory(VM_CONFIG_GUEST_MAX, why, sizeof(why)), -ENOMEM);
        assert_non_null(strstr(why, "memory is 65536G: this host has "));
        assert_non_null(strstr(why, "give the VM less"));
        assert_int_equal(config_host_vcpus(1, why, sizeof(why)), 0);
        assert_int_equal(config_host_vcpus(UINT32_MAX, why, sizeof(why)), -ERANGE);
        assert_non_null(strstr(why, "this host has "));
}

static void an_image_is_a_multiple_of_its_block_size(void **state)
{
        (void)state;
        make_image(0);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "is empty"));
        make_image(511);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "not a multiple of 512"));
        make_image(512);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
        make_image(513);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        device.options.value[BLK_OPTION_BLOCK_SIZE].number = 1;
        make_image(4096 - 512);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        make_image(4096);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
}

static void an_image_in_use_is_told_and_left_alone(void **state)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd;

        (void)state;
        make_image(512);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EBUSY);
        assert_non_null(strstr(why, "is in use"));
        device.options.value[BLK_OPTION_READ_ONLY].number = 1;
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EBUSY);
        lock.l_type = F_RDLCK; /* two readers do not disturb each other */
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
        device.options.value[BLK_OPTION_READ_ONLY].number = 0;
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EBUSY);
        close(fd);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
}

static void only_files_and_block_devices_are_images(void **state)
{
        (void)state;
        snprintf(path, sizeof(path), "/dev/null");
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "neither a file nor a block device"));
        snprintf(path, sizeof(path), "%s", folder);
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        snprintf(path, sizeof(path), "%s/image", folder);
        assert_int_equal(mkfifo(path, 0600), 0); /* opening it would wait for a writer */
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
}

static void no_descriptor_is_left_behind(void **state)
{
        int before = dup(0), after;

        (void)state;
        close(before);
        make_image(511);
        config_host_device(&device, &key, why, sizeof(why));
        make_image(512);
        config_host_device(&device, &key, why, sizeof(why));
        after = dup(0);
        close(after);
        assert_int_equal(before, after);
}

/* What a guest maps must not wait for a file's server: told before there is a guest. */
static void only_what_may_be_mapped_is_shown_to_a_guest(void **state)
{
        (void)state;
        make_image(4096);
        device.type = DEVICE_TYPE_PMEM;
        device.options = (struct option_set){.value = {[PMEM_OPTION_PATH] = {.text = path}}};
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
        device.options.value[PMEM_OPTION_PATH].text = "/proc/version";
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EMEDIUMTYPE);
        assert_non_null(strstr(why, "/proc/version lies on a file system (0x9fa0)"));
        assert_string_equal(key, "path");
        device.options.value[PMEM_OPTION_PATH].text = "/dev/null";
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "is no file"));

        device.type = DEVICE_TYPE_FS;
        device.options = (struct option_set){
            .value = {[FS_OPTION_PATH] = {.text = "/proc"}, [FS_OPTION_OWNERS] = {.text = ""}}};
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
        device.options.value[FS_OPTION_DAX_WINDOW].number = FS_DAX_GRANULE;
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), -EMEDIUMTYPE);
        assert_non_null(strstr(why, "remove dax_window"));
        device.options.value[FS_OPTION_PATH].text = folder;
        assert_int_equal(config_host_device(&device, &key, why, sizeof(why)), 0);
}

static void programs_must_be_there_and_executable(void **state)
{
        (void)state;
        assert_int_equal(config_host_program("/bin", "sh", why, sizeof(why)), 0);
        assert_int_equal(config_host_program("/bin", "no-such-program", why, sizeof(why)), -ENOENT);
        assert_non_null(strstr(why, "/bin/no-such-program"));
        make_image(1);
        assert_int_equal(config_host_program(folder, "image", why, sizeof(why)), -EACCES);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_missing_image_is_told_with_the_remedy, setup, teardown),
            cmocka_unit_test_setup_teardown(a_kernel_is_a_file_with_bytes_in_it, setup, teardown),
            cmocka_unit_test(a_guest_larger_than_the_host_is_told_of),
            cmocka_unit_test_setup_teardown(an_image_is_a_multiple_of_its_block_size, setup, teardown),
            cmocka_unit_test_setup_teardown(an_image_in_use_is_told_and_left_alone, setup, teardown),
            cmocka_unit_test_setup_teardown(only_files_and_block_devices_are_images, setup, teardown),
            cmocka_unit_test_setup_teardown(no_descriptor_is_left_behind, setup, teardown),
            cmocka_unit_test_setup_teardown(only_what_may_be_mapped_is_shown_to_a_guest, setup, teardown),
            cmocka_unit_test_setup_teardown(programs_must_be_there_and_executable, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
