/* Where control groups can be made on this host.
 * Owns nothing; called once by the spawner. TRUST: reads the kernel's tables; the host's administrator lays
 * them out.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_files.h"

#define TABLE_BYTES 65536u /* of mountinfo and cgroup: hosts with a thousand mounts have as much */

/* What a line of mountinfo says of one mounted hierarchy. */
struct cgroup_mount {
        char root[PATH_MAX], point[PATH_MAX];
        char type[32], options[256];
};

static const struct {
        const char *v1, *v2;
} names[CGROUP_CONTROLLER_COUNT_] = {
    [CGROUP_MEMORY] = {"memory", "memory"},
    [CGROUP_PIDS] = {"pids", "pids"},
    [CGROUP_CPU] = {"cpu", "cpu"},
    [CGROUP_IO] = {"blkio", "io"},
};

const char *cgroup_controller_name(enum cgroup_controller controller)
{
        return names[controller].v2;
}

/* Is `word` one of the items of `list`, which are separated by one of `separators`? */
static bool list_has(const char *list, const char *separators, const char *word)
{
        size_t len = strlen(word);

        while (*list) {
                size_t item = strcspn(list, separators);

                if (item == len && strncmp(list, word, len) == 0)
                        return true;
                list += item;
                list += strspn(list, separators);
        }
        return false;
}

/* Copies line `text` up to its end; returns the start of the next one, or NULL at the end. */
static const char *next_line(const char *text, char *line, size_t size)
{
        size_t len = strcspn(text, "\n");

        if (*text == '\0')
                return NULL;
        snprintf(line, size, "%.*s", (int)MIN(len, size - 1), text);
        return text[len] ? text + len + 1 : text + len;
}

/* proc(5): id parent major:minor root point options [tags] - type source super-options. */
static bool cgroup_parse_mount(const char *line, struct cgroup_mount *ret_mount)
{
        const char *tail = strstr(line, " - ");

        if (!tail)
                return false;
        if (sscanf(line, "%*s %*s %*s %4095s %4095s", ret_mount->root, ret_mount->point) != 2)
                return false;
        if (sscanf(tail, " - %31s %*s %255s", ret_mount->type, ret_mount->options) != 2)
                return false;
        return strncmp(ret_mount->type, "cgroup", 6) == 0 && !strchr(ret_mount->point, '\\');
}

/* Our own path in the hierarchy that has this controller ("" names version 2): the third field of its line.
 */
static bool cgroup_own_path(const char *own, const char *controller, char *ret_path, size_t size)
{
        char line[PATH_MAX + 256];

        while ((own = next_line(own, line, sizeof(line)))) {
                char *list = strchr(line, ':');
                char *path = list ? strchr(list + 1, ':') : NULL;

                if (!path)
                        continue;
                *path++ = '\0';
                list++;
                if (controller[0] ? list_has(list, ",", controller) : list[0] == '\0') {
                        snprintf(ret_path, size, "%s", path);
                        return true;
                }
        }
        return false;
}

static bool is_directory(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The directory of our own group: its path, less the part of the hierarchy that this mount does not show. */
static void cgroup_own_dir(const char *root, const struct cgroup_mount *mount, const char *path,
                           char *ret_dir)
{
        size_t hidden = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

        if (strncmp(path, mount->root, hidden) != 0)
                hidden = 0;
        if (snprintf(ret_dir, PATH_MAX, "%s%s%s", root, mount->point, path + hidden) >= PATH_MAX ||
            !is_directory(ret_dir))
                snprintf(ret_dir, PATH_MAX, "%.2000s%.2000s", root, mount->point);
        for (size_t len = strlen(ret_dir); len > 1 && ret_dir[len - 1] == '/'; len--)
                ret_dir[len - 1] = '\0';
}

static void cgroup_take_v1(struct cgroup_host *host, const char *root, const char *own,
                           const struct cgroup_mount *mount)
{
        char path[PATH_MAX];

        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++)
                if (list_has(mount->options, ",", names[i].v1) && host->parent[i][0] == '\0' &&
                    cgroup_own_path(own, names[i].v1, path, sizeof(path)))
                        cgroup_own_dir(root, mount, path, host->parent[i]);
}

/* Hands a controller of `dir` out to its children. */
static int cgroup_hand_out(const char *dir, const char *controller)
{
        char text[32];

        snprintf(text, sizeof(text), "+%s", controller);
        return cgroup_write(dir, "cgroup.subtree_control", text);
}

/* A group that holds processes cannot hand out controllers: ours moves down into a leaf. That helps when we
 * are its only process, as in a unit of our own. */
