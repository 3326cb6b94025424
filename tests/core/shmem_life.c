/* The life of a device's mappings, step by step.
 * Owns nothing but what is in the world; called by tests. TRUST: it plays worker and driver.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/shmem_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/supervisor.h"

#define RING_FDS 2u /* of a queue that runs */

int life_begin(struct shmem_world *self)
{
        shmem_world_serve(self, DEVICE_TYPE_PMEM);
        world_start_queue(&self->world, 0, 0);
        self->fds = count_fds();
        self->world.silent = true;
        return sealed_pages(LIFE_FILE_PAGES);
}

void life_end(struct shmem_world *self, int fd)
{
        close(fd);
        shmem_world_done(self);
}

struct shmem_request life_pages(unsigned i)
{
        return pages_of(10 * i, 2);
}

void life_map_each(struct shmem_world *self, int fd)
{
        for (unsigned i = 0; i < LIFE_EACH; i++) {
                const struct shmem_request request = life_pages(i);

                assert_int_equal(map_answer(self, &request, fd), 0);
        }
}

unsigned n_orphans(const struct shmem_world *self)
{
        unsigned n = 0;

        for (size_t i = 0; i < shmem_n_mappings(shmem_of(self)); i++)
                n += shmem_mapping_at(shmem_of(self), i)->orphan;
        return n;
}

void life_worker_dies(struct shmem_world *self)
{
        unsigned incarnations = self->world.n_spawns;

        world_kill_worker(&self->world);
        world_until(&self->world, self->world.n_reaps == incarnations);
}

void life_successor_says(struct shmem_world *self, uint32_t maps)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO, .hello = self->world.hello};

        world_until(&self->world, self->world.have_puppet &&
                                      world_told(&self->world, CONTROL_CONFIGURE) == 1 &&
                                      world_state(&self->world) == WORKER_GREETING);
        message.hello.maps = maps;
        shmem_world_say(self, &message, NULL, 0);
}

void life_reset(struct shmem_world *self)
{
        device_reset(self->world.device);
        self->fds -= RING_FDS;
}

void assert_serves(struct shmem_world *self)
{
        world_until(&self->world, world_state(&self->world) == WORKER_SERVING);
        world_post(&self->world, 0, 4);
        world_until(&self->world, world_answered(&self->world, 0));
        assert_maps(shmem_of(self));
}

void assert_no_more_than(struct shmem_world *self, unsigned n)
{
        world_until(&self->world, count_fds() == self->fds + n);
        assert_maps(shmem_of(self));
}
