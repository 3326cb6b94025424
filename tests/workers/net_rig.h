/* A network device in a process of its own, between a scripted broker and the test as its host. A tap is a pair of packet sockets:
 * one call is one frame there, too.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device/net.h"
#include "tests/workers/fake_broker.h"
#include "workers/net/net_req.h"

#define RIG_LENT   512u
#define RIG_BUFFER 70000u

struct net_rig {
        /* before rig_start */
        enum net_carrier carrier;
        unsigned n_queues;
        uint64_t features; /* that the driver accepts of what is offered; 0: all */
        uint32_t mtu;      /* 0: 1500 */
        const char *mac;
        int pcap_fd; /* 0: none */
        uint64_t pcap_max;
        bool keep_ends; /* of a predecessor */
        /* then */
        struct fake_broker broker;
        int worker[LIMIT_NET_PAIRS], host[LIMIT_NET_PAIRS];
        unsigned n_ends;
        uint64_t next_id;
        struct fake_request lent[RIG_LENT];
        uint8_t *bytes[RIG_LENT];
        unsigned n_lent;
};

/* Until the queues run. And: it must have ended as it should. */
void rig_start(struct net_rig *rig);
void rig_end(struct net_rig *rig);

/* It must not start at all. */
void rig_refused(struct net_rig *rig);

/* The worker is killed, the ends of the host stay. */
void rig_kill(struct net_rig *rig);

/* Lends n buffers of so many bytes; the first of them is lent[result]. */
unsigned rig_lend(struct net_rig *rig, uint32_t queue, unsigned n, uint32_t len);

/* Waits until lent[i] is there: its used length. */
uint32_t rig_await(struct net_rig *rig, unsigned i);

/* Waits for lent[i] to be a whole packet with this frame behind its header, in one buffer. */
void rig_came(struct net_rig *rig, unsigned i, const void *frame, uint32_t len);

/* One more answer is there: what the host's side did before has been seen. A command that cannot fail, or a frame that cannot be
 * sent. */
void rig_settle(struct net_rig *rig);

/* The guest sends a frame and waits for the answer. `header` NULL: zeros. */
void rig_send(struct net_rig *rig, uint32_t queue, const struct net_header *header, const void *frame,
              uint32_t len);

/* A command; what it was answered with. */
uint8_t rig_command(struct net_rig *rig, const void *bytes, uint32_t len);

/* An operator's setting; the worker's verdict. */
int rig_set(struct net_rig *rig, enum control_setting_id id, uint32_t index, uint64_t value);

/* The host sends: a frame behind its length, or one by a tap with a header (NULL: zeros). */
void rig_feed_stream(struct net_rig *rig, const void *frame, uint32_t len);
void rig_feed_tap(struct net_rig *rig, unsigned end, const struct net_header *header, const void *frame,
                  uint32_t len);

/* What comes to the host: a frame that it waits for, without its length or header. */
uint32_t rig_take_stream(struct net_rig *rig, void *frame);
uint32_t rig_take_tap(struct net_rig *rig, unsigned end, struct net_header *ret_header, void *frame);

/* A frame of `len` bytes to somebody, different for each seed. */
void rig_frame(uint8_t *frame, uint32_t len, unsigned seed);
