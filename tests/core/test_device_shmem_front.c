/* Mappings and front ends that come, go, refuse, and answer late, twice or never.
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

/* ---- front ends ---- */

static void a_front_end_that_goes_loses_all_and_the_next_has_all(void **state)
{
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        device_attach(self.world.device, NULL);
        assert_int_equal(self.n_hides, LIFE_EACH);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), LIFE_EACH);
        assert_false(mapping_at(&self, 0, 2)->shown);
        life_worker_dies(&self); /* nobody hears of it */
        world_attach(&self.world, &shmem_world_front);
        assert_int_equal(self.n_shows, 2 * LIFE_EACH);
        assert_int_equal(n_orphans(&self), LIFE_EACH);
        life_successor_says(&self, 0);
        assert_serves(&self);
        assert_int_equal(self.n_hides, self.n_shows);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

static void a_map_under_way_to_a_front_end_that_goes_is_answered(void **state)
{
        const struct shmem_request request = life_pages(0);
        int fd = life_begin(&self);
        uint32_t id;

        (void)state;
        self.mood = FRONT_LATER;
        id = shmem_world_map(&self, &request, fd);
        world_until(&self.world, self.n_shows == 1);
        device_attach(self.world.device, NULL);
        assert_int_equal(answer_to(&self, id), 0);
        world_attach(&self.world, &shmem_world_front);
        assert_int_equal(self.n_shows, 2);
        device_shmem_shown(self.world.device, mapping_at(&self, 0, 2), 0); /* the worker was told before */
        (void)unmap_answer(&self, &request);
        assert_int_equal(times_answered(&self, id), 1);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

static enum admin_device_state device_state(void)
{
        struct admin_device status = {0};

        device_status(self.world.device, &status);
        return status.state;
}

static void what_a_front_end_refuses_is_gone_and_the_worker_is_told(void **state)
{
        static const enum front_mood moods[] = {FRONT_REFUSES, FRONT_LATER};
        const struct shmem_request request = life_pages(0);
        int fd = life_begin(&self);

        (void)state;
        for (size_t i = 0; i < array_size(moods); i++) {
                uint32_t id;

                self.mood = moods[i];
                id = shmem_world_map(&self, &request, fd);
                world_until(&self.world, self.n_shows == i + 1);
                if (moods[i] == FRONT_LATER)
                        device_shmem_shown(self.world.device, mapping_at(&self, 0, 2), -EIO);
                assert_int_equal(answer_to(&self, id), -EIO);
                assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
                assert_unmapped(fd);
        }
        assert_int_equal(device_state(), ADMIN_RUNNING);
        assert_int_equal(self.n_hides, 0);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

/* Its worker was told before that the guest has it. */
static void what_a_later_front_end_refuses_is_gone_and_breaks_the_device(void **state)
{
        static const enum front_mood moods[] = {FRONT_REFUSES, FRONT_LATER};

        (void)state;
        for (size_t i = 0; i < array_size(moods); i++) {
                int fd = life_begin(&self);

                life_map_each(&self, fd);
                device_attach(self.world.device, NULL);
                assert_int_equal(device_state(), ADMIN_RUNNING);
                self.mood = moods[i];
                world_attach(&self.world, &shmem_world_front);
                if (moods[i] == FRONT_LATER) {
                        assert_int_equal(device_state(), ADMIN_RUNNING);
                        device_shmem_shown(self.world.device, mapping_at(&self, 0, 2), 0);
                        assert_int_equal(device_state(), ADMIN_RUNNING);
                        device_shmem_shown(self.world.device, mapping_at(&self, 10, 2), -EIO);
                }
                assert_int_equal(device_state(), ADMIN_BROKEN);
                assert_int_equal(shmem_n_mappings(shmem_of(&self)),
                                 moods[i] == FRONT_LATER ? LIFE_EACH - 1 : 0);
                assert_int_equal(self.n_hides, LIFE_EACH);
                assert_maps(shmem_of(&self));
                life_reset(&self);
                assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
                life_successor_says(&self, 0);
                world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
                assert_int_equal(device_state(), ADMIN_READY);
                assert_no_more_than(&self, 1);
                life_end(&self, fd);
        }
}

static void an_answer_that_comes_twice_reaches_the_worker_once(void **state)
{
        const struct shmem_request request = life_pages(0);
        int fd = life_begin(&self);
        uint32_t id;

        (void)state;
        self.mood = FRONT_LATER;
        id = shmem_world_map(&self, &request, fd);
        world_until(&self.world, self.n_shows == 1);
        for (unsigned i = 0; i < 3; i++)
                device_shmem_shown(self.world.device, mapping_at(&self, 0, 2), 0);
        assert_int_equal(answer_to(&self, id), 0);
        (void)unmap_answer(&self, &request);
        assert_int_equal(times_answered(&self, id), 1);
        assert_int_equal(self.n_hides, 1);
        life_end(&self, fd);
}

static void an_answer_that_never_comes_holds_up_nobody_else(void **state)
{
        const struct shmem_request request = pages_of(50, 1), other = pages_of(60, 1);
        int fd = life_begin(&self);
        uint32_t id;

        (void)state;
        self.mood = FRONT_LATER;
        id = shmem_world_map(&self, &request, fd);
        world_until(&self.world, self.n_shows == 1);
        self.mood = FRONT_TAKES;
        life_map_each(&self, fd);
        assert_int_equal(unmap_answer(&self, &request), -ENOENT); /* it is not there yet */
        assert_int_equal(map_answer(&self, &request, fd), -EEXIST);
        device_queue_stop(self.world.device, 0, world_stopped, &self.world);
        world_until(&self.world, self.world.n_stopped == 1);
        world_start_queue(&self.world, 0, self.world.base);
        assert_int_equal(map_answer(&self, &other, fd), 0);
        assert_serves(&self);
        assert_int_equal(times_answered(&self, id), 0);
        assert_no_more_than(&self, 1 + LIFE_EACH + 2);
        life_end(&self, fd);
}

/* The first answer that cannot be said ends the worker, and with it the maps that the others would have been for. */
static void a_worker_that_has_hung_up_when_its_front_end_goes_is_just_dead(void **state)
{
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        self.mood = FRONT_LATER;
        for (unsigned i = LIFE_EACH; i < 2 * LIFE_EACH; i++) {
                const struct shmem_request request = life_pages(i);

                (void)shmem_world_map(&self, &request, fd);
                world_until(&self.world, self.n_shows == i + 1);
        }
        world_kill_worker(&self.world);
        device_attach(self.world.device, NULL);
        assert_int_equal(self.n_hides, 2 * LIFE_EACH);
        world_until(&self.world, self.world.n_reaps == 1);
        self.mood = FRONT_TAKES;
        world_attach(&self.world, &shmem_world_front);
        life_successor_says(&self, 0);
        assert_serves(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test(name)
        const struct CMUnitTest tests[] = {
            CLAIM(a_front_end_that_goes_loses_all_and_the_next_has_all),
            CLAIM(a_map_under_way_to_a_front_end_that_goes_is_answered),
            CLAIM(what_a_front_end_refuses_is_gone_and_the_worker_is_told),
            CLAIM(what_a_later_front_end_refuses_is_gone_and_breaks_the_device),
            CLAIM(an_answer_that_comes_twice_reaches_the_worker_once),
            CLAIM(an_answer_that_never_comes_holds_up_nobody_else),
            CLAIM(a_worker_that_has_hung_up_when_its_front_end_goes_is_just_dead),
        };

        return cmocka_run_group_tests_name("device_shmem_front", tests, NULL, NULL);
}
