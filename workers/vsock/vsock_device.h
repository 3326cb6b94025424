/* A vsock device: what its files share.
 *
 *     the guest's packets    vsock_req.c judges    vsock_guest.c acts
 *     the proxy's frames     vsock_link.c judges   vsock_host.c acts
 *     to the guest           vsock_feed.c: what it is owed, then bytes, as long as it has lent buffers
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "workers/runtime/request.h"
#include "workers/vsock/vsock_conn.h"
#include "workers/vsock/vsock_link.h"
#include "workers/vsock/vsock_reply.h"
#include "workers/vsock/vsock_req.h"

enum {
        VSOCK_QUEUE_RX = 0, /* supply: to the guest */
        VSOCK_QUEUE_TX,
        VSOCK_QUEUE_EVENT, /* supply. Over vhost-user the front end keeps it */
        VSOCK_QUEUE_COUNT,
};

struct vsock {
        struct vsock_self self;
        struct vsock_link link;
        struct vsock_conns conns;
        struct vsock_replies replies;

        uint64_t hello; /* the number of our HELLO */
        bool hello_owed;
        bool welcome;    /* the proxy has answered it */
        uint32_t n_lost; /* of a predecessor's streams, so far */
        bool state_put;  /* the successor will know that there was one */
        bool reset_owed; /* there was one: TRANSPORT_RESET */
        bool timer;      /* runs */
        bool farewell;   /* the proxy is gone, and so are we when the guest knows */
        bool told;       /* it does */

        /* The guest's packets that wait for the link, the oldest first. */
        struct request *held[LIMIT_CREDITS];
        uint32_t held_first, n_held;

        uint8_t *bounce; /* LIMIT_VSOCK_BUFFER bytes: a payload that did not come along */
};

/* ---- vsock_guest.c ---- */

/* One packet of the guest: it is completed now, or held until the link takes it. */
void vsock_guest_packet(struct vsock *vsock, struct request *request);

/* The link may take what is held and owed. */
void vsock_guest_resume(struct vsock *vsock);

/* Ends a connection: the guest is told by RST, the proxy by END. */
void vsock_conn_reset(struct vsock *vsock, struct vsock_conn *conn);

/* ---- vsock_host.c ---- */

/* Takes one frame of the proxy and acts on it; bytes are left in the link's stage. False: there is none. */
bool vsock_host_frame(struct vsock *vsock);

/* Sends what the proxy is owed. False: not all of it went. */
bool vsock_host_flush(struct vsock *vsock);

/* ---- vsock_feed.c ---- */

/* Fills the guest's buffers with what there is for it. */
void vsock_feed(struct vsock *vsock);
