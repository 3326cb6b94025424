/* What a VM's processes might leave behind: processes, files, System V objects, control groups.
 * Owns nothing beyond a call; called by the runner. TRUST: /proc is the kernel's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"

static FILE *open_of(pid_t pid, const char *name)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return fopen(path, "re");
}

static bool read_ids(pid_t pid, pid_t *ret_parent, uid_t *ret_uid)
{
        FILE *file = open_of(pid, "status");
        char line[256];

        if (!file)
                return false;
        while (fgets(line, sizeof(line), file)) {
                sscanf(line, "PPid: %d", ret_parent);
                sscanf(line, "Uid: %u", ret_uid);
        }
        fclose(file);
        return true;
}

/* Groups that are named for one device of one VM; the others were there before us. */
static void read_group(pid_t pid, char *ret_group, size_t size)
{
        FILE *file = open_of(pid, "cgroup");
        char line[512];

        while (file && fgets(line, sizeof(line), file)) {
                char *controller = strchr(line, ':'), *path = controller ? strchr(controller + 1, ':') : NULL;

                line[strcspn(line, "\n")] = '\0';
                if (!path || !strstr(path, "bulkhead"))
                        continue;
                *path++ = '\0';
                snprintf(ret_group, size, "/sys/fs/cgroup/%s%s", controller + 1, path);
        }
        if (file)
                fclose(file);
}

static void note_one(struct leftovers *leftovers, pid_t pid, pid_t spawner)
{
        pid_t parent = 0;
        uid_t uid = 0;

        if (leftovers->n == LEFTOVERS_PROCESSES || !read_ids(pid, &parent, &uid) || parent != spawner)
                return;
        leftovers->processes[leftovers->n].pid = pid;
        leftovers->processes[leftovers->n].uid = uid;
        read_group(pid, leftovers->processes[leftovers->n].group, sizeof(leftovers->processes[0].group));
        leftovers->n++;
}

void leftovers_note(struct leftovers *leftovers, pid_t spawner)
{
        DIR *proc = opendir("/proc");
        struct dirent *entry;

        memset(leftovers, 0, sizeof(*leftovers));
        while (proc && (entry = readdir(proc)))
                if (atoi(entry->d_name) > 0)
                        note_one(leftovers, (pid_t)atoi(entry->d_name), spawner);
        if (proc)
                closedir(proc);
}

static bool is_theirs(const struct leftovers *leftovers, uid_t uid)
{
        for (unsigned i = 0; i < leftovers->n; i++)
                if (leftovers->processes[i].uid == uid && uid != geteuid() && uid != 0)
                        return true;
        return false;
}

/* Another VM may have been given the uid meanwhile: of ours is what says so, in its title or its group. */
static bool is_of_vm(pid_t pid, const char *vm)
{
        static const char *const files[] = {"cmdline", "cgroup"};
        char text[2048];

        for (size_t i = 0; i < array_size(files); i++) {
                FILE *file = open_of(pid, files[i]);
                size_t len = file ? fread(text, 1, sizeof(text), file) : 0;

                if (file)
                        fclose(file);
                if (memmem(text, len, vm, strlen(vm)))
                        return true;
        }
        return false;
}

static bool process_found(const char *vm, char *why, size_t why_size)
{
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        bool found = false;

        while (proc && !found && (entry = readdir(proc))) {
                pid_t pid = (pid_t)atoi(entry->d_name);

                found = pid > 0 && is_of_vm(pid, vm);
                if (found)
                        snprintf(why, why_size, "process %d is still there", (int)pid);
        }
        if (proc)
                closedir(proc);
        return found;
}

static bool file_found(const struct leftovers *leftovers, const char *folder, char *why, size_t why_size)
{
        DIR *dir = opendir(folder);
        struct dirent *entry;
        bool found = false;

        while (dir && !found && (entry = readdir(dir))) {
                struct stat st;

                found = fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                        is_theirs(leftovers, st.st_uid);
                if (found)
                        snprintf(why, why_size, "%s/%s is still uid %u's", folder, entry->d_name, st.st_uid);
        }
        if (dir)
                closedir(dir);
        return found;
}

/* Column 8 of shm, 5 of sem, 8 of msg is the owner. */
static bool ipc_found(const struct leftovers *leftovers, const char *kind, int column, char *why,
                      size_t why_size)
{
        char path[64], line[512];
        bool found = false;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/sysvipc/%s", kind);
        file = fopen(path, "re");
        while (file && !found && fgets(line, sizeof(line), file)) {
                char *word = strtok(line, " \t");

                for (int i = 1; word && i < column; i++)
                        word = strtok(NULL, " \t");
                found = word && is_theirs(leftovers, (uid_t)strtoul(word, NULL, 10));
        }
        if (file)
                fclose(file);
        if (found)
                snprintf(why, why_size, "a System V %s is still there", kind);
        return found;
}

static bool group_found(const struct leftovers *leftovers, char *why, size_t why_size)
{
        for (unsigned i = 0; i < leftovers->n; i++)
                if (leftovers->processes[i].group[0] && access(leftovers->processes[i].group, F_OK) == 0) {
                        snprintf(why, why_size, "control group %.128s is still there",
                                 leftovers->processes[i].group);
                        return true;
                }
        return false;
}

bool leftovers_found(const struct leftovers *leftovers, const char *vm, char *why, size_t why_size)
{
        return process_found(vm, why, why_size) || file_found(leftovers, "/dev/shm", why, why_size) ||
               ipc_found(leftovers, "shm", 8, why, why_size) ||
               ipc_found(leftovers, "sem", 5, why, why_size) ||
               ipc_found(leftovers, "msg", 8, why, why_size) || group_found(leftovers, why, why_size);
}
