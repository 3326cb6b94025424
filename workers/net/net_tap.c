/* Frames by a tap: one descriptor a queue pair, each frame one call, with the header that the kernel and the driver
 * share.
 * Owns the descriptors; called by net.c through its table. TRUST: the kernel is the host's; frames are anybody's on its
 * network.
 *
 * What the tap may hand over unfinished was said by whoever opened it, before the driver had its say: net_rx.c finishes
 * what this driver cannot.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workers/net/net.h"
#include "workers/runtime/worker_log.h"

static int tap_open(struct net *net)
{
        (void)net;
        return 0;
}

/* False: nothing more can be had now. */
static bool tap_receive_one(struct net *net, unsigned ear)
{
        uint8_t *bytes = net_rx_reserve(net, ear, NET_BUFFER);
        ssize_t n = read(net->ears[ear].fd, bytes, NET_BUFFER);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                net_lose_link(net, "the tap is gone");
                return false;
        }
        if (!net_rx_frame(net, ear, bytes, (uint32_t)n))
                net_rx_keep(net, ear, bytes, (uint32_t)n);
        return true;
}

/* With the link down frames are taken and go nowhere: what comes when it is up again is new. */
static bool tap_discard_one(struct net *net, unsigned ear)
{
        ssize_t n = read(net->ears[ear].fd, net->scratch, NET_BUFFER);

        if (n > 0)
                net_count(net, NET_TO_GUEST, NET_DROP_LINK);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                net_lose_link(net, "the tap is gone");
        return n > 0;
}

static void tap_receive(struct net *net, unsigned ear)
{
        for (unsigned i = 0; i < LIMIT_NET_TURN; i++) {
                bool more = net_rx_ready(net, ear)                    ? tap_receive_one(net, ear)
                            : !net_link_is_up(net) && !net->link_lost ? tap_discard_one(net, ear)
                                                                      : false;

                if (!more)
                        return;
        }
}

static void tap_send(struct net *net, struct request *request, const struct net_header *header)
{
        struct net_ear *ear = &net->ears[request_queue(request) / 2 % net->n_ears];
        uint32_t len = request_readable(request) - NET_HEADER;
        const uint8_t *frame = net_tx_frame(net, request);
        uint8_t bytes[NET_HEADER];
        struct iovec iov[2] = {{.iov_base = bytes, .iov_len = NET_HEADER},
                               {.iov_base = (void *)(uintptr_t)frame, .iov_len = len}};
        enum net_drop drop = NET_DROP_NONE;

        if (!frame) {
                net_tx_end(net, request, NET_DROP_HEADER);
                return;
        }
        net_header_store(header, bytes);
        net_pcap_write(&net->pcap, frame, len);
        if (writev(ear->fd, iov, 2) != (ssize_t)(NET_HEADER + len))
                drop = NET_DROP_HOST;
        net_tx_end(net, request, drop);
}

const struct net_backend net_tap = {
    .offloads = true,
    .open = tap_open,
    .receive = tap_receive,
    .send = tap_send,
};
