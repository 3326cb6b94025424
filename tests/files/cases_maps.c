/* Cases: files mapped into memory.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096

static char *map(int fd, size_t len, int protection, int flags)
{
        char *bytes = mmap(NULL, len, protection, flags, fd, 0);

        if (bytes == MAP_FAILED)
                case_fail("mmap: %s", strerrorname_np(errno));
        return bytes;
}

static char *map_shared(int fd, size_t len)
{
        return map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static int new_file(off_t len)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0644));

        must(ftruncate(fd, len));
        return fd;
}

static void map_is_seen_by_reads(void)
{
        char back[5] = "";
        int fd = new_file(3 * PAGE);
        char *bytes = map_shared(fd, 3 * PAGE);

        memcpy(bytes + PAGE + 100, "text", 4);
        equal(pread(fd, back, 4, PAGE + 100), 4);
        equal(memcmp(back, "text", 4), 0);
        must(msync(bytes, 3 * PAGE, MS_SYNC));
        equal(pread(must(open("file", O_RDONLY)), back, 4, PAGE + 100), 4);
        equal(memcmp(back, "text", 4), 0);
}

static void writes_are_seen_by_the_map(void)
{
        int fd = new_file(2 * PAGE);
        char *bytes = map_shared(fd, 2 * PAGE);

        equal(bytes[PAGE], 0);
        equal(pwrite(fd, "text", 4, PAGE - 2), 4);
        equal(memcmp(bytes + PAGE - 2, "text", 4), 0);
        equal(pwrite(must(open("file", O_WRONLY)), "TEXT", 4, PAGE - 2), 4);
        equal(memcmp(bytes + PAGE - 2, "TEXT", 4), 0);
}

static void private_map_changes_nothing(void)
{
        char *bytes;

        file_put("file", "text");
        bytes = map(must(open("file", O_RDONLY)), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
        equal(memcmp(bytes, "text", 4), 0);
        memcpy(bytes, "TEXT", 4);
        file_has("file", "text");
}

static void processes_share_a_map(void)
{
        int turn[2], back[2], fd = new_file(PAGE);
        char *bytes = map_shared(fd, PAGE);
        pid_t pid;

        turn_make(turn);
        turn_make(back);
        if (child_starts(&pid)) {
                char *mine = map_shared(must(open("file", O_RDWR)), PAGE);

                turn_wait(turn);
                equal(mine[10], 'a');
                mine[20] = 'b';
                turn_give(back);
                _exit(0);
        }
        bytes[10] = 'a';
        turn_give(turn);
        turn_wait(back);
        equal(bytes[20], 'b');
        child_ends_well(pid);
}

/* Does touching this byte end a process by SIGBUS? */
static bool is_bus_error(volatile char *byte)
{
        int status;
        pid_t pid = must(fork());

        if (pid == 0) {
                signal(SIGBUS, SIG_DFL);
                (void)*byte;
                _exit(0);
        }
        must(waitpid(pid, &status, 0));
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

static void nothing_is_mapped_behind_the_end(void)
{
        int fd = new_file(PAGE + 1);
        char *bytes = map_shared(fd, 3 * PAGE);

        holds(!is_bus_error(bytes + 2 * PAGE - 1));
        holds(is_bus_error(bytes + 2 * PAGE));
        must(ftruncate(fd, 3 * PAGE));
        holds(!is_bus_error(bytes + 2 * PAGE));
        must(ftruncate(fd, 10));
        holds(is_bus_error(bytes + PAGE));
        holds(!is_bus_error(bytes));
}

static void rest_of_the_last_page_is_zeros(void)
{
        char *bytes;

        file_put("file", "text");
        bytes = map_shared(must(open("file", O_RDWR)), PAGE);
        for (int i = 4; i < PAGE; i++)
                equal(bytes[i], 0);
        memset(bytes, 'x', PAGE);
        must(msync(bytes, PAGE, MS_SYNC));
        equal(stat_of("file").st_size, 4);
        must(truncate("file", 100));
        fd_zeros(must(open("file", O_RDONLY)), 4, 96);
}

static void map_outlives_its_descriptor_and_name(void)
{
        int fd = new_file(PAGE);
        char *bytes = map_shared(fd, PAGE);

        must(close(fd));
        must(link("file", "other"));
        must(unlink("file"));
        memcpy(bytes, "text", 4);
        must(msync(bytes, PAGE, MS_SYNC));
        must(truncate("other", 4));
        file_has("other", "text");
}

static void map_of_a_removed_file_works(void)
{
        int fd = new_file(16 * PAGE);
        char *bytes;

        must(unlink("file"));
        bytes = map_shared(fd, 16 * PAGE);
        memset(bytes, 'x', 16 * PAGE);
        must(msync(bytes, 16 * PAGE, MS_SYNC));
        must(munmap(bytes, 16 * PAGE));
        bytes = map_shared(fd, 16 * PAGE);
        equal(bytes[16 * PAGE - 1], 'x');
}

static void unmapped_bytes_are_in_the_file(void)
{
        int fd = new_file(64 * PAGE);
        char *bytes = map_shared(fd, 64 * PAGE);

        for (int i = 0; i < 64; i++)
                bytes[i * PAGE + i] = (char)(i + 1);
        must(munmap(bytes, 64 * PAGE));
        must(close(fd));
        fd = must(open("file", O_RDONLY));
        for (int i = 0; i < 64; i++) {
                char byte;

                equal(pread(fd, &byte, 1, i * PAGE + i), 1);
                equal(byte, i + 1);
        }
}

static void shared_map_needs_a_writing_descriptor(void)
{
        file_put("file", "text");
        holds(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, must(open("file", O_RDONLY)), 0) ==
              MAP_FAILED);
        equal(errno, EACCES);
        holds(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, must(open("file", O_WRONLY)), 0) == MAP_FAILED);
        equal(errno, EACCES);
        holds(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, must(open(".", O_RDONLY)), 0) == MAP_FAILED);
        equal(errno, ENODEV);
}

