/* workers/blk/blk_map: what is read through the mapping and what is not, over real files that lose pages.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "workers/blk/blk_map.h"
#include "workers/runtime/worker_log.h"

#define CHUNK   BLK_MAP_CHUNK
#define N_CHUNK 4u
#define SIZE    (N_CHUNK * CHUNK)

static struct blk_map map;
static int fd = -1;
static uint8_t bytes[SIZE], back[SIZE];
static unsigned n_logged;

void worker_log(enum log_level level, const char *format, ...)
{
        (void)format;
        assert_int_equal(level, LOG_LEVEL_WARNING);
        n_logged++;
}

static void fill(int to)
{
        for (size_t i = 0; i < SIZE; i++)
                bytes[i] = (uint8_t)(rand() | 1);
        assert_int_equal(pwrite(to, bytes, SIZE, 0), SIZE);
}

/* A file on a disk, if /tmp is one; else what holds for both is tried on one in memory. */
static int setup(void **state)
{
        char path[] = "/tmp/bulkhead-map-XXXXXX";

        (void)state;
        fd = mkstemp(path);
        assert_true(fd >= 0);
        unlink(path);
        fill(fd);
        blk_map_open(&map, fd, SIZE);
        assert_non_null(map.bytes);
        n_logged = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        if (map.bytes)
                munmap((void *)(uintptr_t)map.bytes, map.size);
        close(fd);
        return 0;
}

static bool read_map(uint64_t offset, size_t len)
{
        const struct iovec iov = {.iov_base = back, .iov_len = len};

        memset(back, 0, sizeof(back));
        return blk_map_read(&map, &iov, 1, len, offset);
}

static void assert_mapped(uint64_t offset, size_t len)
{
        assert_true(read_map(offset, len));
        assert_memory_equal(back, bytes + offset, len);
}

/* KiB of the mapping that this process has mapped: smaps. */
static unsigned long mapped_kib(void)
{
        FILE *smaps = fopen("/proc/self/smaps", "re");
        unsigned long start, kib = 0;
        bool ours = false;
        char line[512];

        assert_non_null(smaps);
        while (fgets(line, sizeof(line), smaps)) {
                if (sscanf(line, "%lx-%*x ", &start) == 1 && strchr(line, '-'))
                        ours = start == (unsigned long)(uintptr_t)map.bytes;
                else if (ours && sscanf(line, "Rss: %lu", &kib) == 1)
                        break;
        }
        fclose(smaps);
        return kib;
}

static void what_no_call_has_read_is_read_by_a_call(void **state)
{
        (void)state;
        assert_false(read_map(0, 4096));
        assert_false(read_map(0, SIZE));
        assert_int_equal(map.n, 0);
        assert_int_equal(mapped_kib(), 0);
}

static void a_chunk_is_warm_when_as_many_pages_have_been_read_as_it_has(void **state)
{
        (void)state;
        for (unsigned i = 0; i < BLK_MAP_WARM - 1; i++)
                blk_map_warm(&map, 4096, 4096 * (uint64_t)i);
        assert_false(read_map(0, 4096));
        blk_map_warm(&map, 512, 512);
        assert_mapped(0, 4096);
        assert_mapped(CHUNK - 512, 512);
        assert_int_equal(map.n, 1);
        blk_map_warm(&map, CHUNK, 0); /* in use, and that it stays */
        assert_mapped(0, CHUNK);
        assert_int_equal(map.n, 1);
}

static void a_range_is_read_so_if_all_its_chunks_are_warm(void **state)
{
        (void)state;
        blk_map_warm(&map, CHUNK, 0);
        blk_map_warm(&map, CHUNK, 2 * CHUNK);
        assert_mapped(0, CHUNK);
        assert_false(read_map(0, CHUNK + 1));
        assert_false(read_map(CHUNK, 1));
        assert_false(read_map(2 * CHUNK - 1, 2));
        assert_mapped(2 * CHUNK, CHUNK);
        assert_false(read_map(2 * CHUNK, CHUNK + 1));
        blk_map_warm(&map, SIZE, 0);
        assert_mapped(0, SIZE);
        assert_int_equal(map.n, N_CHUNK);
}

/* Half a chunk is read of each of two, again and again. */
static void pages_count_for_the_chunk_that_they_are_of(void **state)
{
        (void)state;
        blk_map_warm(&map, CHUNK, CHUNK / 2);
        assert_int_equal(map.heat[0], BLK_MAP_WARM / 2);
        assert_int_equal(map.heat[1], BLK_MAP_WARM / 2);
        assert_int_equal(map.heat[2], 0);
        assert_false(read_map(CHUNK / 2, CHUNK));
        blk_map_warm(&map, CHUNK, CHUNK / 2);
        assert_mapped(CHUNK / 2, CHUNK);
}

