/* Mappings and resets, quarantine, the end of a device: what goes, what stays, what is fresh; and nothing leaks.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "tests/core/shmem_life.h"

static struct shmem_world self;

/* ---- resets ---- */

/* A worker that has mapped one range before it served and one since. */
static int begin_with_both(void)
{
        const struct shmem_request own = life_pages(0), passing = life_pages(1);
        int fd = life_begin(&self);

        life_worker_dies(&self);
        life_successor_says(&self, 1);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        assert_serves(&self);
        assert_int_equal(map_answer(&self, &passing, fd), 0);
        return fd;
}

static void a_reset_leaves_what_is_the_device_s_own_and_nothing_else(void **state)
{
        const struct shmem_request own = life_pages(0);
        struct shmem_mapping *kept;
        int fd = begin_with_both();

        (void)state;
        kept = mapping_at(&self, 0, 2);
        life_reset(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        assert_ptr_equal(mapping_at(&self, 0, 2), kept);
        assert_true(kept->orphan && kept->shown);
        assert_maps(shmem_of(&self));
        life_successor_says(&self, 1);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_ptr_equal(mapping_at(&self, 0, 2), kept);
        assert_false(kept->orphan);
        assert_int_equal(self.n_shows - self.n_hides, 1);
        assert_no_more_than(&self, 1 + 1);
        life_end(&self, fd);
}

/* Whoever asks for it again: it has come by the driver before. */
static void a_reset_takes_what_a_successor_has_taken_over(void **state)
{
        const struct shmem_request own = life_pages(0), passing = life_pages(1);
        int fd = begin_with_both();

        (void)state;
        life_worker_dies(&self);
        life_successor_says(&self, 2);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &passing, fd)), 0);
        assert_serves(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 2);
        life_reset(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        assert_true(mapping_at(&self, 0, 2)->orphan);
        assert_int_equal(self.n_shows - self.n_hides, 1);
        life_end(&self, fd);
}

static void what_the_worker_behind_a_reset_does_not_ask_for_goes(void **state)
{
        int fd = begin_with_both();

        (void)state;
        life_reset(&self);
        life_successor_says(&self, 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_shows, self.n_hides);
        assert_unmapped(fd);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

static void a_reset_in_the_middle_of_priming_holds_no_successor_up(void **state)
{
        const struct shmem_request own = life_pages(0), more = life_pages(1);
        int fd = life_begin(&self);

        (void)state;
        life_worker_dies(&self);
        life_successor_says(&self, 2);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        assert_int_equal(world_state(&self.world), WORKER_PRIMING);
        life_reset(&self);
        assert_int_equal(n_orphans(&self), 1);
        life_successor_says(&self, 2);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &more, fd)), 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_int_equal(n_orphans(&self), 0);
        assert_no_more_than(&self, 1 + 2);
        life_end(&self, fd);
}

