/* The judge of files that workers hand over: kinds, rights, sizes; and that nobody's server is asked.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/shmem_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "tests/core/shmem_maps.h"
#include "tests/core/silent_fuse.h"

#define PAGE       ((uint64_t)LIMIT_SHMEM_PAGE)
#define SIZE       (8 * PAGE)
#define DEADLINE_S 10 /* of what takes no time, or waits for ever */

static unsigned fds_before;
static bool own_mounts;

static int setup(void **state)
{
        (void)state;
        fds_before = count_fds();
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        return count_fds() == fds_before ? 0 : -1;
}

static void needs(bool there, const char *what)
{
        if (there)
                return;
        print_message("needs %s\n", what);
        assert_null(getenv("MUST_RUN"));
        skip();
}

/* Judges, closes. A refusal leaves the result alone. */
static int judge_range(int fd, uint64_t offset, uint64_t len, bool writable)
{
        struct shmem_file file = {.dev = 1, .ino = 2};
        int r = shmem_file_judge(fd, offset, len, writable, &file);

        if (r < 0) {
                assert_int_equal(file.dev, 1);
                assert_int_equal(file.ino, 2);
        }
        return r;
}

static int judge(int fd, bool writable)
{
        int r;

        assert_true(fd >= 0);
        r = judge_range(fd, 0, PAGE, writable);
        close(fd);
        return r;
}

/* A new file with a name. */
static int named_file(const char *folder, char *path, size_t room)
{
        int fd;

        assert_true(snprintf(path, room, "%s/bulkhead-shmem.XXXXXX", folder) < (int)room);
        fd = mkostemp(path, O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        return fd;
}

static int memory(unsigned flags, int seals)
{
        int fd = memfd_create("judged", MFD_CLOEXEC | flags);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SIZE), 0);
        if (seals)
                assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

/* ---- kinds ---- */

static void assert_good_in(const char *folder)
{
        char path[256];
        int fd = named_file(folder, path, sizeof(path)), reader = open(path, O_RDONLY | O_CLOEXEC);
        struct shmem_file file;
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(shmem_file_judge(fd, 0, SIZE, true, &file), 0);
        assert_int_equal(file.dev, st.st_dev);
        assert_int_equal(file.ino, st.st_ino);
        assert_int_equal(shmem_file_judge(reader, PAGE, PAGE, false, &file), 0);
        assert_int_equal(judge(open(path, O_PATH | O_CLOEXEC), false), -EMEDIUMTYPE);
        assert_int_equal(unlink(path), 0);
        close(fd);
        close(reader);
}

static void a_file_on_a_disk_of_this_host_is_good(void **state)
{
        struct statfs fs;

        (void)state;
        assert_int_equal(statfs("/tmp", &fs), 0);
        needs(fs.f_type == 0xef53 || fs.f_type == 0x58465342 || fs.f_type == 0x9123683e,
              "/tmp on ext4, xfs or btrfs");
        assert_good_in("/tmp");
}

static void a_file_of_tmpfs_with_a_name_is_good_and_without_one_is_not(void **state)
{
        struct shmem_file file;
        char path[256];
        int fd;

        (void)state;
        assert_good_in("/dev/shm");
        fd = named_file("/dev/shm", path, sizeof(path));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(shmem_file_judge_ending(fd, true, &file), 0); /* a share's, that was removed */
        assert_int_equal(judge(fd, true), -EMEDIUMTYPE);
        assert_int_equal(judge(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), true), -EMEDIUMTYPE);
}

