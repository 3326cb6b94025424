/* The resources of a network device: the queues of a tap or one connected stream, which outlive its workers where they
 * are held, and the file of a capture, which each worker has anew.
 * Owns nothing; called by resource.c. TRUST: names and paths are the operator's; what lies there may be anything.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/device/net.h"
#include "sandbox/resource.h"
#include "sandbox/resource_socket.h"
#include "sandbox/resource_tap.h"

static int open_tap(const struct device_config *device, const char *name, struct resources *resources,
                    char *why, size_t why_size)
{
        int fds[LIMIT_NET_PAIRS];
        unsigned n = MIN(device->n_queues / 2, LIMIT_NET_PAIRS);
        int r = resource_open_tap(name, n, fds, why, why_size);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < n; i++) {
                if (r == 0)
                        r = resources_add(resources, RESOURCE_TAP, &fds[i], false);
                if (r < 0)
                        close(fds[i]); /* there was no room, for it or for one before it */
        }
        return r;
}

static int open_stream(const char *path, struct resources *resources, char *why, size_t why_size)
{
        _cleanup_close_ int fd = -1;
        int r = resource_connect(path, &fd, why, why_size);

        return r < 0 ? r : resources_add(resources, RESOURCE_STREAM, &fd, false);
}

int resources_hold_net(const struct resource_owner *owner, const struct device_config *device,
                       struct resources *held, char *why, size_t why_size)
{
        const struct net_options options = net_options_read(&device->options);
        int none = -1;

        (void)owner;
        switch (options.carrier) {
        case NET_CARRIER_TAP:
                return open_tap(device, options.tap, held, why, why_size);
        case NET_CARRIER_STREAM:
                return open_stream(options.path, held, why, why_size);
        case NET_CARRIER_PASST: /* its place: the socket comes with the companion */
                return resources_add(held, RESOURCE_STREAM, &none, false);
        case NET_CARRIER_COUNT_:
                break;
        }
        return 0;
}

int resources_renew_net(const struct device_config *device, struct resources *held, unsigned i, char *why,
                        size_t why_size)
{
        const struct net_options options = net_options_read(&device->options);
        int fd, r;

        if (options.carrier != NET_CARRIER_STREAM || i >= held->n || held->kinds[i] != RESOURCE_STREAM)
                return -ENOENT;
        r = resource_connect(options.path, &fd, why, why_size);
        if (r < 0)
                return r;
        close(held->fds[i]);
        held->fds[i] = fd;
        return 0;
}

static int explain_capture(int r, const char *path, char *why, size_t why_size)
{
        switch (-r) {
        case EBUSY:
                snprintf(why, why_size, "%s: another device captures there; name another file", path);
                break;
        case EMLINK:
                snprintf(why, why_size, "%s: has other names (hard links); name another file", path);
                break;
        case ELOOP:
        case EINVAL:
                snprintf(why, why_size, "%s: is no regular file; name one that is, or that is not there yet",
                         path);
                break;
        default:
                snprintf(why, why_size, "%s: frames cannot be captured there (%s); name another file", path,
                         strerror(-r));
        }
        return r;
}

/* What it holds is judged by the worker. */
static int open_capture(const struct net_options *options, struct resources *resources, char *why,
                        size_t why_size)
{
        _cleanup_close_ int fd =
            open(options->pcap, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return explain_capture(-errno, options->pcap, why, why_size);
        if (!S_ISREG(st.st_mode))
                return explain_capture(-EINVAL, options->pcap, why, why_size);
        if (st.st_nlink > 1) /* somebody's file by another name */
                return explain_capture(-EMLINK, options->pcap, why, why_size);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return explain_capture(-EBUSY, options->pcap, why, why_size);
        resources->size_max = options->pcap_max;
        return resources_add(resources, RESOURCE_FILE, &fd, true);
}

int resources_open_net(const struct device_config *device, const struct resources *held,
                       struct resources *resources, char *why, size_t why_size)
{
        const struct net_options options = net_options_read(&device->options);
        int r = 0;

        for (unsigned i = 0; held && i < held->n && r == 0; i++)
                r = resources_add_held(resources, held, i);
        if (r == -ENOTCONN)
                snprintf(why, why_size, "its companion is not there yet");
        if (r == 0 && options.pcap[0] != '\0')
                r = open_capture(&options, resources, why, why_size);
        return r;
}
