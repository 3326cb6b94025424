/* The times of a network device, on the one that a worker has (worker_watch.h).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum net_due {
        NET_DUE_LOOK = 0, /* at a frame that was only begun */
        NET_DUE_STALL,    /* the host has taken nothing since it was set */
        NET_DUE_ROOM,     /* a frame has waited for room */
        NET_DUE_SAVE,     /* what the driver has said may be left to a successor again */
        NET_DUE_TELL,     /* of frames that went nowhere */
        NET_DUE_COUNT_,
};

struct net_clock {
        uint64_t at_ms[NET_DUE_COUNT_]; /* 0: not set */
};

struct net;

/* In so many milliseconds; where it is set already, it stays as it is. */
void net_clock_set(struct net *net, enum net_due due, uint32_t ms);
void net_clock_stop(struct net *net, enum net_due due);
