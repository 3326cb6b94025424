/* Cases: symbolic links.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <limits.h>

static void target_is(const char *path, const char *wanted)
{
        char text[PATH_MAX + 1];
        ssize_t n = must(readlink(path, text, sizeof(text) - 1));

        text[n] = 0;
        if (strcmp(text, wanted) != 0)
                case_fail("%.60s leads to \"%.60s\", not \"%.60s\"", path, text, wanted);
}

static void symlink_tells_its_target(void)
{
        must(symlink("some/where", "link"));
        target_is("link", "some/where");
        equal(stat_of("link").st_size, 10);
        equal(stat_of("link").st_mode, S_IFLNK | 0777);
        equal(stat_of("link").st_nlink, 1);
}

static void symlink_refuses_to_replace(void)
{
        file_put("file", "text");
        fails(symlink("x", "file"), EEXIST);
        must(symlink("x", "link"));
        fails(symlink("y", "link"), EEXIST);
        target_is("link", "x");
}

static void symlink_needs_a_target_and_a_place(void)
{
        fails(symlink("", "link"), ENOENT);
        fails(symlink("x", "no/link"), ENOENT);
        fails(symlink("x", "link/"), ENOENT);
}

static void dangling_symlink_leads_nowhere(void)
{
        struct stat st;

        must(symlink("nothing", "link"));
        fails(open("link", O_RDONLY), ENOENT);
        fails(stat("link", &st), ENOENT);
        fails(access("link", F_OK), ENOENT);
        must(lstat("link", &st));
}

/* l0 is the file; each link leads to the one before it. */
static void chain(int n)
{
        char from[16], to[16];

        file_put("l0", "text");
        for (int i = 1; i <= n; i++) {
                snprintf(from, sizeof(from), "l%d", i);
                snprintf(to, sizeof(to), "l%d", i - 1);
                must(symlink(to, from));
        }
}

static void chain_of_forty_symlinks_opens(void)
{
        chain(40);
        file_has("l40", "text");
}

static void chain_of_forty_one_symlinks_says_eloop(void)
{
        chain(41);
        fails(open("l41", O_RDONLY), ELOOP);
}

static void circle_of_symlinks_says_eloop(void)
{
        must(symlink("b", "a"));
        must(symlink("a", "b"));
        must(symlink("self", "self"));
        fails(open("a", O_RDONLY), ELOOP);
        fails(open("self", O_RDONLY), ELOOP);
        fails(chdir("a"), ELOOP);
        fails(open("a/x", O_RDWR | O_CREAT, 0644), ELOOP);
}

static void long_target_is_kept(void)
{
        char text[PATH_MAX + 1];

        memset(text, 'x', sizeof(text));
        text[1000] = 0;
        must(symlink(text, "link"));
        target_is("link", text);
        equal(stat_of("link").st_size, 1000);
}

static void longest_target_is_kept(void)
{
        char text[PATH_MAX + 1];

        memset(text, 'x', sizeof(text));
        text[PATH_MAX] = 0;
        fails(symlink(text, "link"), ENAMETOOLONG);
        text[4000] = 0; /* a block of the host's disk holds no more than 4095 */
        must(symlink(text, "link"));
        target_is("link", text);
}

static void readlink_wants_a_symlink(void)
{
        char text[16];

        file_put("file", "text");
        fails(readlink("file", text, sizeof(text)), EINVAL);
        fails(readlink(".", text, sizeof(text)), EINVAL);
        fails(readlink("nothing", text, sizeof(text)), ENOENT);
}

static void readlink_cuts_off_what_has_no_room(void)
{
        char text[5] = "....";

        must(symlink("abcdef", "link"));
        equal(readlink("link", text, 3), 3);
        equal(memcmp(text, "abc.", 4), 0);
}

static void symlink_leads_into_folders(void)
{
        must(mkdir("folder", 0755));
        must(mkdir("folder/deep", 0755));
        file_put("folder/deep/file", "text");
        must(symlink("folder/deep", "link"));
        file_has("link/file", "text");
        must(symlink("../../l2", "folder/deep/up"));
        file_put("l2", "above");
        file_has("link/up", "above");
        equal(entries_of("link"), 2);
        must(chdir("link"));
        file_has("../deep/file", "text");
}

static void absolute_symlink_leads_from_the_root(void)
{
        char path[PATH_MAX];

        file_put("file", "text");
        holds(getcwd(path, sizeof(path) - 8));
        strcat(path, "/file");
        must(symlink(path, "link"));
        file_has("link", "text");
        must(symlink("/proc/version", "outside"));
        must(close(must(open("outside", O_RDONLY)))); /* of whoever asks, not of who serves */
}

static void removing_a_symlink_keeps_its_target(void)
{
        file_put("file", "text");
        must(mkdir("folder", 0755));
        must(symlink("file", "link"));
        must(symlink("folder", "way"));
        must(unlink("link"));
        fails(rmdir("way"), ENOTDIR);
        must(unlink("way"));
        file_has("file", "text");
        equal(entries_of("."), 2);
}

static void symlink_stands_in_the_way(void)
{
        must(symlink("nothing", "link"));
        fails(mkdir("link", 0755), EEXIST);
        fails(mknod("link", S_IFREG | 0644, 0), EEXIST);
        holds(!is_there("nothing"));
}

static void symlink_has_times_of_its_own(void)
{
        struct timespec times[2] = {{5, 0}, {7, 0}};
        struct stat st;

        file_put("file", "text");
        must(symlink("file", "link"));
        must(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
        equal(stat_of("link").st_mtim.tv_sec, 7);
        holds(stat_of("file").st_mtim.tv_sec != 7);
        must(utimensat(AT_FDCWD, "link", times, 0));
        must(stat("link", &st));
        equal(st.st_mtim.tv_sec, 7);
        equal(stat_of("file").st_mtim.tv_sec, 7);
}

static void mode_is_changed_through_a_symlink(void)
{
        file_put("file", "text");
        must(symlink("file", "link"));
        must(chmod("link", 0600));
        equal(stat_of("file").st_mode & 07777, 0600);
        equal(stat_of("link").st_mode & 07777, 0777);
}

static void odd_targets_are_kept(void)
{
        static const char *const odd[] = {"/", ".", "..", "a//b/", "../../../../../../x", "\xff\x01\n", " "};
        char name[8];

        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                snprintf(name, sizeof(name), "l%zu", i);
                must(symlink(odd[i], name));
                target_is(name, odd[i]);
        }
}

const struct file_case cases_symlinks[] = {
    CASE(symlink_tells_its_target),
    CASE(symlink_refuses_to_replace),
    CASE(symlink_needs_a_target_and_a_place),
    CASE(dangling_symlink_leads_nowhere),
    CASE(chain_of_forty_symlinks_opens),
    CASE(chain_of_forty_one_symlinks_says_eloop),
    CASE(circle_of_symlinks_says_eloop),
    CASE(long_target_is_kept),
    CASE(longest_target_is_kept),
    CASE(readlink_wants_a_symlink),
    CASE(readlink_cuts_off_what_has_no_room),
    CASE(symlink_leads_into_folders),
    CASE(absolute_symlink_leads_from_the_root),
    CASE(removing_a_symlink_keeps_its_target),
    CASE(symlink_stands_in_the_way),
    CASE(symlink_has_times_of_its_own),
    CASE(mode_is_changed_through_a_symlink),
    CASE(odd_targets_are_kept),
    {NULL, NULL},
};
