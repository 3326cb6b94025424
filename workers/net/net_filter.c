/* Which frames the driver wants.
 * Owns nothing; called by net.c and net_rx.c. TRUST: commands are judged by net_req.c; frames are anybody's; what a
 * predecessor has left is judged here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_filter.h"

#include <string.h>

#define VLAN_TAG 0x8100u

_Static_assert(sizeof(struct net_filter) == 20 + 2 * LIMIT_NET_MACS * NET_MAC + NET_VLANS / 8,
               "every byte of it is a member's");
_Static_assert(sizeof(struct net_filter) <= LIMIT_STATE_BYTES, "it is left to a successor");
_Static_assert(LIMIT_NET_MACS <= UINT8_MAX && LIMIT_NET_PAIRS <= UINT8_MAX, "numbers are bytes");

static const uint8_t broadcast[NET_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void net_filter_init(struct net_filter *filter, const uint8_t *mac)
{
        *filter = (struct net_filter){.version = NET_FILTER_VERSION, .promisc = 1, .n_pairs = 1};
        if (!mac)
                return;
        memcpy(filter->mac, mac, NET_MAC);
        filter->has_mac = 1;
}

static void set_macs(const struct net_macs *macs, uint8_t *n, uint8_t *over, uint8_t (*to)[NET_MAC])
{
        *n = (uint8_t)macs->n;
        *over = macs->overflow;
        memcpy(to, macs->mac, macs->n * sizeof(to[0]));
}

static void set_table(struct net_filter *filter, const struct net_mac_table *table)
{
        set_macs(&table->unicast, &filter->n_unicast, &filter->over_unicast, filter->unicast);
        set_macs(&table->multicast, &filter->n_multicast, &filter->over_multicast, filter->multicast);
}

static void set_vlan(struct net_filter *filter, uint16_t number, bool on)
{
        uint8_t bit = (uint8_t)(1u << (number % 8));

        if (on)
                filter->vlans[number / 8] |= bit;
        else
                filter->vlans[number / 8] &= (uint8_t)~bit;
}

void net_filter_apply(struct net_filter *filter, const struct net_control *control)
{
        switch (control->command) {
        case NET_COMMAND_PROMISC:
                filter->promisc = control->on;
                break;
        case NET_COMMAND_ALLMULTI:
                filter->allmulti = control->on;
                break;
        case NET_COMMAND_ALLUNI:
                filter->alluni = control->on;
                break;
        case NET_COMMAND_NOMULTI:
                filter->nomulti = control->on;
                break;
        case NET_COMMAND_NOUNI:
                filter->nouni = control->on;
                break;
        case NET_COMMAND_NOBCAST:
                filter->nobcast = control->on;
                break;
        case NET_COMMAND_MAC_TABLE:
                set_table(filter, &control->table);
                break;
        case NET_COMMAND_MAC_ADDR:
                memcpy(filter->mac, control->mac, NET_MAC);
                filter->has_mac = 1;
                break;
        case NET_COMMAND_VLAN_ADD:
        case NET_COMMAND_VLAN_DEL:
                set_vlan(filter, control->number, control->command == NET_COMMAND_VLAN_ADD);
                break;
        case NET_COMMAND_PAIRS:
                filter->n_pairs = (uint8_t)control->number;
                break;
        case NET_COMMAND_ANNOUNCE_ACK:
        case NET_COMMAND_COUNT_:
                break;
        }
}

static bool is_listed(const uint8_t (*macs)[NET_MAC], uint8_t n, const uint8_t *mac)
{
        for (uint8_t i = 0; i < n; i++)
                if (memcmp(macs[i], mac, NET_MAC) == 0)
                        return true;
        return false;
}

static bool wants_vlan(const struct net_filter *filter, const uint8_t *frame, uint32_t len)
{
        uint32_t number;

        if (len < NET_ENVELOPE || (frame[12] << 8 | frame[13]) != VLAN_TAG)
                return true;
        number = (uint32_t)(frame[14] << 8 | frame[15]) % NET_VLANS;
        return filter->vlans[number / 8] >> (number % 8) & 1;
}

static bool wants_multicast(const struct net_filter *filter, const uint8_t *mac)
{
        if (memcmp(mac, broadcast, NET_MAC) == 0)
                return !filter->nobcast;
        if (filter->nomulti)
                return false;
        return filter->allmulti || filter->over_multicast ||
               is_listed((const uint8_t(*)[NET_MAC])filter->multicast, filter->n_multicast, mac);
}

static bool wants_unicast(const struct net_filter *filter, const uint8_t *mac)
{
        if (filter->nouni)
                return false;
        return filter->alluni || filter->over_unicast || !filter->has_mac ||
               memcmp(mac, filter->mac, NET_MAC) == 0 ||
               is_listed((const uint8_t(*)[NET_MAC])filter->unicast, filter->n_unicast, mac);
}

bool net_filter_wants(const struct net_filter *filter, uint64_t features, const uint8_t *frame, uint32_t len)
{
        if ((features & NET_F_CTRL_VLAN) && !wants_vlan(filter, frame, len))
                return false;
        if (!(features & NET_F_CTRL_RX) || filter->promisc)
                return true;
        return frame[0] & 1 ? wants_multicast(filter, frame) : wants_unicast(filter, frame);
}

static bool flags_ok(const struct net_filter *filter)
{
        return filter->promisc <= 1 && filter->allmulti <= 1 && filter->alluni <= 1 && filter->nomulti <= 1 &&
               filter->nouni <= 1 && filter->nobcast <= 1 && filter->has_mac <= 1 &&
               filter->over_unicast <= 1 && filter->over_multicast <= 1 && filter->reserved == 0;
}

bool net_filter_restore(struct net_filter *filter, uint32_t n_pairs, const uint8_t *bytes, size_t len)
{
        struct net_filter left;

        if (len != sizeof(left))
                return false;
        memcpy(&left, bytes, sizeof(left));
        if (left.version != NET_FILTER_VERSION || !flags_ok(&left) || left.n_pairs < 1 ||
            left.n_pairs > n_pairs || left.n_unicast > LIMIT_NET_MACS || left.n_multicast > LIMIT_NET_MACS)
                return false;
        *filter = left;
        return true;
}
