/* A device with shared memory regions, and everything around it: a world whose worker asks for mappings and whose front end
 * takes them, takes them later, or does not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/core/shmem_maps.h"
#include "tests/core/world.h"

#define PAGE         ((uint64_t)LIMIT_SHMEM_PAGE)
#define REGION_PAGES 1024u /* of the region of files; the other has less */

enum front_mood {
        FRONT_TAKES = 0, /* at once */
        FRONT_LATER,     /* says nothing until the test does (device_shmem_shown) */
        FRONT_REFUSES,   /* at once, from inside: EIO */
};

struct shmem_world {
        struct world world; /* first: it is the front end's context */
        enum front_mood mood;
        unsigned n_shows, n_hides;
        struct shmem_mapping *shown; /* the last */
        uint32_t next_id;
        unsigned fds; /* of a device that serves */
};

/* Limits of devices that are begun from now on; zeros: what is usual. */
extern struct shmem_limits shmem_world_limits;

extern const struct device_front shmem_world_front;

/* A pmem (a region of files) or a sample (one of memory) on one lane; not serving yet. Or another type, which has none. */
void shmem_world_init(struct shmem_world *self, enum device_type_id type);
/* ... and it serves. */
void shmem_world_serve(struct shmem_world *self, enum device_type_id type);
/* Everything is gone, and no file that came by shmem_world_map is mapped any more. */
void shmem_world_done(struct shmem_world *self);

const struct shmem *shmem_of(const struct shmem_world *self);
struct shmem_mapping *mapping_at(const struct shmem_world *self, uint64_t page, uint64_t pages);

/* A request for pages, which lie in the file where they lie in the region, writable. */
struct shmem_request pages_of(uint64_t page, uint64_t pages);

/* Memory of so many pages, sealed as it must be. */
int sealed_pages(uint64_t pages);

/* The worker says so, with descriptors beside it, which stay the caller's. */
void shmem_world_say(struct shmem_world *self, const struct control_to_broker *message, const int *fds,
                     unsigned n_fds);
/* ... asks for a mapping, or for its end. Returns the id. */
uint32_t shmem_world_map(struct shmem_world *self, const struct shmem_request *request, int fd);
uint32_t shmem_world_unmap(struct shmem_world *self, const struct shmem_request *request);

/* How often an id has been answered, to this worker; and, with waiting, what was said. */
unsigned times_answered(const struct shmem_world *self, uint32_t id);
int answer_to(struct shmem_world *self, uint32_t id);
/* Both together. */
int map_answer(struct shmem_world *self, const struct shmem_request *request, int fd);
int unmap_answer(struct shmem_world *self, const struct shmem_request *request);

/* The worker is killed, a successor serves, and no descriptor is left over. */
void assert_replaced(struct shmem_world *self, unsigned spawns_before);

/* No page of this file is in the address space. */
void assert_unmapped(int fd);
