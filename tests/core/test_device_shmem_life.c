/* Mappings and the deaths of workers: what a successor takes over, what it is refused, what goes with whom; and nothing leaks.
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

/* ---- successors ---- */

static void a_successor_takes_over_what_is_equal_and_its_guest_sees_nothing(void **state)
{
        struct shmem_mapping *before[LIFE_EACH];
        uint32_t ids[LIFE_EACH];
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        for (unsigned i = 0; i < LIFE_EACH; i++)
                before[i] = mapping_at(&self, 10 * i, 2);
        *(uint8_t *)before[0]->host = 77;
        life_worker_dies(&self);
        assert_int_equal(n_orphans(&self), LIFE_EACH);
        life_successor_says(&self, LIFE_EACH);
        for (unsigned i = 0; i < LIFE_EACH; i++) {
                const struct shmem_request request = life_pages(i);

                ids[i] = shmem_world_map(&self, &request, fd);
        }
        for (unsigned i = 0; i < LIFE_EACH; i++)
                assert_int_equal(answer_to(&self, ids[i]), 0);
        assert_serves(&self);
        assert_int_equal(n_orphans(&self), 0);
        for (unsigned i = 0; i < LIFE_EACH; i++)
                assert_ptr_equal(mapping_at(&self, 10 * i, 2), before[i]);
        assert_int_equal(*(uint8_t *)before[0]->host, 77);
        assert_int_equal(self.n_shows, LIFE_EACH);
        assert_int_equal(self.n_hides, 0);
        assert_no_more_than(&self, 1 + LIFE_EACH);
        life_end(&self, fd);
}

static void what_no_successor_asks_for_goes_when_it_serves_and_not_before(void **state)
{
        const struct shmem_request first = life_pages(0), elsewhere = pages_of(50, 1);
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        life_worker_dies(&self);
        life_successor_says(&self, 2);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &first, fd)), 0);
        assert_int_equal(n_orphans(&self), LIFE_EACH - 1);
        assert_int_equal(self.n_hides, 0);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &elsewhere, fd)), 0);
        assert_serves(&self);
        assert_int_equal(self.n_hides, LIFE_EACH - 1);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 2);
        assert_non_null(mapping_at(&self, 0, 2));
        assert_non_null(mapping_at(&self, 50, 1));
        assert_no_more_than(&self, 1 + 2);
        life_end(&self, fd);
}

static int read_only_of(int fd)
{
        char path[64];
        int copy;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        copy = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(copy >= 0);
        return copy;
}

/* What was mapped: pages 10 to 13 of the region, by those of the file. */
static const struct {
        const char *what;
        struct shmem_request request;
        enum { SAME, OTHER, READ_ONLY } file;
} differing[] = {
    {"another file", {.writable = true, .offset = 10 * PAGE, .len = 4 * PAGE, .fd_offset = 10 * PAGE}, OTHER},
    {"another part of it",
     {.writable = true, .offset = 10 * PAGE, .len = 4 * PAGE, .fd_offset = 11 * PAGE},
     SAME},
    {"fewer rights", {.offset = 10 * PAGE, .len = 4 * PAGE, .fd_offset = 10 * PAGE}, READ_ONLY},
    {"its beginning", {.writable = true, .offset = 10 * PAGE, .len = PAGE, .fd_offset = 10 * PAGE}, SAME},
    {"its end", {.writable = true, .offset = 13 * PAGE, .len = PAGE, .fd_offset = 13 * PAGE}, SAME},
    {"more", {.writable = true, .offset = 10 * PAGE, .len = 5 * PAGE, .fd_offset = 10 * PAGE}, SAME},
    {"a page before", {.writable = true, .offset = 9 * PAGE, .len = 4 * PAGE, .fd_offset = 9 * PAGE}, SAME},
    {"all around it", {.writable = true, .offset = 8 * PAGE, .len = 8 * PAGE, .fd_offset = 8 * PAGE}, SAME},
};