/* How long it is, and whether it stays so, is all that does not count. */
static void where_files_may_end_rights_and_kinds_count_as_ever(void **state)
{
        const struct shmem_file none = {.dev = 1, .ino = 2};
        struct shmem_file file = none;
        char path[256];
        int fd = named_file("/dev/shm", path, sizeof(path)), reader = open(path, O_RDONLY | O_CLOEXEC);
        int place = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(shmem_file_judge_ending(fd, false, &file), -EACCES);
        assert_int_equal(shmem_file_judge_ending(reader, true, &file), -EACCES);
        assert_int_equal(shmem_file_judge_ending(place, false, &file), -EMEDIUMTYPE);
        assert_int_equal(shmem_file_judge_ending(ends[0], false, &file), -EMEDIUMTYPE);
        assert_memory_equal(&file, &none, sizeof(file));
        assert_int_equal(shmem_file_judge_ending(fd, true, &file), 0);
        assert_int_equal(shmem_file_judge_ending(reader, false, &file), 0);
        assert_int_equal(unlink(path), 0);
        close(fd);
        close(reader);
        close(place);
        close(ends[0]);
        close(ends[1]);
}

static void memory_is_good_when_it_cannot_shrink(void **state)
{
        (void)state;
        for (int seals = 0; seals < 16; seals++) {
                bool writable = !(seals & F_SEAL_WRITE);
                int expected = seals & F_SEAL_SHRINK ? 0 : -EMEDIUMTYPE;

                assert_int_equal(judge(memory(MFD_ALLOW_SEALING, seals), writable), expected);
        }
        assert_int_equal(judge(memory(0, 0), true), -EMEDIUMTYPE);
}

