/* What the guest asks of a network device, judged.
 * Owns nothing; called by net.c, net_rx.c and net_tap.c. TRUST: bytes and lengths are the guest's; of
 * net_req_check_host_frame the host kernel's. What is accepted is not judged again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_req.h"

#include <errno.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"

void net_header_load(const uint8_t bytes[NET_HEADER], struct net_header *ret_header)
{
        *ret_header = (struct net_header){.flags = bytes[0],
                                          .gso_type = bytes[1],
                                          .hdr_len = bytes_load16(bytes + 2),
                                          .gso_size = bytes_load16(bytes + 4),
                                          .csum_start = bytes_load16(bytes + 6),
                                          .csum_offset = bytes_load16(bytes + 8),
                                          .n_buffers = bytes_load16(bytes + 10)};
}

void net_header_store(const struct net_header *header, uint8_t ret_bytes[NET_HEADER])
{
        ret_bytes[0] = header->flags;
        ret_bytes[1] = header->gso_type;
        bytes_store16(ret_bytes + 2, header->hdr_len);
        bytes_store16(ret_bytes + 4, header->gso_size);
        bytes_store16(ret_bytes + 6, header->csum_start);
        bytes_store16(ret_bytes + 8, header->csum_offset);
        bytes_store16(ret_bytes + 10, header->n_buffers);
}

/* ---- frames ---- */

static enum net_drop check_len(const struct net_promise *promise, const struct net_header *header,
                               uint32_t len)
{
        uint32_t longest = header->gso_type == NET_GSO_NONE ? promise->mtu + NET_ENVELOPE : NET_FRAME_MAX;

        return len <= longest ? NET_DROP_NONE : NET_DROP_LONG;
}

/* Two bytes of the frame, behind its addresses, are where the sum goes. */
static bool csum_inside(const struct net_header *header, uint32_t len)
{
        return header->csum_start >= NET_ETHERNET &&
               range_inside((uint32_t)header->csum_start + header->csum_offset, 2, len);
}

/* A frame that is to be cut has a sum of its own to be completed, and headers that are inside it. */
static enum net_drop check_gso(const struct net_header *header, uint32_t len)
{
        uint8_t type = header->gso_type & (uint8_t)~NET_GSO_ECN;

        if (type != NET_GSO_TCPV4 && type != NET_GSO_TCPV6)
                return NET_DROP_OFFLOAD;
        if (!(header->flags & NET_NEEDS_CSUM) || header->gso_size == 0 || header->hdr_len > len)
                return NET_DROP_HEADER;
        return NET_DROP_NONE;
}

static enum net_drop check_header(const struct net_header *header, uint32_t len)
{
        if ((header->flags & NET_NEEDS_CSUM) && !csum_inside(header, len))
                return NET_DROP_HEADER;
        return header->gso_type == NET_GSO_NONE ? NET_DROP_NONE : check_gso(header, len);
}

static enum net_drop check_agreed(uint64_t features, const struct net_header *header)
{
        uint64_t needs = 0;