static void what_differs_is_refused_and_what_was_there_goes_when_it_serves(void **state)
{
        const struct shmem_request good = pages_of(10, 4);
        uint32_t ids[array_size(differing)];
        int fds[3] = {life_begin(&self)};

        (void)state;
        fds[OTHER] = sealed_pages(LIFE_FILE_PAGES);
        fds[READ_ONLY] = read_only_of(fds[SAME]);
        assert_int_equal(map_answer(&self, &good, fds[SAME]), 0);
        life_worker_dies(&self);
        life_successor_says(&self, array_size(differing) + 1);
        for (size_t i = 0; i < array_size(differing); i++)
                ids[i] = shmem_world_map(&self, &differing[i].request, fds[differing[i].file]);
        for (size_t i = 0; i < array_size(differing); i++) {
                int r = answer_to(&self, ids[i]);

                if (r != -EEXIST)
                        fail_msg("%s: %d", differing[i].what, r);
        }
        assert_int_equal(n_orphans(&self), 1);
        assert_int_equal(self.n_hides, 0);
        (void)shmem_world_map(&self, &(struct shmem_request){0}, fds[SAME]); /* the last that is due */
        assert_serves(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_hides, 1);
        assert_unmapped(fds[SAME]);
        assert_unmapped(fds[OTHER]);
        assert_no_more_than(&self, 3);
        close(fds[OTHER]);
        close(fds[READ_ONLY]);
        life_end(&self, fds[SAME]);
}

static void the_same_twice_is_taken_over_once(void **state)
{
        const struct shmem_request request = life_pages(0);
        uint32_t ids[3];
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        life_worker_dies(&self);
        life_successor_says(&self, 3);
        for (unsigned i = 0; i < 3; i++)
                ids[i] = shmem_world_map(&self, &request, fd);
        assert_int_equal(answer_to(&self, ids[0]), 0);
        assert_int_equal(answer_to(&self, ids[1]), -EEXIST);
        assert_int_equal(answer_to(&self, ids[2]), -EEXIST);
        assert_serves(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        assert_int_equal(self.n_hides, LIFE_EACH - 1);
        assert_no_more_than(&self, 1 + 1);
        life_end(&self, fd);
}

static void an_orphan_is_not_its_successor_s_to_take_away(void **state)
{
        const struct shmem_request first = life_pages(0), second = life_pages(1);
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        life_worker_dies(&self);
        life_successor_says(&self, 1);
        assert_int_equal(unmap_answer(&self, &first), -ENOENT);
        assert_int_equal(n_orphans(&self), LIFE_EACH);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &second, fd)), 0);
        assert_serves(&self);
        assert_int_equal(unmap_answer(&self, &second), 0);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
        assert_int_equal(self.n_hides, LIFE_EACH);
        assert_no_more_than(&self, 1);
        life_end(&self, fd);
}

static void more_maps_than_announced_are_as_others_and_not_the_device_s_own(void **state)
{
        const struct shmem_request first = life_pages(0), more = life_pages(1);
        uint32_t ids[2];
        int fd = life_begin(&self);

        (void)state;
        life_worker_dies(&self);
        life_successor_says(&self, 1);
        ids[0] = shmem_world_map(&self, &first, fd);
        ids[1] = shmem_world_map(&self, &more, fd);
        assert_int_equal(answer_to(&self, ids[0]), 0);
        assert_int_equal(answer_to(&self, ids[1]), 0);
        assert_serves(&self);
        assert_true(mapping_at(&self, 0, 2)->lasting);
        assert_false(mapping_at(&self, 10, 2)->lasting);
        life_reset(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), 1);
        life_end(&self, fd);
}

static void who_maps_less_than_it_announced_is_killed_and_its_successor_has_all_that_was_there(void **state)
{
        const struct shmem_request first = life_pages(0), late = pages_of(50, 1);
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        life_worker_dies(&self);
        life_successor_says(&self, LIFE_EACH);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &first, fd)), 0);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &late, fd)), 0);
        assert_int_equal(world_state(&self.world), WORKER_PRIMING);
        world_until(&self.world, self.world.n_spawns == 3);
        assert_int_equal(n_orphans(&self), LIFE_EACH + 1);
        assert_int_equal(self.n_hides, 0);
        life_successor_says(&self, LIFE_EACH);
        for (unsigned i = 0; i < LIFE_EACH; i++) {
                const struct shmem_request request = life_pages(i);

                assert_int_equal(answer_to(&self, shmem_world_map(&self, &request, fd)), 0);
        }
        assert_serves(&self);
        assert_int_equal(shmem_n_mappings(shmem_of(&self)), LIFE_EACH);
        assert_int_equal(self.n_hides, 1); /* the late one */
        assert_no_more_than(&self, 1 + LIFE_EACH);
        life_end(&self, fd);
}

