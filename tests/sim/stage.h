/* The devices of a run, with what is around each: made, hurt and healed, judged at rest, taken down.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "tests/sim/sim_device.h"

/* What a run's devices have done. */
struct stage_result {
        uint64_t posted, completed, explained, incarnations;
};

/* Once in a process. */
void stage_init(void);

/* Chooses the odds and sets up the devices; front_start makes them. */
void stage_set(void);
const struct odds *stage_odds(void);

/* From now on nothing hurts and nothing new is posted; and as before. */
void stage_heal(void);
void stage_hurt(void);

bool stage_is_settled(void);
/* Says on stderr what is left. */
void stage_tell(void);
/* At rest: nothing is in a table, no byte is where nobody has put it. */
void stage_check(void);

/* The broker has ended: the rest goes. */
void stage_clear(struct stage_result *ret_result);
