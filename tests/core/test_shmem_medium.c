/* Files under a mapping whose medium gives out: full, or unreadable. An error to whoever copies, and nothing dies.
 * Needs root: file systems of its own, in a mount namespace of its own.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "broker/core/shmem.h"
#include "tests/core/shmem_maps.h"

#define PAGE ((uint64_t)LIMIT_SHMEM_PAGE)
#define MIB  (UINT64_C(1) << 20)

static const struct device_region region = {.shmid = 0, .len = MIB, .source = REGION_FILES};
static const struct shmem_limits limits = {.mappings = 1, .bytes = MIB};
static char folder[] = "/tmp/bulkhead-medium.XXXXXX";

static struct shmem *map_whole(int fd, struct shmem_mapping **ret_mapping)
{
        const struct shmem_request request = {.writable = true, .len = MIB};
        struct shmem *shmem;

        assert_int_equal(shmem_new(&region, 1, &limits, &shmem), 0);
        assert_int_equal(shmem_map(shmem, &request, fd, ret_mapping), 0);
        return shmem;
}

static int make_file(bool filled)
{
        static uint8_t bytes[MIB];
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%s/file", folder);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        memset(bytes, 'x', sizeof(bytes));
        assert_int_equal(filled ? pwrite(fd, bytes, MIB, 0) : ftruncate(fd, MIB), filled ? (ssize_t)MIB : 0);
        return fd;
}

static void a_full_file_system_is_an_error_where_a_page_is_new(void **state)
{
        struct shmem_mapping *mapping;
        struct shmem *shmem;
        uint64_t there = 0;
        int fd;

        (void)state;
        assert_int_equal(fault_safe_install(), 0); /* over cmocka's own handlers */
        assert_int_equal(mount("medium", folder, "tmpfs", 0, "size=256k,mode=700"), 0);
        fd = make_file(false);
        shmem = map_whole(fd, &mapping);
        for (uint64_t page = 0; page < MIB / PAGE; page++)
                there += fault_safe_store64((uint64_t *)((uint8_t *)mapping->host + page * PAGE), page) == 0;
        assert_true(there > 0 && there <= 256 * 1024 / PAGE);
        (void)shmem_free(shmem);
        close(fd);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

/* A loop device over the file, which goes with its last user. */
static int loop_open(const char *image, char *ret_path, size_t room)
{
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC),
            backing = open(image, O_RDWR | O_CLOEXEC);
        struct loop_config config = {.fd = (uint32_t)backing, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE), fd = -1;

        if (number >= 0 && backing >= 0) {
                snprintf(ret_path, room, "/dev/loop%d", number);
                fd = open(ret_path, O_RDWR | O_CLOEXEC);
                if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
                        close(fd);
                        fd = -1;
                }
        }
        if (control >= 0)
                close(control);
        if (backing >= 0)
                close(backing);
        return fd;
}

static void a_medium_that_cannot_be_read_is_an_error(void **state)
{
        char image[] = "/dev/shm/bulkhead-medium.XXXXXX", command[128], device[32];
        int backing = mkostemp(image, O_CLOEXEC), loop, fd;
        struct shmem_mapping *mapping;
        struct shmem *shmem;
        uint64_t lost = 0, word;

        (void)state;
        assert_int_equal(fault_safe_install(), 0);
        assert_int_equal(ftruncate(backing, 16 * MIB), 0);
        snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -O ^has_journal %s",
                 image);
        assert_int_equal(system(command), 0);
        loop = loop_open(image, device, sizeof(device));
        assert_int_equal(unlink(image), 0);
        if (loop < 0) {
                close(backing);
                print_message("needs a loop device (root, /dev/loop-control)\n");
                assert_null(getenv("MUST_RUN"));
                skip();
        }
        assert_int_equal(mount(device, folder, "ext4", 0, "errors=continue"), 0);
        close(loop);
        fd = make_file(true);
        assert_int_equal(fsync(fd), 0);
        shmem = map_whole(fd, &mapping);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        assert_int_equal(ftruncate(backing, 0), 0);
        for (uint64_t page = 0; page < MIB / PAGE; page++)
                lost += fault_safe_load64((uint64_t *)((uint8_t *)mapping->host + page * PAGE), &word) < 0;
        assert_true(lost > 0);
        (void)shmem_free(shmem);
        close(fd);
        close(backing);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_full_file_system_is_an_error_where_a_page_is_new),
            cmocka_unit_test(a_medium_that_cannot_be_read_is_an_error),
        };
        int r;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            !mkdtemp(folder)) {
                fprintf(stderr, "needs root, for mounts\n");
                return getenv("MUST_RUN") ? EXIT_FAILURE : 77;
        }
        r = cmocka_run_group_tests(tests, NULL, NULL);
        (void)rmdir(folder);
        return r;
}
