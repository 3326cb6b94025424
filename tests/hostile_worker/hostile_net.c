/* What stands behind a network device's descriptors: the tap's driver, and a peer.
 * Owns nothing; read by hostile_ops.c. TRUST: paths are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "proto/base/checked.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* linux/un.h, which does not go together with sys/un.h */
#define PCAP_MAX     65536ul                /* of the configuration */

static char page[HOSTILE_PAGE];

/* ---- the tap ---- */

static int64_t tap_call(unsigned long request, const void *argument)
{
        return CALL(SYS_ioctl, hostile_resource, request, argument);
}

static int64_t tap_take_another(struct hostile *hostile)
{
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_TAP | IFF_NO_PI};

        (void)hostile;
        return tap_call(TUNSETIFF, &request);
}

static int64_t tap_persist(struct hostile *hostile)
{
        (void)hostile;
        return tap_call(TUNSETPERSIST, (void *)1);
}

static int64_t tap_owner(struct hostile *hostile)
{
        (void)hostile;
        return tap_call(TUNSETOWNER, (void *)0);
}

static int64_t tap_offload(struct hostile *hostile)
{
        (void)hostile;
        return tap_call(TUNSETOFFLOAD, (void *)0);
}

static int64_t tap_queue(struct hostile *hostile)
{
        struct ifreq request = {.ifr_flags = IFF_DETACH_QUEUE};

        (void)hostile;
        return tap_call(TUNSETQUEUE, &request);
}

static int64_t tap_filter(struct hostile *hostile)
{
        int fd = -1;

        (void)hostile;
        return tap_call(TUNSETSTEERINGEBPF, &fd);
}

static int64_t tap_address(struct hostile *hostile)
{
        struct ifreq request = {.ifr_name = "attacked0",
                                .ifr_hwaddr = {.sa_family = 1, .sa_data = {2, 0, 0, 0, 0, 1}}};

        (void)hostile;
        return tap_call(SIOCSIFHWADDR, &request);
}

static int64_t tap_network(struct hostile *hostile)
{
        (void)hostile;
        return tap_call(SIOCGSKNS, NULL);
}

static int64_t tap_write_file(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_pwritev, worker_fd_resource(1, 1), &(struct iovec){page, sizeof(page)}, 1ul,
                    PCAP_MAX - 10ul, 0ul) == 10
                   ? -EFBIG /* all that it may */
                   : 0;
}

static int64_t tap_cut_file(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ftruncate, worker_fd_resource(1, 1), 0ul);
}

static int64_t tap_read_file(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_pread64, worker_fd_resource(1, 1), page, sizeof(page), 0ul);
}

/* ---- a peer ---- */

static int64_t send_rights(int fd, int what)
{
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {
            .head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec iov = {page, 1};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

        memcpy(CMSG_DATA(&control.head), &what, sizeof(what));
        return CALL(SYS_sendmsg, fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int64_t peer_send_rights(struct hostile *hostile)
{
        (void)hostile;
        return send_rights(hostile_resource, worker_fd_lane_out(0));
}

static int64_t peer_receive_rights(struct hostile *hostile)
{
        char room[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {page, 1};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
        int64_t r = CALL(SYS_recvmsg, hostile_resource, &message, MSG_DONTWAIT | MSG_PEEK);

        (void)hostile;
        return r == -EAGAIN ? 0 : r;
}

static int64_t peer_out_of_band(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_sendto, hostile_resource, page, 1ul, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

static int64_t peer_who(struct hostile *hostile)
{
        struct ucred who;
        socklen_t len = sizeof(who);

        (void)hostile;
        return CALL(SYS_getsockopt, hostile_resource, SOL_SOCKET, SO_PEERCRED, &who, &len);
}

static int64_t peer_name(struct hostile *hostile)
{
        socklen_t len = sizeof(page);

        (void)hostile;
        return CALL(SYS_getpeername, hostile_resource, page, &len);
}

static int64_t peer_again(struct hostile *hostile)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", hostile->command.socket);
        return CALL(SYS_connect, hostile_resource, &address, sizeof(address));
}

/* A socket is of the network it was made in, whoever holds it: which interfaces has the host? */
static int64_t peer_interfaces(struct hostile *hostile)
{
        struct ifconf list = {.ifc_len = sizeof(page), .ifc_buf = page};

        (void)hostile;
        return CALL(SYS_ioctl, hostile_resource, SIOCGIFCONF, &list);
}

/* What it is already: where nothing bars the call, the host must not lose its loopback. */
static int64_t peer_interface_flags(struct hostile *hostile)
{
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

        (void)hostile;
        return CALL(SYS_ioctl, hostile_resource, SIOCSIFFLAGS, &request);
}

static int64_t peer_file(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ioctl, hostile_resource, SIOCUNIXFILE, 0ul);
}

static int64_t peer_network(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_ioctl, hostile_resource, SIOCGSKNS, 0ul);
}

static int64_t peer_filter(struct hostile *hostile)
{
        int on = 1;

        (void)hostile;
        return CALL(SYS_setsockopt, hostile_resource, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
}

static const struct hostile_attack rows[] = {
    {"tap-take-another", tap_take_another, 0},
    {"tap-persist", tap_persist, 0},
    {"tap-owner", tap_owner, 0},
    {"tap-offload", tap_offload, 0},
    {"tap-queue", tap_queue, 0},
    {"tap-filter", tap_filter, 0},
    {"tap-address", tap_address, 0},
    {"tap-network", tap_network, 0},
    {"tap-write-file", tap_write_file, 0},
    {"tap-cut-file", tap_cut_file, 0},
    {"tap-read-file", tap_read_file, 0},
    {"peer-send-rights", peer_send_rights, 0},
    {"peer-receive-rights", peer_receive_rights, 0},
    {"peer-out-of-band", peer_out_of_band, 0},
    {"peer-who", peer_who, 0},
    {"peer-name", peer_name, 0},
    {"peer-again", peer_again, 0},
    {"peer-interfaces", peer_interfaces, 0},
    {"peer-interface-flags", peer_interface_flags, 0},
    {"peer-file", peer_file, 0},
    {"peer-network", peer_network, 0},
    {"peer-filter", peer_filter, 0},
};

const struct hostile_attacks hostile_net = {rows, array_size(rows)};