static void what_is_outside_is_not_touched(void **state)
{
        (void)state;
        blk_map_warm(&map, SIZE, 0);
        assert_false(read_map(0, 0));
        assert_false(read_map(SIZE - 512, 513));
        assert_false(read_map(SIZE, 1));
        assert_false(read_map(UINT64_MAX, 1));
        assert_false(read_map(1, SIZE));
        assert_mapped(SIZE - 512, 512);
        memset(map.heat, 0, N_CHUNK);
        blk_map_warm(&map, 513, SIZE - 512);
        blk_map_warm(&map, 0, 0);
        blk_map_warm(&map, CHUNK, UINT64_MAX - CHUNK);
        for (unsigned i = 0; i < N_CHUNK; i++)
                assert_int_equal(map.heat[i], 0);
}

static void parts_are_filled_one_behind_the_other(void **state)
{
        const struct iovec iov[] = {
            {.iov_base = back + 70000, .iov_len = 512},
            {.iov_base = back, .iov_len = 4096},
            {.iov_base = back + 10000, .iov_len = 1024},
        };

        (void)state;
        blk_map_warm(&map, CHUNK, 0);
        memset(back, 0, sizeof(back));
        assert_true(blk_map_read(&map, iov, 3, 5632, 1024));
        assert_memory_equal(back + 70000, bytes + 1024, 512);
        assert_memory_equal(back, bytes + 1536, 4096);
        assert_memory_equal(back + 10000, bytes + 5632, 1024);
        assert_int_equal(back[4096], 0);
        assert_int_equal(back[11024], 0);
}

static void what_is_written_is_read(void **state)
{
        (void)state;
        blk_map_warm(&map, SIZE, 0);
        assert_mapped(0, SIZE);
        memset(bytes + 5000, 7, 9999);
        assert_int_equal(pwrite(fd, bytes + 5000, 9999, 5000), 9999);
        assert_mapped(0, SIZE);
}

/* The ring is full of chunk 3, which is not there in truth: the oldest entry goes, and with it what is mapped. */
static void the_oldest_chunk_makes_room(void **state)
{
        unsigned long before; /* the kernel maps neighbours, too, that it has at hand */

        (void)state;
        blk_map_warm(&map, SIZE, 0);
        assert_mapped(3 * CHUNK, CHUNK);
        assert_mapped(CHUNK, CHUNK);
        before = mapped_kib();
        assert_true(before >= 2 * CHUNK / 1024);
        for (uint32_t i = map.n; i < BLK_MAP_CHUNKS; i++)
                map.in_use[i] = 2;
        map.n = BLK_MAP_CHUNKS;
        assert_mapped(0, 4096);
        assert_int_equal(map.n, BLK_MAP_CHUNKS);
        assert_int_equal(map.in_use[0], 0); /* the ring has gone round */
        assert_int_equal(map.heat[3], 0);
        assert_false(read_map(3 * CHUNK, 512));
        assert_true(mapped_kib() <= before - CHUNK / 2048);
        assert_mapped(CHUNK, CHUNK);
}

static void nothing_stays_mapped_at_rest_and_what_is_warm_stays_so(void **state)
{
        (void)state;
        blk_map_rest(&map);
        blk_map_warm(&map, SIZE, 0);
        assert_mapped(0, SIZE);
        assert_int_equal(mapped_kib(), SIZE / 1024);
        blk_map_rest(&map);
        assert_int_equal(mapped_kib(), 0);
        assert_mapped(0, SIZE);
}

/* cmocka catches the signal itself, from each test's beginning on. */
static void open_again(void)
{
        munmap((void *)(uintptr_t)map.bytes, map.size);
        blk_map_open(&map, fd, SIZE);
}

static void an_image_that_has_shrunk_is_left_to_calls(void **state)
{
        (void)state;
        open_again();
        blk_map_warm(&map, SIZE, 0);
        assert_mapped(0, SIZE);
        assert_int_equal(ftruncate(fd, CHUNK), 0);
        assert_mapped(0, CHUNK);
        assert_false(read_map(0, SIZE));
        assert_null(map.bytes);
        assert_int_equal(n_logged, 1);
        assert_false(read_map(0, CHUNK));
        blk_map_warm(&map, CHUNK, 0);
        blk_map_rest(&map);
        assert_int_equal(n_logged, 1);
}

