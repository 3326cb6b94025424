/* Opens a tap interface, while there is a right to do so.
 * Owns nothing; called at the start. TRUST: the name is the operator's; the interface may be anybody's.
 *
 * The header's size and the offloads are said here, because no jailed worker may say them: what the interface hands over
 * unfinished (checksums, segments) the worker finishes for a driver that cannot.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/resource_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define TUN_DEVICE "/dev/net/tun"

static int explain_device(int r, char *why, size_t why_size)
{
        snprintf(why, why_size, "%s: %s; %s", TUN_DEVICE, strerror(-r),
                 r == -ENOENT || r == -ENODEV ? "load the module tun" : "let us read and write it");
        return r;
}

static int explain(int r, const char *name, unsigned n, char *why, size_t why_size)
{
        switch (-r) {
        case EPERM:
                snprintf(why, why_size,
                         "tap %s: no permission; make it for us with: ip tuntap add %s mode tap user %u%s",
                         name, name, geteuid(), n > 1 ? " multi_queue" : "");
                break;
        case EBUSY:
                snprintf(why, why_size,
                         "tap %s: in use by another process; stop that one or name another tap", name);
                break;
        case EINVAL:
                snprintf(why, why_size,
                         "tap %s: is no tap, or one that was made with%s multi_queue; make it with: ip "
                         "tuntap add %s "
                         "mode tap%s",
                         name, n > 1 ? "out" : "", name, n > 1 ? " multi_queue" : "");
                break;
        case E2BIG:
                snprintf(why, why_size,
                         "tap %s: has no %u queues left; stop who uses it, or have fewer queues", name, n);
                break;
        default:
                snprintf(why, why_size, "tap %s: cannot open it: %s", name, strerror(-r));
        }
        return r;
}

/* Those of virtio 1.0; without them it is a plain tap. Not segments of UDP: a worker would have to cut them for nearly
 * every driver. */
static int set_offloads(int fd)
{
        static const unsigned offloads[] = {
            TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
            0,
        };

        for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
                if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads[i]) == 0)
                        return 0;
        return -errno;
}

static int open_queue(const char *name, unsigned n, int *ret_fd, char *why, size_t why_size)
{
        _cleanup_close_ int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)};
        int header = TAP_HEADER_BYTES;

        if (fd < 0)
                return explain_device(-errno, why, why_size);
        if (n > 1)
                request.ifr_flags = (short)(request.ifr_flags | IFF_MULTI_QUEUE);
        memcpy(request.ifr_name, name, strlen(name));
        if (ioctl(fd, TUNSETIFF, &request) < 0)
                return explain(-errno, name, n, why, why_size);
        if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || set_offloads(fd) < 0)
                return explain(-errno, name, n, why, why_size);
        *ret_fd = take_fd(&fd);
        return 0;
}

int resource_open_tap(const char *name, unsigned n, int *ret_fds, char *why, size_t why_size)
{
        if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strpbrk(name, "/%: \t\n")) {
                snprintf(why, why_size,
                         "tap: an interface's name has 1 to %d characters, without '/', '%%', ':' and blanks",
                         IFNAMSIZ - 1);
                return -EINVAL;
        }
        for (unsigned i = 0; i < n; i++) {
                int r = open_queue(name, n, &ret_fds[i], why, why_size);

                while (r < 0 && i > 0)
                        close(ret_fds[--i]);
                if (r < 0)
                        return r;
        }
        return 0;
}