static void cgroup_step_down(const char *dir)
{
        char leaf[PATH_MAX];

        if (snprintf(leaf, sizeof(leaf), "%s/bulkhead-spawner", dir) >= (int)sizeof(leaf))
                return;
        if (mkdir(leaf, 0755) == 0 || errno == EEXIST)
                (void)cgroup_write(leaf, "cgroup.procs", "0");
}

/* Takes every controller that `dir` has and can hand out. Returns how many; *ret_busy: one was refused
 * because the group holds processes. */
static unsigned cgroup_take_v2_dir(struct cgroup_host *host, const char *dir, bool *ret_busy)
{
        char have[256];
        unsigned n = 0;

        *ret_busy = false;
        if (cgroup_read(dir, "cgroup.controllers", have, sizeof(have)) < 0)
                return 0;
        for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT_; i++) {
                int r;

                if (!list_has(have, " \n", names[i].v2))
                        continue;
                r = cgroup_hand_out(dir, names[i].v2);
                *ret_busy |= r == -EBUSY;
                if (r < 0)
                        continue;
                snprintf(host->parent[i], PATH_MAX, "%s", dir);
                n++;
        }
        return n;
}

/* Our own group first, because its limits are meant for us; the root of the hierarchy where that cannot be.
 */
static void cgroup_take_v2(struct cgroup_host *host, const char *root, const char *own,
                           const struct cgroup_mount *mount)
{
        char path[PATH_MAX], dir[PATH_MAX];
        bool busy;

        if (!cgroup_own_path(own, "", path, sizeof(path)))
                return;
        cgroup_own_dir(root, mount, path, dir);
        host->v2 = cgroup_take_v2_dir(host, dir, &busy) > 0;
        if (!host->v2 && busy) {
                cgroup_step_down(dir);
                host->v2 = cgroup_take_v2_dir(host, dir, &busy) > 0;
        }
        if (host->v2)
                return;
        snprintf(dir, sizeof(dir), "%.2000s%.2000s", root, mount->point);
        host->v2 = cgroup_take_v2_dir(host, dir, &busy) > 0;
}

static void cgroup_each_mount(struct cgroup_host *host, const char *root, const char *mountinfo,
                              const char *own, const char *type,
                              void (*take)(struct cgroup_host *, const char *, const char *,
                                           const struct cgroup_mount *))
{
        char line[2 * PATH_MAX + 512];
        struct cgroup_mount mount;

        while ((mountinfo = next_line(mountinfo, line, sizeof(line))))
                if (cgroup_parse_mount(line, &mount) && strcmp(mount.type, type) == 0)
                        take(host, root, own, &mount);
}

void cgroup_host_parse(struct cgroup_host *host, const char *root, const char *mountinfo, const char *own)
{
        memset(host, 0, sizeof(*host));
        cgroup_each_mount(host, root, mountinfo, own, "cgroup2", cgroup_take_v2);
        if (!host->v2)
                cgroup_each_mount(host, root, mountinfo, own, "cgroup", cgroup_take_v1);
}

/* "8:0\n" */
static int read_device_number(const char *dir, dev_t *ret_device)
{
        char text[32] = "";
        unsigned major, minor;
        int r = cgroup_read(dir, "dev", text, sizeof(text));

        if (r < 0 || sscanf(text, "%u:%u", &major, &minor) != 2)
                return -ENODEV;
        *ret_device = makedev(major, minor);
        return 0;
}

int cgroup_find_disk(const char *root, dev_t device, dev_t *ret_disk)
{
        char dir[PATH_MAX], part[32];
        int len =
            snprintf(dir, sizeof(dir), "%.2000s/sys/dev/block/%u:%u", root, major(device), minor(device));

        if (!is_directory(dir))
                return -ENODEV;
        if (cgroup_read(dir, "partition", part, sizeof(part)) == 0)
                snprintf(dir + len, sizeof(dir) - (size_t)len, "/.."); /* a disk is its parts' folder */
        return read_device_number(dir, ret_disk);
}

static char *read_table(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *text = calloc(1, TABLE_BYTES);
        size_t len = 0;

        while (fd >= 0 && text && len < TABLE_BYTES - 1) {
                ssize_t n = read(fd, text + len, TABLE_BYTES - 1 - len);

                if (n <= 0)
                        break;
                len += (size_t)n;
        }
        return take_ptr(text);
}

void cgroup_host_init(struct cgroup_host *host)
{
        _cleanup_free_ char *mountinfo = read_table("/proc/self/mountinfo");
        _cleanup_free_ char *own = read_table("/proc/self/cgroup");

        memset(host, 0, sizeof(*host));
        if (mountinfo && own)
                cgroup_host_parse(host, "", mountinfo, own);
}
