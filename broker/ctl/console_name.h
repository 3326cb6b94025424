/* Which socket VM/DEVICE[:PORT] means.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/limits.h"

struct console_name {
        char vm[LIMIT_NAME], device[LIMIT_NAME];
        char port[LIMIT_CONSOLE_NAME]; /* "": the console */
};

/* 0, or -EINVAL with one line in `why`: it is no such name. */
int console_name_parse(const char *text, struct console_name *ret_name, char *why, size_t why_size);

struct console_place {
        char path[PATH_MAX]; /* of the socket */
        char port[LIMIT_CONSOLE_NAME];
        bool
            is_console; /* the port was not asked for, or is the one that would have been found then: it has a size */
};

/* The port that was asked for; else the only one there is, or the one called console. 0, or negative errno with one line in
 * `why`: there is no such port, which are there, or what to ask for. */
int console_place_find(const char *run_dir, const struct console_name *name, struct console_place *ret_place,
                       char *why, size_t why_size);
