/* What the guest asks of a network device, judged (virtio 1.3, 5.1.6): frames to be sent, buffers for frames, and
 * commands of the control queue. Pure: nothing here leaves the process.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define NET_F_CSUM           (UINT64_C(1) << 0)
#define NET_F_GUEST_CSUM     (UINT64_C(1) << 1)
#define NET_F_MTU            (UINT64_C(1) << 3)
#define NET_F_MAC            (UINT64_C(1) << 5)
#define NET_F_GUEST_TSO4     (UINT64_C(1) << 7)
#define NET_F_GUEST_TSO6     (UINT64_C(1) << 8)
#define NET_F_GUEST_ECN      (UINT64_C(1) << 9)
#define NET_F_HOST_TSO4      (UINT64_C(1) << 11)
#define NET_F_HOST_TSO6      (UINT64_C(1) << 12)
#define NET_F_HOST_ECN       (UINT64_C(1) << 13)
#define NET_F_MRG_RXBUF      (UINT64_C(1) << 15)
#define NET_F_STATUS         (UINT64_C(1) << 16)
#define NET_F_CTRL_VQ        (UINT64_C(1) << 17)
#define NET_F_CTRL_RX        (UINT64_C(1) << 18)
#define NET_F_CTRL_VLAN      (UINT64_C(1) << 19)
#define NET_F_CTRL_RX_EXTRA  (UINT64_C(1) << 20)
#define NET_F_GUEST_ANNOUNCE (UINT64_C(1) << 21)
#define NET_F_MQ             (UINT64_C(1) << 22)
#define NET_F_CTRL_MAC_ADDR  (UINT64_C(1) << 23)

#define NET_HEADER    12u /* bytes before a frame, in each direction (5.1.6) */
#define NET_ETHERNET  14u /* bytes of addresses and type: no frame is shorter */
#define NET_ENVELOPE  18u /* what a frame has beside the bytes that an MTU counts: those, and a VLAN tag */
#define NET_MTU_MIN   1280u
#define NET_MTU_MAX   65535u
#define NET_FRAME_MAX (NET_MTU_MAX + NET_ENVELOPE) /* also of one that the host cuts into several */
#define NET_BUFFER    (NET_HEADER + NET_FRAME_MAX)
#define NET_MAC       6u
#define NET_VLANS     4096u /* numbers of a tag's 12 bits */

#define NET_NEEDS_CSUM 1u /* flags: the checksum at csum_start + csum_offset is to be completed */
#define NET_DATA_VALID 2u /* ... it is right */

#define NET_GSO_NONE  0u
#define NET_GSO_TCPV4 1u
#define NET_GSO_TCPV6 4u
#define NET_GSO_ECN   0x80u

#define NET_ACK_OK  0u
#define NET_ACK_ERR 1u

/* What was agreed with the driver, and what the operator has promised for the network. */
struct net_promise {
        uint64_t features;
        uint32_t mtu;
        uint32_t n_pairs;
};

struct net_header {
        uint8_t flags, gso_type;
        uint16_t hdr_len, gso_size, csum_start, csum_offset, n_buffers;
};

/* Why a frame goes nowhere. */
enum net_drop {
        NET_DROP_NONE = 0,
        NET_DROP_SHORT,    /* shorter than its header and Ethernet's */
        NET_DROP_LONG,     /* longer than promised */
        NET_DROP_HEADER,   /* its header names bytes that it has not, or asks for nonsense */
        NET_DROP_OFFLOAD,  /* its header asks for what was not agreed */
        NET_DROP_ROOM,     /* the guest has lent no buffers that it would fit in */
        NET_DROP_FILTERED, /* not for the guest, by its own word: not counted as an error */
        NET_DROP_LINK,     /* the link is down */
        NET_DROP_HOST,     /* the host would not take it */
        NET_DROP_LOST,     /* it was with a worker that died */
        NET_DROP_COUNT_,
};

void net_header_load(const uint8_t bytes[NET_HEADER], struct net_header *ret_header);
void net_header_store(const struct net_header *header, uint8_t ret_bytes[NET_HEADER]);

/* A frame that the guest sends: its first NET_HEADER bytes, if it has so many, and the request's lengths.
 * NET_DROP_NONE: *ret_header holds what was asked for, all of it agreed, with every offset inside the frame; unknown
 * flags are gone (5.1.6.2.2: they are ignored). The frame is `readable` less NET_HEADER bytes. */
enum net_drop net_req_check_frame(const struct net_promise *promise, const uint8_t *bytes, uint32_t readable,
                                  uint32_t writable, struct net_header *ret_header);

/* A frame of the host's with a header of the host's (a tap): `len` counts both. Likewise, except that nothing needs to
 * have been agreed: what was not is for net_offload.h. */
enum net_drop net_req_check_host_frame(const struct net_promise *promise, const uint8_t *bytes, uint32_t len,
                                       struct net_header *ret_header);

/* A buffer that the guest lends for frames: false, if no driver may lend such a one. */
bool net_req_buffer_ok(uint32_t readable, uint32_t writable);

/* ---- the control queue (5.1.6.5) ---- */

enum net_command {
        NET_COMMAND_PROMISC = 0, /* `on` */
        NET_COMMAND_ALLMULTI,
        NET_COMMAND_ALLUNI,
        NET_COMMAND_NOMULTI,
        NET_COMMAND_NOUNI,
        NET_COMMAND_NOBCAST,
        NET_COMMAND_MAC_TABLE, /* `table` */
        NET_COMMAND_MAC_ADDR,  /* `mac` */
        NET_COMMAND_VLAN_ADD,  /* `number` */
        NET_COMMAND_VLAN_DEL,
        NET_COMMAND_ANNOUNCE_ACK,
        NET_COMMAND_PAIRS, /* `number`: 1 .. n_pairs */
        NET_COMMAND_COUNT_,
};

/* Addresses of one kind. More than fit: all of that kind are wanted. */
struct net_macs {
        uint32_t n;
        bool overflow;
        uint8_t mac[LIMIT_NET_MACS][NET_MAC];
};

struct net_mac_table {
        struct net_macs unicast, multicast;
};

struct net_control {
        enum net_command command;
        bool on;
        uint16_t number;
        uint8_t mac[NET_MAC];
        struct net_mac_table table;
};

/* A command with all its bytes, at most LIMIT_NET_CONTROL. 0; -EINVAL: no such command, or not agreed, or its bytes are
 * wrong: NET_ACK_ERR is the answer, and *ret_control is as it was. */
int net_req_check_control(const struct net_promise *promise, const uint8_t *bytes, size_t len,
                          struct net_control *ret_control);
