/* Cases: directory streams, also while their folder changes.
 * Called by: files_run.c. TRUST: none of what the file system says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files.h"
#include <dirent.h>
#include <sys/syscall.h>

#define MANY 160 /* more than several answers of FUSE hold */

static DIR *stream_open(const char *path)
{
        DIR *stream = opendir(path);

        if (!stream)
                case_fail("opendir(%s): %s", path, strerrorname_np(errno));
        return stream;
}

static void fill(const char *folder, int n)
{
        char path[64];

        must(mkdir(folder, 0755));
        for (int i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "%s/entry-%05d", folder, i);
                must(close(must(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644))));
        }
}

/* Counts each entry-N that the stream still has; any other name but . and .. is wrong. */
static int count(DIR *stream, unsigned char seen[MANY])
{
        int n = 0;

        for (struct dirent *entry; (entry = readdir(stream)); n++) {
                int i;

                if (entry->d_name[0] == '.')
                        n--;
                else if (sscanf(entry->d_name, "entry-%d", &i) == 1 && i >= 0 && i < MANY)
                        seen[i]++;
                else
                        case_fail("there is a \"%.40s\"", entry->d_name);
        }
        return n;
}

static void all_once(const unsigned char seen[MANY])
{
        for (int i = 0; i < MANY; i++)
                if (seen[i] != 1)
                        case_fail("entry %d came %d times", i, seen[i]);
}

static void stream_has_each_entry_once(void)
{
        unsigned char seen[MANY] = "";

        fill("a", MANY);
        equal(count(stream_open("a"), seen), MANY);
        all_once(seen);
}

static void stream_has_dot_and_dotdot(void)
{
        bool dot = false, dotdot = false;
        DIR *stream;

        must(mkdir("a", 0755));
        stream = stream_open("a");
        for (struct dirent *entry; (entry = readdir(stream));) {
                dot |= !strcmp(entry->d_name, ".");
                dotdot |= !strcmp(entry->d_name, "..");
        }
        holds(dot && dotdot);
}

static void entries_have_types_and_inodes(void)
{
        int n = 0;
        DIR *stream;

        file_put("file", "text");
        must(mkdir("folder", 0755));
        must(symlink("file", "link"));
        stream = stream_open(".");
        for (struct dirent *entry; (entry = readdir(stream));) {
                struct stat st;

                if (entry->d_name[0] == '.')
                        continue;
                st = stat_of(entry->d_name);
                equal(entry->d_ino, st.st_ino);
                equal(DTTOIF(entry->d_type), st.st_mode & S_IFMT);
                n++;
        }
        equal(n, 3);
}

static void rewound_stream_sees_what_is_new(void)
{
        DIR *stream;

        must(mkdir("a", 0755));
        stream = stream_open("a");
        while (readdir(stream))
                ;
        file_put("a/new", "text");
        rewinddir(stream);
        for (struct dirent *entry; (entry = readdir(stream));)
                if (!strcmp(entry->d_name, "new"))
                        return;
        case_fail("the new entry is not there");
}

static void rewound_stream_lacks_what_is_removed(void)
{
        DIR *stream;

        must(mkdir("a", 0755));
        file_put("a/old", "text");
        stream = stream_open("a");
        while (readdir(stream))
                ;
        must(unlink("a/old"));
        rewinddir(stream);
        for (struct dirent *entry; (entry = readdir(stream));)
                holds(strcmp(entry->d_name, "old") != 0);
}

static void told_place_is_found_again(void)
{
        char after[64] = "";
        struct dirent *entry;
        DIR *stream;
        long place;

        fill("a", MANY);
        stream = stream_open("a");
        for (int i = 0; i < MANY / 2; i++)
                holds(readdir(stream));
        place = telldir(stream);
        entry = readdir(stream);
        holds(entry);
        snprintf(after, sizeof(after), "%.60s", entry->d_name);
        while (readdir(stream))
                ;
        seekdir(stream, place);
        entry = readdir(stream);
        holds(entry && !strcmp(entry->d_name, after));
}

static void each_told_place_is_found_again(void)
{
        long places[40];
        char names[40][64];
        int n = 0;
        DIR *stream;

        fill("a", 30);
        stream = stream_open("a");
        for (struct dirent *entry; places[n] = telldir(stream), (entry = readdir(stream)); n++)
                snprintf(names[n], sizeof(names[n]), "%.60s", entry->d_name);
        equal(n, 32);
        while (n-- > 0) {
                struct dirent *entry;

                seekdir(stream, places[n]);
                entry = readdir(stream);
                holds(entry && !strcmp(entry->d_name, names[n]));
        }
}

static void two_streams_go_their_own_ways(void)
{
        unsigned char seen[MANY] = "", others[MANY] = "";
        DIR *a, *b;

        fill("a", MANY);
        a = stream_open("a");
        for (int i = 0; i < 100; i++)
                holds(readdir(a));
        b = stream_open("a");
        equal(count(b, others), MANY);
        all_once(others);
        rewinddir(a);
        equal(count(a, seen), MANY);
        all_once(seen);
}

static void removing_while_reading_empties_the_folder(void)
{
        char path[300];
        DIR *stream;

        fill("a", MANY);
        stream = stream_open("a");
        for (struct dirent *entry; (entry = readdir(stream));) {
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "a/%s", entry->d_name);
                must(unlink(path));
        }
        equal(entries_of("a"), 0);
        must(rmdir("a"));
}

