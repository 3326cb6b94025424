/* Cases: bytes are written and read.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define MIB (1 << 20)

static int new_file(void)
{
        return must(open("file", O_RDWR | O_CREAT, 0644));
}

static void written_bytes_are_read_back(void)
{
        fd_fill(new_file(), 0, 3 * MIB + 123, 1);
        equal(stat_of("file").st_size, 3 * MIB + 123);
        fd_filled(must(open("file", O_RDONLY)), 0, 3 * MIB + 123, 1);
}

static void one_write_of_two_mib_is_whole(void)
{
        char *bytes = malloc(2 * MIB), *back = malloc(2 * MIB);
        int fd = new_file();

        holds(bytes && back);
        for (size_t i = 0; i < 2 * MIB; i++)
                bytes[i] = (char)(i % 251);
        equal(write(fd, bytes, 2 * MIB), 2 * MIB);
        equal(pread(fd, back, 2 * MIB, 0), 2 * MIB);
        equal(memcmp(bytes, back, 2 * MIB), 0);
}

static void odd_places_and_lengths_are_kept_apart(void)
{
        static const struct {
                off_t offset;
                size_t len;
        } parts[] = {{0, 4095}, {4095, 2}, {4097, 8191}, {12288, 1}, {12289, 65537}};
        int fd = new_file();

        for (size_t i = sizeof(parts) / sizeof(parts[0]); i-- > 0;)
                fd_fill(fd, parts[i].offset, parts[i].len, 7);
        fd_filled(fd, 0, 12289 + 65537, 7);
        equal(stat_fd(fd).st_size, 12289 + 65537);
}

static void middle_is_written_over(void)
{
        int fd = new_file();

        fd_fill(fd, 0, 100000, 1);
        fd_fill(fd, 33333, 11111, 2);
        fd_filled(fd, 0, 33333, 1);
        fd_filled(fd, 33333, 11111, 2);
        fd_filled(fd, 44444, 55556, 1);
}

static void many_small_writes_make_one_text(void)
{
        char line[16], back[16];
        int fd = new_file();

        for (int i = 0; i < 500; i++) {
                snprintf(line, sizeof(line), "%06d\n", i);
                equal(write(fd, line, 7), 7);
        }
        for (int i = 0; i < 500; i += 77) {
                snprintf(line, sizeof(line), "%06d\n", i);
                equal(pread(fd, back, 7, 7 * i), 7);
                equal(memcmp(line, back, 7), 0);
        }
        equal(stat_fd(fd).st_size, 3500);
}

static void writing_behind_the_end_leaves_zeros(void)
{
        int fd = new_file();

        fd_fill(fd, 0, 100, 1);
        fd_fill(fd, 50000, 100, 1);
        fd_filled(fd, 0, 100, 1);
        fd_zeros(fd, 100, 49900);
        fd_filled(fd, 50000, 100, 1);
        equal(stat_fd(fd).st_size, 50100);
}

static void bytes_lie_behind_five_gib(void)
{
        off_t far = (off_t)5 << 30;
        int fd = new_file();

        fd_fill(fd, far, 1000, 3);
        equal(stat_of("file").st_size, far + 1000);
        fd_filled(must(open("file", O_RDONLY)), far, 1000, 3);
        fd_zeros(fd, far - 1000, 1000);
}

static void append_goes_to_the_end(void)
{
        int fd;

        file_put("file", "one");
        fd = must(open("file", O_WRONLY | O_APPEND));
        must(lseek(fd, 0, SEEK_SET));
        equal(write(fd, "two", 3), 3);
        equal(lseek(fd, 0, SEEK_CUR), 6);
        file_has("file", "onetwo");
}

static void append_goes_behind_what_others_wrote(void)
{
        int a, b;

        file_put("file", "");
        a = must(open("file", O_WRONLY | O_APPEND));
        b = must(open("file", O_WRONLY));
        equal(write(a, "a", 1), 1);
        equal(pwrite(b, "bbb", 3, 1), 3);
        equal(write(a, "c", 1), 1);
        file_has("file", "abbbc");
}

static void appending_pwrite_goes_to_the_end_too(void)
{
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDWR | O_APPEND));
        equal(pwrite(fd, "more", 4, 0), 4); /* so on Linux: pwrite(2), BUGS */
        file_has("file", "textmore");
}

