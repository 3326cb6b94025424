/* Attempts while the host is at work on the same names: it exchanges a folder and a file of the share with links that
 * lead out, and moves a folder out and in. Between the server's look at a name and what it does with it lies the
 * moment that each of these waits for, for ROUNDS times.
 * Called by: files_run.c. TRUST: none of what is read back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/escapes.h"
#include <dirent.h>
#include <sys/xattr.h>

#define ROUNDS 60

static void each_round(void (*attempt)(int))
{
        for (int i = 0; i < ROUNDS; i++)
                attempt(i);
}

static void write_some(int fd)
{
        if (fd < 0)
                return;
        tried(pwrite(fd, "guest", 5, 0));
        close(fd);
}

static void read_in_race(int i)
{
        open_is_harmless(i % 2 ? "race/secret" : "race/folder/../secret", O_RDONLY);
}

static void write_in_race(int i)
{
        write_some(open("race/secret", i % 2 ? O_WRONLY : O_RDWR | O_APPEND));
}

static void truncate_in_race(int i)
{
        if (i % 2)
                tried(truncate("race/secret", 0));
        else
                write_some(open("race/secret", O_WRONLY | O_TRUNC));
}

static void create_in_race(int i)
{
        char name[64];

        snprintf(name, sizeof(name), "race/new-%d", i);
        write_some(open(name, O_WRONLY | O_CREAT | (i % 2 ? O_EXCL : 0), 0666));
        snprintf(name, sizeof(name), "race/node-%d", i);
        tried(mknod(name, S_IFREG | 0666, 0));
}

static void make_folders_in_race(int i)
{
        char name[64];

        snprintf(name, sizeof(name), "race/new-folder-%d", i);
        tried(mkdir(name, 0777));
        if (i % 2)
                tried(rmdir(name));
        tried(rmdir("race/folder"));
        tried(mkdir("race/folder", 0777));
}

static void remove_in_race(int i)
{
        tried(unlink("race/secret"));
        if (i % 2)
                write_some(open("race/secret", O_WRONLY | O_CREAT, 0666));
}

static void move_in_race(int i)
{
        write_some(open("mover", O_WRONLY | O_CREAT, 0666));
        tried(rename("mover", i % 2 ? "race/secret" : "race/moved"));
        tried(rename("race/secret", "stolen"));
        open_is_harmless("stolen", O_RDONLY);
        tried(unlink("stolen"));
}

static void exchange_in_race(int i)
{
        (void)i;
        write_some(open("mover", O_WRONLY | O_CREAT, 0666));
        tried(renameat2(AT_FDCWD, "mover", AT_FDCWD, "race/secret", RENAME_EXCHANGE));
        open_is_harmless("mover", O_RDONLY);
}

static void link_in_race(int i)
{
        tried(link(i % 2 ? "race/secret" : "bait", "stolen"));
        open_is_harmless("stolen", O_RDONLY | O_NOFOLLOW);
        tried(unlink("stolen"));
        tried(link("attributes", "race/given"));
        tried(symlink("x", "race/link"));
}

static void change_in_race(int i)
{
        struct timespec times[2] = {{99, 0}, {99, 0}};
        const char *path = i % 2 ? "race/secret" : "bait";

        tried(chmod(path, 0600));
        tried(utimensat(AT_FDCWD, path, times, 0));
        tried(chown(path, 0, 0));
        tried(setxattr(path, "user.guest", "x", 1, 0));
        tried(removexattr(path, "user.canary"));
}

static void ask_in_race(int i)
{
        const char *path = i % 2 ? "race/secret" : "bait";
        char value[64];
        struct stat st;

        if (stat(path, &st) == 0 && st.st_size == CANARY_LEN)
                case_fail("the canary's size was told");
        if (getxattr(path, "user.canary", value, sizeof(value)) >= 0)
                case_fail("the canary's attribute was read");
}

static void list_in_race(int i)
{
        DIR *stream = opendir(i % 2 ? "race" : "race/folder/..");

        if (!stream)
                return;
        for (struct dirent *entry; (entry = readdir(stream));)
                if (!strcmp(entry->d_name, "canary-entry"))
                        case_fail("the folder outside was listed");
        closedir(stream);
}

static void hold_in_race(int i)
{
        int folder = open("race", O_PATH | O_DIRECTORY);

        if (folder < 0)
                return;
        read_is_harmless(openat(folder, "secret", O_RDONLY));
        write_some(openat(folder, i % 2 ? "secret" : "held", O_WRONLY | O_CREAT, 0666));
        tried(unlinkat(folder, "secret", 0));
        close(folder);
}

static void read_bait(int i)
{
        open_is_harmless("bait", i % 2 ? O_RDONLY : O_RDWR);
}

static void write_bait(int i)
{
        write_some(open("bait", O_WRONLY | (i % 2 ? O_TRUNC : 0)));
        tried(truncate("bait", 3));
}

static void copy_from_race(int i)
{
        int from = open(i % 2 ? "bait" : "race/secret", O_RDONLY),
            to = open("loot", O_RDWR | O_CREAT | O_TRUNC, 0666);

        tried(copy_file_range(from, NULL, to, NULL, 100, 0));
        read_is_harmless(to);
        if (from >= 0)
                close(from);
}

static void follow_the_leaver(int i)
{
        static int home = -1, inside = -1;

        if (home < 0)
                home = must(open(".", O_RDONLY | O_DIRECTORY));
        if (inside < 0)
                inside = open("leaver", O_RDONLY | O_DIRECTORY);
        if (inside >= 0) {
                read_is_harmless(openat(inside, "../secret", O_RDONLY));
                read_is_harmless(openat(inside, "..", O_RDONLY));
                write_some(openat(inside, "../new", O_WRONLY | O_CREAT, 0666));
                tried(unlinkat(inside, "../secret", 0));
                read_is_harmless(openat(inside, "sub/../../secret", O_RDONLY));
        }
        if (i % 10 == 0 && chdir("leaver") == 0) {
                open_is_harmless("../secret", O_RDONLY);
                open_is_harmless("sub/../../secret", O_RDWR);
                must(fchdir(home));
        }
}

#define RACE(name, attempt)                                                                                  \
        static void name(void)                                                                               \
        {                                                                                                    \
                each_round(attempt);                                                                         \
        }
RACE(swapped_folder_is_not_read_through, read_in_race)
RACE(swapped_folder_is_not_written_through, write_in_race)
RACE(swapped_folder_is_not_truncated_through, truncate_in_race)
RACE(nothing_is_created_through_a_swapped_folder, create_in_race)
RACE(no_folder_is_made_through_a_swapped_folder, make_folders_in_race)
RACE(nothing_is_removed_through_a_swapped_folder, remove_in_race)
RACE(nothing_is_moved_through_a_swapped_folder, move_in_race)
RACE(nothing_is_exchanged_through_a_swapped_folder, exchange_in_race)
RACE(nothing_is_linked_through_a_swapped_folder, link_in_race)
RACE(nothing_is_changed_through_a_swap, change_in_race)
RACE(nothing_is_told_through_a_swap, ask_in_race)
RACE(swapped_folder_is_not_listed_through, list_in_race)
RACE(held_folder_leads_nowhere_when_swapped, hold_in_race)
RACE(swapped_file_is_not_read_through, read_bait)
RACE(swapped_file_is_not_written_through, write_bait)
RACE(nothing_is_copied_through_a_swap, copy_from_race)
RACE(folder_that_leaves_leads_nowhere, follow_the_leaver)

const struct file_case escapes_race[] = {
    CASE(swapped_folder_is_not_read_through),
    CASE(swapped_folder_is_not_written_through),
    CASE(swapped_folder_is_not_truncated_through),
    CASE(nothing_is_created_through_a_swapped_folder),
    CASE(no_folder_is_made_through_a_swapped_folder),
    CASE(nothing_is_removed_through_a_swapped_folder),
    CASE(nothing_is_moved_through_a_swapped_folder),
    CASE(nothing_is_exchanged_through_a_swapped_folder),
    CASE(nothing_is_linked_through_a_swapped_folder),
    CASE(nothing_is_changed_through_a_swap),
    CASE(nothing_is_told_through_a_swap),
    CASE(swapped_folder_is_not_listed_through),
    CASE(held_folder_leads_nowhere_when_swapped),
    CASE(swapped_file_is_not_read_through),
    CASE(swapped_file_is_not_written_through),
    CASE(nothing_is_copied_through_a_swap),
    CASE(folder_that_leaves_leads_nowhere),
    {NULL, NULL},
};
