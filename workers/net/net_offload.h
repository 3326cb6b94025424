/* What a tap hands over unfinished, finished for a driver that has not agreed to do that itself: sums, and long TCP
 * segments. Drivers of firmware and of small systems agree to nothing; the tap is told before they have a say. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "workers/net/net_req.h"

/* Must this frame be finished before a driver with these features gets it? */
bool net_offload_needed(uint64_t features, const struct net_header *header);

/* Completes the sum that a judged header asks for. */
void net_offload_sum(const struct net_header *header, uint8_t *frame, uint32_t len);

/* One long TCP segment, to be cut. */
struct net_cut {
        const uint8_t *frame;
        uint32_t len;
        uint32_t ip_at, tcp_at, payload_at;
        uint32_t size; /* bytes of each piece */
        uint32_t done; /* bytes that are cut off */
        uint32_t n;    /* pieces */
        bool v6;
};

/* False: it is no TCP segment whose headers are where its header says. */
bool net_cut_start(struct net_cut *cut, const struct net_header *header, const uint8_t *frame, uint32_t len);

/* Bytes of the next piece with its headers, 0: there is none. */
uint32_t net_cut_len(const struct net_cut *cut);

/* Writes it, whole: lengths, identification, sequence number, flags and sums are its own. */
void net_cut_next(struct net_cut *cut, uint8_t *ret_frame);
