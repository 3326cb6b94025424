/* A verified load on one block device: random reads, writes and flushes at a depth, every byte of a read
 * compared with what was written last. What completes twice, never, wrongly or with an error is found.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/blk_front.h"

#define LOAD_BLOCK       4096u
#define LOAD_BLOCKS_MAX  8192u
#define LOAD_SLOT_BLOCKS 8u
#define LOAD_DEADLINE_MS 20000 /* for one completion: a machine under load, and restarts that back off */

struct load {
        struct front_end front;
        struct guest_ram ram;
        struct blk_front blk;
        enum front_end_dialect dialect;
        unsigned n_blocks;
        unsigned seed;
        uint64_t n_done;
        /* Called while nothing completes, every tick_ms; NULL: nobody. True: the wait ends with -ECANCELED. */
        bool (*tick)(void *context);
        void *tick_context;
        int tick_ms;
        /* Requests that were outstanding at some moment, and when the first of them completed. */
        bool marked[BLK_FRONT_SLOTS];
        unsigned n_marked;
        uint64_t first_marked_ns; /* CLOCK_MONOTONIC; 0: none has */
        bool busy[LOAD_BLOCKS_MAX];
        uint32_t version[LOAD_BLOCKS_MAX];
        char why[160]; /* after a failure */
};

/* Attaches with `depth` requests at a time on the first `n_blocks` blocks. The model is zero, or that of a
 * load before: the disk holds what it says. All functions: 0, or negative errno and `why`. */
int load_open(struct load *load, const char *socket, enum front_end_dialect dialect, unsigned depth,
              unsigned n_blocks);
void load_close(struct load *load);

/* Attaches again after the broker was lost. A block under a write that was outstanding may hold what was
 * there before or what was being written, and is read to know; every other must hold what was acknowledged
 * last. */
int load_reopen(struct load *load, const char *socket);

/* Every block is written once. */
int load_clear(struct load *load);
/* So many requests, each completion judged; leaves the queue full. */
int load_run(struct load *load, unsigned n);
/* Until nothing is outstanding. */
int load_drain(struct load *load);
/* Takes what has completed already; waits for nothing. */
int load_take(struct load *load);
/* Everything is read back and compared; nothing may be outstanding. */
int load_check(struct load *load);

/* All that is outstanding now is looked for from here on. */
void load_mark(struct load *load);

uint64_t now_ns(void);
