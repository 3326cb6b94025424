/* The times that a console waits for, by the one time of a worker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum console_time {
        CONSOLE_TIME_SAVE = 0, /* what was heard and told is left with the broker */
        CONSOLE_TIME_STALL,    /* the console's client has not read for too long */
        CONSOLE_TIME_ACCEPT,   /* the host may have descriptors again */
        CONSOLE_TIME_RETURN,   /* clients of a dead worker have had their time to come back */
        CONSOLE_TIME_COUNT_,
};

struct console_times {
        void (*wake)(void *state);                        /* calls console_times_serve */
        void (*due)(void *state, enum console_time time); /* that one */
        uint64_t due_ms[CONSOLE_TIME_COUNT_];             /* 0: not set */
};

/* In so many milliseconds; one that is set stays as it is. */
void console_time_set(struct console_times *times, enum console_time time, uint32_t ms);
void console_time_stop(struct console_times *times, enum console_time time);

/* Calls `due` for each that is, and waits for the next. */
void console_times_serve(struct console_times *times, void *state);
