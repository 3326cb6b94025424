/* What a loader writes, on its way into guest memory: the receiving half of its lane, and nothing but MemWrite.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/core/guest_memory.h"
#include "proto/base/arena.h"
#include "proto/boot.h"
#include "proto/frame.h"
#include "proto/lane.h"

enum boot_lane_state {
        BOOT_LANE_HEAD = 0, /* eight bytes, to HEADER */
        BOOT_LANE_HEADER,  /* the message, judged whole before one byte of its payload is taken; to PAYLOAD */
        BOOT_LANE_PAYLOAD, /* its bytes, straight into guest memory; to HEAD */
};

struct boot_lane {
        int fd; /* borrowed, non-blocking */
        const struct boot_options *options;
        struct guest_memory *memory; /* borrowed */
        enum boot_lane_state state;
        uint8_t *buf; /* FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER */
        size_t have;
        struct frame_head head;
        struct arena arena;
        struct lane_mem_write write; /* of the frame, in the arena */
        size_t segment;
        uint32_t done;   /* bytes of that segment that have landed */
        uint64_t budget; /* bytes that it may still write: as many as there is RAM */
        uint64_t loaded; /* bytes that have landed */
};

/* `options` and `memory` outlive it. 0 or -ENOMEM. */
int boot_lane_init(struct boot_lane *lane, int fd, const struct boot_options *options,
                   struct guest_memory *memory);
void boot_lane_done(struct boot_lane *lane); /* also of one that is zero */

/* Takes what has come, as much as one turn of the loop may. 1: there may be more; 0: there is no more for now; -EPIPE: the
 * other end is closed, and all has been taken; another negative errno: *ret_why says what the loader has done. */
int boot_lane_run(struct boot_lane *lane, const char **ret_why);

/* Has every frame that was begun come to its end? */
bool boot_lane_is_whole(const struct boot_lane *lane);
