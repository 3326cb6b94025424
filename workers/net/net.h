/* A network device: its state, and what its files call of each other.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device/net.h"
#include "workers/net/net_clock.h"
#include "workers/net/net_config.h"
#include "workers/net/net_filter.h"
#include "workers/net/net_pcap.h"
#include "workers/net/net_req.h"
#include "workers/runtime/request.h"

struct net;

/* A descriptor that frames come from. */
struct net_ear {
        int fd; /* -1: it is gone */
        uint8_t *
            kept; /* NET_BUFFER bytes: a frame with its header, taken from the host, that has found no room */
        uint32_t n_kept;
        bool no_room;   /* the next frame waits for more buffers than there are */
        bool give_up;   /* it has waited for them too long */
        uint32_t waits; /* times that it has waited */
        uint32_t most;  /* buffers that were lent at once, since its queue was started */
        bool mute;      /* what is there is no whole frame: time is waited for instead (net_stream.c) */
        bool full;      /* what is to be sent waits until the host takes it */
};

/* What carries frames (net_tap.c, net_stream.c). */
struct net_backend {
        bool offloads;    /* each frame has a header of NET_HEADER bytes, which the host understands */
        bool one_for_all; /* one descriptor, whatever the number of pairs */
        /* Before the jail closes; the descriptors are in the ears. 0, or negative errno after a worker_log. */
        int (*open)(struct net *net);
        /* Takes what has come, LIMIT_NET_TURN frames at most, while there is room for it, and gives it to net_rx_frame. */
        void (*receive)(struct net *net, unsigned ear);
        /* Sends a judged frame and answers the request, now or later. */
        void (*send)(struct net *net, struct request *request, const struct net_header *header);
        /* ... and now is later: the batch is over, or there is room again. NULL: it puts nothing off. */
        void (*flush)(struct net *net);
        /* Times of its own. NULL: it sets none. */
        void (*look)(struct net *net);
        void (*stall)(struct net *net);
};

extern const struct net_backend net_tap, net_stream;

struct net {
        struct net_promise promise;
        bool has_control;
        const struct net_backend *backend;
        struct net_ear ears[LIMIT_NET_PAIRS];
        unsigned n_ears;
        struct net_filter filter;
        bool link_off;  /* the operator's word */
        bool link_lost; /* the host's end is gone, for good */
        bool announce;  /* the driver is asked to announce itself */
        uint32_t lent;  /* bit per pair: buffers have been lent since its queue was started */
        struct net_pcap pcap;
        struct net_clock clock;
        uint8_t *scratch; /* NET_BUFFER bytes, for whoever needs them until the next call */
        uint64_t drops[NET_COUNTER_COUNT_];
        uint64_t told; /* drops that have been told of */
        bool save_waits, save_again;
};

enum net_way {
        NET_TO_GUEST = 0,
        NET_TO_HOST,
};

/* ---- net.c ---- */

static inline bool net_link_is_up(const struct net *net)
{
        return !net->link_off && !net->link_lost;
}

/* A frame goes nowhere: counted, and told of now and then. */
void net_count(struct net *net, enum net_way way, enum net_drop drop);

/* The host's end is gone: said once, and the guest sees that its cable is out. */
void net_lose_link(struct net *net, const char *why);

/* Looks again at what an ear is to be woken by. */
void net_watch(struct net *net, unsigned ear);

/* Of net_clock.c. */
void net_tell_due(struct net *net);

/* ---- net_rx.c ---- */

/* Where frames of this ear go. */
uint32_t net_rx_queue(const struct net *net, unsigned ear);

/* May a frame be taken? Then net_rx_reserve has a place for it, of `len` bytes, header first, until the next frame. */
bool net_rx_ready(const struct net *net, unsigned ear);
uint8_t *net_rx_reserve(const struct net *net, unsigned ear, uint32_t len);

/* A frame of the host's lies there, `len` bytes with its header, not judged yet. True: it is done with. False: it has
 * found no room; it has to be offered again (the ear is not ready until then), or net_rx_keep does so. */
bool net_rx_frame(struct net *net, unsigned ear, uint8_t *bytes, uint32_t len);
void net_rx_keep(struct net *net, unsigned ear, const uint8_t *bytes, uint32_t len);

/* Buffers have been lent, or time has passed: what waits for room is offered again. Or they have been taken back. */
void net_rx_supplied(struct net *net, uint32_t queue);
void net_rx_recalled(struct net *net, uint32_t queue);
void net_rx_room_due(struct net *net);

/* ---- net_tx.c ---- */

/* A request of a transmit queue. */
void net_tx(struct net *net, struct request *request);

/* The frame of a judged request without its header: where it came inlined, else a copy in `scratch`. NULL: the guest's
 * memory is gone. Good until the next call that takes a request. */
const uint8_t *net_tx_frame(struct net *net, struct request *request);

/* Answers it: the frame has been sent, or goes nowhere. */
void net_tx_end(struct net *net, struct request *request, enum net_drop drop);

/* ---- net_control.c ---- */

/* A request of the control queue. */
void net_control_handle(struct net *net, struct request *request);
int net_control_restore(struct net *net, const uint8_t *bytes, size_t len);
void net_control_save_due(struct net *net);

/* The operator's word. And: what the driver sees of the link is as it is. */
void net_control_set_link(struct net *net, bool on);
void net_control_show_link(struct net *net);
