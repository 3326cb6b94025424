/* A port's log: a file of a bounded size, and the one before it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console_log {
        int fd, old_fd; /* -1: there is no log. They are the spawner's to have opened, ours to keep */
        uint64_t size, max;
        bool failing; /* the last write did: said once */
};

/* 0, or negative errno: the file cannot be measured. */
int console_log_open(struct console_log *log, int fd, int old_fd, uint64_t max);

/* Writes them behind what is there. When `max` bytes are in the file they become the older file's, of which no more than that is
 * kept, and it begins anew: inside the jail there are no names to be changed. What the disk does not take is lost: a guest does
 * not wait for a log. */
void console_log_add(struct console_log *log, const uint8_t *bytes, size_t len);
