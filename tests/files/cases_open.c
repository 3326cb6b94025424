/* Cases: how files are opened and made.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/wait.h>

#define MANY_OPEN 200

static void open_of_nothing_says_enoent(void)
{
        fails(open("nothing", O_RDWR), ENOENT);
        fails(open("no/thing", O_RDWR | O_CREAT, 0644), ENOENT);
        fails(open("", O_RDONLY), ENOENT);
}

static void create_makes_an_empty_file(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT, 0640));
        struct stat st = stat_fd(fd);

        equal(st.st_size, 0);
        equal(st.st_mode, S_IFREG | 0640);
        equal(st.st_nlink, 1);
        equal(stat_of("file").st_ino, st.st_ino);
}

static void create_leaves_what_exists(void)
{
        file_put("file", "text");
        must(chmod("file", 0600));
        must(close(must(open("file", O_RDWR | O_CREAT, 0666))));
        file_has("file", "text");
        equal(stat_of("file").st_mode & 07777, 0600);
}

static void exclusive_create_refuses_what_exists(void)
{
        file_put("file", "text");
        must(mkdir("folder", 0755));
        fails(open("file", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
        fails(open("folder", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
        must(open("other", O_RDWR | O_CREAT | O_EXCL, 0644));
}

static void exclusive_create_refuses_a_dangling_link(void)
{
        must(symlink("target", "link"));
        fails(open("link", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
        holds(!is_there("target"));
}

static void create_through_a_dangling_link_makes_its_target(void)
{
        must(symlink("target", "link"));
        file_put("link", "text");
        file_has("target", "text");
        holds(S_ISLNK(stat_of("link").st_mode));
}

static void truncating_open_empties(void)
{
        int before;

        file_put("file", "text");
        before = must(open("file", O_RDONLY));
        must(open("file", O_WRONLY | O_TRUNC));
        equal(stat_of("file").st_size, 0);
        fd_has(before, 0, "");
}

static void truncating_open_keeps_the_inode(void)
{
        ino_t inode;

        file_put("file", "text");
        inode = stat_of("file").st_ino;
        must(open("file", O_WRONLY | O_TRUNC | O_CREAT, 0644));
        equal(stat_of("file").st_ino, inode);
}

static void reading_descriptor_refuses_writes(void)
{
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        fails(write(fd, "x", 1), EBADF);
        fails_so(ftruncate(fd, 0), EINVAL, EBADF);
        file_has("file", "text");
}

static void writing_descriptor_refuses_reads(void)
{
        char byte;

        file_put("file", "text");
        fails(read(must(open("file", O_WRONLY)), &byte, 1), EBADF);
}

static void folder_opened_for_writing_says_eisdir(void)
{
        must(mkdir("folder", 0755));
        fails(open("folder", O_WRONLY), EISDIR);
        fails(open("folder", O_RDWR), EISDIR);
        fails(open("folder", O_RDONLY | O_CREAT, 0644), EISDIR);
}

static void folder_flag_on_a_file_says_enotdir(void)
{
        file_put("file", "text");
        fails(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
        must(mkdir("folder", 0755));
        must(open("folder", O_RDONLY | O_DIRECTORY));
}

static void file_is_no_folder(void)
{
        file_put("file", "text");
        fails(open("file/x", O_RDONLY), ENOTDIR);
        fails(open("file/x", O_RDWR | O_CREAT, 0644), ENOTDIR);
        fails(open("file/", O_RDONLY), ENOTDIR);
        fails(open("file/.", O_RDONLY), ENOTDIR);
        fails(open("file/..", O_RDONLY), ENOTDIR);
        fails(open("new/", O_RDWR | O_CREAT, 0644), EISDIR);
}

static void nofollow_on_a_link_says_eloop(void)
{
        file_put("file", "text");
        must(symlink("file", "link"));
        fails(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
        must(open("file", O_RDONLY | O_NOFOLLOW));
}

static void path_descriptor_names_and_does_not_read(void)
{
        char byte;
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_PATH));
        fails(read(fd, &byte, 1), EBADF);
        equal(stat_fd(fd).st_ino, stat_of("file").st_ino);
        must(symlink("file", "link"));
        fd = must(open("link", O_PATH | O_NOFOLLOW));
        holds(S_ISLNK(stat_fd(fd).st_mode));
}

static void folder_descriptor_is_where_paths_begin(void)
{
        int folder;

        must(mkdir("a", 0755));
        folder = must(open("a", O_RDONLY | O_DIRECTORY));
        must(rename("a", "b"));
        must(openat(folder, "file", O_RDWR | O_CREAT, 0644));
        holds(is_there("b/file"));
        fails(openat(must(openat(folder, "file", O_RDONLY)), "x", O_RDONLY), ENOTDIR);
}

static void umask_takes_bits_away(void)
{
        umask(077);
        must(open("a", O_RDWR | O_CREAT, 0666));
        equal(stat_of("a").st_mode & 07777, 0600);
        umask(027);
        must(open("b", O_RDWR | O_CREAT, 0777));
        must(mkdir("c", 0777));
        equal(stat_of("b").st_mode & 07777, 0750);
        equal(stat_of("c").st_mode & 07777, 0750);
        umask(0);
        must(open("d", O_RDWR | O_CREAT, 0666));
        equal(stat_of("d").st_mode & 07777, 0666);
}

static void new_file_without_rights_is_still_written(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT | O_EXCL, 0));

        equal(write(fd, "text", 4), 4);
        fd_has(fd, 0, "text");
        equal(stat_of("file").st_mode & 07777, 0);
}

static void new_read_only_file_is_still_written(void)
{
        int fd = must(open("file", O_WRONLY | O_CREAT | O_EXCL, 0444));

        equal(write(fd, "text", 4), 4);
        must(close(fd));
        file_has("file", "text");
}

static void file_without_a_name_gets_one(void)
{
        char path[64];
        int fd = must(open(".", O_TMPFILE | O_RDWR, 0644));

        equal(stat_fd(fd).st_nlink, 0);
        equal(write(fd, "text", 4), 4);
        equal(entries_of("."), 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        must(linkat(AT_FDCWD, path, AT_FDCWD, "file", AT_SYMLINK_FOLLOW));
        file_has("file", "text");
}

static void direct_descriptor_reads_what_it_wrote(void)
{
        size_t len = 64 << 10;
        char *bytes = aligned_alloc(4096, len), *back = aligned_alloc(4096, len);
        int fd = must(open("file", O_RDWR | O_CREAT | O_DIRECT, 0644));

        holds(bytes && back);
        memset(bytes, 'd', len);
        equal(pwrite(fd, bytes, len, 4096), len);
        equal(pread(fd, back, len, 4096), len);
        equal(memcmp(bytes, back, len), 0);
        fd_zeros(must(open("file", O_RDONLY)), 0, 4096);
}

static void direct_and_plain_descriptors_see_each_other(void)
{
        char *bytes = aligned_alloc(4096, 4096);
        int plain = must(open("file", O_RDWR | O_CREAT, 0644)), direct;

        holds(bytes);
        fd_fill(plain, 0, 16384, 1);
        direct = must(open("file", O_RDWR | O_DIRECT));
        fd_filled(direct, 0, 16384, 1);
        memset(bytes, 'd', 4096);
        equal(pwrite(direct, bytes, 4096, 8192), 4096);
        memset(bytes, 0, 4096);
        equal(pread(plain, bytes, 4096, 8192), 4096);
        holds(bytes[0] == 'd' && bytes[4095] == 'd');
}

static void synchronous_descriptor_writes(void)
{
        int fd = must(open("file", O_RDWR | O_CREAT | O_SYNC, 0644));

        equal(write(fd, "text", 4), 4);
        file_has("file", "text");
        equal(write(must(open("file", O_WRONLY | O_DSYNC | O_APPEND)), "more", 4), 4);
        file_has("file", "textmore");
}

static void two_opens_have_two_offsets(void)
{
        char byte;
        int a, b;

        file_put("file", "ab");
        a = must(open("file", O_RDONLY));
        b = must(open("file", O_RDONLY));
        equal(read(a, &byte, 1), 1);
        equal(read(b, &byte, 1), 1);
        equal(byte, 'a');
}

static void copied_descriptors_share_an_offset(void)
{
        char byte;
        pid_t pid;
        int a, b;

        file_put("file", "abc");
        a = must(open("file", O_RDONLY));
        b = must(dup(a));
        equal(read(a, &byte, 1), 1);
        if (child_starts(&pid)) {
                equal(read(a, &byte, 1), 1);
                _exit(0);
        }
        child_ends_well(pid);
        equal(read(b, &byte, 1), 1);
        equal(byte, 'c');
}

static void two_hundred_files_are_open_at_once(void)
{
        int fds[MANY_OPEN];
        char name[16];

        for (int i = 0; i < MANY_OPEN; i++) {
                snprintf(name, sizeof(name), "f%d", i);
                fds[i] = must(open(name, O_RDWR | O_CREAT, 0644));
                equal(pwrite(fds[i], name, strlen(name), 0), strlen(name));
        }
        for (int i = 0; i < MANY_OPEN; i++) {
                snprintf(name, sizeof(name), "f%d", i);
                fd_has(fds[i], 0, name);
        }
}

static void removed_file_opens_by_its_descriptor(void)
{
        char path[64];
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        must(unlink("file"));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        fd_has(must(open(path, O_RDWR)), 0, "text");
}

static void moved_file_opens_by_its_path_descriptor(void)
{
        char path[64];
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_PATH));
        must(mkdir("folder", 0755));
        must(rename("file", "folder/other"));
        file_put("file", "another");
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        file_has(path, "text");
}

static void nothing_is_made_in_a_removed_folder(void)
{
        int folder;

        must(mkdir("folder", 0755));
        folder = must(open("folder", O_RDONLY | O_DIRECTORY));
        must(rmdir("folder"));
        fails(openat(folder, "file", O_RDWR | O_CREAT, 0644), ENOENT);
        fails(mkdirat(folder, "x", 0755), ENOENT);
        fails(symlinkat("x", folder, "link"), ENOENT);
        fails(openat(folder, "..", O_RDONLY | O_CREAT, 0644), EISDIR);
}

static void program_copy(const char *path)
{
        char bytes[65536];
        int from = must(open("/proc/self/exe", O_RDONLY)), to = must(open(path, O_WRONLY | O_CREAT, 0755));

        for (ssize_t n; (n = must(read(from, bytes, sizeof(bytes)))) > 0;)
                equal(write(to, bytes, (size_t)n), n);
        must(close(to));
}

static void program_runs_from_here(void)
{
        pid_t pid;

        program_copy("program");
        if (child_starts(&pid)) {
                must(dup2(must(open("said", O_WRONLY | O_CREAT, 0644)), STDOUT_FILENO));
                must(execl("./program", "program", "list", NULL));
        }
        child_ends_well(pid);
        holds(stat_of("said").st_size > 100);
}

static void running_program_refuses_writers(void)
{
        int until_exec[2], until_end[2];
        char byte;
        pid_t pid;

        program_copy("program");
        turn_make(until_exec);
        turn_make(until_end);
        if (child_starts(&pid)) {
                /* Reads its standard input to the end: it runs for as long as we hold the pipe. */
                must(dup2(until_end[0], STDIN_FILENO));
                must(execl("./program", "program", "wait", NULL));
        }
        must(close(until_exec[1]));
        equal(read(until_exec[0], &byte, 1), 0); /* its end is closed by exec */
        fails(open("program", O_WRONLY), ETXTBSY);
        fails(truncate("program", 0), ETXTBSY);
        must(close(until_end[1]));
        child_ends_well(pid);
        must(open("program", O_WRONLY));
}

