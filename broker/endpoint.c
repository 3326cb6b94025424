/* The places where a VM's broker can be reached.
 * Owns the lock and the listening sockets until they are handed to the broker; called by main, as the
 * spawner. TRUST: the configuration is judged; the run directory is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define ENDPOINT_BACKLOG 4 /* front ends that wait for their turn */

static int explain(char *why, size_t size, int error, const char *path, const char *remedy)
{
        snprintf(why, size, "%s: %s; %s", path, strerror(-error), remedy);
        return error;
}

int endpoints_make_run_dir(const struct vm_config *config, char *why, size_t why_size)
{
        if (mkdir(config->run_dir, 0755) == 0 || errno == EEXIST)
                return 0;
        return explain(why, why_size, -errno, config->run_dir,
                       "make it, or name a directory that you may write with --run-dir");
}

void endpoints_path(const struct vm_config *config, const char *name, char *ret_path, size_t size)
{
        snprintf(ret_path, size, "%.*s/%s/%s.sock", PATH_MAX - 1, config->run_dir, config->name, name);
}

static int open_lock(const struct vm_config *config, int *ret_fd, char *why, size_t why_size)
{
        char path[2 * PATH_MAX];
        _cleanup_close_ int fd = -1;

        snprintf(path, sizeof(path), "%s/%s", config->run_dir, config->name);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return explain(why, why_size, -errno, path,
                               "make the run directory writable or choose another with --run-dir");
        strcat(path, "/lock");
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return explain(why, why_size, -errno, path,
                               "it belongs to another user: use a run directory of your own");
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                snprintf(why, why_size,
                         "VM %s is running already (%s is locked); stop it first or choose another name",
                         config->name, path);
                return -EBUSY;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}

static int give_socket(const struct vm_config *config, uid_t owner, const char *path, char *why,
                       size_t why_size)
{
        gid_t gid = config->socket_gid == VM_CONFIG_NO_GID ? (gid_t)-1 : config->socket_gid;

        if (chmod(path, config->socket_mode) < 0)
                return explain(why, why_size, -errno, path, "its mode cannot be set");
        if (chown(path, owner, gid) < 0)
                return explain(why, why_size, -errno, path,
                               "its owner or group cannot be set; leave socket.group out or join that group");
        return 0;
}

static int open_socket(const struct vm_config *config, uid_t owner, const char *name, int *ret_fd, char *why,
                       size_t why_size)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char path[2 * PATH_MAX];
        _cleanup_close_ int fd = -1;
        int r;

        endpoints_path(config, name, path, sizeof(path));
        if (strlen(path) >= sizeof(address.sun_path))
                return explain(why, why_size, -ENAMETOOLONG, path, "choose a shorter run directory or name");
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return explain(why, why_size, -errno, path, "no socket can be made");
        if (unlink(path) < 0 && errno != ENOENT)
                return explain(why, why_size, -errno, path, "a stale socket cannot be removed");
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return explain(why, why_size, -errno, path, "the socket cannot be made");
        r = give_socket(config, owner, path, why, why_size);
        if (r == 0 && listen(fd, ENDPOINT_BACKLOG) < 0) /* not before its mode and owner are right */
                r = explain(why, why_size, -errno, path, "the socket cannot listen");
        if (r < 0) {
                unlink(path);
                return r;
        }
        *ret_fd = take_fd(&fd);
        return 0;
}

/* Nobody may find the socket of a broker that has not started. */
static void remove_socket(const struct vm_config *config, const char *name)
{
        char path[2 * PATH_MAX];

        endpoints_path(config, name, path, sizeof(path));
        unlink(path);
}

/* A VM of our own is reached by nobody's VMM. */
static size_t n_device_sockets(const struct vm_config *config)
{
        return config->frontend == VM_FRONTEND_VHOST_USER ? config->n_devices : 0;
}

int endpoints_open(const struct vm_config *config, uid_t owner, struct endpoints *ret_endpoints, char *why,
                   size_t why_size)
{
        struct endpoints made = {.lock_fd = -1, .admin_fd = -1};
        int r = open_lock(config, &made.lock_fd, why, why_size);

        if (r == 0)
                r = open_socket(config, owner, "admin", &made.admin_fd, why, why_size);
        for (size_t i = 0; r == 0 && i < n_device_sockets(config); i++) {
                r = open_socket(config, owner, config->devices[i].name, &made.device_fds[i], why, why_size);
                if (r == 0)
                        made.n_devices++;
        }
        if (r < 0) {
                if (made.admin_fd >= 0)
                        remove_socket(config, "admin");
                for (size_t i = 0; i < made.n_devices; i++)
                        remove_socket(config, config->devices[i].name);
                endpoints_close(&made);
                return r;
        }
        *ret_endpoints = made;
        return 0;
}

void endpoints_close(struct endpoints *endpoints)
{
        cleanup_close(&endpoints->lock_fd);
        cleanup_close(&endpoints->admin_fd);
        for (size_t i = 0; i < endpoints->n_devices; i++)
                cleanup_close(&endpoints->device_fds[i]);
        *endpoints = (struct endpoints){.lock_fd = -1, .admin_fd = -1};
}