static void a_reset_takes_maps_under_way_and_nobody_is_told(void **state)
{
        const struct shmem_request request = life_pages(2);
        int fd = life_begin(&self);
        unsigned shows;

        (void)state;
        life_map_each(&self, fd);
        (void)unmap_answer(&self, &request);
        shows = self.n_shows;
        self.mood = FRONT_LATER;
        (void)shmem_world_map(&self, &request, fd);
        world_until(&self.world, self.n_shows == shows + 1);
        life_reset(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_hides, self.n_shows);
        life_successor_says(&self, 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        (void)unmap_answer(&self, &request);
        assert_int_equal(self.world.puppet.n_answers, 1);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

static void a_worker_that_no_guest_has_seen_keeps_its_mappings_over_a_reset(void **state)
{
        const struct shmem_request request = life_pages(0);
        int fd;

        (void)state;
        shmem_world_init(&self, DEVICE_TYPE_PMEM);
        world_attach(&self.world, &(struct device_front){0});
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        fd = sealed_pages(LIFE_FILE_PAGES);
        assert_int_equal(map_answer(&self, &request, fd), 0);
        device_reset(self.world.device);
        assert_int_equal(world_state(&self.world), WORKER_SERVING);
        assert_false(mapping_at(&self, 0, 2)->orphan);
        assert_int_equal(unmap_answer(&self, &request), 0);
        assert_int_equal(self.world.n_spawns, 1);
        life_end(&self, fd);
}

static struct shmem_mapping *memory(void)
{
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        return shmem_mapping_at(shmem_of(&self), 0);
}

static void memory_of_the_broker_s_outlives_a_worker_and_is_fresh_behind_a_reset(void **state)
{
        uint64_t ino;

        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_SAMPLE);
        ino = memory()->ino;
        *(uint8_t *)memory()->host = 77;
        life_worker_dies(&self);
        assert_int_equal(*(uint8_t *)memory()->host, 77);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_int_equal(*(uint8_t *)memory()->host, 77);
        assert_int_equal(self.n_shows, 1);
        device_reset(self.world.device);
        assert_int_equal(*(uint8_t *)memory()->host, 0);
        assert_true(memory()->ino != ino && memory()->shown);
        assert_int_equal(self.n_shows, 2);
        assert_int_equal(self.n_hides, 1);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_no_more_than(&self, 0);
        shmem_world_done(&self);
}

/* ---- quarantine, and the end ---- */

/* Its next worker describes another device. */
static void quarantine(void)
{
        self.world.hello.features ^= FEATURE_BIT(6);
        self.world.silent = false;
        world_kill_worker(&self.world);
        world_until(&self.world, self.world.n_quarantined == 1);
        self.world.hello.features ^= FEATURE_BIT(6);
        self.world.silent = true;
}

static void a_quarantine_takes_everything_and_a_reset_begins_anew(void **state)
{
        const struct shmem_request own = life_pages(0);
        int fd = begin_with_both();

        (void)state;
        quarantine();
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_shows, self.n_hides);
        assert_unmapped(fd);
        assert_maps(shmem_of(&self));
        life_reset(&self);
        life_successor_says(&self, 1);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &own, fd)), 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_no_more_than(&self, 1 + 1);
        life_end(&self, fd);
}

static void a_quarantine_takes_memory_of_the_broker_s_and_a_reset_brings_other(void **state)
{
        (void)state;
        shmem_world_serve(&self, DEVICE_TYPE_SAMPLE);
        *(uint8_t *)memory()->host = 77;
        quarantine();
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_hides, 1);
        self.world.silent = false;
        device_reset(self.world.device);
        assert_int_equal(*(uint8_t *)memory()->host, 0);
        world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
        assert_no_more_than(&self, 0);
        shmem_world_done(&self);
}

static void the_end_of_a_device_leaves_nothing_whatever_is_under_way(void **state)
{
        const struct shmem_request request = pages_of(50, 1);

        (void)state;
        for (unsigned dead = 0; dead < 2; dead++) {
                int fd = life_begin(&self);

                life_map_each(&self, fd);
                self.mood = FRONT_LATER;
                (void)shmem_world_map(&self, &request, fd);
                world_until(&self.world, self.n_shows == LIFE_EACH + 1);
                if (dead)
                        life_worker_dies(&self);
                life_end(&self, fd);
        }
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test(name)
        const struct CMUnitTest tests[] = {
            CLAIM(a_reset_leaves_what_is_the_device_s_own_and_nothing_else),
            CLAIM(a_reset_takes_what_a_successor_has_taken_over),
            CLAIM(what_the_worker_behind_a_reset_does_not_ask_for_goes),
            CLAIM(a_reset_in_the_middle_of_priming_holds_no_successor_up),
            CLAIM(a_reset_takes_maps_under_way_and_nobody_is_told),
            CLAIM(a_worker_that_no_guest_has_seen_keeps_its_mappings_over_a_reset),
            CLAIM(memory_of_the_broker_s_outlives_a_worker_and_is_fresh_behind_a_reset),
            CLAIM(a_quarantine_takes_everything_and_a_reset_begins_anew),
            CLAIM(a_quarantine_takes_memory_of_the_broker_s_and_a_reset_brings_other),
            CLAIM(the_end_of_a_device_leaves_nothing_whatever_is_under_way),
        };

        return cmocka_run_group_tests_name("device_shmem_reset", tests, NULL, NULL);
}
