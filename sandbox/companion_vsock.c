/* The proxy of a vsock device: a program of ours, in the folder where it listens and connects.
 * Owns nothing; called by spawner_companion.c. TRUST: the path is the operator's; what lies in its folder may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/companion_vsock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/cleanup.h"
#include "proto/device/vsock.h"
#include "sandbox/resource_folder.h"

#define OWN_SOCKETS 16u /* beside connections and clients: epoll, listeners, one that is to be closed */

static int add_args(struct companion *companion, const struct resource_owner *owner,
                    const struct device_config *device, const char *name)
{
        int r = companion_args_add(&companion->args, "bulkhead-vsock-proxy: %s/%s", owner->config->name,
                                   device->name);

        if (r == 0)
                r = companion_args_add(&companion->args, "0");
        if (r == 0)
                r = companion_args_add(&companion->args, "2");
        return r < 0 ? r : companion_args_add(&companion->args, "%s", name);
}

/* Whose the folder is, the proxy is inside of it: it makes its socket there, and reaches what that owner listens at. */
static int add_folder(struct companion *companion, const struct resource_owner *owner, const char *folder,
                      char *why, size_t why_size)
{
        _cleanup_(resources_close) struct resources held = {0};
        struct folder_wish wish = {.path = folder};
        struct stat st;
        int r = resource_look_at_folder(folder, &st, why, why_size);

        if (r < 0)
                return r;
        wish.ids = (struct share_ids){
            .owner_uid = st.st_uid, .owner_gid = st.st_gid, .uid = companion->uid, .gid = companion->gid};
        r = resource_add_folder(owner, &wish, &held, why, why_size);
        if (r < 0)
                return r;
        if (held.as_owner) {
                companion->uid = held.uid;
                companion->gid = held.gid;
        }
        companion->folder_fd = take_fd(&held.fds[0]);
        return 0;
}

int companion_vsock_prepare(struct companion *companion, const struct resource_owner *owner,
                            const struct device_config *device, char *why, size_t why_size)
{
        const char *path = vsock_options_read(&device->options).path;
        const char *name = strrchr(path, '/') + 1; /* it is absolute, and has one (vsock_options_judge) */
        char folder[PATH_MAX];
        int r = add_args(companion, owner, device, name);

        if (r < 0) {
                snprintf(why, why_size, "%s: too long; name a shorter path", path);
                return r;
        }
        snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
        return add_folder(companion, owner, folder, why, why_size);
}

/* Its socket keeps frames whole by itself. */
const struct companion_row companion_vsock = {
    .name = "vsock-proxy",
    .policy = "vsock-proxy",
    .program = "bulkhead-vsock-proxy",
    .remedy = "name the folder of the workers with worker_dir",
    .socket_type = SOCK_SEQPACKET,
    .socket_len = LIMIT_HELD_SOCKET,
    .has_folder = true,
    .n_born = 2 * LIMIT_VSOCK_STREAMS + LIMIT_VSOCK_CLIENTS + OWN_SOCKETS,
    .memory_max = 64u << 20, /* LIMIT_VSOCK_POOL, tables, and as much again */
};
