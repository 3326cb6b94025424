/* Shared memory regions on a host that refuses: every call into the kernel that may fail does, once, and nothing has changed.
 * mmap, mremap and their like are wrapped.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/sealed_memory.h"
#include "broker/core/shmem.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_maps.h"

#define PAGE  ((uint64_t)LIMIT_SHMEM_PAGE)
#define FILES 1u

static const struct device_region regions[] = {
    {.shmid = FILES, .len = 16 * PAGE, .source = REGION_FILES},
    {.shmid = 2, .len = 4 * PAGE, .source = REGION_MEMORY},
    {.shmid = 3, .len = 4 * PAGE, .source = REGION_MEMORY},
};
static const struct shmem_limits limits = {.mappings = 8, .bytes = 16 * PAGE};
static const struct shmem_request request = {
    .shmid = FILES, .writable = true, .offset = 4 * PAGE, .len = 2 * PAGE};

/* ---- the host ---- */

static unsigned fails_in; /* of the calls from here on that may fail, this one does; 0: none */
static int fails_with;
static bool leaves_gap; /* an mremap that fails has taken away what it was to replace */

static bool fails_now(void)
{
        if (fails_in == 0 || --fails_in > 0)
                return false;
        errno = fails_with;
        return true;
}

void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__real_mremap(void *from, size_t old_len, size_t len, int flags, void *to);
void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);
int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);
int __real_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
        return fails_now() ? MAP_FAILED : __real_mmap(at, len, protection, flags, fd, offset);
}

void *__wrap_mremap(void *from, size_t old_len, size_t len, int flags, void *to)
{
        if (!fails_now())
                return __real_mremap(from, old_len, len, flags, to);
        if (leaves_gap)
                assert_int_equal(munmap(to, len), 0);
        errno = fails_with;
        return MAP_FAILED;
}

int __wrap_madvise(void *at, size_t len, int advice)
{
        return fails_now() ? -1 : __real_madvise(at, len, advice);
}

int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
        return fails_now() ? -1 : __real_statx(dir, path, flags, mask, st);
}

int __wrap_fstatfs(int fd, struct statfs *fs)
{
        return fails_now() ? -1 : __real_fstatfs(fd, fs);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
        return fails_now() ? -1 : __real_memfd_create(name, flags);
}

int __wrap_ftruncate(int fd, off_t len)
{
        return fails_now() ? -1 : __real_ftruncate(fd, len);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails_now() ? NULL : __real_calloc(n, size);
}

/* ---- */

static unsigned fds_before;
static int file;

