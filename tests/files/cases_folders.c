/* Cases: folders and names.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <limits.h>

#define NAME_LEN 255 /* NAME_MAX */

static void folder_is_made_and_removed(void)
{
        must(mkdir("folder", 0750));
        equal(stat_of("folder").st_mode, S_IFDIR | 0750);
        equal(stat_of("folder").st_nlink, 2);
        equal(entries_of("folder"), 0);
        must(rmdir("folder"));
        holds(!is_there("folder"));
        must(mkdir("folder/", 0755));
        must(rmdir("folder/"));
}

static void mkdir_refuses_what_exists(void)
{
        file_put("file", "text");
        must(mkdir("folder", 0755));
        fails(mkdir("file", 0755), EEXIST);
        fails(mkdir("folder", 0755), EEXIST);
        fails(mkdir(".", 0755), EEXIST);
        fails(mkdir("..", 0755), EEXIST);
}

static void mkdir_needs_a_place(void)
{
        file_put("file", "text");
        fails(mkdir("no/folder", 0755), ENOENT);
        fails(mkdir("file/folder", 0755), ENOTDIR);
        fails(mkdir("", 0755), ENOENT);
}

static void rmdir_refuses_a_full_folder(void)
{
        must(mkdir("a", 0755));
        file_put("a/file", "text");
        fails_so(rmdir("a"), ENOTEMPTY, EEXIST);
        must(unlink("a/file"));
        must(mkdir("a/b", 0755));
        fails_so(rmdir("a"), ENOTEMPTY, EEXIST);
        must(rmdir("a/b"));
        must(rmdir("a"));
}

static void rmdir_wants_a_folder(void)
{
        file_put("file", "text");
        fails(rmdir("file"), ENOTDIR);
        fails(rmdir("nothing"), ENOENT);
        must(mkdir("a", 0755));
        must(mkdir("a/b", 0755));
        fails(rmdir("a/b/."), EINVAL);
        fails_so(rmdir("a/b/.."), ENOTEMPTY, EEXIST);
        fails(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR), ENOTDIR);
        file_has("file", "text");
}

static void folder_counts_its_folders(void)
{
        must(mkdir("a", 0755));
        must(mkdir("a/b", 0755));
        must(mkdir("a/c", 0755));
        file_put("a/file", "text");
        equal(stat_of("a").st_nlink, 4);
        must(rmdir("a/b"));
        equal(stat_of("a").st_nlink, 3);
}

static void dot_and_dotdot_are_themselves(void)
{
        must(mkdir("a", 0755));
        must(mkdir("a/b", 0755));
        equal(stat_of("a/b/.").st_ino, stat_of("a/b").st_ino);
        equal(stat_of("a/b/..").st_ino, stat_of("a").st_ino);
        equal(stat_of("a/b/../..").st_ino, stat_of(".").st_ino);
        equal(stat_of("a/./b/../b/./.").st_ino, stat_of("a/b").st_ino);
        must(chdir("a/b"));
        equal(stat_of("..").st_ino, stat_of("../../a").st_ino);
}

static void hundred_levels_are_gone_down_and_up(void)
{
        for (int i = 0; i < 100; i++) {
                must(mkdir("d", 0755));
                must(chdir("d"));
        }
        file_put("file", "bottom");
        for (int i = 0; i < 100; i++)
                must(chdir(".."));
        must(chdir("d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"));
        must(chdir("../../../../../../../../../../../../../../../../../../../.."));
        holds(is_there("d"));
}

static void place_deeper_than_any_path_is_reached(void)
{
        char name[201], text[8];
        int fd;

        memset(name, 'n', sizeof(name));
        name[200] = 0;
        for (int i = 0; i < 25; i++) { /* 25 x 201 > PATH_MAX */
                must(mkdir(name, 0755));
                must(chdir(name));
        }
        file_put("file", "bottom");
        file_has("file", "bottom");
        must(rename("file", "other"));
        must(mkdir("x", 0755));
        must(rmdir("x"));
        fd = must(open("other", O_RDONLY));
        must(unlink("other"));
        equal(pread(fd, text, sizeof(text), 0), 6);
        for (int i = 0; i < 25; i++) {
                must(chdir(".."));
                must(rmdir(name));
        }
}

static void longest_name_is_kept(void)
{
        char name[NAME_LEN + 1];

        memset(name, 'n', NAME_LEN);
        name[NAME_LEN] = 0;
        file_put(name, "text");
        file_has(name, "text");
        equal(entries_of("."), 1);
        must(unlink(name));
        must(mkdir(name, 0755));
        must(rmdir(name));
        must(symlink("x", name));
}