static void two_appending_processes_lose_nothing(void)
{
        char record[8], kind;
        int fd = new_file(), n[2] = {0, 0};
        pid_t pid;
        bool child = child_starts(&pid);
        int mine = must(open("file", O_WRONLY | O_APPEND));

        memset(record, child ? 'c' : 'p', sizeof(record));
        for (int i = 0; i < 100; i++)
                equal(write(mine, record, sizeof(record)), sizeof(record));
        if (child)
                _exit(0);
        child_ends_well(pid);
        equal(stat_of("file").st_size, 200 * sizeof(record));
        for (int i = 0; i < 200; i++) {
                equal(pread(fd, record, sizeof(record), i * (int)sizeof(record)), sizeof(record));
                kind = record[0];
                holds((kind == 'c' || kind == 'p') && record[7] == kind);
                n[kind == 'c']++;
        }
        equal(n[0], 100);
}

static void placed_reads_and_writes_keep_the_offset(void)
{
        char byte;
        int fd = new_file();

        equal(write(fd, "abc", 3), 3);
        equal(pwrite(fd, "X", 1, 0), 1);
        equal(pread(fd, &byte, 1, 0), 1);
        equal(byte, 'X');
        equal(lseek(fd, 0, SEEK_CUR), 3);
}

static void vectors_are_written_and_read_in_order(void)
{
        char a[3], b[5], c[2];
        struct iovec from[3] = {{"one", 3}, {"", 0}, {"seventh", 7}}, to[3] = {{a, 3}, {b, 5}, {c, 2}};
        int fd = new_file();

        equal(writev(fd, from, 3), 10);
        must(lseek(fd, 0, SEEK_SET));
        equal(readv(fd, to, 3), 10);
        holds(!memcmp(a, "one", 3) && !memcmp(b, "seven", 5) && !memcmp(c, "th", 2));
        equal(pwritev(fd, from, 3, 100), 10);
        equal(preadv(fd, to, 1, 100), 3);
        holds(!memcmp(a, "one", 3));
}

static void reads_end_where_the_file_ends(void)
{
        char bytes[16];
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        equal(read(fd, bytes, sizeof(bytes)), 4);
        equal(read(fd, bytes, sizeof(bytes)), 0);
        equal(pread(fd, bytes, sizeof(bytes), 2), 2);
        equal(pread(fd, bytes, sizeof(bytes), 4), 0);
        equal(pread(fd, bytes, sizeof(bytes), 1 << 30), 0);
}

static void writing_nothing_changes_nothing(void)
{
        struct stat st;
        int fd;

        file_put("file", "text");
        make_old("file");
        fd = must(open("file", O_RDWR));
        equal(pwrite(fd, "", 0, 1000), 0);
        st = stat_of("file");
        equal(st.st_size, 4);
        holds(mtime_is_old(&st));
}

static void seeking_counts_from_three_places(void)
{
        int fd;

        file_put("file", "0123456789");
        fd = must(open("file", O_RDONLY));
        equal(lseek(fd, 3, SEEK_SET), 3);
        equal(lseek(fd, 2, SEEK_CUR), 5);
        equal(lseek(fd, -1, SEEK_END), 9);
        equal(lseek(fd, 90, SEEK_END), 100);
        fails(lseek(fd, -1, SEEK_SET), EINVAL);
        fails(lseek(fd, 0, 99), EINVAL);
        equal(lseek(fd, 0, SEEK_CUR), 100);
}

static void folder_is_not_read_like_a_file(void)
{
        char byte;

        fails(read(must(open(".", O_RDONLY)), &byte, 1), EISDIR);
        fails(pwrite(must(open(".", O_RDONLY)), "x", 1, 0), EBADF);
}

