/* The resources of a console: a listening socket a port, which outlives its workers, and with log_dir the two files of each
 * port's log, opened for each incarnation.
 * Owns nothing; called by resource.c. TRUST: paths are the operator's; what lies there may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/device/console.h"
#include "sandbox/resource.h"
#include "sandbox/resource_socket.h"

#define LOG_MODE 0640 /* what a guest prints may be anybody's secret */

/* ---- listening sockets ---- */

/* RUNDIR/VM/DEVICE.PORT.sock; another device may be named so that its own socket would stand there. */
static int port_path(const struct vm_config *config, const struct device_config *device, const char *port,
                     char ret_path[static PATH_MAX], char *why, size_t why_size)
{
        char name[LIMIT_NAME + LIMIT_CONSOLE_NAME];

        snprintf(name, sizeof(name), "%s.%s", device->name, port);
        for (size_t i = 0; i < config->n_devices; i++)
                if (strcmp(config->devices[i].name, name) == 0) {
                        snprintf(why, why_size,
                                 "port %s and device %s would have one socket; rename one of them", port,
                                 name);
                        return -EEXIST;
                }
        if ((size_t)snprintf(ret_path, PATH_MAX, "%.*s/%s/%s.sock", PATH_MAX - 1, config->run_dir,
                             config->name, name) < PATH_MAX)
                return 0;
        snprintf(why, why_size, "the run directory's path is too long");
        return -ENAMETOOLONG;
}

int resources_hold_console(const struct resource_owner *owner, const struct device_config *device,
                           struct resources *held, char *why, size_t why_size)
{
        const struct console_options options = console_options_read(&device->options);
        const struct vm_config *config = owner->config;
        const struct socket_rights rights = {
            .mode = config->socket_mode,
            .uid = owner->uid,
            .gid = config->socket_gid == VM_CONFIG_NO_GID ? (gid_t)-1 : (gid_t)config->socket_gid};

        for (uint32_t i = 0; i < options.n_ports; i++) {
                _cleanup_close_ int fd = -1;
                char path[PATH_MAX];
                int r = port_path(config, device, options.names[i], path, why, why_size);

                if (r == 0)
                        r = resource_listen(path, &rights, &fd, why, why_size);
                if (r == 0)
                        r = owner->unlink_later(owner->context, path);
                if (r == 0)
                        r = resources_add(held, RESOURCE_LISTENER, &fd, false);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- logs ---- */

static int explain(int r, const char *path, char *why, size_t why_size)
{
        if (r == -EBUSY)
                snprintf(why, why_size, "%s: another device logs there; give each a log_dir of its own",
                         path);
        else if (r == -EINVAL || r == -ELOOP)
                snprintf(why, why_size, "%s: is no regular file; move it away", path);
        else if (r == -EMLINK)
                snprintf(why, why_size, "%s: has other names (hard links); move it away", path);
        else
                snprintf(why, why_size,
                         "%s: the log cannot be written (%s); is log_dir there, and may we write it?", path,
                         strerror(-r));
        return r;
}

/* Ours alone: two that write to one file would cut it under each other. */
static int open_log(const char *path, int *ret_fd, struct stat *ret_stat)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _cleanup_close_ int fd =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, LOG_MODE);

        if (fd < 0 || fstat(fd, ret_stat) < 0)
                return -errno;
        if (!S_ISREG(ret_stat->st_mode))
                return -EINVAL;
        if (ret_stat->st_nlink > 1) /* somebody's file by another name */
                return -EMLINK;
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
        *ret_fd = take_fd(&fd);
        return 0;
}

static int add_log(struct resources *resources, const char *folder, const char *port, const char *tail,
                   char *why, size_t why_size)
{
        char path[PATH_MAX + LIMIT_CONSOLE_NAME + 8];
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        snprintf(path, sizeof(path), "%.*s/%s.log%s", PATH_MAX - 1, folder, port, tail);
        r = open_log(path, &fd, &st);
        if (r < 0)
                return explain(r, path, why, why_size);
        resources->device = st.st_dev;
        resources->size_max = MAX(resources->size_max, (uint64_t)st.st_size);
        return resources_add(resources, RESOURCE_FILE, &fd, true);
}

int resources_open_console(const struct device_config *device, const struct resources *held,
                           struct resources *resources, char *why, size_t why_size)
{
        const struct console_options options = console_options_read(&device->options);
        int r = 0;

        if (options.log_dir[0] != '\0')
                resources->size_max = options.log_max;
        for (uint32_t i = 0; r == 0 && i < options.n_ports; i++) {
                if (held)
                        r = resources_add_held(resources, held, i);
                if (r < 0)
                        snprintf(why, why_size, "its listening socket is gone: %s", strerror(-r));
                if (r == 0 && options.log_dir[0] != '\0')
                        r = add_log(resources, options.log_dir, options.names[i], "", why, why_size);
                if (r == 0 && options.log_dir[0] != '\0')
                        r = add_log(resources, options.log_dir, options.names[i], ".1", why, why_size);
        }
        return r;
}
