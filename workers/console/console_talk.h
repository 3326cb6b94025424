/* What driver and device have told each other over the control queues (virtio 1.3, 5.3.6.2): the driver's words as they came,
 * and of our own words what has been said last. What is to be said next follows from the difference to what is true now, so
 * nothing is ever queued, whatever a guest floods.
 *
 * It is also what a successor must know, so that it says nothing twice.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"
#include "workers/console/console_req.h"

#define CONSOLE_MESSAGE_BYTES (CONSOLE_CONTROL_BYTES + LIMIT_CONSOLE_NAME) /* of our longest: a name */
#define CONSOLE_STATE_BYTES   (4u + 8u * LIMIT_CONSOLE_PORTS)

/* Of one port. */
struct console_line {
        bool added, console, named,
            open;               /* told: it is there, a console, has its name; it is open at our end */
        uint32_t size;          /* told: columns, and rows << 16; 0: nothing */
        bool ready, guest_open; /* heard */
};

struct console_talk {
        bool ready; /* the driver is: heard */
        uint32_t n_ports;
        struct console_line lines[LIMIT_CONSOLE_PORTS];
};

/* What is true of a port. */
struct console_facts {
        const char *name; /* shorter than LIMIT_CONSOLE_NAME; "": none */
        bool is_console;
        bool open;     /* somebody is at our end */
        uint32_t size; /* of the terminal; 0: unknown, or it is none */
};

struct console_message {
        enum console_event event;
        uint32_t port;
        uint32_t value; /* RESIZE: as console_line.size */
        const char *name;
};

/* Takes the driver's word. True: that has changed something. */
bool console_talk_hear(struct console_talk *talk, const struct console_req *req);

/* What is to be told next of this port. False: it has been told all. */
bool console_talk_next(const struct console_talk *talk, uint32_t port, const struct console_facts *facts,
                       struct console_message *ret_message);

/* ... has been told. */
void console_talk_told(struct console_talk *talk, const struct console_message *message);

/* Its bytes on the wire, and how many. */
uint32_t console_message_make(const struct console_message *message,
                              uint8_t ret_bytes[static CONSOLE_MESSAGE_BYTES]);

/* All of it, for a successor of the same number of ports: how many bytes. */
size_t console_talk_save(const struct console_talk *talk, uint8_t ret_bytes[static CONSOLE_STATE_BYTES]);

/* A predecessor's. 0, or -EPROTO: it is none, and nothing has changed. */
int console_talk_restore(struct console_talk *talk, const uint8_t *bytes, size_t len);
