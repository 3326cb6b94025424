/* Cases: locks of files and of ranges.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/file.h>

static int open_file(void)
{
        return must(open("file", O_RDWR | O_CREAT, 0644));
}

static int range(int fd, int command, int type, off_t start, off_t len)
{
        struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

        return fcntl(fd, command, &lock);
}

static int range_set(int fd, int type, off_t start, off_t len)
{
        return range(fd, F_SETLK, type, start, len);
}

static int owned_set(int fd, int type, off_t start, off_t len)
{
        return range(fd, F_OFD_SETLK, type, start, len);
}

static void whole_lock_keeps_others_out(void)
{
        int a = open_file(), b = open_file();

        must(flock(a, LOCK_EX));
        fails(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        fails(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
        must(flock(a, LOCK_UN));
        must(flock(b, LOCK_EX | LOCK_NB));
}

static void shared_locks_are_held_together(void)
{
        int a = open_file(), b = open_file();

        must(flock(a, LOCK_SH));
        must(flock(b, LOCK_SH | LOCK_NB));
        fails(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        must(close(a));
        must(flock(b, LOCK_EX | LOCK_NB));
}

static void whole_lock_goes_with_its_last_descriptor(void)
{
        int a = open_file(), copy = must(dup(a)), b = open_file();

        must(flock(a, LOCK_EX));
        must(close(a));
        fails(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        must(close(copy));
        must(flock(b, LOCK_EX | LOCK_NB));
}

static void whole_lock_is_waited_for(void)
{
        int turn[2], fd = open_file();
        pid_t pid;

        turn_make(turn);
        must(flock(fd, LOCK_EX));
        if (child_starts(&pid)) {
                int mine = open_file();

                fails(flock(mine, LOCK_EX | LOCK_NB), EWOULDBLOCK);
                turn_give(turn);
                must(flock(mine, LOCK_EX));
                fd_has(mine, 0, "done");
                _exit(0);
        }
        turn_wait(turn);
        equal(write(fd, "done", 4), 4);
        must(flock(fd, LOCK_UN));
        must(close(fd));
        child_ends_well(pid);
}

static void ranges_are_locked_apart(void)
{
        int fd = open_file();
        pid_t pid;

        must(range_set(fd, F_WRLCK, 0, 100));
        if (child_starts(&pid)) {
                int mine = open_file();

                fails_so(range_set(mine, F_WRLCK, 50, 100), EAGAIN, EACCES);
                fails_so(range_set(mine, F_RDLCK, 99, 1), EAGAIN, EACCES);
                must(range_set(mine, F_WRLCK, 100, 100));
                _exit(0);
        }
        child_ends_well(pid);
}

static void reading_locks_of_ranges_are_shared(void)
{
        int fd = open_file();
        pid_t pid;

        must(range_set(fd, F_RDLCK, 0, 0));
        if (child_starts(&pid)) {
                int mine = open_file();

                must(range_set(mine, F_RDLCK, 0, 0));
                fails_so(range_set(mine, F_WRLCK, 1 << 20, 1), EAGAIN, EACCES);
                _exit(0);
        }
        child_ends_well(pid);
}

static void holder_of_a_range_is_told(void)
{
        int fd = open_file();
        pid_t pid;

        must(range_set(fd, F_WRLCK, 10, 20));
        if (child_starts(&pid)) {
                struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};

                must(fcntl(open_file(), F_GETLK, &lock));
                equal(lock.l_type, F_WRLCK);
                equal(lock.l_pid, getppid());
                equal(lock.l_start, 10);
                equal(lock.l_len, 20);
                _exit(0);
        }
        child_ends_well(pid);
}

static void middle_of_a_range_is_let_go(void)
{
        int fd = open_file();
        pid_t pid;

        must(range_set(fd, F_WRLCK, 0, 300));
        must(range_set(fd, F_UNLCK, 100, 100));
        if (child_starts(&pid)) {
                int mine = open_file();

                fails_so(range_set(mine, F_WRLCK, 99, 1), EAGAIN, EACCES);
                must(range_set(mine, F_WRLCK, 100, 100));
                fails_so(range_set(mine, F_WRLCK, 200, 1), EAGAIN, EACCES);
                _exit(0);
        }
        child_ends_well(pid);
}

static void ranges_go_with_any_descriptor_of_their_process(void)
{
        int fd = open_file();
        pid_t pid;

        must(range_set(fd, F_WRLCK, 0, 0));
        must(close(open_file()));
        if (child_starts(&pid)) {
                must(range_set(open_file(), F_WRLCK, 0, 0));
                _exit(0);
        }
        child_ends_well(pid);
}

static void ranges_go_with_their_process(void)
{
        pid_t pid;

        if (child_starts(&pid)) {
                must(range_set(open_file(), F_WRLCK, 0, 0));
                _exit(0);
        }
        child_ends_well(pid);
        must(range_set(open_file(), F_WRLCK, 0, 0));
}

static void descriptors_own_ranges(void)
{
        int a = open_file(), b = open_file(), copy = must(dup(a));

        must(owned_set(a, F_WRLCK, 0, 100));
        fails_so(owned_set(b, F_WRLCK, 0, 100), EAGAIN, EACCES);
        must(owned_set(copy, F_WRLCK, 0, 100));
        must(close(open_file()));
        fails_so(owned_set(b, F_RDLCK, 50, 1), EAGAIN, EACCES);
        must(owned_set(b, F_WRLCK, 100, 100));
        must(close(a));
        must(close(copy));
        must(owned_set(b, F_WRLCK, 0, 100));
}

static void lock_wants_the_right_descriptor(void)
{
        open_file();
        fails(range_set(must(open("file", O_RDONLY)), F_WRLCK, 0, 1), EBADF);
        fails(range_set(must(open("file", O_WRONLY)), F_RDLCK, 0, 1), EBADF);
        fails(range_set(open_file(), F_WRLCK, -5, 1), EINVAL);
}

static void range_is_waited_for(void)
{
        int turn[2], fd = open_file();
        pid_t pid;

        turn_make(turn);
        must(range_set(fd, F_WRLCK, 0, 10));
        if (child_starts(&pid)) {
                int mine = open_file();

                turn_give(turn);
                must(range(mine, F_SETLKW, F_WRLCK, 5, 10));
                fd_has(mine, 0, "done");
                _exit(0);
        }
        turn_wait(turn);
        equal(write(fd, "done", 4), 4);
        must(range_set(fd, F_UNLCK, 0, 10));
        child_ends_well(pid);
}

const struct file_case cases_locks[] = {
    CASE(whole_lock_keeps_others_out),
    CASE(shared_locks_are_held_together),
    CASE(whole_lock_goes_with_its_last_descriptor),
    CASE(whole_lock_is_waited_for),
    CASE(ranges_are_locked_apart),
    CASE(reading_locks_of_ranges_are_shared),
    CASE(holder_of_a_range_is_told),
    CASE(middle_of_a_range_is_let_go),
    CASE(ranges_go_with_any_descriptor_of_their_process),
    CASE(ranges_go_with_their_process),
    CASE(descriptors_own_ranges),
    CASE(lock_wants_the_right_descriptor),
    CASE(range_is_waited_for),
    {NULL, NULL},
};
