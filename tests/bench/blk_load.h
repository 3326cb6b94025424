/* One queue under load: as many requests outstanding as the case says, each completion followed by another request.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/bench_case.h"
#include "tests/bench/bench_stamp.h"
#include "tests/bench/blk_ring.h"
#include "tests/bench/histogram.h"
#include "tests/bench/process_use.h"

#define BLK_LOAD_DEADLINE_MS 10000 /* without any completion: the device hangs */

/* The turns of a measurement, told by the session and only ever going forward. */
enum blk_phase {
        BLK_PHASE_WARM = 0, /* requests run and are not counted */
        BLK_PHASE_COUNT,
        BLK_PHASE_STOP, /* what is outstanding comes home, nothing new is posted */
};

struct blk_load_plan {
        struct bench_case work;
        uint32_t segment; /* bytes of data that one descriptor names */
        uint64_t without; /* features that the driver does not take */
        bool poll;        /* the client spins on the used ring and never sleeps */
        bool verify;
};

struct blk_load_slot {
        uint64_t head, data; /* offsets in the ram; the status lies in the head's cache line */
        uint64_t at, posted_ns;
        bool writes;
};

struct blk_load_result {
        uint64_t n, bytes, elapsed_ns;
        uint64_t kicks, sleeps;
        struct process_work client; /* of this queue's thread */
        struct histogram latency;
};

struct blk_load {
        const struct blk_load_plan *plan;
        struct front_end *front;
        struct guest_ram *ram;
        unsigned queue;
        const int *phase;
        sem_t *told; /* once when the thread is under way, once more when it has failed */

        struct blk_ring ring;
        struct bench_stamps stamps;
        uint64_t first_block, n_blocks, next_block, chance;
        unsigned outstanding;
        bool filling, counting;
        int calls; /* of its thread: an epoll set with the call descriptor alone */
        uint64_t counted_from;
        struct process_work client_from;

        struct blk_load_result result;
        int error;
        char trouble[160]; /* what was wrong, in words */

        struct blk_load_slot slots[BENCH_DEPTH_MAX];
};

/* Bytes of guest memory that a queue under this plan takes, at most. */
uint64_t blk_load_ram(const struct blk_load_plan *plan);

/* Lays ring and buffers out, for the blocks [first_block, first_block + n_blocks) of the disk. The rest of the
 * fields are the caller's. 0 or negative errno. */
int blk_load_init(struct blk_load *load, uint64_t first_block, uint64_t n_blocks);

/* One measurement, as the phase turns; for pthread_create. `run` tells its stamps from all others. */
void *blk_load_run(void *load);
