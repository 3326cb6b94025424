/* passt: a guest's network by the host's sockets, without any right of root's.
 * Owns nothing; called by the spawner at its start. TRUST: the options are the operator's; the program is the distribution's.
 *
 * Its jail. passt is not ours, and shuts itself in: it makes a user namespace of its own, in it IPC, mount and UTS namespaces, an
 * empty read-only root, drops all capabilities and loads a filter, before it looks at a frame. Until then, and around all that, it
 * is in ours: its own user, pid, mount, IPC, UTS and cgroup namespaces, a root of its program, its libraries and resolv.conf, no
 * capability, no_new_privs, MDWE, its limits and its control group. What it has that no worker has: the host's network, which is what
 * it is for; and room for one user namespace. No filter of ours, which would have to allow all that it does to shut
 * itself in; of Landlock the scopes alone, for the rest bars mounts: in the host's network abstract Unix sockets are the host's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/companion_passt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sandbox/lockdown.h"

#define FORWARD_MAX 64u /* bytes of one: an address, an interface and two ranges of ports */

static int add_forward(struct companion_args *args, const char *text, size_t len, char *why, size_t why_size)
{
        const bool udp = len > 4 && memcmp(text, "udp/", 4) == 0;

        if (len >= FORWARD_MAX || (!udp && (len <= 4 || memcmp(text, "tcp/", 4) != 0)) ||
            strspn(text + 4, "0123456789abcdefABCDEFxyz.:-/%") + 4 < len) {
                snprintf(why, why_size,
                         "forward: \"%.*s\" is no port forward: tcp/ or udp/, and then a port, or the host's "
                         "and the guest's: "
                         "tcp/2222:22",
                         (int)(len < FORWARD_MAX ? len : FORWARD_MAX), text);
                return -EINVAL;
        }
        if (companion_args_add(args, udp ? "-u" : "-t") < 0 ||
            companion_args_add(args, "%.*s", (int)(len - 4), text + 4) < 0) {
                snprintf(why, why_size, "forward: too many: name ranges of ports instead");
                return -E2BIG;
        }
        return 0;
}

int companion_passt_args(struct companion_args *args, const char *forward, uint32_t mtu, char *why,
                         size_t why_size)
{
        int r = companion_args_add(args, "passt");

        snprintf(why, why_size, "passt's command line is too long");
        if (r == 0)
                r = companion_args_add(args, "--foreground");
        if (r == 0)
                r = companion_args_add(args, "--stderr");
        if (r == 0)
                r = companion_args_add(args, "--quiet");
        if (r == 0)
                r = companion_args_add(args, "--fd");
        if (r == 0)
                r = companion_args_add(args, "%d", worker_fd_resource(0, 0));
        if (r == 0)
                r = companion_args_add(args, "--mtu");
        if (r == 0)
                r = companion_args_add(args, "%u", mtu);
        while (r == 0 && *forward != '\0') {
                size_t len = strcspn(forward, ",");

                r = add_forward(args, forward, len, why, why_size);
                forward += len + (forward[len] == ',');
        }
        return r;
}

/* Its loader, its libraries, and who answers for names. */
static const char *const root_paths[] = {
    "/usr",           "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/resolv.conf",
    "/etc/localtime", NULL};
/* On x86 it asks there what it is, to start its variant for newer processors; we start that ourselves. */
static const char *const root_links[] = {"/proc/self/exe", "/usr/bin/passt.avx2", NULL};

static const char *const *places(void)
{
        static const char *const all[] = {"/usr/bin/passt.avx2", "/usr/bin/passt", "/usr/local/bin/passt",
                                          NULL};

#ifdef __x86_64__
        return __builtin_cpu_supports("avx2") ? all : all + 1;
#else
        return all + 1;
#endif
}

const struct companion_row companion_passt = {
    .name = "passt",
    .places = places,
    .remedy = "install passt, or use another backend",
    .socket_type = SOCK_STREAM,
    .socket_len = LIMIT_PASST_SOCKET,
    .blocks =
        true, /* without, it drops what a full socket has not taken of a frame, and the stream is out of step */
    .n_born = 16384, /* a socket a flow; passt itself takes no more flows */
    .memory_max = 512u << 20,
    .allowance = {.root_paths = root_paths,
                  .root_links = root_links,
                  .host_network = true,
                  .own_sandbox = true,
                  .stack_max = 8u << 20 /* buffers of megabytes */},
};
