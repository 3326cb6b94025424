/* What the driver has said through the control queue: which frames it wants, and how many queue pairs it uses. All of
 * it is one struct of bytes, which a worker leaves to its successor. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/net/net_req.h"

#define NET_FILTER_VERSION 1u

/* No padding: it travels as it is. Flags are 0 or 1. */
struct net_filter {
        uint8_t version;
        uint8_t promisc, allmulti, alluni, nomulti, nouni, nobcast;
        uint8_t n_pairs; /* 1 .. */
        uint8_t mac[NET_MAC];
        uint8_t has_mac; /* 0: the device has no address of its own, and every one might be it */
        uint8_t n_unicast, n_multicast, over_unicast, over_multicast;
        uint8_t reserved;
        uint8_t unicast[LIMIT_NET_MACS][NET_MAC], multicast[LIMIT_NET_MACS][NET_MAC];
        uint8_t vlans[NET_VLANS / 8];
};

/* As after a reset: every frame, one pair. `mac` NULL: none. */
void net_filter_init(struct net_filter *filter, const uint8_t *mac);

/* Carries out any command but ANNOUNCE_ACK, which changes nothing here. */
void net_filter_apply(struct net_filter *filter, const struct net_control *control);

/* Does the driver want this frame of NET_ETHERNET bytes or more? What was not agreed filters nothing. */
bool net_filter_wants(const struct net_filter *filter, uint64_t features, const uint8_t *frame, uint32_t len);

/* What a predecessor has left. False, and nothing changes: it is none of ours. */
bool net_filter_restore(struct net_filter *filter, uint32_t n_pairs, const uint8_t *bytes, size_t len);