static void longer_name_is_refused(void)
{
        char name[NAME_LEN + 2];

        memset(name, 'n', NAME_LEN + 1);
        name[NAME_LEN + 1] = 0;
        file_put("file", "text");
        fails(open(name, O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
        fails(mkdir(name, 0755), ENAMETOOLONG);
        fails(symlink("x", name), ENAMETOOLONG);
        fails(link("file", name), ENAMETOOLONG);
        fails(rename("file", name), ENAMETOOLONG);
        fails(rmdir(name), ENAMETOOLONG);
        fails(unlink(name), ENAMETOOLONG);
        fails(mknod(name, S_IFREG | 0644, 0), ENAMETOOLONG);
}

static void longer_path_is_refused(void)
{
        char path[PATH_MAX + 2];

        for (size_t i = 0; i < sizeof(path); i += 2)
                memcpy(path + i, "./", 2);
        path[PATH_MAX] = 0;
        fails(open(path, O_RDONLY), ENAMETOOLONG);
        path[PATH_MAX - 2] = 0;
        must(open(path, O_RDONLY));
}

static void names_may_have_any_byte(void)
{
        char name[2] = "";

        for (int byte = 1; byte < 256; byte++) {
                name[0] = (char)byte;
                if (byte != '/' && byte != '.')
                        must(close(must(open(name, O_RDWR | O_CREAT | O_EXCL, 0644))));
        }
        equal(entries_of("."), 253);
        name[0] = '\n';
        must(unlink(name));
        name[0] = (char)0xff;
        must(unlink(name));
        equal(entries_of("."), 251);
}

static void odd_names_are_kept(void)
{
        static const char *const odd[] = {"...",      "..x", ".x", "x.", "-", "a b", "gr\xc3\xbc\xc3\x9f",
                                          "\xff\xfe", "\"",  "\\"};

        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                file_put(odd[i], odd[i]);
                file_has(odd[i], odd[i]);
        }
        equal(entries_of("."), sizeof(odd) / sizeof(odd[0]));
}

static void upper_and_lower_case_are_two_names(void)
{
        file_put("name", "lower");
        file_put("NAME", "upper");
        file_has("name", "lower");
        file_has("NAME", "upper");
        fails(open("Name", O_RDONLY), ENOENT);
}

static void removed_working_folder_is_nowhere(void)
{
        char path[PATH_MAX];

        must(mkdir("a", 0755));
        must(chdir("a"));
        must(rmdir("../a"));
        holds(!getcwd(path, sizeof(path)) && errno == ENOENT);
        fails(open("file", O_RDWR | O_CREAT, 0644), ENOENT);
        fails(mkdir("x", 0755), ENOENT);
        equal(entries_of("."), 0);
        equal(stat_of(".").st_nlink, 0);
        must(chdir(".."));
        equal(entries_of("."), 0);
}

static void open_removed_folder_is_empty(void)
{
        int folder;

        must(mkdir("a", 0755));
        folder = must(open("a", O_RDONLY | O_DIRECTORY));
        must(rmdir("a"));
        must(mkdir("a", 0755));
        file_put("a/file", "text");
        equal(stat_fd(folder).st_nlink, 0);
        fails(openat(folder, "file", O_RDONLY), ENOENT);
        must(fchmod(folder, 0700));
}

static void name_goes_from_file_to_folder_and_back(void)
{
        for (int i = 0; i < 10; i++) {
                file_put("x", "text");
                must(unlink("x"));
                must(mkdir("x", 0755));
                file_put("x/file", "text");
                must(unlink("x/file"));
                must(rmdir("x"));
                must(symlink("y", "x"));
                must(unlink("x"));
        }
        fails(access("x", F_OK), ENOENT);
}

static void absent_name_appears_when_made(void)
{
        int there, turn[2];
        pid_t pid;

        turn_make(turn);
        fails(open("file", O_RDONLY), ENOENT);
        if (child_starts(&pid)) {
                file_put("file", "text");
                turn_give(turn);
                _exit(0);
        }
        turn_wait(turn);
        there = must(open("file", O_RDONLY));
        fd_has(there, 0, "text");
        child_ends_well(pid);
}

static void slashes_are_one(void)
{
        must(mkdir("a", 0755));
        file_put("a//file", "text");
        file_has("a///./file", "text");
        must(mkdir("a///b//", 0755));
        equal(stat_of("a/b/").st_ino, stat_of("a//b").st_ino);
}

const struct file_case cases_folders[] = {
    CASE(folder_is_made_and_removed),
    CASE(mkdir_refuses_what_exists),
    CASE(mkdir_needs_a_place),
    CASE(rmdir_refuses_a_full_folder),
    CASE(rmdir_wants_a_folder),
    CASE(folder_counts_its_folders),
    CASE(dot_and_dotdot_are_themselves),
    CASE(hundred_levels_are_gone_down_and_up),
    CASE(place_deeper_than_any_path_is_reached),
    CASE(longest_name_is_kept),
    CASE(longer_name_is_refused),
    CASE(longer_path_is_refused),
    CASE(names_may_have_any_byte),
    CASE(odd_names_are_kept),
    CASE(upper_and_lower_case_are_two_names),
    CASE(removed_working_folder_is_nowhere),
    CASE(open_removed_folder_is_empty),
    CASE(name_goes_from_file_to_folder_and_back),
    CASE(absent_name_appears_when_made),
    CASE(slashes_are_one),
    {NULL, NULL},
};
