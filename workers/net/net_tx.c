/* Frames of the guest, on their way to whatever carries them.
 * Owns nothing; called by net.c and the backends. TRUST: a request's bytes and lengths are the guest's: net_req.c
 * judges them first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/checked.h"
#include "workers/net/net.h"

void net_tx_end(struct net *net, struct request *request, enum net_drop drop)
{
        if (drop != NET_DROP_NONE)
                net_count(net, NET_TO_HOST, drop);
        request_complete(request, 0, 0);
}

/* Inlined bytes are our copy already. */
static int load_header(struct request *request, uint8_t bytes[NET_HEADER])
{
        return request_read(request, 0, bytes, MIN(request_readable(request), NET_HEADER));
}

const uint8_t *net_tx_frame(struct net *net, struct request *request)
{
        uint32_t readable = request_readable(request), have;
        const uint8_t *bytes = request_inlined(request, &have);

        if (have == readable)
                return bytes + NET_HEADER;
        if (request_read(request, NET_HEADER, net->scratch, readable - NET_HEADER) < 0)
                return NULL;
        return net->scratch;
}

/* One that a dead worker held may have been sent, and may be what it died of: it is not looked at again. A network may
 * lose frames. */
static enum net_drop judge(const struct net *net, struct request *request, struct net_header *ret_header)
{
        uint8_t bytes[NET_HEADER] = {0};

        if (request_must_fail(request))
                return NET_DROP_LOST;
        if (load_header(request, bytes) < 0)
                return NET_DROP_HEADER;
        return net_req_check_frame(&net->promise, bytes, request_readable(request), request_writable(request),
                                   ret_header);
}

void net_tx(struct net *net, struct request *request)
{
        struct net_header header;
        enum net_drop drop = judge(net, request, &header);

        if (drop == NET_DROP_NONE && !net_link_is_up(net))
                drop = NET_DROP_LINK;
        if (drop != NET_DROP_NONE)
                net_tx_end(net, request, drop);
        else
                net->backend->send(net, request, &header);
}
