/* workers/blk/blk_file: real files that are short, sparse, read-only or full.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "workers/blk/blk_file.h"

#define SIZE (1u << 20)

static struct blk_file file;
static uint8_t bytes[SIZE], back[SIZE];

/* What the next fdatasync, fallocate or pwrite of the code under test is to answer (-Wl,--wrap). */
static int fdatasync_error, fallocate_error, interruptions;
static unsigned n_fdatasync, n_fallocate, n_pread;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset);

static bool interrupted(void)
{
        if (interruptions == 0)
                return false;
        interruptions--;
        errno = EINTR;
        return true;
}

int __wrap_fdatasync(int fd)
{
        if (interrupted())
                return -1;
        n_fdatasync++;
        if (fdatasync_error == 0)
                return __real_fdatasync(fd);
        errno = fdatasync_error;
        return -1;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
        if (interrupted())
                return -1;
        n_fallocate++;
        if (fallocate_error == 0)
                return __real_fallocate(fd, mode, offset, len);
        errno = fallocate_error;
        return -1;
}

/* Short transfers: at most 1000 bytes at once. */
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
        n_pread++;
        return interrupted() ? -1 : __real_pread(fd, buf, len < 1000 ? len : 1000, offset);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
        return interrupted() ? -1 : __real_pwrite(fd, buf, len < 1000 ? len : 1000, offset);
}

static int setup(void **state)
{
        char path[] = "/tmp/bulkhead-blk-XXXXXX";
        int fd = mkstemp(path);

        (void)state;
        assert_true(fd >= 0);
        unlink(path);
        for (size_t i = 0; i < SIZE; i++)
                bytes[i] = (uint8_t)(rand() | 1);
        assert_int_equal(write(fd, bytes, SIZE), SIZE);
        assert_int_equal(blk_file_open(&file, fd, false), 0);
        fdatasync_error = fallocate_error = interruptions = 0;
        n_fdatasync = n_fallocate = n_pread = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        close(file.fd);
        return 0;
}

static void assert_file(void)
{
        assert_int_equal(blk_file_read(&file, back, SIZE, 0), 0);
        assert_memory_equal(bytes, back, SIZE);
}

static void short_transfers_are_completed(void **state)
{
        (void)state;
        assert_int_equal(file.size, SIZE);
        memset(bytes + 5000, 7, 9999);
        assert_int_equal(blk_file_write(&file, bytes + 5000, 9999, 5000), 0);
        assert_file();
}

static void interruptions_are_bounded(void **state)
{
        (void)state;
        interruptions = 100;
        assert_int_equal(blk_file_read(&file, back, 4096, 0), 0);
        interruptions = 101;
        assert_int_equal(blk_file_read(&file, back, 4096, 0), -EINTR);
        interruptions = 100;
        assert_int_equal(blk_file_write(&file, bytes, 4096, 0), 0);
        interruptions = 101;
        assert_int_equal(blk_file_write(&file, bytes, 4096, 0), -EINTR);
        interruptions = 100;
        assert_int_equal(blk_file_flush(&file), 0);
        interruptions = 100;
        assert_int_equal(blk_file_discard(&file, 0, 0), 0);
        assert_int_equal(interruptions, 100);
        interruptions = 0;
        assert_file();
}

static void an_image_that_has_shrunk_is_an_error(void **state)
{
        (void)state;
        assert_int_equal(ftruncate(file.fd, 10000), 0);
        assert_int_equal(blk_file_read(&file, back, 10000, 0), 0);
        assert_int_equal(blk_file_read(&file, back, 10001, 0), -EIO);
        assert_int_equal(blk_file_read(&file, back, 1, 10000), -EIO);
        assert_int_equal(blk_file_read(&file, back, 512, SIZE - 512), -EIO);
}