static void removal_of_some_hides_no_other(void)
{
        unsigned char seen[MANY] = "";
        char path[300];
        DIR *stream;

        fill("a", MANY);
        stream = stream_open("a");
        for (int i = 0; i < 60; i++) {
                struct dirent *entry = readdir(stream);
                int number;

                holds(entry);
                if (sscanf(entry->d_name, "entry-%d", &number) != 1)
                        continue;
                holds(number >= 0 && number < MANY && seen[number] == 0);
                seen[number]++;
                snprintf(path, sizeof(path), "a/%s", entry->d_name);
                must(unlink(path));
        }
        (void)count(stream, seen);
        all_once(seen);
}

static void additions_repeat_no_entry(void)
{
        unsigned char seen[MANY] = "";
        char path[64];
        DIR *stream;

        fill("a", MANY / 2);
        stream = stream_open("a");
        for (int i = MANY / 2; i < MANY; i++) {
                struct dirent *entry = readdir(stream);
                int number;

                if (entry && sscanf(entry->d_name, "entry-%d", &number) == 1)
                        seen[number % MANY]++;
                snprintf(path, sizeof(path), "a/entry-%05d", i);
                must(close(must(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644))));
        }
        (void)count(stream, seen);
        for (int i = 0; i < MANY; i++)
                if (seen[i] > 1 || (seen[i] == 0 && i < MANY / 2))
                        case_fail("entry %d came %d times", i, seen[i]);
}

static void renames_hide_no_other(void)
{
        int n = 0, stayed[MANY] = {0};
        char from[64], to[64];
        DIR *stream;

        fill("a", MANY);
        stream = stream_open("a");
        for (struct dirent *entry; (entry = readdir(stream)); n++) {
                int i;

                if (sscanf(entry->d_name, "entry-%d", &i) == 1)
                        stayed[i % MANY]++;
                if (n < 50) {
                        snprintf(from, sizeof(from), "a/entry-%05d", n * 2);
                        snprintf(to, sizeof(to), "a/moved-%05d", n);
                        must(rename(from, to));
                }
        }
        for (int i = 1; i < MANY; i += 2)
                equal(stayed[i], 1);
}

static void stream_goes_on_in_a_moved_folder(void)
{
        unsigned char seen[MANY] = "";
        DIR *stream;

        fill("a", MANY);
        stream = stream_open("a");
        must(rename("a", "b"));
        must(mkdir("a", 0755));
        file_put("a/entry-00000x", "text");
        equal(count(stream, seen), MANY);
        all_once(seen);
}

static void stream_of_a_removed_folder_ends(void)
{
        DIR *stream;

        must(mkdir("a", 0755));
        stream = stream_open("a");
        must(rmdir("a"));
        for (struct dirent *entry; (entry = readdir(stream));)
                holds(entry->d_name[0] == '.');
        rewinddir(stream);
        holds(!readdir(stream));
}

static void only_folders_are_listed(void)
{
        file_put("file", "text");
        holds(!opendir("file") && errno == ENOTDIR);
        holds(!opendir("nothing") && errno == ENOENT);
}

static void small_buffer_gets_few_entries(void)
{
        char bytes[64];
        int fd, n = 0;

        fill("a", 20);
        fd = must(open("a", O_RDONLY | O_DIRECTORY));
        for (long len; (len = must(syscall(SYS_getdents64, fd, bytes, sizeof(bytes)))) > 0;)
                for (long at = 0; at < len; n++) {
                        uint16_t step;

                        memcpy(&step, bytes + at + 16, 2); /* d_reclen */
                        holds(step > 0);
                        at += step;
                }
        equal(n, 22);
        must(lseek(fd, 0, SEEK_SET));
        fails(syscall(SYS_getdents64, fd, bytes, 8), EINVAL);
}

static void long_names_are_listed_whole(void)
{
        char name[256];
        int n = 0;
        DIR *stream;

        for (int i = 0; i < 60; i++) {
                memset(name, 'a' + i % 26, 255);
                name[0] = (char)('A' + i / 26);
                name[255] = 0;
                must(close(must(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644))));
        }
        stream = stream_open(".");
        for (struct dirent *entry; (entry = readdir(stream));)
                n += strlen(entry->d_name) == 255;
        equal(n, 60);
}

static void stream_reads_a_folder_without_search_right(void)
{
        DIR *stream;
        int n = 0;

        fill("a", 10);
        must(chmod("a", 0444));
        must(chmod(".", 0755));
        become_other();
        stream = stream_open("a");
        while (readdir(stream))
                n++;
        equal(n, 12);
        fails(open("a/entry-00000", O_RDONLY), EACCES);
}

const struct file_case cases_streams[] = {
    CASE(stream_has_each_entry_once),
    CASE(stream_has_dot_and_dotdot),
    CASE(entries_have_types_and_inodes),
    CASE(rewound_stream_sees_what_is_new),
    CASE(rewound_stream_lacks_what_is_removed),
    CASE(told_place_is_found_again),
    CASE(each_told_place_is_found_again),
    CASE(two_streams_go_their_own_ways),
    CASE(removing_while_reading_empties_the_folder),
    CASE(removal_of_some_hides_no_other),
    CASE(additions_repeat_no_entry),
    CASE(renames_hide_no_other),
    CASE(stream_goes_on_in_a_moved_folder),
    CASE(stream_of_a_removed_folder_ends),
    CASE(only_folders_are_listed),
    CASE(small_buffer_gets_few_entries),
    CASE(long_names_are_listed_whole),
    CASE(stream_reads_a_folder_without_search_right),
    {NULL, NULL},
};