/* Again and again: the signal must not stay blocked, and the jump must not leave anything behind. */
static void each_image_that_shrinks_is_caught(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                struct blk_map other;
                const struct iovec iov = {.iov_base = back, .iov_len = SIZE};

                fill(fd);
                blk_map_open(&other, fd, SIZE);
                blk_map_warm(&other, SIZE, 0);
                assert_true(blk_map_read(&other, &iov, 1, SIZE, 0));
                assert_int_equal(ftruncate(fd, 0), 0);
                assert_false(blk_map_read(&other, &iov, 1, SIZE, 0));
        }
        assert_int_equal(n_logged, 100);
}

static void a_fault_of_our_own_kills(void **state)
{
        int status = 0;
        pid_t pid;

        (void)state;
        open_again();
        pid = fork();
        if (pid == 0) {
                signal(SIGILL, SIG_DFL); /* worker_trap */
                signal(SIGTRAP, SIG_DFL);
                raise(SIGBUS);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
}

static int in_memory(bool full)
{
        int memory = memfd_create("image", MFD_CLOEXEC);

        assert_true(memory >= 0);
        assert_int_equal(ftruncate(memory, SIZE), 0);
        if (full)
                fill(memory);
        return memory;
}

/* To read a hole of a file in memory through a mapping takes memory for good. */
static void a_file_in_memory_is_mapped_if_it_has_no_holes(void **state)
{
        int sparse = in_memory(false), full = in_memory(true);
        struct blk_map other;

        (void)state;
        blk_map_open(&other, sparse, SIZE);
        assert_null(other.bytes);
        blk_map_warm(&other, SIZE, 0);
        blk_map_open(&other, full, SIZE);
        assert_non_null(other.bytes);
        assert_true(other.is_memory);
        blk_map_punched(&other);
        assert_null(other.bytes);
        close(sparse);
        close(full);
}

static void a_hole_on_a_disk_changes_nothing(void **state)
{
        (void)state;
        if (map.is_memory) {
                print_message("/tmp is in memory\n");
                skip();
        }
        blk_map_warm(&map, SIZE, 0);
        blk_map_punched(&map);
        assert_mapped(0, SIZE);
}

static void what_cannot_be_mapped_is_left_to_calls(void **state)
{
        int pipes[2];
        struct blk_map other;

        (void)state;
        assert_int_equal(pipe(pipes), 0);
        blk_map_open(&other, pipes[0], SIZE);
        assert_null(other.bytes);
        blk_map_open(&other, -1, SIZE);
        assert_null(other.bytes);
        close(pipes[0]);
        close(pipes[1]);
}

/* One that could be mapped: ramfs stands for those that have a cache of their own, or ask somebody else. */
static void a_file_system_that_is_not_known_is_left_to_calls(void **state)
{
        char folder[] = "/tmp/bulkhead-map-XXXXXX", path[64];
        struct blk_map other;
        int image;

        (void)state;
        assert_non_null(mkdtemp(folder));
        if (mount("none", folder, "ramfs", 0, NULL) < 0) {
                rmdir(folder);
                print_message("needs to mount a ramfs (root)\n");
                assert_null(getenv("MUST_RUN"));
                skip();
        }
        snprintf(path, sizeof(path), "%s/image", folder);
        image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
        assert_int_equal(rmdir(folder), 0);
        assert_true(image >= 0);
        fill(image);
        blk_map_open(&other, image, SIZE);
        assert_null(other.bytes);
        close(image);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define MAP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
            MAP_TEST(what_no_call_has_read_is_read_by_a_call),
            MAP_TEST(a_chunk_is_warm_when_as_many_pages_have_been_read_as_it_has),
            MAP_TEST(a_range_is_read_so_if_all_its_chunks_are_warm),
            MAP_TEST(pages_count_for_the_chunk_that_they_are_of),
            MAP_TEST(what_is_outside_is_not_touched),
            MAP_TEST(parts_are_filled_one_behind_the_other),
            MAP_TEST(what_is_written_is_read),
            MAP_TEST(the_oldest_chunk_makes_room),
            MAP_TEST(nothing_stays_mapped_at_rest_and_what_is_warm_stays_so),
            MAP_TEST(an_image_that_has_shrunk_is_left_to_calls),
            MAP_TEST(each_image_that_shrinks_is_caught),
            MAP_TEST(a_fault_of_our_own_kills),
            MAP_TEST(a_file_in_memory_is_mapped_if_it_has_no_holes),
            MAP_TEST(a_hole_on_a_disk_changes_nothing),
            MAP_TEST(what_cannot_be_mapped_is_left_to_calls),
            MAP_TEST(a_file_system_that_is_not_known_is_left_to_calls),
        };

        srand(7);
        return cmocka_run_group_tests_name("blk_map", tests, NULL, NULL);
}