        if (header->flags & NET_NEEDS_CSUM)
                needs |= NET_F_CSUM;
        if (header->gso_type & NET_GSO_ECN)
                needs |= NET_F_HOST_ECN;
        if ((header->gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV4)
                needs |= NET_F_HOST_TSO4;
        if ((header->gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6)
                needs |= NET_F_HOST_TSO6;
        return needs & ~features ? NET_DROP_OFFLOAD : NET_DROP_NONE;
}

static enum net_drop check_any_frame(const struct net_promise *promise, const uint8_t *bytes, uint32_t len,
                                     struct net_header *ret_header)
{
        enum net_drop drop;

        if (len < NET_HEADER + NET_ETHERNET)
                return NET_DROP_SHORT;
        net_header_load(bytes, ret_header);
        drop = check_len(promise, ret_header, len - NET_HEADER);
        return drop != NET_DROP_NONE ? drop : check_header(ret_header, len - NET_HEADER);
}

enum net_drop net_req_check_frame(const struct net_promise *promise, const uint8_t *bytes, uint32_t readable,
                                  uint32_t writable, struct net_header *ret_header)
{
        struct net_header header;
        enum net_drop drop;

        if (writable > 0)
                return NET_DROP_HEADER;
        drop = check_any_frame(promise, bytes, readable, &header);
        if (drop == NET_DROP_NONE)
                drop = check_agreed(promise->features, &header);
        if (drop != NET_DROP_NONE)
                return drop;
        header.flags &= NET_NEEDS_CSUM;
        header.n_buffers = 0;
        *ret_header = header;
        return NET_DROP_NONE;
}

enum net_drop net_req_check_host_frame(const struct net_promise *promise, const uint8_t *bytes, uint32_t len,
                                       struct net_header *ret_header)
{
        struct net_header header;
        enum net_drop drop = check_any_frame(promise, bytes, len, &header);

        if (drop != NET_DROP_NONE)
                return drop;
        header.flags &= NET_NEEDS_CSUM | NET_DATA_VALID;
        header.n_buffers = 1;
        *ret_header = header;
        return NET_DROP_NONE;
}

bool net_req_buffer_ok(uint32_t readable, uint32_t writable)
{
        return readable == 0 && writable >= NET_HEADER;
}

/* ---- the control queue ---- */

static bool mac_is_multicast(const uint8_t *mac)
{
        return mac[0] & 1;
}

/* A number of addresses and the addresses. Returns its length, or 0: not all of it is there. */
static size_t load_macs(const uint8_t *bytes, size_t len, struct net_macs *ret_macs)
{
        uint32_t n;

        if (len < 4)
                return 0;
        n = bytes_load32(bytes);
        if (n > (len - 4) / NET_MAC)
                return 0;
        ret_macs->overflow = n > LIMIT_NET_MACS;
        ret_macs->n = ret_macs->overflow ? 0 : n;
        memcpy(ret_macs->mac, bytes + 4, (size_t)ret_macs->n * NET_MAC);
        return 4 + (size_t)n * NET_MAC;
}

static int load_table(const uint8_t *bytes, size_t len, struct net_control *control)
{
        size_t first = load_macs(bytes, len, &control->table.unicast);
        size_t second = first > 0 ? load_macs(bytes + first, len - first, &control->table.multicast) : 0;

        return second > 0 && first + second == len ? 0 : -EINVAL;
}

static int load_flag(const uint8_t *bytes, size_t len, struct net_control *control)
{
        if (len != 1 || bytes[0] > 1)
                return -EINVAL;
        control->on = bytes[0] == 1;
        return 0;
}

static int load_mac(const uint8_t *bytes, size_t len, struct net_control *control)
{
        if (len != NET_MAC || mac_is_multicast(bytes))
                return -EINVAL;
        memcpy(control->mac, bytes, NET_MAC);
        return 0;
}

static int load_vlan(const uint8_t *bytes, size_t len, struct net_control *control)
{
        if (len != 2 || bytes_load16(bytes) >= NET_VLANS)
                return -EINVAL;
        control->number = bytes_load16(bytes);
        return 0;
}

static int load_pairs(const uint8_t *bytes, size_t len, struct net_control *control)
{
        if (len != 2)
                return -EINVAL;
        control->number = bytes_load16(bytes);
        return 0;
}

static int load_nothing(const uint8_t *bytes, size_t len, struct net_control *control)
{
        (void)bytes;
        (void)control;
        return len == 0 ? 0 : -EINVAL;
}

static const struct command_row {
        uint8_t class, command;
        uint64_t needs;
        int (*load)(const uint8_t *bytes, size_t len, struct net_control *control);
} commands[NET_COMMAND_COUNT_] = {
    [NET_COMMAND_PROMISC] = {0, 0, NET_F_CTRL_RX, load_flag},
    [NET_COMMAND_ALLMULTI] = {0, 1, NET_F_CTRL_RX, load_flag},
    [NET_COMMAND_ALLUNI] = {0, 2, NET_F_CTRL_RX_EXTRA, load_flag},
    [NET_COMMAND_NOMULTI] = {0, 3, NET_F_CTRL_RX_EXTRA, load_flag},
    [NET_COMMAND_NOUNI] = {0, 4, NET_F_CTRL_RX_EXTRA, load_flag},
    [NET_COMMAND_NOBCAST] = {0, 5, NET_F_CTRL_RX_EXTRA, load_flag},
    [NET_COMMAND_MAC_TABLE] = {1, 0, NET_F_CTRL_RX, load_table},
    [NET_COMMAND_MAC_ADDR] = {1, 1, NET_F_CTRL_MAC_ADDR, load_mac},
    [NET_COMMAND_VLAN_ADD] = {2, 0, NET_F_CTRL_VLAN, load_vlan},
    [NET_COMMAND_VLAN_DEL] = {2, 1, NET_F_CTRL_VLAN, load_vlan},
    [NET_COMMAND_ANNOUNCE_ACK] = {3, 0, NET_F_GUEST_ANNOUNCE, load_nothing},
    [NET_COMMAND_PAIRS] = {4, 0, NET_F_MQ, load_pairs},
};

int net_req_check_control(const struct net_promise *promise, const uint8_t *bytes, size_t len,
                          struct net_control *ret_control)
{
        struct net_control control = {0};

        if (len < 2 || len > LIMIT_NET_CONTROL)
                return -EINVAL;
        for (unsigned i = 0; i < NET_COMMAND_COUNT_; i++) {
                const struct command_row *row = &commands[i];

                if (row->class != bytes[0] || row->command != bytes[1])
                        continue;
                control.command = (enum net_command)i;
                if ((row->needs & ~promise->features) || row->load(bytes + 2, len - 2, &control) < 0)
                        return -EINVAL;
                if (i == NET_COMMAND_PAIRS && (control.number < 1 || control.number > promise->n_pairs))
                        return -EINVAL;
                *ret_control = control;
                return 0;
        }
        return -EINVAL;
}
