/* A lane of the broker between a driver of a guest and a real worker, all in lock-step: the micro-bench's
 * bench. There is no thread and no loop; whoever is to run is told so.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/lane.h"
#include "tests/bench/blk_ring.h"
#include "tests/workers/fake_broker.h"

#define MICRO_DEPTH 64u /* requests of a batch, at most */

struct micro_slot {
        uint64_t header, data, status; /* offsets in the ram */
};

struct micro_lane {
        struct fake_broker worker; /* its process, and the other end of its control channel */
        int gate;
        struct guest_ram ram;
        struct blk_ring ring;
        struct lane lane;
        uint32_t data_bytes; /* of each slot */
        struct micro_slot slots[MICRO_DEPTH];
};

/* Starts the worker program on the image, and a lane in front of it. A failure ends the process. */
void micro_lane_open(struct micro_lane *micro, const char *program, int image, uint32_t data_bytes,
                     bool packed);
void micro_lane_close(struct micro_lane *micro);

/* Posts n requests of that type (virtio 1.3, 5.2.6) at once and carries them to their end. `sectors`: one
 * each. `count`: broker and worker are counted. Any answer but success ends the process. */
void micro_lane_do(struct micro_lane *micro, uint32_t type, const uint64_t *sectors, unsigned n, bool count);

/* Both sides write down what was counted, as broker/NAME and worker/NAME, and begin again at zero. */
void micro_lane_dump(struct micro_lane *micro, const char *name);
