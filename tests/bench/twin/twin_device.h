/* The twin as a device: implements broker/core/device.h for the product's own vhost-user session, without
 * worker, lane or thread.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "broker/core/config_space.h"
#include "broker/core/device.h"
#include "tests/bench/twin/twin_ring.h"
#include "tests/bench/twin/walker.h"

struct twin_stop {
        void (*stopped)(void *context, uint32_t base); /* NULL: none is due */
        void *context;
        uint32_t base;
};

struct device {
        struct shmem *shmem;  /* none */
        struct walker walker; /* if there is one, the rings are its */
        struct twin_disk disk;
        struct config_space space;
        struct device_front front;
        uint64_t committed;
        struct guest_memory *memory;
        unsigned n_queues;
        struct twin_ring rings[LIMIT_QUEUES];
        uint64_t walked; /* rings that the walker has been told to serve */
        uint64_t active; /* rings that may have something; the others are asleep until their kick */
        int epoll;       /* of whoever waits for kicks: event data is the ring's index */
        /* Callbacks never come from inside the call that asks for them. */
        uv_timer_t later;
        struct twin_stop stops[LIMIT_QUEUES];
        void (*written)(void *context, int error);
        void *written_context;
        int write_result;
};

/* Opens the disk. `epoll` stays the caller's: kicks are watched there, edge-triggered, so that nobody has to
 * read them. `walker` becomes the device's: with a process, nothing else is watched there. 0 or negative errno. */
int twin_device_init(struct device *device, uv_loop_t *loop, const char *path, unsigned n_queues,
                     bool map_image, const struct walker *walker, int epoll);

/* The handle is closed by the loop; the front end has been detached. */
void twin_device_done(struct device *device);

/* One batch of each active ring; a ring that had none left asks for its kick and goes to sleep, unless
 * `awake`. Returns how many chains were served. */
unsigned twin_device_serve(struct device *device, const struct twin_batch *batch, bool awake);

/* The walker's next access, which is there or comes. As dma_serve. */
int twin_device_serve_walker(struct device *device);
