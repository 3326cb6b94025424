/* A capture of what passes, both ways, in a file that tcpdump and others read (the classic format, microseconds).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* `fd` -1: none is wanted. */
struct net_pcap {
        int fd;
        uint64_t end; /* where the next frame goes */
        uint64_t max; /* bytes of the file: it never gets longer */
        bool stopped;
};

/* Before the jail closes. An empty file gets its header; in one that a predecessor has left, the frame that it died in
 * is cut off, and the next one goes behind the last whole one. The descriptor is borrowed. 0; -EINVAL: it is no such
 * file; or negative errno. */
int net_pcap_open(struct net_pcap *pcap, int fd, uint64_t max);

/* Once it is full, or cannot be written, it says so and stops. */
void net_pcap_write(struct net_pcap *pcap, const uint8_t *frame, uint32_t len);
