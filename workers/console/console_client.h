/* Who is at the other end of a port: one at a time, by a Unix stream socket.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console_client {
        int fd;     /* -1: nobody */
        bool ended; /* it says nothing more */
        bool gone;  /* it hears nothing more; what it has said may still wait */
};

/* Takes the next one that has connected. -EAGAIN: there is none; or the host cannot have one more: it waits. */
int console_client_accept(int listener);

/* How many bytes have come: 0 when there are none now, or no more (`ended`). */
size_t console_client_take(struct console_client *client, uint8_t *ret_bytes, size_t len);

/* Looks whether it has gone, which may not have been noticed yet. */
bool console_client_has_gone(struct console_client *client);

/* Has anything come that nobody has taken? */
bool console_client_waits(struct console_client *client);

/* How many it has taken; 0: it must be waited for. One that is gone takes all: they are lost. */
size_t console_client_give(struct console_client *client, const uint8_t *bytes, size_t len);

void console_client_close(struct console_client *client);
