/* Runs the cases: a process and a directory for each, so that none can spoil another by what it leaves open, by its
 * umask or its user. A case that hangs is ended by its alarm.
 * Owns: the directories. Called by: guest_files.c.
 * TRUST: none of what the file system says; a case's words are printed with their odd bytes replaced.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/files/files_run.h"
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#define CASE_SECONDS 30u /* the slowest takes one on an emulated processor */

struct tally {
        unsigned ok, no, skipped;
};

const struct file_case *const all_cases[] = {
    cases_open,       cases_data,    cases_size,    cases_copy,  cases_links,  cases_symlinks,
    cases_rename,     cases_folders, cases_streams, cases_times, cases_rights, cases_special,
    cases_attributes, cases_locks,   cases_maps,    cases_stat,  NULL};

const struct file_case *const all_escapes[] = {escapes_plain, escapes_special, escapes_race,
                                               escapes_read_only, NULL};

/* A case may have taken its own rights away, and who serves the files may keep root to them. By one name at a time: whole
 * paths are long work where nothing is cached. */
static void remove_all(int parent, const char *name)
{
        struct stat st;
        DIR *folder = NULL;
        int fd = -1;

        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
                if (fchmodat(parent, name, 0700, 0) < 0)
                        return;
                fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd >= 0)
                folder = fdopendir(fd);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        remove_all(fd, entry->d_name);
        if (folder)
                closedir(folder);
        (void)unlinkat(parent, name, fd >= 0 ? AT_REMOVEDIR : 0);
}

static _Noreturn void case_process(const struct file_case *this, const char *folder, int say_fd)
{
        case_says_to(say_fd);
        alarm(CASE_SECONDS);
        umask(022);
        if (chdir(folder) < 0)
                case_fail("chdir: %s", strerrorname_np(errno));
        this->run();
        _exit(CASE_OK);
}

/* All of its words, until the last process of the case has closed the pipe or the words are too many. */
static void words_read(int fd, char words[static CASE_WORDS])
{
        size_t len = 0;

        for (ssize_t n; len < CASE_WORDS - 1 && (n = read(fd, words + len, CASE_WORDS - 1 - len)) > 0;)
                len += (size_t)n;
        words[len] = 0;
        for (size_t i = 0; i < len; i++)
                if (words[i] < ' ' || words[i] > '~')
                        words[i] = '?';
}

static void case_tell(const struct file_case *this, int status, const char *words, struct tally *tally)
{
        if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_OK) {
                printf("ok %s\n", this->name);
                tally->ok++;
        } else if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_SKIPPED) {
                printf("skip %s: %s\n", this->name, words);
                tally->skipped++;
        } else {
                if (WIFSIGNALED(status))
                        printf("no %s: ended by %s\n", this->name, sigdescr_np(WTERMSIG(status)));
                else
                        printf("no %s: %s\n", this->name, words);
                tally->no++;
        }
        fflush(stdout);
}

static int case_run(const struct file_case *this, const char *folder, struct tally *tally)
{
        char words[CASE_WORDS];
        int pipes[2], status = 0;
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                case_process(this, folder, pipes[1]);
        close(pipes[1]);
        words_read(pipes[0], words);
        close(pipes[0]);
        if (pid > 0)
                (void)waitpid(pid, &status, 0);
        case_tell(this, pid > 0 ? status : CASE_LOST << 8, words, tally);
        return 0;
}

static int case_run_apart(const struct file_case *this, const char *path, struct tally *tally)
{
        char folder[4096];
        int r;

        snprintf(folder, sizeof(folder), "%s/%s", path, this->name);
        if (mkdir(folder, 0755) < 0) {
                fprintf(stderr, "guest_files: %s: %s\n", folder, strerror(errno));
                return -errno;
        }
        r = case_run(this, folder, tally);
        remove_all(AT_FDCWD, folder);
        return r;
}

int cases_list(const struct file_case *const *tables)
{
        for (; *tables; tables++)
                for (const struct file_case *this = *tables; this->name; this ++)
                        puts(this->name);
        return 0;
}

int cases_run(const struct file_case *const *tables, const char *path, const char *filter, bool in_place)
{
        struct tally tally = {0};

        for (; *tables; tables++)
                for (const struct file_case *this = *tables; this->name; this ++)
                        if ((!filter || strstr(this->name, filter)) &&
                            (in_place ? case_run : case_run_apart)(this, path, &tally) < 0)
                                return 1;
        printf("%u ok, %u no, %u skipped\n", tally.ok, tally.no, tally.skipped);
        return tally.no > 0;
}