static int setup(void **state)
{
        (void)state;
        fds_before = count_fds();
        file = memfd_create("shmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return ftruncate(file, 16 * PAGE) < 0 || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
        (void)state;
        fails_in = 0;
        leaves_gap = false;
        close(file);
        return count_fds() == fds_before ? 0 : -1;
}

static struct shmem *make(void)
{
        struct shmem *shmem;

        assert_int_equal(shmem_new(regions, array_size(regions), &limits, &shmem), 0);
        return shmem;
}

/* Address space that is reserved and no more: ours, and a sanitizer's, which shrinks. */
static uint64_t count_reserved(void)
{
        struct map_lines maps = map_lines_read();
        uint64_t bytes = 0;

        for (size_t i = 0; i < maps.n; i++)
                if (strcmp(maps.lines[i].rights, "---p") == 0)
                        bytes += maps.lines[i].end - maps.lines[i].start;
        map_lines_free(&maps);
        return bytes;
}

static void a_device_that_cannot_have_its_windows_has_none(void **state)
{
        struct shmem *const untouched = (struct shmem *)&file, *shmem = untouched;
        uint64_t reserved = count_reserved();
        unsigned n = 0;
        int r;

        (void)state;
        do {
                fails_in = ++n;
                fails_with = ENOMEM;
                r = shmem_new(regions, array_size(regions), &limits, &shmem);
                fails_in = 0;
                if (r < 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_ptr_equal(shmem, untouched);
                        assert_true(count_reserved() <= reserved);
                }
        } while (r < 0);
        assert_int_equal(n, 5); /* its own memory and three windows, and then nothing failed */
        (void)shmem_free(shmem);
}

/* Each call that a map makes fails once. */
static unsigned fail_each_call_of_a_map(struct shmem *shmem, int error)
{
        struct shmem_mapping *const untouched = (struct shmem_mapping *)&file, *mapping = untouched;
        unsigned n = 0, fds = count_fds();
        int r;

        do {
                fails_in = ++n;
                fails_with = error;
                r = shmem_map(shmem, &request, file, &mapping);
                fails_in = 0;
                if (r < 0) {
                        assert_true(r == -error || r == -ENOMEM /* calloc has but one error */);
                        assert_ptr_equal(mapping, untouched);
                        assert_int_equal(shmem_n_mappings(shmem), 0);
                        assert_int_equal(count_fds(), fds);
                        assert_maps(shmem);
                }
        } while (r < 0);
        assert_maps(shmem);
        shmem_unmap(shmem, mapping);
        return n - 1;
}

static void a_map_that_the_host_refuses_changes_nothing(void **state)
{
        static const int errors[] = {ENOMEM, EPERM, EAGAIN, ENODEV, EACCES};
        struct shmem *shmem = make();

        (void)state;
        for (size_t i = 0; i < array_size(errors); i++)
                assert_int_equal(fail_each_call_of_a_map(shmem, errors[i]),
                                 7); /* statx, fstatfs, calloc, mmap, twice madvise, mremap */
        (void)shmem_free(shmem);
}

static void a_gap_that_a_failing_host_leaves_is_closed(void **state)
{
        struct shmem *shmem = make();

        (void)state;
        leaves_gap = true;
        assert_int_equal(fail_each_call_of_a_map(shmem, ENOMEM), 7);
        (void)shmem_free(shmem);
}

static void a_map_without_a_free_descriptor_is_refused(void **state)
{
        struct shmem_mapping *mapping;
        struct shmem *shmem = make();
        struct rlimit before, none;
        int r, next = fcntl(file, F_DUPFD_CLOEXEC, 0);

        (void)state;
        close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = (rlim_t)next;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        r = shmem_map(shmem, &request, file, &mapping);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(r, -EMFILE);
        assert_int_equal(shmem_n_mappings(shmem), 0);
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void memory_for_all_regions_or_for_none(void **state)
{
        struct shmem *shmem = make();
        unsigned n = 0, fds = count_fds();
        int r;

        (void)state;
        do {
                fails_in = ++n;
                fails_with = ENOMEM;
                r = shmem_make_memory(shmem);
                fails_in = 0;
                if (r < 0) {
                        assert_int_equal(shmem_n_mappings(shmem), 0);
                        assert_int_equal(shmem_memory_fd(shmem, 1), -1);
                        assert_int_equal(shmem_memory_fd(shmem, 2), -1);
                        assert_int_equal(count_fds(), fds);
                        assert_maps(shmem);
                }
        } while (r < 0);
        assert_true(n > 10);
        assert_int_equal(shmem_n_mappings(shmem), 2);
        assert_maps(shmem);
        (void)shmem_free(shmem);
}

static void an_older_kernel_makes_memory_without_the_newest_flag(void **state)
{
        int fd = -1;

        (void)state;
        fails_in = 1;
        fails_with = EINVAL;
        assert_int_equal(sealed_memory_open("old", PAGE, &fd), 0);
        assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        close(fd);
        fd = -7;
        assert_int_equal(sealed_memory_open("none", 0, &fd), -EINVAL);
        assert_int_equal(sealed_memory_open("odd", PAGE + 1, &fd), -EINVAL);
        assert_int_equal(sealed_memory_open("long", UINT64_C(1) << 63, &fd), -EINVAL);
        assert_int_equal(fd, -7);
}

/* A part that could not be taken away would be somebody's for ever. */
static void a_part_that_cannot_be_taken_away_ends_the_process(void **state)
{
        struct shmem *shmem = make();
        struct shmem_mapping *mapping;
        int status;
        pid_t pid;

        (void)state;
        assert_int_equal(shmem_map(shmem, &request, file, &mapping), 0);
        pid = fork();
        if (pid == 0) {
                signal(SIGABRT, SIG_DFL);
                fails_in = 1;
                fails_with = ENOMEM;
                shmem_unmap(shmem, mapping);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        (void)shmem_free(shmem);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            CLAIM(a_device_that_cannot_have_its_windows_has_none),
            CLAIM(a_map_that_the_host_refuses_changes_nothing),
            CLAIM(a_gap_that_a_failing_host_leaves_is_closed),
            CLAIM(a_map_without_a_free_descriptor_is_refused),
            CLAIM(memory_for_all_regions_or_for_none),
            CLAIM(an_older_kernel_makes_memory_without_the_newest_flag),
            CLAIM(a_part_that_cannot_be_taken_away_ends_the_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