static void hole_is_mapped_as_zeros(void)
{
        int fd = new_file(1 << 20);
        char *bytes = map_shared(fd, 1 << 20);

        for (int i = 0; i < 1 << 20; i += PAGE / 2)
                equal(bytes[i], 0);
        bytes[1 << 19] = 'x';
        must(msync(bytes, 1 << 20, MS_SYNC));
        fd_zeros(fd, 0, 1 << 19);
}

static void punched_hole_is_seen_by_the_map(void)
{
        int fd = new_file(0);
        char *bytes;

        fd_fill(fd, 0, 4 * PAGE, 1);
        bytes = map_shared(fd, 4 * PAGE);
        bytes[PAGE] = 'x';
        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE));
        equal(bytes[PAGE], 0);
        equal(bytes[3 * PAGE - 1], 0);
        fd_filled(fd, 3 * PAGE, PAGE, 1);
}

static void cut_off_pages_come_back_as_zeros(void)
{
        int fd = new_file(4 * PAGE);
        char *bytes = map_shared(fd, 4 * PAGE);

        memset(bytes, 'x', 4 * PAGE);
        must(ftruncate(fd, PAGE));
        must(ftruncate(fd, 4 * PAGE));
        equal(bytes[PAGE - 1], 'x');
        equal(bytes[PAGE], 0);
        equal(bytes[4 * PAGE - 1], 0);
}

static void copied_range_takes_what_was_mapped(void)
{
        int fd = new_file(4 * PAGE), to = must(open("copy", O_RDWR | O_CREAT, 0644));
        char *bytes = map_shared(fd, 4 * PAGE), back[4];

        memcpy(bytes + 2 * PAGE, "text", 4);
        for (off_t from = 0, at = 0; from < 4 * PAGE;)
                holds(must(copy_file_range(fd, &from, to, &at, (size_t)(4 * PAGE - from), 0)) > 0);
        equal(pread(to, back, 4, 2 * PAGE), 4);
        equal(memcmp(back, "text", 4), 0);
}

static void one_map_feeds_a_write_to_another_file(void)
{
        int fd = new_file(0), to = must(open("copy", O_RDWR | O_CREAT, 0644));

        fd_fill(fd, 0, 32 * PAGE, 1);
        equal(pwrite(to, map_shared(fd, 32 * PAGE), 32 * PAGE, 0), 32 * PAGE);
        fd_filled(to, 0, 32 * PAGE, 1);
        must(pread(fd, map_shared(to, 32 * PAGE), PAGE, 0));
}

const struct file_case cases_maps[] = {
    CASE(map_is_seen_by_reads),
    CASE(writes_are_seen_by_the_map),
    CASE(private_map_changes_nothing),
    CASE(processes_share_a_map),
    CASE(nothing_is_mapped_behind_the_end),
    CASE(rest_of_the_last_page_is_zeros),
    CASE(map_outlives_its_descriptor_and_name),
    CASE(map_of_a_removed_file_works),
    CASE(unmapped_bytes_are_in_the_file),
    CASE(shared_map_needs_a_writing_descriptor),
    CASE(hole_is_mapped_as_zeros),
    CASE(punched_hole_is_seen_by_the_map),
    CASE(cut_off_pages_come_back_as_zeros),
    CASE(copied_range_takes_what_was_mapped),
    CASE(one_map_feeds_a_write_to_another_file),
    {NULL, NULL},
};
