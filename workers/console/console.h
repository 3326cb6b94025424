/* The state of a console.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "workers/console/console_port.h"
#include "workers/console/console_talk.h"

struct console {
        struct console_talk talk;
        struct console_port ports[LIMIT_CONSOLE_PORTS];
        char names[LIMIT_CONSOLE_PORTS][LIMIT_CONSOLE_NAME];
        /* The client that the guest knows of has gone: it is to be told so before it is told of the next. */
        bool hung_up[LIMIT_CONSOLE_PORTS];
        bool was_open[LIMIT_CONSOLE_PORTS]; /* by the guest, as of the last saving */
        bool multiport;                     /* the driver has accepted it */
        uint32_t size;                      /* of the terminal: columns, and rows << 16; 0: unknown */
        struct console_times times;
        struct console_waiting
            heard; /* words of the driver's that have changed something: answered when that is saved */
};
