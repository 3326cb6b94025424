/* Frames to the guest, from whatever carries them.
 * Owns nothing but what an ear keeps; called by net.c and the backends. TRUST: frames are anybody's on the network,
 * headers of the host's kernel or our own; buffers are the guest's, and judged here.
 *
 * How it works: a frame is received into memory that the answers to requests go out from, header first, and then shared
 * out over as many lent buffers as it needs, which are completed together. What finds no room stays where it is (a
 * stream's in its socket), or is kept (a tap's); its ear is deaf until more buffers come. When none have come in
 * NET_ROOM_MS, the frame goes nowhere: buffers of all pairs share a lane's credit, and those that are missing may lie
 * with a pair that nothing comes for. Where there is no other pair it is the guest that is slow, as long as it has lent
 * more at once before: then a peer that waits loses less than one that has to send again, and it may be
 * LIMIT_NET_STALL_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "workers/net/net.h"
#include "workers/net/net_offload.h"
#include "workers/runtime/supply.h"

#define NET_ROOM_MS 100u /* a driver gives buffers back in microseconds */

_Static_assert(NET_BUFFER <= REQUEST_RESERVE, "a frame is received where it is sent from");

/* Pairs that the driver uses: by its own word, or those that it lends buffers to where somebody else hears that. */
static uint32_t pairs_in_use(const struct net *net)
{
        uint32_t n = 0;

        if (net->has_control)
                return net->filter.n_pairs;
        while (n < net->promise.n_pairs && (net->lent >> n & 1))
                n++;
        return MAX(n, 1u);
}

uint32_t net_rx_queue(const struct net *net, unsigned ear)
{
        return net->backend->one_for_all ? 0 : 2 * (ear % pairs_in_use(net));
}

bool net_rx_ready(const struct net *net, unsigned ear)
{
        return net_link_is_up(net) && !net->ears[ear].no_room && supply_first(net_rx_queue(net, ear));
}

uint8_t *net_rx_reserve(const struct net *net, unsigned ear, uint32_t len)
{
        return request_reserve(supply_first(net_rx_queue(net, ear)), len);
}

/* ---- buffers ---- */

enum place {
        PLACE_FOUND = 0,
        PLACE_NOT_YET, /* more buffers may come */
        PLACE_NEVER,
};

/* How many of the lent buffers, in their order, hold so many bytes? */
static enum place place_count(const struct net *net, uint32_t queue, uint32_t len, uint32_t *ret_n)
{
        uint64_t room = 0;
        uint32_t n = 0;

        for (struct request *request = supply_first(queue); request; request = supply_next(request)) {
                if (!net_req_buffer_ok(request_readable(request), request_writable(request))) {
                        request_refuse(request);
                        return PLACE_NEVER;
                }
                room += request_writable(request);
                n++;
                *ret_n = n;
                if (room >= len)
                        return PLACE_FOUND;
                if (!(net->promise.features & NET_F_MRG_RXBUF) || n == REQUEST_TOGETHER)
                        return PLACE_NEVER;
        }
        return PLACE_NOT_YET;
}

static void place_fill(uint32_t queue, uint32_t n, uint32_t len)
{
        request_together(supply_first(queue), n);
        for (uint32_t i = 0; i < n; i++) {
                struct request *request = supply_first(queue);
                uint32_t part = MIN(len, request_writable(request));

                request_complete(request, 0, part);
                len -= part;
        }
}

static void wait_for_room(struct net *net, unsigned ear)
{
        net->ears[ear].no_room = true;
        net_clock_set(net, NET_DUE_ROOM, NET_ROOM_MS);
}

/* Shares the reserved bytes out. False: not now. */
static bool place(struct net *net, unsigned ear, const struct net_header *header, uint8_t *bytes,
                  uint32_t len)
{
        uint32_t queue = net_rx_queue(net, ear), n = 0;
        struct net_header said = *header;
        enum place found = place_count(net, queue, len, &n);

        if (found == PLACE_NOT_YET && !net->ears[ear].give_up) {
                wait_for_room(net, ear);
                return false;
        }
        net->ears[ear].give_up = false;
        net->ears[ear].waits = 0;
        if (found != PLACE_FOUND) {
                net_count(net, NET_TO_GUEST, NET_DROP_ROOM);
                return true;
        }
        said.n_buffers = (uint16_t)n;
        net_header_store(&said, bytes);
        place_fill(queue, n, len);
        return true;
}

/* ---- frames ---- */

static bool place_whole(struct net *net, unsigned ear, const struct net_header *header, uint8_t *bytes,
                        uint32_t len)
{
        if (!place(net, ear, header, bytes, len))
                return false;
        net_pcap_write(&net->pcap, bytes + NET_HEADER, len - NET_HEADER);
        return true;
}