static void descriptor_tells_how_it_was_opened(void)
{
        file_put("file", "text");
        equal(fcntl(must(open("file", O_RDONLY)), F_GETFL) & O_ACCMODE, O_RDONLY);
        equal(fcntl(must(open("file", O_RDWR | O_APPEND)), F_GETFL) & (O_ACCMODE | O_APPEND),
              O_RDWR | O_APPEND);
}

static void append_can_be_switched_on_later(void)
{
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDWR));
        must(fcntl(fd, F_SETFL, O_APPEND));
        equal(write(fd, "more", 4), 4);
        file_has("file", "textmore");
}

const struct file_case cases_open[] = {
    CASE(open_of_nothing_says_enoent),
    CASE(create_makes_an_empty_file),
    CASE(create_leaves_what_exists),
    CASE(exclusive_create_refuses_what_exists),
    CASE(exclusive_create_refuses_a_dangling_link),
    CASE(create_through_a_dangling_link_makes_its_target),
    CASE(truncating_open_empties),
    CASE(truncating_open_keeps_the_inode),
    CASE(reading_descriptor_refuses_writes),
    CASE(writing_descriptor_refuses_reads),
    CASE(folder_opened_for_writing_says_eisdir),
    CASE(folder_flag_on_a_file_says_enotdir),
    CASE(file_is_no_folder),
    CASE(nofollow_on_a_link_says_eloop),
    CASE(path_descriptor_names_and_does_not_read),
    CASE(folder_descriptor_is_where_paths_begin),
    CASE(umask_takes_bits_away),
    CASE(new_file_without_rights_is_still_written),
    CASE(new_read_only_file_is_still_written),
    CASE(file_without_a_name_gets_one),
    CASE(direct_descriptor_reads_what_it_wrote),
    CASE(direct_and_plain_descriptors_see_each_other),
    CASE(synchronous_descriptor_writes),
    CASE(two_opens_have_two_offsets),
    CASE(copied_descriptors_share_an_offset),
    CASE(two_hundred_files_are_open_at_once),
    CASE(removed_file_opens_by_its_descriptor),
    CASE(moved_file_opens_by_its_path_descriptor),
    CASE(nothing_is_made_in_a_removed_folder),
    CASE(program_runs_from_here),
    CASE(running_program_refuses_writers),
    CASE(descriptor_tells_how_it_was_opened),
    CASE(append_can_be_switched_on_later),
    {NULL, NULL},
};
