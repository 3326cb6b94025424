/* Cases: modes, owners and who may do what. Who serves the files may show them all as one owner's: a case whose name
 * begins with "owner_" is about more than one.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <sys/fsuid.h>

static unsigned mode_of(const char *path)
{
        return stat_of(path).st_mode & 07777;
}

static void nine_bits_are_kept(void)
{
        file_put("file", "text");
        must(mkdir("folder", 0755));
        for (unsigned bits = 0; bits < 01000; bits += 7) {
                must(chmod("file", bits));
                equal(mode_of("file"), bits);
        }
        for (unsigned bits = 0700; bits < 01000; bits += 9) {
                must(chmod("folder", bits));
                equal(mode_of("folder"), bits);
        }
}

static void mode_is_changed_by_descriptor(void)
{
        int fd;

        file_put("file", "text");
        fd = must(open("file", O_RDONLY));
        must(fchmod(fd, 0612));
        equal(mode_of("file"), 0612);
        must(mkdir("folder", 0755));
        must(fchmod(must(open("folder", O_RDONLY)), 0711));
        equal(mode_of("folder"), 0711);
        must(fchmodat(AT_FDCWD, "file", 0600, 0));
        equal(mode_of("file"), 0600);
}

static void sticky_bit_is_kept(void)
{
        must(mkdir("folder", 0755));
        must(chmod("folder", 01777));
        equal(mode_of("folder"), 01777);
}

static void group_bit_of_a_folder_is_kept(void)
{
        must(mkdir("folder", 0755));
        must(chmod("folder", 02755));
        equal(mode_of("folder"), 02755);
        must(mkdir("folder/sub", 0755));
        equal(mode_of("folder/sub"), 02755);
        file_put("folder/file", "text");
        equal(mode_of("folder/file"), 0644);
}

static void user_bit_is_kept(void)
{
        need_root();
        file_put("file", "text");
        must(chmod("file", 04755));
        equal(mode_of("file"), 04755);
        must(chmod("file", 06711));
        equal(mode_of("file"), 06711);
}

static void user_bit_falls_when_another_writes(void)
{
        pid_t pid;

        need_root();
        file_put("file", "text");
        must(chmod("file", 06777));
        if (child_starts(&pid)) {
                become_other();
                equal(pwrite(must(open("file", O_WRONLY)), "x", 1, 0), 1);
                _exit(0);
        }
        child_ends_well(pid);
        equal(mode_of("file"), 0777);
}

static void user_bit_falls_when_another_truncates(void)
{
        pid_t pid;

        need_root();
        file_put("file", "text");
        must(chmod("file", 06777));
        if (child_starts(&pid)) {
                become_other();
                must(truncate("file", 1));
                _exit(0);
        }
        child_ends_well(pid);
        equal(mode_of("file"), 0777);
        equal(stat_of("file").st_size, 1);
}

static void access_tells_what_root_may(void)
{
        need_root();
        file_put("file", "text");
        must(chmod("file", 0));
        must(access("file", R_OK | W_OK));
        fails(access("file", X_OK), EACCES);
        must(chmod("file", 0001));
        must(access("file", X_OK));
        fails(access("nothing", F_OK), ENOENT);
        must(access(".", R_OK | W_OK | X_OK));
}

static void access_tells_what_another_may(void)
{
        file_put("file", "text");
        must(chmod("file", 0604));
        become_other();
        must(access("file", F_OK));
        must(access("file", R_OK));
        fails(access("file", W_OK), EACCES);
        fails(access("file", R_OK | X_OK), EACCES);
        must(faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
}

static void another_reads_what_is_open_to_all(void)
{
        file_put("file", "text");
        file_put("secret", "text");
        must(chmod("secret", 0600));
        become_other();
        file_has("file", "text");
        fails(open("secret", O_RDONLY), EACCES);
        fails(open("file", O_WRONLY), EACCES);
        fails(truncate("file", 0), EACCES);
}

static void another_writes_what_is_open_to_all(void)
{
        file_put("file", "text");
        must(chmod("file", 0666));
        become_other();
        equal(write(must(open("file", O_WRONLY | O_APPEND)), "more", 4), 4);
        file_has("file", "textmore");
}

static void another_makes_nothing_here(void)
{
        file_put("file", "text");
        must(chmod("file", 0666));
        become_other();
        fails(open("new", O_RDWR | O_CREAT, 0644), EACCES);
        fails(mkdir("new", 0755), EACCES);
        fails(unlink("file"), EACCES);
        fails(rename("file", "new"), EACCES);
        fails(symlink("x", "new"), EACCES);
        fails_so(link("file", "new"), EACCES, EPERM);
        fails(mkfifo("new", 0644), EACCES);
}

static void closed_folder_lets_nobody_through(void)
{
        must(mkdir("a", 0755));
        file_put("a/file", "text");
        must(chmod("a", 0700));
        become_other();
        fails(open("a/file", O_RDONLY), EACCES);
        fails(open("a", O_RDONLY), EACCES);
        fails(chdir("a"), EACCES);
        fails(access("a/file", F_OK), EACCES);
        fails(open("a/nothing", O_RDONLY), EACCES);
}

static void search_right_leads_through_and_lists_nothing(void)
{
        must(mkdir("a", 0755));
        file_put("a/file", "text");
        must(chmod("a", 0711));
        become_other();
        file_has("a/file", "text");
        fails(open("a", O_RDONLY | O_DIRECTORY), EACCES);
}

static void open_descriptor_outlives_a_change_of_mode(void)
{
        pid_t pid;
        int turn[2], back[2];

        need_root();
        file_put("file", "text");
        turn_make(turn);
        turn_make(back);
        if (child_starts(&pid)) {
                int fd;

                become_other();
                fd = must(open("file", O_RDONLY));
                turn_give(back);
                turn_wait(turn);
                fd_has(fd, 0, "text");
                fails(open("file", O_RDONLY), EACCES);
                _exit(0);
        }
        must(close(back[1]));
        turn_wait(back);
        must(chmod("file", 0));
        turn_give(turn);
        child_ends_well(pid);
}

static void mode_and_owner_are_not_anothers_to_change(void)
{
        file_put("file", "text");
        must(chmod("file", 0666));
        become_other();
        fails(chmod("file", 0777), EPERM);
        fails(chown("file", OTHER_ID, (gid_t)-1), EPERM);
        fails(fchmod(must(open("file", O_RDWR)), 0777), EPERM);
}

static void program_without_its_bit_does_not_run(void)
{
        file_put("script", "#!/bin/sh\n");
        must(chmod("script", 0644));
        fails(execl("./script", "script", NULL), EACCES);
}

static void chown_to_whom_it_belongs_is_done(void)
{
        struct stat st;

        file_put("file", "text");
        st = stat_of("file");
        must(chown("file", st.st_uid, st.st_gid));
        must(chown("file", (uid_t)-1, (gid_t)-1));
        must(lchown("file", st.st_uid, (gid_t)-1));
        equal(stat_of("file").st_uid, st.st_uid);
}

static void what_root_makes_is_roots(void)
{
        need_root();
        file_put("file", "text");
        must(mkdir("folder", 0755));
        must(symlink("x", "link"));
        equal(stat_of("file").st_uid, 0);
        equal(stat_of("folder").st_gid, 0);
        equal(stat_of("link").st_uid, 0);
}

static void owner_is_changed(void)
{
        need_root();
        file_put("file", "text");
        must(chown("file", OTHER_ID, OTHER_ID + 1));
        equal(stat_of("file").st_uid, OTHER_ID);
        equal(stat_of("file").st_gid, OTHER_ID + 1);
        must(chown("file", (uid_t)-1, 5));
        equal(stat_of("file").st_uid, OTHER_ID);
        equal(stat_of("file").st_gid, 5);
}

static void owner_of_a_symlink_is_changed(void)
{
        need_root();
        file_put("file", "text");
        must(symlink("file", "link"));
        must(lchown("link", OTHER_ID, OTHER_ID));
        equal(stat_of("link").st_uid, OTHER_ID);
        equal(stat_of("file").st_uid, 0);
}

static void owner_change_takes_the_user_bit(void)
{
        need_root();
        file_put("file", "text");
        must(chmod("file", 06755));
        must(chown("file", OTHER_ID, OTHER_ID));
        equal(mode_of("file"), 0755);
}

static void owner_of_a_new_file_is_its_maker(void)
{
        must(chmod(".", 0777));
        become_other();
        file_put("file", "text");
        must(mkdir("folder", 0755));
        equal(stat_of("file").st_uid, OTHER_ID);
        equal(stat_of("file").st_gid, OTHER_ID);
        equal(stat_of("folder").st_uid, OTHER_ID);
        must(chmod("file", 0600));
        file_has("file", "text");
}

static void owner_of_a_new_file_may_set_its_times(void)
{
        struct timespec times[2] = {{1, 0}, {2, 0}};

        must(chmod(".", 0777));
        become_other();
        file_put("file", "text");
        must(utimensat(AT_FDCWD, "file", times, 0));
        equal(stat_of("file").st_mtim.tv_sec, 2);
}

static void owner_alone_takes_from_a_sticky_folder(void)
{
        pid_t pid;

        need_root();
        must(mkdir("folder", 0755));
        must(chmod("folder", 01777));
        file_put("folder/roots", "text");
        if (child_starts(&pid)) {
                become_other();
                file_put("folder/others", "text");
                fails(unlink("folder/roots"), EPERM);
                must(unlink("folder/others"));
                _exit(0);
        }
        child_ends_well(pid);
        equal(entries_of("folder"), 1);
}

static void sticky_folder_keeps_what_is_roots(void)
{
        must(chmod(".", 01777));
        file_put("file", "text");
        must(chmod("file", 0666));
        become_other();
        fails(unlink("file"), EPERM);
        fails(rename("file", "other"), EPERM);
}

static void owner_group_comes_from_a_group_folder(void)
{
        need_root();
        must(mkdir("folder", 0755));
        must(chown("folder", 0, OTHER_ID));
        must(chmod("folder", 02777));
        file_put("folder/file", "text");
        equal(stat_of("folder/file").st_gid, OTHER_ID);
}

static void owner_of_a_closed_file_reads_it(void)
{
        need_root();
        file_put("file", "text");
        must(chown("file", OTHER_ID, OTHER_ID));
        must(chmod("file", 0400));
        become_other();
        file_has("file", "text");
        fails(open("file", O_WRONLY), EACCES);
}

static void owner_of_nothing_is_root_who_reads_all(void)
{
        need_root();
        file_put("file", "text");
        must(chmod("file", 0));
        file_has("file", "text");
        must(mkdir("folder", 0755));
        file_put("folder/file", "text");
        must(chmod("folder", 0));
        file_has("folder/file", "text");
}

static void file_system_user_decides(void)
{
        need_root();
        file_put("file", "text");
        must(chmod("file", 0600));
        (void)setfsuid(OTHER_ID);
        (void)setfsgid(OTHER_ID);
        fails(open("file", O_RDONLY), EACCES);
        (void)setfsuid(0);
        must(open("file", O_RDONLY));
}

const struct file_case cases_rights[] = {
    CASE(nine_bits_are_kept),
    CASE(mode_is_changed_by_descriptor),
    CASE(sticky_bit_is_kept),
    CASE(group_bit_of_a_folder_is_kept),
    CASE(user_bit_is_kept),
    CASE(user_bit_falls_when_another_writes),
    CASE(user_bit_falls_when_another_truncates),
    CASE(access_tells_what_root_may),
    CASE(access_tells_what_another_may),
    CASE(another_reads_what_is_open_to_all),
    CASE(another_writes_what_is_open_to_all),
    CASE(another_makes_nothing_here),
    CASE(closed_folder_lets_nobody_through),
    CASE(search_right_leads_through_and_lists_nothing),
    CASE(open_descriptor_outlives_a_change_of_mode),
    CASE(mode_and_owner_are_not_anothers_to_change),
    CASE(program_without_its_bit_does_not_run),
    CASE(chown_to_whom_it_belongs_is_done),
    CASE(what_root_makes_is_roots),
    CASE(owner_is_changed),
    CASE(owner_of_a_symlink_is_changed),
    CASE(owner_change_takes_the_user_bit),
    CASE(owner_of_a_new_file_is_its_maker),
    CASE(owner_of_a_new_file_may_set_its_times),
    CASE(owner_alone_takes_from_a_sticky_folder),
    CASE(sticky_folder_keeps_what_is_roots),
    CASE(owner_group_comes_from_a_group_folder),
    CASE(owner_of_a_closed_file_reads_it),
    CASE(owner_of_nothing_is_root_who_reads_all),
    CASE(file_system_user_decides),
    {NULL, NULL},
};
