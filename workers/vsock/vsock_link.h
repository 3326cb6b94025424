/* The worker's end of the socket to its proxy. It never waits.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/vsock_frame.h"

struct vsock_link {
        int fd;
        bool full;      /* the last frame did not go: wait until it is writable */
        bool gone;      /* the proxy has ended */
        uint8_t *stage; /* VSOCK_FRAME_MAX + 1 bytes */
        uint32_t at,
            end; /* stage[at, end): bytes of the frame that was taken last and are not the guest's yet */
        uint32_t stream; /* of those bytes */
        bool eom;        /* ... which end a message */
};

/* Makes the socket one that does not wait. 0 or negative errno. */
int vsock_link_init(struct vsock_link *link, int fd);

/* Sends one frame. False: not now, or not any more: `full`, `gone`. */
bool vsock_link_send(struct vsock_link *link, const struct vsock_frame *frame, const uint8_t *payload);

/* Takes one frame, whose payload is in the stage behind VSOCK_FRAME_BYTES. False: there is none, or it is `gone`. One that is
 * none traps: a proxy that was taken over is not listened to. */
bool vsock_link_receive(struct vsock_link *link, struct vsock_frame *ret_frame);
