/* Cases: renaming.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <limits.h>

static int rename2(const char *from, const char *to, unsigned flags)
{
        return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void rename_moves(void)
{
        file_put("a", "text");
        must(rename("a", "b"));
        holds(!is_there("a"));
        file_has("b", "text");
        equal(entries_of("."), 1);
}

static void rename_replaces_a_file(void)
{
        ino_t inode;

        file_put("a", "new");
        file_put("b", "old");
        inode = stat_of("a").st_ino;
        must(rename("a", "b"));
        file_has("b", "new");
        equal(stat_of("b").st_ino, inode);
        fails(open("a", O_RDONLY), ENOENT);
}

static void replaced_open_file_lives_on(void)
{
        int fd;

        file_put("a", "new");
        file_put("b", "old");
        fd = must(open("b", O_RDWR));
        must(rename("a", "b"));
        fd_has(fd, 0, "old");
        equal(stat_fd(fd).st_nlink, 0);
        equal(pwrite(fd, "OLD", 3, 0), 3);
        file_has("b", "new");
}

static void renamed_open_file_follows(void)
{
        int fd;

        file_put("a", "text");
        fd = must(open("a", O_RDWR));
        must(rename("a", "b"));
        equal(pwrite(fd, "TEXT", 4, 0), 4);
        file_has("b", "TEXT");
        equal(stat_fd(fd).st_nlink, 1);
        must(fchmod(fd, 0600));
        must(ftruncate(fd, 2));
        file_has("b", "TE");
}

static void rename_to_itself_does_nothing(void)
{
        file_put("a", "text");
        must(rename("a", "a"));
        file_has("a", "text");
}

static void rename_onto_another_link_does_nothing(void)
{
        file_put("a", "text");
        must(link("a", "b"));
        must(rename("a", "b"));
        equal(stat_of("a").st_nlink, 2);
        equal(entries_of("."), 2);
}

static void rename_replaces_an_empty_folder(void)
{
        must(mkdir("a", 0755));
        file_put("a/file", "text");
        must(mkdir("b", 0755));
        must(rename("a", "b"));
        file_has("b/file", "text");
        holds(!is_there("a"));
}

static void rename_refuses_a_full_folder(void)
{
        must(mkdir("a", 0755));
        must(mkdir("b", 0755));
        file_put("b/file", "text");
        fails_so(rename("a", "b"), ENOTEMPTY, EEXIST);
        file_has("b/file", "text");
        holds(is_there("a"));
}

static void rename_does_not_mix_files_and_folders(void)
{
        must(mkdir("folder", 0755));
        file_put("file", "text");
        fails(rename("file", "folder"), EISDIR);
        fails(rename("folder", "file"), ENOTDIR);
        file_has("file", "text");
        holds(S_ISDIR(stat_of("folder").st_mode));
}

static void folder_does_not_move_into_itself(void)
{
        must(mkdir("a", 0755));
        must(mkdir("a/b", 0755));
        must(mkdir("a/b/c", 0755));
        fails(rename("a", "a/b/c/d"), EINVAL);
        fails(rename("a", "a/x"), EINVAL);
        fails_so(rename("a/b/c", "a"), ENOTEMPTY, EEXIST);
        holds(is_there("a/b/c"));
}

static void rename_needs_both_ends(void)
{
        file_put("a", "text");
        fails(rename("nothing", "b"), ENOENT);
        fails(rename("a", "no/thing"), ENOENT);
        fails(rename("a", "a/b"), ENOTDIR);
        fails(rename("a/x", "b"), ENOTDIR);
        fails(rename("a", "b/"), ENOTDIR);
        file_has("a", "text");
}

static void dot_is_not_renamed(void)
{
        must(mkdir("a", 0755));
        fails_so(rename("a/.", "b"), EBUSY, EINVAL);
        fails_so(rename("a", "."), EBUSY, EINVAL);
        fails_so(rename("a/..", "b"), EBUSY, EINVAL);
        holds(is_there("a"));
}

static void rename_leaves_the_file_system_for_none(void)
{
        file_put("a", "text");
        fails(rename("a", "/proc/a"), EXDEV);
        fails(rename("/proc/version", "a"), EXDEV);
        file_has("a", "text");
}

static void rename_crosses_folders(void)
{
        must(mkdir("one", 0755));
        must(mkdir("two", 0755));
        file_put("one/file", "text");
        must(rename("one/file", "two/other"));
        file_has("two/other", "text");
        equal(entries_of("one"), 0);
}

static void moved_folder_has_a_new_parent(void)
{
        must(mkdir("one", 0755));
        must(mkdir("two", 0755));
        must(mkdir("one/sub", 0755));
        equal(stat_of("one").st_nlink, 3);
        must(rename("one/sub", "two/sub"));
        equal(stat_of("two/sub/..").st_ino, stat_of("two").st_ino);
        equal(stat_of("one").st_nlink, 2);
        equal(stat_of("two").st_nlink, 3);
}

static void files_stay_in_a_moved_folder(void)
{
        int fd, folder;

        must(mkdir("a", 0755));
        must(mkdir("a/b", 0755));
        file_put("a/b/file", "text");
        fd = must(open("a/b/file", O_RDWR));
        folder = must(open("a/b", O_RDONLY | O_DIRECTORY));
        must(mkdir("z", 0755));
        must(rename("a", "z/moved"));
        fd_has(fd, 0, "text");
        file_has("z/moved/b/file", "text");
        fd_has(must(openat(folder, "file", O_RDONLY)), 0, "text");
        must(openat(folder, "new", O_RDWR | O_CREAT, 0644));
        equal(entries_of("z/moved/b"), 2);
        fails(open("a/b/file", O_RDONLY), ENOENT);
}

static void working_folder_moves_along(void)
{
        char before[PATH_MAX], after[PATH_MAX];

        must(mkdir("a", 0755));
        must(chdir("a"));
        must(rename("../a", "../longer"));
        holds(getcwd(before, sizeof(before)));
        holds(strlen(before) > 7 && !strcmp(before + strlen(before) - 7, "/longer"));
        must(mkdir("../z", 0755));
        must(rename("../longer", "../z/y"));
        holds(getcwd(after, sizeof(after)));
        holds(!strcmp(after + strlen(after) - 4, "/z/y"));
        must(chdir(".."));
        holds(is_there("y"));
}

static void rename_keeps_inode_mode_and_times(void)
{
        struct stat before, after;

        file_put("a", "text");
        must(chmod("a", 0604));
        make_old("a");
        before = stat_of("a");
        must(rename("a", "b"));
        after = stat_of("b");
        equal(after.st_ino, before.st_ino);
        equal(after.st_mode, before.st_mode);
        holds(mtime_is_old(&after));
}

static void rename_moves_symlinks_themselves(void)
{
        file_put("file", "text");
        must(symlink("file", "link"));
        must(rename("link", "other"));
        holds(S_ISLNK(stat_of("other").st_mode));
        file_put("third", "3");
        must(rename("third", "other"));
        holds(S_ISREG(stat_of("other").st_mode));
        file_has("file", "text");
}

static void noreplace_refuses_what_exists(void)
{
        file_put("a", "a");
        file_put("b", "b");
        must(mkdir("folder", 0755));
        fails(rename2("a", "b", RENAME_NOREPLACE), EEXIST);
        fails(rename2("a", "folder", RENAME_NOREPLACE), EEXIST);
        file_has("a", "a");
        file_has("b", "b");
}

static void noreplace_moves_where_nothing_is(void)
{
        file_put("a", "a");
        must(rename2("a", "b", RENAME_NOREPLACE));
        file_has("b", "a");
        holds(!is_there("a"));
}

static void exchange_swaps_files(void)
{
        ino_t a, b;

        file_put("a", "a");
        file_put("b", "b");
        a = stat_of("a").st_ino;
        b = stat_of("b").st_ino;
        must(rename2("a", "b", RENAME_EXCHANGE));
        file_has("a", "b");
        file_has("b", "a");
        equal(stat_of("a").st_ino, b);
        equal(stat_of("b").st_ino, a);
}

static void exchange_swaps_a_file_and_a_folder(void)
{
        must(mkdir("one", 0755));
        must(mkdir("one/folder", 0755));
        file_put("one/folder/file", "inside");
        file_put("two", "text");
        must(rename2("one/folder", "two", RENAME_EXCHANGE));
        file_has("one/folder", "text");
        file_has("two/file", "inside");
        equal(stat_of("one").st_nlink, 2);
        equal(stat_of("two/..").st_ino, stat_of(".").st_ino);
}

static void exchange_needs_both(void)
{
        file_put("a", "text");
        fails(rename2("a", "b", RENAME_EXCHANGE), ENOENT);
        fails(rename2("b", "a", RENAME_EXCHANGE), ENOENT);
        file_has("a", "text");
}

static void contradictory_flags_are_refused(void)
{
        file_put("a", "a");
        file_put("b", "b");
        fails(rename2("a", "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
        fails(rename2("a", "b", 1u << 10), EINVAL);
        file_has("a", "a");
}

static void long_names_are_exchanged_in_turn(void)
{
        char a[256], b[256];

        memset(a, 'a', sizeof(a));
        memset(b, 'b', sizeof(b));
        a[255] = b[255] = 0;
        file_put(a, "text");
        for (int i = 0; i < 10; i++) {
                must(rename(a, b));
                must(rename(b, a));
        }
        file_has(a, "text");
        equal(entries_of("."), 1);
}

static void last_of_many_replacements_stays(void)
{
        char text[16];

        for (int i = 0; i < 50; i++) {
                snprintf(text, sizeof(text), "%d", i);
                file_put("new", text);
                must(rename("new", "file"));
                file_has("file", text);
        }
        equal(entries_of("."), 1);
}

const struct file_case cases_rename[] = {
    CASE(rename_moves),
    CASE(rename_replaces_a_file),
    CASE(replaced_open_file_lives_on),
    CASE(renamed_open_file_follows),
    CASE(rename_to_itself_does_nothing),
    CASE(rename_onto_another_link_does_nothing),
    CASE(rename_replaces_an_empty_folder),
    CASE(rename_refuses_a_full_folder),
    CASE(rename_does_not_mix_files_and_folders),
    CASE(folder_does_not_move_into_itself),
    CASE(rename_needs_both_ends),
    CASE(dot_is_not_renamed),
    CASE(rename_leaves_the_file_system_for_none),
    CASE(rename_crosses_folders),
    CASE(moved_folder_has_a_new_parent),
    CASE(files_stay_in_a_moved_folder),
    CASE(working_folder_moves_along),
    CASE(rename_keeps_inode_mode_and_times),
    CASE(rename_moves_symlinks_themselves),
    CASE(noreplace_refuses_what_exists),
    CASE(noreplace_moves_where_nothing_is),
    CASE(exchange_swaps_files),
    CASE(exchange_swaps_a_file_and_a_folder),
    CASE(exchange_needs_both),
    CASE(contradictory_flags_are_refused),
    CASE(long_names_are_exchanged_in_turn),
    CASE(last_of_many_replacements_stays),
    {NULL, NULL},
};
