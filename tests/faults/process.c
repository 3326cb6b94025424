/* What /proc says of a process. Owns nothing; called by stack.c and by tests. TRUST: the kernel's texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(pid_t pid, const char *name)
{
        char path[128];

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        return fopen(path, "re");
}

bool process_has_title(pid_t pid, const char *title)
{
        FILE *file = open_file(pid, "cmdline");
        char text[256] = "";
        size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

        if (file)
                fclose(file);
        text[n] = '\0';
        return strncmp(text, title, strlen(title)) == 0;
}

/* Calls once a child, until it answers 1. */
static pid_t each_child(pid_t parent, bool (*judge)(pid_t pid, const char *title), const char *title)
{
        char name[64];
        FILE *file;
        int child;
        pid_t found = 0;

        snprintf(name, sizeof(name), "task/%d/children", (int)parent);
        file = open_file(parent, name);
        while (file && found == 0 && fscanf(file, "%d", &child) == 1)
                if (judge(child, title))
                        found = child;
        if (file)
                fclose(file);
        return found;
}

pid_t process_child(pid_t parent, const char *title)
{
        return each_child(parent, process_has_title, title);
}

static unsigned children_seen;

static bool count_child(pid_t pid, const char *title)
{
        (void)pid;
        (void)title;
        children_seen++;
        return false;
}

unsigned process_children(pid_t pid)
{
        children_seen = 0;
        each_child(pid, count_child, NULL);
        return children_seen;
}

static unsigned count_entries(pid_t pid, const char *name)
{
        char path[128];
        unsigned n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        dir = opendir(path);
        for (struct dirent *entry; dir && (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        if (dir)
                closedir(dir);
        return n;
}

unsigned process_fds(pid_t pid)
{
        return count_entries(pid, "fd");
}

unsigned process_threads(pid_t pid)
{
        return count_entries(pid, "task");
}

unsigned process_maps(pid_t pid)
{
        FILE *file = open_file(pid, "maps");
        unsigned n = 0;
        int c;

        while (file && (c = fgetc(file)) != EOF)
                n += c == '\n';
        if (file)
                fclose(file);
        return n;
}

long process_rss_kib(pid_t pid)
{
        FILE *file = open_file(pid, "status");
        char line[256];
        long kib = 0;

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "VmRSS: %ld", &kib) == 1)
                        break;
        if (file)
                fclose(file);
        return kib;
}
