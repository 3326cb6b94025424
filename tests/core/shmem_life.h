/* The life of a device's mappings, step by step: for claims of what becomes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/core/shmem_world.h"

#define LIFE_FILE_PAGES 64u
#define LIFE_EACH       3u /* mappings of a worker, in most claims */

/* A pmem that a driver has begun with, whose worker has mapped nothing yet. Its successors say nothing by themselves. Returns
 * the file that is to be mapped. */
int life_begin(struct shmem_world *self);
void life_end(struct shmem_world *self, int fd);

/* The i-th of what is mapped: two pages in each ten. */
struct shmem_request life_pages(unsigned i);
/* LIFE_EACH of them. */
void life_map_each(struct shmem_world *self, int fd);

unsigned n_orphans(const struct shmem_world *self);

/* It is killed; the device knows of it. */
void life_worker_dies(struct shmem_world *self);

/* What a successor says first; all that is said right behind it lies in the broker's socket before it looks. */
void life_successor_says(struct shmem_world *self, uint32_t maps);

/* The device is reset, and its ring is no more. */
void life_reset(struct shmem_world *self);

/* Its worker serves, and answers a request. */
void assert_serves(struct shmem_world *self);

/* Only so many descriptors have come to what there was at the beginning. */
void assert_no_more_than(struct shmem_world *self, unsigned n);