static void what_is_no_file_is_refused_and_not_read(void **state)
{
        int pipes[2], pair[2];
        char byte;

        (void)state;
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(write(pipes[1], "x", 1), 1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(write(pair[1], "y", 1), 1);
        assert_int_equal(judge_range(pipes[0], 0, PAGE, false), -EMEDIUMTYPE);
        assert_int_equal(judge(pipes[1], true), -EMEDIUMTYPE);
        assert_int_equal(judge_range(pair[0], 0, PAGE, false), -EMEDIUMTYPE);
        assert_int_equal(judge(pair[1], true), -EMEDIUMTYPE);
        assert_int_equal(read(pipes[0], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        assert_int_equal(read(pair[0], &byte, 1), 1);
        assert_int_equal(byte, 'y');
        close(pipes[0]);
        close(pair[0]);
        assert_int_equal(judge(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false), -EMEDIUMTYPE);
        assert_int_equal(judge(open("/dev/null", O_RDWR | O_CLOEXEC), true), -EMEDIUMTYPE);
        assert_int_equal(judge(open("/dev/zero", O_RDWR | O_CLOEXEC), true), -EMEDIUMTYPE);
        assert_int_equal(judge(eventfd(0, EFD_CLOEXEC), true), -EMEDIUMTYPE);
        assert_int_equal(judge(epoll_create1(EPOLL_CLOEXEC), true), -EMEDIUMTYPE);
        assert_int_equal(judge_range(-1, 0, PAGE, true), -EBADF);
}

static void what_only_looks_like_a_file_is_refused(void **state)
{
        long secret = syscall(SYS_memfd_secret, O_CLOEXEC);
        int huge = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);

        (void)state;
        assert_int_equal(judge(open("/proc/self/maps", O_RDONLY | O_CLOEXEC), false), -EMEDIUMTYPE);
        assert_int_equal(judge(open("/proc/self/mem", O_RDWR | O_CLOEXEC), true), -EMEDIUMTYPE);
        assert_int_equal(judge(open("/sys/kernel/profiling", O_RDONLY | O_CLOEXEC), false), -EMEDIUMTYPE);
        if (secret >= 0)
                assert_int_equal(judge((int)secret, true), -EMEDIUMTYPE);
        if (huge >= 0) {
                assert_int_equal(fcntl(huge, F_ADD_SEALS, F_SEAL_SHRINK), 0);
                assert_int_equal(judge(huge, true), -EMEDIUMTYPE);
        }
}

static void assert_bad_mount(const char *type, const char *options)
{
        char folder[] = "/tmp/bulkhead-bad.XXXXXX", path[256];
        int fd;

        assert_non_null(mkdtemp(folder));
        assert_int_equal(mount(type, folder, type, 0, options), 0);
        fd = named_file(folder, path, sizeof(path));
        assert_int_equal(judge(fd, true), -EMEDIUMTYPE);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void file_systems_that_are_not_on_the_list_are_refused(void **state)
{
        char work[] = "/dev/shm/bulkhead-work.XXXXXX", options[256], names[3][64];
        static const char *const subs[] = {"lower", "upper", "work"};

        (void)state;
        needs(own_mounts, "root, for mounts");
        assert_bad_mount("ramfs", NULL);
        assert_non_null(mkdtemp(work));
        for (unsigned i = 0; i < array_size(subs); i++) {
                snprintf(names[i], sizeof(names[i]), "%s/%s", work, subs[i]);
                assert_int_equal(mkdir(names[i], 0700), 0);
        }
        snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", names[0], names[1],
                 names[2]);
        assert_bad_mount("overlay", options);
        snprintf(options, sizeof(options), "rm -r %s", work);
        assert_int_equal(system(options), 0);
}

/* ---- a server that does not answer ---- */

struct judgement {
        int file, r;
        bool writable;
};

static void *judge_beside(void *context)
{
        struct judgement *judgement = context;

        judgement->r = judge_range(judgement->file, 0, PAGE, judgement->writable);
        return NULL;
}

/* In a thread, which may have to be freed. */
static int judge_silent(struct silent_fuse *fuse, bool writable)
{
        struct judgement judgement = {.file = fuse->file, .writable = writable};
        struct timespec deadline;
        pthread_t thread;

        assert_int_equal(clock_gettime(CLOCK_REALTIME, &deadline), 0);
        deadline.tv_sec += DEADLINE_S;
        assert_int_equal(pthread_create(&thread, NULL, judge_beside, &judgement), 0);
        if (pthread_timedjoin_np(thread, NULL, &deadline) == 0)
                return judgement.r;
        silent_fuse_stop(fuse);
        assert_int_equal(pthread_join(thread, NULL), 0);
        fail_msg("the judge waits for the server");
        return 0;
}

static void a_file_of_a_silent_server_is_refused_at_once_and_unasked(void **state)
{
        static const int flags[] = {O_RDONLY, O_RDWR};

        (void)state;
        needs(own_mounts, "root, for mounts");
        for (size_t i = 0; i < array_size(flags); i++) {
                struct silent_fuse fuse;

                needs(silent_fuse_start(&fuse, flags[i]) == 0, "/dev/fuse");
                assert_int_equal(judge_silent(&fuse, flags[i] == O_RDWR), -EMEDIUMTYPE);
                assert_int_equal(silent_fuse_asked(&fuse, 0), 0);
                silent_fuse_stop(&fuse);
        }
}

static void *ask_stat(void *file)
{
        struct stat st;

        (void)fstat(*(int *)file, &st);
        return NULL;
}

static void *ask_statfs(void *file)
{
        struct statfs fs;

        (void)fstatfs(*(int *)file, &fs);
        return NULL;
}

/* Why the judge asks as it does: the kernel passes these on, and they wait. */
static void stat_and_statfs_wait_for_a_silent_server(void **state)
{
        static const struct {
                void *(*ask)(void *file);
                uint32_t opcode;
        } calls[] = {{ask_stat, FUSE_GETATTR}, {ask_statfs, FUSE_STATFS}};

        (void)state;
        needs(own_mounts, "root, for mounts");
        for (size_t i = 0; i < array_size(calls); i++) {
                struct silent_fuse fuse;
                pthread_t thread;

                needs(silent_fuse_start(&fuse, O_RDWR) == 0, "/dev/fuse");
                assert_int_equal(pthread_create(&thread, NULL, calls[i].ask, &fuse.file), 0);
                assert_int_equal(silent_fuse_asked(&fuse, DEADLINE_S * 1000), calls[i].opcode);
                close(fuse.fd);
                assert_int_equal(pthread_join(thread, NULL), 0);
                fuse.fd = -1;
                silent_fuse_stop(&fuse);
        }
}

/* ---- rights ---- */

static void a_descriptor_has_the_rights_of_its_mapping_no_less_no_more(void **state)
{
        static const struct {
                int flags;
                int read_only, writable;
        } modes[] = {
            {O_RDONLY, 0, -EACCES},          {O_RDWR, -EACCES, 0},
            {O_WRONLY, -EACCES, -EACCES},    {O_ACCMODE, -EACCES, -EACCES}, /* neither: for ioctl alone */
            {O_RDWR | O_APPEND, -EACCES, 0},
        };
        char path[256];
        int fd = named_file("/dev/shm", path, sizeof(path));

        (void)state;
        for (size_t i = 0; i < array_size(modes); i++) {
                assert_int_equal(judge(open(path, modes[i].flags | O_CLOEXEC), false), modes[i].read_only);
                assert_int_equal(judge(open(path, modes[i].flags | O_CLOEXEC), true), modes[i].writable);
        }
        assert_int_equal(unlink(path), 0);
        close(fd);
}

static void memory_is_read_only_by_its_seals(void **state)
{
        const int shrink = F_SEAL_SHRINK, all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

        (void)state;
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink), true), 0);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, all), true), 0);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink), false), -EACCES);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink | F_SEAL_WRITE), false), 0);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink | F_SEAL_FUTURE_WRITE), false), 0);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink | F_SEAL_WRITE), true), -EACCES);
        assert_int_equal(judge(memory(MFD_ALLOW_SEALING, shrink | F_SEAL_FUTURE_WRITE), true), -EACCES);
}

