/* One session of a guest that writes, flushes, discards and zeroes at random on few sectors, while its worker
 * is killed at places of a seeded choice; and what it saw.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tests/faults/stack.h"
#include "tests/power_cut/cut_promise.h"
#include "tests/power_cut/record.h"

enum cut_mode {
        CUT_WRITEBACK = 0, /* the driver flushes */
        CUT_WRITETHROUGH,  /* the driver has accepted neither FLUSH nor CONFIG_WCE */
        CUT_SWITCHING,     /* it changes the field `writeback` while it writes */
        CUT_MODE_COUNT_,
};

struct cut_round {
        struct guest_write *writes; /* number 0 is not used: it is the promise's */
        size_t n_writes;
        struct guest_event *events;
        size_t n_events;
        unsigned n_flushes, n_kills;
        char why[160]; /* after a failure */
};

/* Runs `n` requests on a fresh log and a zeroed disk, to the end of all of them. `control` is the image's.
 * 0, or negative errno and `why`. */
int cut_round_run(struct cut_round *round, struct stack *stack, struct record_control *control, uint8_t *disk,
                  enum cut_mode mode, unsigned seed, unsigned n);
void cut_round_done(struct cut_round *round);
