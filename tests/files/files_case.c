/* How a case says what it has seen, and the steps that many cases have. A case fails at the first thing that is not
 * so: its sentence goes to the parent by a pipe, and its process ends.
 * Owns: the pipe's end in a case's process. Called by: the cases; files_run.c, which has made the process.
 * TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include "tests/files/files_run.h"
#include <dirent.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/wait.h>

#define CHUNK    65536u
#define OLD_TIME 1000000000 /* 2001 */

static int say_fd = STDERR_FILENO;

void case_says_to(int fd)
{
        say_fd = fd;
}

static _Noreturn void say_and_end(const char *text, size_t len, int status)
{
        if (write(say_fd, text, len) < 0)
                status = CASE_LOST;
        _exit(status);
}

_Noreturn void case_fail(const char *format, ...)
{
        char text[CASE_WORDS];
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        say_and_end(text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, CASE_NO);
}

_Noreturn void case_skip(const char *why)
{
        say_and_end(why, strlen(why), CASE_SKIPPED);
}

static void write_whole(int fd, const uint8_t *bytes, size_t len, off_t offset)
{
        while (len > 0) {
                ssize_t n = must(pwrite(fd, bytes, len, offset));

                holds(n > 0);
                bytes += n, len -= (size_t)n, offset += n;
        }
}

/* What is there of len bytes: fewer at the end of the file. */
static size_t read_whole(int fd, uint8_t *bytes, size_t len, off_t offset)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = must(pread(fd, bytes + done, len - done, offset + (off_t)done));

                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return done;
}

void file_put(const char *path, const char *text)
{
        int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

        write_whole(fd, (const uint8_t *)text, strlen(text), 0);
        must(close(fd));
}

void fd_has(int fd, off_t offset, const char *text)
{
        char seen[CASE_WORDS / 4];
        size_t n = read_whole(fd, (uint8_t *)seen, sizeof(seen) - 1, offset);

        seen[n] = 0;
        if (n != strlen(text) || memcmp(seen, text, n) != 0)
                case_fail("the file has \"%s\" (%zu bytes), not \"%s\"", seen, n, text);
}

void file_has(const char *path, const char *text)
{
        int fd = must(open(path, O_RDONLY | O_CLOEXEC));

        fd_has(fd, 0, text);
        must(close(fd));
}

static uint8_t byte_at(off_t offset, unsigned seed)
{
        uint64_t x = (uint64_t)offset / 8 * 0x9e3779b97f4a7c15u + seed;

        x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
        return (uint8_t)(x >> (8 * ((uint64_t)offset % 8)));
}

void fd_fill(int fd, off_t offset, size_t len, unsigned seed)
{
        uint8_t chunk[CHUNK];

        for (size_t done = 0; done < len;) {
                size_t n = len - done < CHUNK ? len - done : CHUNK;

                for (size_t i = 0; i < n; i++)
                        chunk[i] = byte_at(offset + (off_t)(done + i), seed);
                write_whole(fd, chunk, n, offset + (off_t)done);
                done += n;
        }
}

static void fd_judge(int fd, off_t offset, size_t len, bool zeros, unsigned seed)
{
        _Alignas(4096) uint8_t chunk[CHUNK]; /* the descriptor may be a direct one */

        for (size_t done = 0; done < len;) {
                size_t n = len - done < CHUNK ? len - done : CHUNK;
                size_t got = read_whole(fd, chunk, n, offset + (off_t)done);

                for (size_t i = 0; i < got; i++) {
                        off_t at = offset + (off_t)(done + i);
                        uint8_t wanted = zeros ? 0 : byte_at(at, seed);

                        if (chunk[i] != wanted)
                                case_fail("byte %lld is %02x, not %02x", (long long)at, chunk[i], wanted);
                }
                if (got < n)
                        case_fail("the file ends at %lld", (long long)(offset + (off_t)(done + got)));
                done += n;
        }
}

void fd_filled(int fd, off_t offset, size_t len, unsigned seed)
{
        fd_judge(fd, offset, len, false, seed);
}

void fd_zeros(int fd, off_t offset, size_t len)
{
        fd_judge(fd, offset, len, true, 0);
}

struct stat stat_of(const char *path)
{
        struct stat st;

        if (lstat(path, &st) < 0)
                case_fail("lstat(\"%.60s\"): %s", path, strerrorname_np(errno));
        return st;
}

struct stat stat_fd(int fd)
{
        struct stat st;

        must(fstat(fd, &st));
        return st;
}

bool is_there(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

int64_t nanoseconds(struct timespec time)
{
        return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void make_old(const char *path)
{
        struct timespec times[2] = {{OLD_TIME, 0}, {OLD_TIME, 0}};

        must(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

bool mtime_is_old(const struct stat *st)
{
        return st->st_mtim.tv_sec == OLD_TIME;
}

unsigned entries_of(const char *path)
{
        DIR *folder = opendir(path);
        unsigned n = 0;

        if (!folder)
                case_fail("opendir(\"%.60s\"): %s", path, strerrorname_np(errno));
        for (struct dirent *entry; (entry = readdir(folder));)
                n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        closedir(folder);
        return n;
}

bool child_starts(pid_t *ret_pid)
{
        *ret_pid = must(fork());
        return *ret_pid == 0;
}

void child_ends_well(pid_t pid)
{
        int status;

        must(waitpid(pid, &status, 0));
        if (WIFSIGNALED(status))
                case_fail("the other process was killed by signal %d", WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
                _exit(WEXITSTATUS(status)); /* it has said what was wrong */
}

void need_root(void)
{
        if (geteuid() != 0)
                case_skip("needs root");
}

void become_other(void)
{
        need_root();
        must(setgroups(0, NULL));
        must(setresgid(OTHER_ID, OTHER_ID, OTHER_ID));
        must(setresuid(OTHER_ID, OTHER_ID, OTHER_ID));
}

void turn_make(int pipes[2])
{
        must(pipe2(pipes, O_CLOEXEC));
}

void turn_give(const int pipes[2])
{
        equal(write(pipes[1], "t", 1), 1);
}

void turn_wait(const int pipes[2])
{
        char byte;

        equal(read(pipes[0], &byte, 1), 1);
}
