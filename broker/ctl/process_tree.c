/* Who descends from whom on this host.
 * Owns the table; called by audit_measure.c: a broker could leave a worker out of its list, but it cannot
 * take it out of /proc. TRUST: the kernel's texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/process_tree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/ctl/config_value.h"
#include "broker/ctl/proc_file.h"
#include "broker/ctl/proc_parse.h"
#include "proto/base/cleanup.h"

static int add(struct process_tree *tree, int proc_fd, const char *name)
{
        _cleanup_free_ char *text = NULL;
        struct process_row row, *rows;
        uint32_t pid;
        char path[32];
        size_t len = 0;

        if (config_value_uint(name, &pid) < 0)
                return 0;
        snprintf(path, sizeof(path), "%u/stat", pid);
        if (proc_file_read(proc_fd, path, &text, &len) < 0 || proc_parse_stat_ppid(text, len, &row.ppid) < 0)
                return 0; /* it has ended */
        if (tree->n >= LIMIT_PROC_PIDS)
                return -E2BIG;
        row.pid = (pid_t)pid;
        rows = reallocarray(tree->rows, tree->n + 1, sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        tree->rows = rows;
        rows[tree->n++] = row;
        return 0;
}

int process_tree_read(struct process_tree *ret_tree)
{
        _cleanup_(process_tree_done) struct process_tree tree = {0};
        DIR *stream = opendir("/proc");
        struct dirent *entry;
        int r = 0;

        if (!stream)
                return -errno;
        while (r == 0 && (entry = readdir(stream)))
                if (isdigit((unsigned char)entry->d_name[0]))
                        r = add(&tree, dirfd(stream), entry->d_name);
        closedir(stream);
        if (r < 0)
                return r;
        *ret_tree = tree;
        tree = (struct process_tree){0};
        return 0;
}

void process_tree_done(struct process_tree *tree)
{
        free(tree->rows);
        *tree = (struct process_tree){0};
}

static pid_t parent_of(const struct process_tree *tree, pid_t pid)
{
        for (size_t i = 0; i < tree->n; i++)
                if (tree->rows[i].pid == pid)
                        return tree->rows[i].ppid;
        return 0;
}

/* At most as many steps as there are rows: a table read while processes end may hold a loop. */
static bool descends(const struct process_tree *tree, pid_t pid, pid_t ancestor)
{
        for (size_t steps = 0; steps < tree->n && pid > 0; steps++) {
                pid = parent_of(tree, pid);
                if (pid == ancestor)
                        return true;
        }
        return false;
}

static bool is_known(pid_t pid, const pid_t *known, size_t n_known)
{
        for (size_t i = 0; i < n_known; i++)
                if (known[i] == pid)
                        return true;
        return false;
}

size_t process_tree_strangers(const struct process_tree *tree, pid_t ancestor, const pid_t *known,
                              size_t n_known, pid_t *ret_first)
{
        size_t n = 0;

        *ret_first = 0;
        for (size_t i = 0; i < tree->n; i++)
                if (!is_known(tree->rows[i].pid, known, n_known) &&
                    descends(tree, tree->rows[i].pid, ancestor)) {
                        if (n++ == 0)
                                *ret_first = tree->rows[i].pid;
                }
        return n;
}