/* By its maps it is nobody's successor, or can be none. */
static void who_announces_maps_that_cannot_be_is_killed(void **state)
{
        static const struct {
                enum device_type_id type;
                uint32_t maps;
        } rows[] = {{DEVICE_TYPE_BLK, 1},
                    {DEVICE_TYPE_RNG, 1},
                    {DEVICE_TYPE_SAMPLE, 1},
                    {DEVICE_TYPE_PMEM, LIMIT_SHMEM_MAPPINGS + 1},
                    {DEVICE_TYPE_PMEM, UINT32_MAX}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                shmem_world_serve(&self, rows[i].type);
                self.world.silent = true;
                life_worker_dies(&self);
                life_successor_says(&self, rows[i].maps);
                world_until(&self.world, self.world.n_spawns == 3);
                self.world.silent = false;
                world_until(&self.world, world_state(&self.world) == WORKER_SERVING);
                assert_no_more_than(&self, 0);
                shmem_world_done(&self);
        }
}

/* ---- deaths in the middle ---- */

static void who_dies_before_it_serves_leaves_what_it_found_to_the_next(void **state)
{
        struct shmem_mapping *before[LIFE_EACH];
        int fd = life_begin(&self);

        (void)state;
        life_map_each(&self, fd);
        for (unsigned i = 0; i < LIFE_EACH; i++)
                before[i] = mapping_at(&self, 10 * i, 2);
        for (unsigned died = 0; died < 3; died++) {
                life_worker_dies(&self);
                life_successor_says(&self, LIFE_EACH);
                for (unsigned i = 0; i < (died < 2 ? died + 1 : LIFE_EACH); i++) {
                        const struct shmem_request request = life_pages(i);

                        assert_int_equal(answer_to(&self, shmem_world_map(&self, &request, fd)), 0);
                }
        }
        assert_serves(&self);
        for (unsigned i = 0; i < LIFE_EACH; i++)
                assert_ptr_equal(mapping_at(&self, 10 * i, 2), before[i]);
        assert_int_equal(self.n_hides, 0);
        assert_no_more_than(&self, 1 + LIFE_EACH);
        life_end(&self, fd);
}

static void who_dies_with_maps_under_way_takes_them_with_it(void **state)
{
        const struct shmem_request first = life_pages(0), second = life_pages(1);
        int fd = life_begin(&self);

        (void)state;
        for (unsigned priming = 0; priming < 2; priming++) { /* while it serves, while it is primed */
                unsigned shows = self.n_shows;
                uint32_t id;

                self.mood = FRONT_LATER;
                id = shmem_world_map(&self, &first, fd);
                world_until(&self.world, self.n_shows == shows + 1);
                assert_int_equal(world_state(&self.world), priming ? WORKER_PRIMING : WORKER_SERVING);
                assert_int_equal(times_answered(&self, id), 0);
                life_worker_dies(&self);
                assert_int_equal(shmem_n_mappings(shmem_of(&self)), 0);
                assert_int_equal(self.n_hides, self.n_shows);
                assert_unmapped(fd);
                self.mood = FRONT_TAKES;
                life_successor_says(&self, 2);
        }
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &first, fd)), 0);
        assert_int_equal(answer_to(&self, shmem_world_map(&self, &second, fd)), 0);
        assert_serves(&self);
        assert_int_equal(self.world.puppet.n_answers, 2); /* none to its predecessors' questions */
        assert_no_more_than(&self, 1 + 2);
        life_end(&self, fd);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test(name)
        const struct CMUnitTest tests[] = {
            CLAIM(a_successor_takes_over_what_is_equal_and_its_guest_sees_nothing),
            CLAIM(what_no_successor_asks_for_goes_when_it_serves_and_not_before),
            CLAIM(what_differs_is_refused_and_what_was_there_goes_when_it_serves),
            CLAIM(the_same_twice_is_taken_over_once),
            CLAIM(an_orphan_is_not_its_successor_s_to_take_away),
            CLAIM(more_maps_than_announced_are_as_others_and_not_the_device_s_own),
            CLAIM(who_maps_less_than_it_announced_is_killed_and_its_successor_has_all_that_was_there),
            CLAIM(who_announces_maps_that_cannot_be_is_killed),
            CLAIM(who_dies_before_it_serves_leaves_what_it_found_to_the_next),
            CLAIM(who_dies_with_maps_under_way_takes_them_with_it),
        };

        return cmocka_run_group_tests_name("device_shmem_life", tests, NULL, NULL);
}
