/* What the runner prints: a line an attempt, for a test's log or for a person, and the count at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "tests/hostile_worker/stage.h"

struct report {
        enum layer_set set;
        const struct kind *kind;
        bool explain; /* for a person */
        bool own;     /* only what no disk and no source of entropy could try */
        bool rootless, missing_told;
        unsigned attempts, held, worked, failed;
        unsigned topics_tried, topics_held;
        const struct topic *topic; /* of the line before */
        bool topic_held;
        unsigned ends[7]; /* by END_ bit, of those that were held */
        uint64_t neighbour_turns;
};

/* The END_ bits that count as held in this set of layers; 0: not to be tried there. */
unsigned report_expected(const struct attempt *attempt, enum layer_set set, const struct kind *kind);

/* Is this attempt made with this set and this device? */
bool report_applies(const struct attempt *attempt, enum layer_set set, const struct kind *kind);

void report_begin(struct report *report);
/* Once, for a person: what this host does not give. */
void report_missing(struct report *report, const char *missing);
void report_attempt(struct report *report, const struct attempt *attempt, const struct outcome *outcome);
/* The count. True: everything has held, or, without a jail, enough has worked. */
bool report_end(struct report *report);

/* id, key, group, devices, ends with all layers, ends without filter, and in words; tab-separated. */
void report_list(void);
