/* The options of a console.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/device_option.h"

enum console_option {
        CONSOLE_OPTION_PORTS = 0,
        CONSOLE_OPTION_LOG_DIR,
        CONSOLE_OPTION_LOG_MAX,
        CONSOLE_OPTION_COUNT_,
};

extern const struct option_row console_option_rows[CONSOLE_OPTION_COUNT_];

/* The same as what they mean. */
struct console_options {
        uint32_t n_ports; /* 1 .. LIMIT_CONSOLE_PORTS; the first is the console */
        char names[LIMIT_CONSOLE_PORTS][LIMIT_CONSOLE_NAME]; /* no two are the same */
        const char *log_dir;                                 /* "": no logs; and to a worker */
        uint64_t log_max; /* bytes of one file of a port's log; there are two */
};

struct console_options console_options_read(const struct option_set *set);

/* At least one port, and no two of one name. */
int console_options_judge(const struct option_set *set, char *why, size_t why_size);

/* Two a port, and two for control (virtio 1.3, 5.3.2). */
static inline uint32_t console_n_queues(uint32_t n_ports)
{
        return 2 * (n_ports + 1);
}

uint32_t console_options_queues(const struct option_set *set);