/* Cuts a segment that the driver would not understand. What finds no room is lost: it is TCP, which sends it again. */
static void place_cut(struct net *net, unsigned ear, struct net_cut *cut)
{
        const struct net_header none = {0};
        uint32_t len;

        while ((len = net_cut_len(cut)) > 0) {
                uint8_t *bytes;

                if (!net_rx_ready(net, ear)) {
                        net_count(net, NET_TO_GUEST, NET_DROP_ROOM);
                        return;
                }
                bytes = net_rx_reserve(net, ear, NET_HEADER + len);
                net_cut_next(cut, bytes + NET_HEADER);
                net->ears[ear].give_up = true;
                place(net, ear, &none, bytes, NET_HEADER + len);
        }
}

static bool place_finished(struct net *net, unsigned ear, const struct net_header *header, uint8_t *bytes,
                           uint32_t len)
{
        const struct net_header none = {0};
        struct net_cut cut;

        if (header->gso_type == NET_GSO_NONE) {
                net_offload_sum(header, bytes + NET_HEADER, len - NET_HEADER);
                return place_whole(net, ear, &none, bytes, len);
        }
        memcpy(net->scratch, bytes + NET_HEADER, len - NET_HEADER);
        net_pcap_write(&net->pcap, net->scratch, len - NET_HEADER);
        if (net_cut_start(&cut, header, net->scratch, len - NET_HEADER))
                place_cut(net, ear, &cut);
        else
                net_count(net, NET_TO_GUEST, NET_DROP_OFFLOAD);
        return true;
}

static enum net_drop judge(const struct net *net, const uint8_t *bytes, uint32_t len,
                           struct net_header *ret_header)
{
        enum net_drop drop = net_req_check_host_frame(&net->promise, bytes, len, ret_header);

        if (drop != NET_DROP_NONE)
                return drop;
        if (!net_link_is_up(net))
                return NET_DROP_LINK;
        return net_filter_wants(&net->filter, net->promise.features, bytes + NET_HEADER, len - NET_HEADER)
                   ? NET_DROP_NONE
                   : NET_DROP_FILTERED;
}

bool net_rx_frame(struct net *net, unsigned ear, uint8_t *bytes, uint32_t len)
{
        struct net_header header;
        enum net_drop drop = judge(net, bytes, len, &header);

        if (drop != NET_DROP_NONE) {
                net_count(net, NET_TO_GUEST, drop);
                return true;
        }
        if (!(net->promise.features & NET_F_GUEST_CSUM))
                header.flags &= NET_NEEDS_CSUM;
        if (net_offload_needed(net->promise.features, &header))
                return place_finished(net, ear, &header, bytes, len);
        return place_whole(net, ear, &header, bytes, len);
}

/* ---- what waits ---- */

void net_rx_keep(struct net *net, unsigned ear, const uint8_t *bytes, uint32_t len)
{
        memcpy(net->ears[ear].kept, bytes, len);
        net->ears[ear].n_kept = len;
}

static void offer_again(struct net *net, unsigned ear)
{
        struct net_ear *e = &net->ears[ear];
        uint32_t len = e->n_kept;

        e->no_room = false;
        if (len > 0 && net_rx_ready(net, ear)) {
                uint8_t *bytes = net_rx_reserve(net, ear, len);

                memcpy(bytes, e->kept, len);
                if (net_rx_frame(net, ear, bytes, len))
                        e->n_kept = 0;
        }
        if (len > 0 && e->n_kept > 0)
                e->no_room = true;
}

void net_rx_supplied(struct net *net, uint32_t queue)
{
        for (unsigned i = 0; i < net->n_ears; i++) {
                if (net_rx_queue(net, i) != queue)
                        continue;
                net->ears[i].most = MAX(net->ears[i].most, supply_count(queue));
                if (net->ears[i].no_room)
                        offer_again(net, i);
        }
}

void net_rx_recalled(struct net *net, uint32_t queue)
{
        for (unsigned i = 0; i < net->n_ears; i++)
                if (net_rx_queue(net, i) == queue)
                        net->ears[i].most = 0;
}

/* With no buffer at all it waits without an end: nothing has come for it to be put before. */
static bool has_waited_enough(const struct net *net, unsigned ear)
{
        const struct net_ear *e = &net->ears[ear];
        uint32_t queue = net_rx_queue(net, ear);

        if (!supply_first(queue))
                return false;
        return net->promise.n_pairs > 1 || supply_count(queue) >= e->most ||
               e->waits * NET_ROOM_MS >= LIMIT_NET_STALL_MS;
}

void net_rx_room_due(struct net *net)
{
        for (unsigned i = 0; i < net->n_ears; i++) {
                struct net_ear *e = &net->ears[i];

                if (!e->no_room)
                        continue;
                e->waits++;
                e->give_up = has_waited_enough(net, i);
                offer_again(net, i);
                if (net->ears[i].no_room)
                        net_clock_set(net, NET_DUE_ROOM, NET_ROOM_MS);
                net_watch(net, i);
        }
}