static void what_has_been_read_is_read_again_without_a_call(void **state)
{
        const struct iovec halves[] = {{.iov_base = back + SIZE / 2, .iov_len = SIZE / 2},
                                       {.iov_base = back, .iov_len = SIZE / 2}};

        (void)state;
        blk_file_map(&file);
        assert_file();
        assert_true(n_pread > 0);
        n_pread = 0;
        assert_file();
        memset(bytes + 5000, 7, 9999);
        assert_int_equal(blk_file_write(&file, bytes + 5000, 9999, 5000), 0);
        assert_file();
        assert_int_equal(blk_file_readv(&file, halves, 2, SIZE, 0), 0);
        assert_memory_equal(bytes, back + SIZE / 2, SIZE / 2);
        assert_memory_equal(bytes + SIZE / 2, back, SIZE / 2);
        assert_int_equal(n_pread, 0);
        assert_int_equal(ftruncate(file.fd, SIZE - 4096), 0);
        assert_int_equal(blk_file_read(&file, back, SIZE, 0), -EIO);
        assert_int_equal(blk_file_read(&file, back, SIZE - 4096, 0), 0);
        assert_memory_equal(bytes, back, SIZE - 4096);
        assert_true(n_pread > 0);
}

/* One call for several requests warms as well. */
static void a_vector_is_read_again_without_a_call(void **state)
{
        const struct iovec all = {.iov_base = back, .iov_len = SIZE};

        (void)state;
        blk_file_map(&file);
        assert_int_equal(blk_file_readv(&file, &all, 1, SIZE, 0), 0);
        assert_file();
        assert_int_equal(n_pread, 0);
}

static void a_discard_is_read_as_zeros(void **state)
{
        (void)state;
        blk_file_map(&file);
        assert_file();
        assert_int_equal(blk_file_zero(&file, 65536, 131072, true), 0);
        memset(bytes + 65536, 0, 131072);
        assert_file();
}

static void a_failed_flush_fails_for_ever(void **state)
{
        (void)state;
        assert_int_equal(blk_file_flush(&file), 0);
        fdatasync_error = ENOSPC;
        assert_int_equal(blk_file_flush(&file), -ENOSPC);
        fdatasync_error = 0;
        n_fdatasync = 0;
        assert_int_equal(blk_file_flush(&file), -ENOSPC);
        assert_int_equal(blk_file_flush(&file), -ENOSPC);
        assert_int_equal(n_fdatasync, 0);
        assert_int_equal(blk_file_open(&file, file.fd, false), 0);
        assert_int_equal(blk_file_flush(&file), 0);
}

static void zeroed_ranges_read_as_zeros_in_every_way(void **state)
{
        static const int errors[] = {0, EOPNOTSUPP, ENODEV};

        (void)state;
        for (unsigned i = 0; i < 3; i++)
                for (unsigned unmap = 0; unmap < 2; unmap++) {
                        uint64_t offset = 512 * (1 + 300 * (2 * i + unmap));

                        fallocate_error = errors[i];
                        assert_int_equal(blk_file_open(&file, file.fd, false), 0);
                        assert_int_equal(blk_file_zero(&file, offset, 100 * 512, unmap), 0);
                        memset(bytes + offset, 0, 100 * 512);
                        assert_file();
                }
        fallocate_error = 0;
        assert_int_equal(lseek(file.fd, 0, SEEK_END), SIZE);
}

static void a_missing_call_is_tried_once(void **state)
{
        (void)state;
        fallocate_error = EOPNOTSUPP;
        assert_int_equal(blk_file_zero(&file, 0, 4096, true), 0);
        assert_int_equal(n_fallocate, 2);
        assert_int_equal(blk_file_zero(&file, 0, 4096, true), 0);
        assert_int_equal(blk_file_discard(&file, 0, 4096), 0);
        assert_int_equal(n_fallocate, 2);
}

static void errors_of_the_host_are_told(void **state)
{
        (void)state;
        fallocate_error = EIO;
        assert_int_equal(blk_file_zero(&file, 0, 4096, true), -EIO);
        assert_int_equal(blk_file_zero(&file, 0, 4096, false), -EIO);
        assert_int_equal(blk_file_discard(&file, 0, 4096), -EIO);
        fallocate_error = 0;
        assert_file();
}

