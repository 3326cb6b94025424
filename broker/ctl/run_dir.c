/* RUNDIR: choosing it, and finding the VMs in it.
 * Owns nothing beyond a call; called by every verb. TRUST: names in RUNDIR are judged before use; whoever may
 * write there may make a VM appear, nothing more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/ctl/config_value.h"
#include "proto/base/cleanup.h"
#include "proto/vm_config.h"

/* The configuration's run_dir has the same rule: the path stands in arguments of a VMM. */
static bool is_printable_path(const char *path)
{
        for (const char *c = path; *c; c++)
                if (*c <= 0x20 || *c >= 0x7f || *c == ',')
                        return false;
        return true;
}

int run_dir_choose_for(const char *given, bool root, const char *xdg_runtime_dir, const char *working_dir,
                       char ret_dir[static PATH_MAX], char *why, size_t why_size)
{
        char dir[PATH_MAX];
        int r = 0;

        if (given)
                r = config_value_path(given, working_dir, dir);
        else if (root)
                snprintf(dir, sizeof(dir), VM_CONFIG_RUN_DIR);
        else if (xdg_runtime_dir && xdg_runtime_dir[0] == '/')
                r = config_value_path("bulkhead", xdg_runtime_dir, dir);
        else {
                snprintf(why, why_size, "no run directory: set XDG_RUNTIME_DIR, or use --run-dir DIR");
                return -ENOENT;
        }
        if (r < 0 || !is_printable_path(dir)) {
                snprintf(why, why_size,
                         "the run directory cannot stand in a VMM's arguments: use a short path of printable "
                         "ASCII "
                         "without blanks and commas");
                return -EINVAL;
        }
        memcpy(ret_dir, dir, strlen(dir) + 1);
        return 0;
}

int run_dir_choose(const char *given, char ret_dir[static PATH_MAX], char *why, size_t why_size)
{
        char working_dir[PATH_MAX];

        if (!getcwd(working_dir, sizeof(working_dir)))
                snprintf(working_dir, sizeof(working_dir), "/");
        return run_dir_choose_for(given, geteuid() == 0, getenv("XDG_RUNTIME_DIR"), working_dir, ret_dir, why,
                                  why_size);
}

static bool has_admin_socket(int dir_fd, const char *name)
{
        char path[NAME_MAX + 16];
        struct stat st;

        snprintf(path, sizeof(path), "%s/admin.sock", name);
        return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? S_ISSOCK(st.st_mode) : errno == EACCES;
}

static int vm_compare(const void *a, const void *b)
{
        return strcmp(((const struct run_dir_vm *)a)->name, ((const struct run_dir_vm *)b)->name);
}

static int list_add(struct run_dir_list *list, const char *name)
{
        struct run_dir_vm *vms;

        if (list->n >= LIMIT_CTL_VMS)
                return -E2BIG;
        vms = reallocarray(list->vms, list->n + 1, sizeof(*vms));
        if (!vms)
                return -ENOMEM;
        list->vms = vms;
        memcpy(vms[list->n].name, name, strlen(name) + 1);
        list->n++;
        return 0;
}

int run_dir_list(const char *dir, struct run_dir_list *ret_list)
{
        _cleanup_(run_dir_list_done) struct run_dir_list list = {0};
        DIR *stream = opendir(dir);
        struct dirent *entry;
        int r = 0;

        if (!stream && errno != ENOENT)
                return -errno;
        while (stream && r == 0 && (entry = readdir(stream)))
                if (vm_config_name_ok(entry->d_name) && has_admin_socket(dirfd(stream), entry->d_name))
                        r = list_add(&list, entry->d_name);
        if (stream)
                closedir(stream);
        if (r < 0)
                return r;
        if (list.n > 1)
                qsort(list.vms, list.n, sizeof(*list.vms), vm_compare);
        *ret_list = list;
        list = (struct run_dir_list){0};
        return 0;
}

void run_dir_list_done(struct run_dir_list *list)
{
        free(list->vms);
        *list = (struct run_dir_list){0};
}