/* ---- sizes ---- */

static void a_range_ends_with_the_page_in_which_the_file_ends(void **state)
{
        static const uint64_t sizes[] = {0, 1, PAGE - 1, PAGE, PAGE + 1, 4 * PAGE - 1, 4 * PAGE};

        (void)state;
        for (size_t i = 0; i < array_size(sizes); i++) {
                uint64_t pages = (sizes[i] + PAGE - 1) / PAGE;
                int fd = memfd_create("sized", MFD_CLOEXEC | MFD_ALLOW_SEALING);

                assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
                assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
                for (uint64_t offset = 0; offset < 6; offset++)
                        for (uint64_t n = 1; n < 6; n++)
                                assert_int_equal(judge_range(fd, offset * PAGE, n * PAGE, true),
                                                 offset + n <= pages ? 0 : -ENXIO);
                assert_int_equal(judge_range(fd, UINT64_MAX - PAGE + 1, PAGE, true), -ENXIO);
                assert_int_equal(judge_range(fd, PAGE, UINT64_MAX - PAGE + 1, true), -ENXIO);
                close(fd);
        }
}

static void the_longest_file_of_all_is_no_exception(void **state)
{
        int fd = memfd_create("long", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        (void)state;
        assert_int_equal(ftruncate(fd, INT64_MAX), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        assert_int_equal(judge_range(fd, (UINT64_C(1) << 63) - PAGE, PAGE, true), 0);
        assert_int_equal(judge_range(fd, UINT64_C(1) << 63, PAGE, true), -ENXIO);
        close(fd);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            CLAIM(a_file_on_a_disk_of_this_host_is_good),
            CLAIM(a_file_of_tmpfs_with_a_name_is_good_and_without_one_is_not),
            CLAIM(where_files_may_end_rights_and_kinds_count_as_ever),
            CLAIM(memory_is_good_when_it_cannot_shrink),
            CLAIM(what_is_no_file_is_refused_and_not_read),
            CLAIM(what_only_looks_like_a_file_is_refused),
            CLAIM(file_systems_that_are_not_on_the_list_are_refused),
            CLAIM(a_file_of_a_silent_server_is_refused_at_once_and_unasked),
            CLAIM(stat_and_statfs_wait_for_a_silent_server),
            CLAIM(a_descriptor_has_the_rights_of_its_mapping_no_less_no_more),
            CLAIM(memory_is_read_only_by_its_seals),
            CLAIM(a_range_ends_with_the_page_in_which_the_file_ends),
            CLAIM(the_longest_file_of_all_is_no_exception),
        };

        own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
