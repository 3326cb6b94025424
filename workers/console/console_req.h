/* What a guest says to a console on its control queue, and what of its buffers is in order: judged once.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/limits.h"

#define CONSOLE_CONTROL_BYTES 8u /* le32 port, le16 event, le16 value (virtio 1.3, 5.3.6.2) */

/* The specification's events, by number. The guest says the first, the fourth and the seventh. */
enum console_event {
        CONSOLE_DEVICE_READY = 0,
        CONSOLE_DEVICE_ADD,
        CONSOLE_DEVICE_REMOVE,
        CONSOLE_PORT_READY,
        CONSOLE_CONSOLE_PORT,
        CONSOLE_RESIZE,
        CONSOLE_PORT_OPEN,
        CONSOLE_PORT_NAME,
};

/* A judged message. */
struct console_req {
        enum console_event event; /* DEVICE_READY, PORT_READY or PORT_OPEN */
        uint32_t port;            /* of the latter two: below the number of ports */
        bool yes;
};

/* `bytes` are the first `len` readable bytes: CONSOLE_CONTROL_BYTES of them, or all when there are fewer. What is behind them
 * says nothing. 0; -EPROTO: no message, or room that no driver gives: the guest is out of order; -EINVAL: a message that is
 * none of a driver's, of a port that is not there or with a value that means nothing: to be answered and forgotten. */
int console_req_check(uint32_t n_ports, uint32_t readable, uint32_t writable, const uint8_t *bytes,
                      size_t len, struct console_req *ret_req);

/* Output is readable alone, and not more than a guest can mean; input is room alone. Else the guest is out of order. */
bool console_output_ok(uint32_t readable, uint32_t writable);
bool console_input_ok(uint32_t readable, uint32_t writable);
