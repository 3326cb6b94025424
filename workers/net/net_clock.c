/* The times of a network device.
 * Owns nothing; called by its other files. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_clock.h"

#include <time.h>

#include "proto/base/checked.h"
#include "workers/net/net.h"
#include "workers/runtime/worker_watch.h"

static void clock_due(void *state);

static uint64_t clock_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void clock_arm(struct net *net)
{
        uint64_t first = UINT64_MAX, now;

        for (unsigned i = 0; i < NET_DUE_COUNT_; i++)
                if (net->clock.at_ms[i] > 0)
                        first = MIN(first, net->clock.at_ms[i]);
        if (first == UINT64_MAX) {
                worker_timer_stop();
                return;
        }
        now = clock_ms();
        worker_timer_set(first > now ? (uint32_t)(first - now) : 0, clock_due);
}

static void tell_due(struct net *net, enum net_due due)
{
        switch (due) {
        case NET_DUE_LOOK:
                net->backend->look(net);
                break;
        case NET_DUE_STALL:
                net->backend->stall(net);
                break;
        case NET_DUE_ROOM:
                net_rx_room_due(net);
                break;
        case NET_DUE_SAVE:
                net_control_save_due(net);
                break;
        case NET_DUE_TELL:
                net_tell_due(net);
                break;
        case NET_DUE_COUNT_:
                break;
        }
}

static void clock_due(void *state)
{
        struct net *net = state;
        uint64_t now = clock_ms();

        for (unsigned i = 0; i < NET_DUE_COUNT_; i++) {
                if (net->clock.at_ms[i] == 0 || net->clock.at_ms[i] > now)
                        continue;
                net->clock.at_ms[i] = 0;
                tell_due(net, (enum net_due)i);
        }
        clock_arm(net);
}

void net_clock_set(struct net *net, enum net_due due, uint32_t ms)
{
        if (net->clock.at_ms[due] > 0)
                return;
        net->clock.at_ms[due] = clock_ms() + ms + 1;
        clock_arm(net);
}

void net_clock_stop(struct net *net, enum net_due due)
{
        if (net->clock.at_ms[due] == 0)
                return;
        net->clock.at_ms[due] = 0;
        clock_arm(net);
}
