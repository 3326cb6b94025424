/* Images past the page cache: what the spawner opens for a direct disk, and what it refuses with the remedy.
 *
 * Mounts are made in a mount namespace of the test's own. TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/direct_io.h"
#include "sandbox/resource.h"
#include "tests/harness/blk_set.h"

#define BLOCK 4096u

static char dir[] = "/tmp/bulkhead-direct-XXXXXX";
static bool own_mounts;

static struct device_config disk(const char *path, uint32_t block_size)
{
        struct device_config device = {.type = DEVICE_TYPE_BLK, .n_queues = 1, .n_lanes = 1};

        device.options = BLK_SET(.path = path, .block_size = block_size, .direct = true);
        return device;
}

static void make_image(const char *folder, char *ret_path, size_t size)
{
        int fd;

        snprintf(ret_path, size, "%s/image", folder);
        fd = open(ret_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 16 * BLOCK), 0);
        close(fd);
}

static bool can_be_direct(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

        if (fd >= 0)
                close(fd);
        else
                print_message("%s: no direct I/O here\n", path);
        return fd >= 0;
}

static void a_direct_disk_has_its_image_and_an_eventfd(void **state)
{
        struct device_config device;
        struct resources resources;
        char path[64], why[512], name[64] = "", link[64];

        (void)state;
        make_image(dir, path, sizeof(path));
        if (!can_be_direct(path))
                skip();
        device = disk(path, BLOCK);
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), 0);
        assert_int_equal(resources.n, 2);
        assert_int_equal(resources.rw, 1);
        assert_int_equal(resources.kinds[0], RESOURCE_FILE);
        assert_int_equal(resources.kinds[1], RESOURCE_EVENT);
        assert_true(fcntl(resources.fds[0], F_GETFL) & O_DIRECT);
        assert_int_equal(fcntl(resources.fds[1], F_GETFD), FD_CLOEXEC);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", resources.fds[1]);
        assert_true(readlink(link, name, sizeof(name) - 1) > 0);
        assert_string_equal(name, "anon_inode:[eventfd]");
        resources_close(&resources);
        device.options.value[BLK_OPTION_DIRECT].number = 0;
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), 0);
        assert_int_equal(resources.n, 1);
        assert_false(fcntl(resources.fds[0], F_GETFL) & O_DIRECT);
        resources_close(&resources);
}

static void a_file_system_without_direct_io_is_refused_with_the_remedy(void **state)
{
        struct resources resources = {.n = 77};
        struct device_config device;
        char folder[64], path[96], why[512];

        (void)state;
        if (!own_mounts)
                skip();
        snprintf(folder, sizeof(folder), "%s/ram", dir);
        assert_int_equal(mkdir(folder, 0700), 0);
        assert_int_equal(mount("ram", folder, "ramfs", 0, NULL), 0);
        make_image(folder, path, sizeof(path));
        device = disk(path, 512);
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, path));
        assert_non_null(strstr(why, "direct: false"));
        assert_int_equal(resources.n, 77);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

/* A loop device of large blocks over the file; -1: cannot be had here. */
static int attach_loop(const char *file, char *ret_path, size_t size)
{
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing = open(file, O_RDWR | O_CLOEXEC);
        struct loop_config config = {
            .fd = (uint32_t)backing, .block_size = BLOCK, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
        int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE), fd = -1;

        if (number >= 0) {
                snprintf(ret_path, size, "/dev/loop%d", number);
                fd = open(ret_path, O_RDWR | O_CLOEXEC);
        }
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
                close(fd);
                fd = -1;
        }
        close(backing);
        if (control >= 0)
                close(control);
        return fd;
}

static void a_disk_of_smaller_blocks_than_its_image_is_refused_with_the_remedy(void **state)
{
        struct resources resources;
        struct device_config device;
        char path[64], loop[64], why[512];
        uint32_t bytes = 0;
        int fd, r;

        (void)state;
        make_image(dir, path, sizeof(path));
        fd = attach_loop(path, loop, sizeof(loop));
        if (fd < 0) {
                print_message("needs a loop device (root, /dev/loop-control)\n");
                skip();
        }
        assert_int_equal(direct_io_alignment(fd, &bytes), 0);
        assert_int_equal(bytes, BLOCK);
        device = disk(loop, 512);
        assert_int_equal(resources_open(&device, NULL, &resources, why, sizeof(why)), -EINVAL);
        assert_non_null(strstr(why, "block_size: 4096"));
        device = disk(loop, BLOCK);
        r = resources_open(&device, NULL, &resources, why, sizeof(why));
        close(fd);
        assert_int_equal(r, 0);
        resources_close(&resources);
}

static int make_dir(void **state)
{
        (void)state;
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
        char command[64];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf %s", dir);
        return system(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_direct_disk_has_its_image_and_an_eventfd),
            cmocka_unit_test(a_file_system_without_direct_io_is_refused_with_the_remedy),
            cmocka_unit_test(a_disk_of_smaller_blocks_than_its_image_is_refused_with_the_remedy),
        };

        own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