static void synced_file_is_as_before(void)
{
        int fd = new_file();

        fd_fill(fd, 0, 70000, 1);
        must(fsync(fd));
        fd_fill(fd, 70000, 70000, 1);
        must(fdatasync(fd));
        must(sync_file_range(fd, 0, 140000, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
        fd_filled(fd, 0, 140000, 1);
}

static void everything_can_be_synced(void)
{
        int folder = must(open(".", O_RDONLY | O_DIRECTORY));

        file_put("file", "text");
        must(fsync(folder));
        must(fsync(must(open("file", O_RDONLY))));
        must(syncfs(folder));
        must(unlink("file"));
        must(fsync(folder));
}

static void removed_file_can_be_synced(void)
{
        int fd = new_file();

        must(unlink("file"));
        fd_fill(fd, 0, 9000, 1);
        must(fsync(fd));
        fd_filled(fd, 0, 9000, 1);
}

static void kernel_sends_from_file_to_file(void)
{
        int from = new_file(), to = must(open("copy", O_RDWR | O_CREAT, 0644));
        off_t offset = 100;

        fd_fill(from, 0, 200000, 4);
        for (ssize_t left = 100000, n; left > 0; left -= n) {
                n = must(sendfile(to, from, &offset, (size_t)left));
                holds(n > 0);
        }
        equal(offset, 100100);
        equal(stat_of("copy").st_size, 100000);
        must(lseek(to, 0, SEEK_SET));
        equal(must(lseek(from, 0, SEEK_CUR)), 0);
}

static void pipe_carries_from_file_to_file(void)
{
        int from = new_file(), to = must(open("copy", O_RDWR | O_CREAT, 0644)), ends[2];

        fd_fill(from, 0, 32768, 5);
        must(pipe2(ends, O_CLOEXEC));
        for (off_t done = 0; done < 32768;) {
                ssize_t n = must(splice(from, &done, ends[1], NULL, 32768, 0));

                holds(n > 0);
                for (ssize_t left = n, out; left > 0; left -= out)
                        out = must(splice(ends[0], NULL, to, NULL, (size_t)left, 0));
        }
        fd_filled(to, 0, 32768, 5);
}

static void size_limit_of_a_process_holds(void)
{
        struct rlimit limit = {10000, 10000};
        char bytes[4096] = "";
        int fd = new_file();

        signal(SIGXFSZ, SIG_IGN);
        must(setrlimit(RLIMIT_FSIZE, &limit));
        equal(pwrite(fd, bytes, 4096, 8000), 2000);
        fails(pwrite(fd, bytes, 1, 10000), EFBIG);
        fails(ftruncate(fd, 10001), EFBIG);
        equal(stat_fd(fd).st_size, 10000);
}

static void writer_and_reader_meet_without_delay(void)
{
        char byte;
        int turn[2], back[2];
        pid_t pid;

        file_put("file", "");
        turn_make(turn);
        turn_make(back);
        if (child_starts(&pid)) {
                int fd = must(open("file", O_WRONLY));

                for (char i = 0; i < 20; i++) {
                        turn_wait(turn);
                        equal(pwrite(fd, &i, 1, i), 1);
                        turn_give(back);
                }
                _exit(0);
        }
        for (char i = 0; i < 20; i++) {
                turn_give(turn);
                turn_wait(back);
                equal(pread(must(open("file", O_RDONLY)), &byte, 1, i), 1);
                equal(byte, i);
        }
        child_ends_well(pid);
}

static void advice_changes_no_byte(void)
{
        int fd = new_file();

        fd_fill(fd, 0, 100000, 1);
        equal(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
        equal(posix_fadvise(fd, 0, 100000, POSIX_FADV_WILLNEED), 0);
        equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        must(readahead(fd, 0, 100000));
        fd_filled(fd, 0, 100000, 1);
}

static void closing_says_that_all_is_well(void)
{
        int fd = new_file(), other = must(dup(fd));

        fd_fill(fd, 0, 5000, 1);
        must(close(fd));
        fails(close(fd), EBADF);
        fd_filled(other, 0, 5000, 1);
        must(close(other));
}

const struct file_case cases_data[] = {
    CASE(written_bytes_are_read_back),
    CASE(one_write_of_two_mib_is_whole),
    CASE(odd_places_and_lengths_are_kept_apart),
    CASE(middle_is_written_over),
    CASE(many_small_writes_make_one_text),
    CASE(writing_behind_the_end_leaves_zeros),
    CASE(bytes_lie_behind_five_gib),
    CASE(append_goes_to_the_end),
    CASE(append_goes_behind_what_others_wrote),
    CASE(appending_pwrite_goes_to_the_end_too),
    CASE(two_appending_processes_lose_nothing),
    CASE(placed_reads_and_writes_keep_the_offset),
    CASE(vectors_are_written_and_read_in_order),
    CASE(reads_end_where_the_file_ends),
    CASE(writing_nothing_changes_nothing),
    CASE(seeking_counts_from_three_places),
    CASE(folder_is_not_read_like_a_file),
    CASE(synced_file_is_as_before),
    CASE(everything_can_be_synced),
    CASE(removed_file_can_be_synced),
    CASE(kernel_sends_from_file_to_file),
    CASE(pipe_carries_from_file_to_file),
    CASE(size_limit_of_a_process_holds),
    CASE(writer_and_reader_meet_without_delay),
    CASE(advice_changes_no_byte),
    CASE(closing_says_that_all_is_well),
    {NULL, NULL},
};