static void a_discard_never_touches_its_neighbours(void **state)
{
        struct stat before, after;

        (void)state;
        assert_int_equal(fstat(file.fd, &before), 0);
        assert_int_equal(blk_file_discard(&file, 65536, 131072), 0);
        assert_int_equal(fstat(file.fd, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
        assert_int_equal(blk_file_read(&file, back, SIZE, 0), 0);
        assert_memory_equal(bytes, back, 65536);
        assert_memory_equal(bytes + 65536 + 131072, back + 65536 + 131072, SIZE - 65536 - 131072);
}

static void nothing_is_done_for_an_empty_range(void **state)
{
        (void)state;
        assert_int_equal(blk_file_zero(&file, 512, 0, true), 0);
        assert_int_equal(blk_file_zero(&file, 512, 0, false), 0);
        assert_int_equal(blk_file_discard(&file, 512, 0), 0);
        assert_int_equal(n_fallocate, 0);
        assert_file();
}

/* A loop device over the test's file; -1: cannot be had here. */
static int make_block_device(void)
{
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, fd;
        char path[32];

        if (control < 0)
                return -1;
        number = ioctl(control, LOOP_CTL_GET_FREE);
        close(control);
        snprintf(path, sizeof(path), "/dev/loop%d", number);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file.fd) == 0)
                return fd;
        if (fd >= 0)
                close(fd);
        return -1;
}

static void a_block_device_is_an_image(void **state)
{
        struct blk_file device;
        int fd = make_block_device();

        (void)state;
        if (fd < 0) {
                print_message("needs a loop device (root, /dev/loop-control)\n");
                assert_null(getenv("MUST_RUN"));
                skip();
        }
        assert_int_equal(blk_file_open(&device, fd, false), 0);
        assert_int_equal(device.size, SIZE);
        assert_int_equal(blk_file_write(&device, bytes, 8192, 4096), 0);
        memmove(bytes + 4096, bytes, 8192);
        for (unsigned unmap = 0; unmap < 2; unmap++) {
                assert_int_equal(blk_file_zero(&device, 65536 * (1 + unmap), 8192, unmap), 0);
                memset(bytes + 65536 * (1 + unmap), 0, 8192);
        }
        assert_int_equal(blk_file_flush(&device), 0);
        assert_int_equal(blk_file_read(&device, back, SIZE, 0), 0);
        assert_int_equal(blk_file_read(&device, back, 512, SIZE), -EIO);
        assert_int_equal(ioctl(fd, LOOP_CLR_FD), 0);
        close(fd);
        assert_file();
}

static void only_the_configured_access_is_accepted(void **state)
{
        int fd = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_RDWR), pipes[2];
        struct blk_file other = {.fd = -5};

        (void)state;
        assert_int_equal(pipe(pipes), 0);
        assert_int_equal(blk_file_open(&other, fd, true), 0);
        assert_int_equal(other.fd, fd);
        other.fd = -5;
        assert_int_equal(blk_file_open(&other, fd, false), -EACCES);
        assert_int_equal(blk_file_open(&other, file.fd, true), -EACCES);
        assert_int_equal(blk_file_open(&other, null, false), -EINVAL);
        assert_int_equal(blk_file_open(&other, pipes[0], true), -EINVAL);
        assert_int_equal(blk_file_open(&other, 900, true), -EBADF);
        assert_int_equal(other.fd, -5);
        close(fd);
        close(null);
        close(pipes[0]);
        close(pipes[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(short_transfers_are_completed, setup, teardown),
            cmocka_unit_test_setup_teardown(interruptions_are_bounded, setup, teardown),
            cmocka_unit_test_setup_teardown(an_image_that_has_shrunk_is_an_error, setup, teardown),
            cmocka_unit_test_setup_teardown(what_has_been_read_is_read_again_without_a_call, setup, teardown),
            cmocka_unit_test_setup_teardown(a_vector_is_read_again_without_a_call, setup, teardown),
            cmocka_unit_test_setup_teardown(a_discard_is_read_as_zeros, setup, teardown),
            cmocka_unit_test_setup_teardown(a_failed_flush_fails_for_ever, setup, teardown),
            cmocka_unit_test_setup_teardown(zeroed_ranges_read_as_zeros_in_every_way, setup, teardown),
            cmocka_unit_test_setup_teardown(a_missing_call_is_tried_once, setup, teardown),
            cmocka_unit_test_setup_teardown(errors_of_the_host_are_told, setup, teardown),
            cmocka_unit_test_setup_teardown(a_discard_never_touches_its_neighbours, setup, teardown),
            cmocka_unit_test_setup_teardown(nothing_is_done_for_an_empty_range, setup, teardown),
            cmocka_unit_test_setup_teardown(a_block_device_is_an_image, setup, teardown),
            cmocka_unit_test_setup_teardown(only_the_configured_access_is_accepted, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
