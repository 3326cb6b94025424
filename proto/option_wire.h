/* Options of a device in messages (schema/option.proto). Only files in proto/ include this.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/arena.h"
#include "proto/device_type.h"
#include "schema/option.pb-c.h"

enum option_wire_reader {
        OPTION_WIRE_ALL,    /* the broker and its spawner: all options */
        OPTION_WIRE_WORKER, /* those that a worker is told (option_for_worker) */
};

/* Messages of one set. */
struct option_wire {
        Bulkhead__Option__Option option[LIMIT_OPTIONS];
        Bulkhead__Option__Option *row[LIMIT_OPTIONS];
};

/* Fills in what is not its preset. Returns how many; they borrow from the set. `name`: the device's. */
size_t option_wire_make(const struct device_type *type, const char *name, const struct option_set *set,
                        enum option_wire_reader reader, struct option_wire *ret);

/* Wire -> a whole set, whose values are yet to be judged; texts are the messages' or lie in the arena. -EPROTO: a key that
 * the type has not or that the reader is not told, one twice, a required one missing, a text where a number belongs or the
 * other way. -ENOMEM: the arena's cap. */
int option_wire_check(struct arena *arena, const struct device_type *type, const char *name,
                      Bulkhead__Option__Option *const *wire, size_t n, enum option_wire_reader reader,
                      struct option_set *ret_set);

/* Does the type allow each value that the reader is told? */
bool option_wire_judge(const struct device_type *type, const struct option_set *set,
                       enum option_wire_reader reader);
