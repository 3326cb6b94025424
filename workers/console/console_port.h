/* The host's side of a port: its listening socket, who has connected, its log; and the bytes between these and the guest's
 * buffers.
 *
 * Output goes to the log, whole, and to the client. Without a client it goes to the log alone. When a client does not read,
 *     the console (port 0)   waits LIMIT_CONSOLE_STALL_MS, and then loses what does not fit until the client reads again:
 *                            a guest's kernel stands still while it prints
 *     any other port         waits as long as the client likes: its tx queue is a supply queue
 * Input stays in the socket until the guest has opened the port and has lent room.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "workers/console/console_client.h"
#include "workers/console/console_log.h"
#include "workers/console/console_times.h"
#include "workers/runtime/request.h"

/* Requests of the console's tx queue, a work queue: a ring of what has not been answered. */
struct console_waiting {
        struct request *requests[LIMIT_CREDITS];
        uint32_t first, n;
};

struct console_port {
        uint32_t index;
        int listener;
        struct console_client client;
        struct console_log log;
        struct console_times *times;
        void (*changed)(struct console_port *port); /* somebody has come or gone */
        bool listens;                               /* the guest does: input may be handed over */
        bool blocked;                               /* output waits for the client */
        bool deaf;                                  /* port 0: it has waited long enough */
        bool left;    /* the guest has closed it while this client was there: one that says no more may go */
        bool expects; /* a worker has died, and its client may come back: output waits for it */
        uint32_t sent, logged; /* bytes of the first request */
        uint8_t *stash;        /* LIMIT_CONSOLE_STASH bytes: the rest of one whose queue was stopped, */
        uint32_t stash_at, stash_end;   /* of which these are to be sent */
        struct console_waiting waiting; /* port 0 */
};

/* Queues of a port: input, and output behind it (virtio 1.3, 5.3.2). */
static inline uint32_t console_input_queue(uint32_t port)
{
        return port == 0 ? 0 : 2 + 2 * port;
}
static inline uint32_t console_output_queue(uint32_t port)
{
        return console_input_queue(port) + 1;
}

/* `port` is zero but for index, listener, log, times and changed. 0 or -ENOMEM. Watches the listener from now on. */
int console_port_open(struct console_port *port);

/* Moves what can be moved. */
void console_port_input(struct console_port *port);
void console_port_output(struct console_port *port);

/* A request of the console's tx queue. */
void console_port_add(struct console_port *port, struct request *request);

/* The tx queue of another port is to stop: a request that has been begun is answered, and its rest is kept; the others go
 * back as they are. */
void console_port_stash(struct console_port *port);

/* Listens again, after the host had no descriptor or memory for a client. */
void console_port_listen(struct console_port *port);

/* Its time is over. */
void console_port_stalled(struct console_port *port);
void console_port_expect_no_more(struct console_port *port);
