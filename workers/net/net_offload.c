/* Sums and segments for a driver that does neither.
 * Owns nothing; called by net_rx.c. TRUST: frames are of anybody on the host's network, their headers of the host's
 * kernel and judged by net_req.c; addresses inside them are judged here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_offload.h"

#include <string.h>

#include "proto/base/checked.h"

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define TCP_HEADER 20u
#define TCP        6u /* its number */
#define TCP_FIN    0x01u
#define TCP_PSH    0x08u
#define TCP_CWR    0x80u

static uint16_t load16(const uint8_t *bytes)
{
        return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void store16(uint8_t *bytes, uint32_t value)
{
        bytes[0] = (uint8_t)(value >> 8);
        bytes[1] = (uint8_t)value;
}

static uint32_t load32(const uint8_t *bytes)
{
        return (uint32_t)load16(bytes) << 16 | load16(bytes + 2);
}

static void store32(uint8_t *bytes, uint32_t value)
{
        store16(bytes, value >> 16);
        store16(bytes + 2, value);
}

/* ---- sums (RFC 1071) ---- */

/* Of up to 65,553 bytes: 32 bits hold it. */
static uint32_t sum_add(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
        for (uint32_t i = 0; i + 1 < len; i += 2)
                sum += load16(bytes + i);
        if (len % 2)
                sum += (uint32_t)bytes[len - 1] << 8;
        return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_end(uint32_t sum)
{
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (uint16_t)~sum;
}

bool net_offload_needed(uint64_t features, const struct net_header *header)
{
        uint8_t type = header->gso_type & (uint8_t)~NET_GSO_ECN;

        if ((header->flags & NET_NEEDS_CSUM) && !(features & NET_F_GUEST_CSUM))
                return true;
        if ((header->gso_type & NET_GSO_ECN) && !(features & NET_F_GUEST_ECN))
                return true;
        return (type == NET_GSO_TCPV4 && !(features & NET_F_GUEST_TSO4)) ||
               (type == NET_GSO_TCPV6 && !(features & NET_F_GUEST_TSO6));
}

/* What stands where the sum goes is that of the pseudo header, already. A sum of 0 is said as its twin: UDP takes 0 for
 * none. */
void net_offload_sum(const struct net_header *header, uint8_t *frame, uint32_t len)
{
        uint32_t at = (uint32_t)header->csum_start + header->csum_offset;
        uint16_t sum = sum_end(sum_add(0, frame + header->csum_start, len - header->csum_start));

        store16(frame + at, sum == 0 ? 0xffff : sum);
}

/* ---- segments ---- */

static bool find_ip4(struct net_cut *cut)
{
        const uint8_t *ip = cut->frame + cut->ip_at;
        uint32_t header;

        if (cut->ip_at + IP4_HEADER > cut->tcp_at)
                return false;
        header = (ip[0] & 15u) * 4u;
        return ip[0] >> 4 == 4 && cut->ip_at + header == cut->tcp_at && ip[9] == TCP;
}

/* Headers between the two stay as they are, in every piece. */
static bool find_ip6(struct net_cut *cut)
{
        return cut->ip_at + IP6_HEADER <= cut->tcp_at && cut->frame[cut->ip_at] >> 4 == 6;
}

static bool find_tcp(struct net_cut *cut)
{
        uint32_t header;

        if (!range_inside(cut->tcp_at, TCP_HEADER, cut->len))
                return false;
        header = (cut->frame[cut->tcp_at + 12] >> 4) * 4u;
        cut->payload_at = cut->tcp_at + header;
        return header >= TCP_HEADER && cut->payload_at < cut->len;
}

bool net_cut_start(struct net_cut *cut, const struct net_header *header, const uint8_t *frame, uint32_t len)
{
        uint32_t type = len >= NET_ENVELOPE ? load16(frame + 12) : 0;

        *cut = (struct net_cut){.frame = frame,
                                .len = len,
                                .ip_at = type == 0x8100 ? NET_ENVELOPE : NET_ETHERNET,
                                .tcp_at = header->csum_start,
                                .size = header->gso_size,
                                .v6 = (header->gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6};
        if (cut->size == 0 || cut->tcp_at >= len || !find_tcp(cut))
                return false;
        return cut->v6 ? find_ip6(cut) : find_ip4(cut);
}

static uint32_t cut_payload(const struct net_cut *cut)
{
        return MIN(cut->size, cut->len - cut->payload_at - cut->done);
}

uint32_t net_cut_len(const struct net_cut *cut)
{
        uint32_t payload = cut_payload(cut);

        return payload > 0 ? cut->payload_at + payload : 0;
}

static void write_ip4(const struct net_cut *cut, uint8_t *frame, uint32_t len)
{
        uint8_t *ip = frame + cut->ip_at;

        store16(ip + 2, len - cut->ip_at);
        store16(ip + 4, load16(ip + 4) + cut->n);
        store16(ip + 10, 0);
        store16(ip + 10, sum_end(sum_add(0, ip, cut->tcp_at - cut->ip_at)));
}

/* CWR is the first piece's, FIN and PSH are the last one's. */
static void write_flags(const struct net_cut *cut, uint8_t *tcp, bool last)
{
        if (cut->n > 0)
                tcp[13] &= (uint8_t)~TCP_CWR;
        if (!last)
                tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

static void write_sum(const struct net_cut *cut, uint8_t *frame, uint32_t len)
{
        const uint8_t *addresses = frame + cut->ip_at + (cut->v6 ? 8 : 12);
        uint8_t *tcp = frame + cut->tcp_at;
        uint32_t sum = TCP + (len - cut->tcp_at);

        store16(tcp + 16, 0);
        sum = sum_add(sum, addresses, cut->v6 ? 32 : 8);
        store16(tcp + 16, sum_end(sum_add(sum, tcp, len - cut->tcp_at)));
}

void net_cut_next(struct net_cut *cut, uint8_t *ret_frame)
{
        uint32_t payload = cut_payload(cut), len = cut->payload_at + payload;
        uint8_t *tcp = ret_frame + cut->tcp_at;

        memcpy(ret_frame, cut->frame, cut->payload_at);
        memcpy(ret_frame + cut->payload_at, cut->frame + cut->payload_at + cut->done, payload);
        if (cut->v6)
                store16(ret_frame + cut->ip_at + 4, len - cut->ip_at - IP6_HEADER);
        else
                write_ip4(cut, ret_frame, len);
        store32(tcp + 4, load32(tcp + 4) + cut->done);
        write_flags(cut, tcp, cut->done + payload == cut->len - cut->payload_at);
        write_sum(cut, ret_frame, len);
        cut->done += payload;
        cut->n++;
}
