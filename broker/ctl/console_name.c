/* Which socket VM/DEVICE[:PORT] means.
 * Owns nothing beyond a call; called by verb_console.c. TRUST: the name is the operator's; file names in the run directory are
 * judged before use.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/console_name.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/vm_config.h"

#define DEFAULT_PORT "console"
#define TAIL         ".sock"

/* ---- the name ---- */

static bool take_part(const char **at, const char *ends, char *ret_part, size_t size)
{
        size_t len = strcspn(*at, ends);

        if (len == 0 || len >= size)
                return false;
        memcpy(ret_part, *at, len);
        ret_part[len] = '\0';
        *at += len;
        return vm_config_name_ok(ret_part);
}

int console_name_parse(const char *text, struct console_name *ret_name, char *why, size_t why_size)
{
        struct console_name name = {.port = ""};
        char shown[LIMIT_NAME];
        const char *at = text;
        bool good = take_part(&at, "/", name.vm, sizeof(name.vm)) && *at++ == '/' &&
                    take_part(&at, ":", name.device, sizeof(name.device)) &&
                    (*at == '\0' || (*at++ == ':' && take_part(&at, "", name.port, sizeof(name.port))));

        if (!good) {
                snprintf(why, why_size, "%s is no port of a console: use VM/DEVICE or VM/DEVICE:PORT",
                         log_escape(text, strlen(text), shown, sizeof(shown)));
                return -EINVAL;
        }
        *ret_name = name;
        return 0;
}

/* ---- the socket ---- */

/* The ports of a device, as far as there is place for them. */
struct port_list {
        char names[LIMIT_CONSOLE_PORTS][LIMIT_CONSOLE_NAME];
        size_t n;
};

static void list_add(struct port_list *list, const char *device, const char *file)
{
        size_t before = strlen(device) + 1, len = strlen(file), tail = sizeof(TAIL) - 1;
        char name[LIMIT_CONSOLE_NAME];

        if (strncmp(file, device, before - 1) != 0 || file[before - 1] != '.' || len <= before + tail ||
            strcmp(file + len - tail, TAIL) != 0)
                return;
        len -= before + tail;
        if (len >= sizeof(name) || list->n == array_size(list->names))
                return;
        memcpy(name, file + before, len);
        name[len] = '\0';
        if (vm_config_name_ok(name))
                memcpy(list->names[list->n++], name, sizeof(name));
}

static int list_ports(const char *run_dir, const struct console_name *name, struct port_list *ret_list,
                      char *why, size_t why_size)
{
        struct port_list list = {.n = 0};
        char path[PATH_MAX];
        DIR *dir;

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", run_dir, name->vm) >= sizeof(path))
                return -ENAMETOOLONG;
        dir = opendir(path);
        if (!dir) {
                snprintf(why, why_size, "no VM %s in %s (%s); bulkhead ps lists those that run", name->vm,
                         run_dir, strerror(errno));
                return -ENOENT;
        }
        for (const struct dirent *entry; (entry = readdir(dir));)
                list_add(&list, name->device, entry->d_name);
        closedir(dir);
        *ret_list = list;
        return 0;
}

static bool list_has(const struct port_list *list, const char *port)
{
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->names[i], port) == 0)
                        return true;
        return false;
}

static const char *list_default(const struct port_list *list)
{
        if (list->n == 1)
                return list->names[0];
        return list_has(list, DEFAULT_PORT) ? DEFAULT_PORT : NULL;
}

static int refuse_port(const struct port_list *list, const struct console_name *name, char *why,
                       size_t why_size)
{
        size_t len;

        if (list->n == 0) {
                snprintf(why, why_size, "VM %s has no console %s", name->vm, name->device);
                return -ENOENT;
        }
        len = (size_t)snprintf(why, why_size, "%s/%s: %s%s; its ports are", name->vm, name->device,
                               name->port[0] ? "there is no port " : "say which port, as VM/DEVICE:PORT",
                               name->port);
        for (size_t i = 0; i < list->n && len < why_size; i++)
                len += (size_t)snprintf(why + len, why_size - len, "%s %s", i ? "," : "", list->names[i]);
        return -ENOENT;
}

int console_place_find(const char *run_dir, const struct console_name *name, struct console_place *ret_place,
                       char *why, size_t why_size)
{
        struct console_place place;
        struct port_list list;
        const char *port, *by_itself;
        int r = list_ports(run_dir, name, &list, why, why_size);

        if (r < 0)
                return r;
        by_itself = list_default(&list);
        port = name->port[0] ? name->port : by_itself;
        if (!port || !list_has(&list, port))
                return refuse_port(&list, name, why, why_size);
        place.is_console = by_itself && strcmp(port, by_itself) == 0;
        snprintf(place.port, sizeof(place.port), "%s", port);
        if ((size_t)snprintf(place.path, sizeof(place.path), "%s/%s/%s.%s" TAIL, run_dir, name->vm,
                             name->device, port) >= sizeof(place.path))
                return -ENAMETOOLONG;
        *ret_place = place;
        return 0;
}
