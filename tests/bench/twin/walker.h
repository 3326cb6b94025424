/* The twin cut in two, as a device behind vfio-user is: this process has the session and guest memory, the other one (the walker)
 * the rings and the disk, and no guest memory. It walks each ring itself, by one message for every access (dma_message.h). Kicks and
 * interrupts go straight between the guest and it. What isolation by messages costs where nobody walks for the device.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "broker/core/queue.h"
#include "tests/bench/twin/twin_ring.h"

struct walker {
        pid_t pid;   /* 0: there is none, the twin is in one piece */
        int control; /* orders and their answers */
        int dma;     /* its accesses */
};

/* Makes that process. Before there are threads, or descriptors that it should not have. 0 or negative errno. */
int walker_fork(struct walker *walker, const char *path, unsigned n_queues, const struct twin_batch *batch);

/* It ends with its sockets. */
void walker_done(struct walker *walker);

/* One of its accesses, which is there or comes. As dma_serve. */
int walker_serve(const struct walker *walker, const struct guest_memory *memory);

struct walker_start {
        struct queue_layout layout;
        struct queue_features features;
        uint32_t base;
        uint64_t driver; /* the features of the device that the driver has accepted */
        bool writeback;  /* as the driver has last written it */
};

/* Orders, each answered before it returns; meanwhile the walker's accesses go on being served. Descriptors stay the caller's. 0 (stop:
 * where to go on), or negative errno. */
int walker_start_queue(const struct walker *walker, const struct guest_memory *memory, unsigned queue,
                       const struct walker_start *start, int kick, int call);
int walker_stop_queue(const struct walker *walker, const struct guest_memory *memory, unsigned queue);
int walker_set_call(const struct walker *walker, const struct guest_memory *memory, unsigned queue, int call);
int walker_set_writeback(const struct walker *walker, const struct guest_memory *memory, bool writeback);

/* ---- the process itself ---- */

enum walker_verb {
        WALKER_START = 0,
        WALKER_STOP,
        WALKER_SET_CALL,
        WALKER_SET_WRITEBACK,
        WALKER_VERB_COUNT_,
};

struct walker_order {
        enum walker_verb verb;
        unsigned queue;
        struct walker_start start; /* SET_WRITEBACK: that of it */
};

/* Never returns. */
_Noreturn void walker_main(int control, int dma, const char *path, unsigned n_queues,
                           const struct twin_batch *batch);
