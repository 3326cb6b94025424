/* What can be counted of a broker from outside, and what may not have changed over an attack.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/hostile_worker/command.h"

#define FACTS_RSS_KIB 1024 /* by which a broker may be larger after an attack */

struct facts {
        unsigned fds, maps, threads;
        long rss_kib; /* without guest memory */
};

/* 0 or negative errno: the broker is gone, or may not be looked at. */
int facts_measure(pid_t broker, struct facts *ret_facts);

/* Is `now` as `before`? Else a clause in `why`. */
bool facts_equal(const struct facts *before, const struct facts *now, char *why, size_t why_size);

/* Of bytes in the broker that never change: the strings above its stack, minus some. 0: not to be seen. */
uint64_t facts_still_bytes(pid_t broker);

/* The broker's mappings, near ones as one, XOR COMMAND_RANGE_XOR. Returns how many. */
uint32_t facts_ranges(pid_t broker, struct command_range ret_ranges[static COMMAND_RANGES]);
