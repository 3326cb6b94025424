/* Two devices of one VM: what one shows its guest in a shared memory region stands in the other's memory table, and is not the guest's
 * memory there. TRUST: sees bytes of the sessions under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/log.h"
#include "tests/wire/shmem_peer.h"

#define REGION (UINT64_C(1) << 40) /* where the front end has put it */

/* One with regions, the other without; and the memory that the front end tells each of. */
struct pair {
        struct fixture *owner, *other;
        struct peer showing, using;
};

static int pair_setup(void **state, bool refuses)
{
        struct pair *pair = calloc(1, sizeof(*pair));
        int r = fixture_setup((void **)&pair->owner) + fixture_setup((void **)&pair->other);

        fake_device_add_regions(&pair->owner->device);
        vhost_user_listener_set_family(pair->owner->listener, &pair->owner->family, refuses);
        vhost_user_listener_set_family(pair->other->listener, &pair->owner->family, false);
        *state = pair;
        return r;
}

static int setup_allows(void **state)
{
        return pair_setup(state, false);
}

static int setup_refuses(void **state)
{
        return pair_setup(state, true);
}

static int teardown(void **state)
{
        struct pair *pair = *state;
        int r = fixture_teardown((void **)&pair->other) + fixture_teardown((void **)&pair->owner);

        free(pair);
        return r;
}

static void pair_attach(struct pair *pair)
{
        peer_attach_and_start(&pair->showing, pair->owner);
        peer_attach(&pair->using, pair->other);
        peer_start(&pair->using);
}

static void pair_detach(struct pair *pair)
{
        peer_detach(&pair->using);
        peer_detach(&pair->showing);
}

/* The guest's memory and a file, as the front end says them to every device. */
static void share(struct peer *peer, const struct shmem_mapping *mapping)
{
        struct vhost_user_memory_table table = {.n_regions = 2,
                                                .regions = {{.guest_address = peer->ram.guest_address,
                                                             .size = peer->ram.size,
                                                             .user_address = peer->ram.user_address},
                                                            {.guest_address = REGION,
                                                             .size = mapping->len,
                                                             .user_address = UINT64_C(0x7f0000000000),
                                                             .mmap_offset = mapping->fd_offset}}};
        const int fds[] = {peer->ram.fd, mapping->fd};

        assert_int_equal(
            front_end_set(&peer->front, VHOST_USER_SET_MEM_TABLE, &table, 8 + 2 * 32, fds, 2, true), 0);
}

static bool reaches(const struct fixture *fixture, bool write)
{
        uint8_t byte = 0x5a;

        return write ? guest_memory_write(fixture->device.memory, GPA(REGION), &byte, 1) == 0
                     : guest_memory_read(fixture->device.memory, GPA(REGION), &byte, 1) == 0;
}

/* A buffer may be there whatever is: what is missing is its request's error. */
static bool may_hold_a_buffer(const struct fixture *fixture)
{
        return guest_memory_covers(fixture->device.memory, GPA(REGION), PEER_PAGE, true);
}

static bool may_hold_a_ring(const struct fixture *fixture)
{
        return guest_memory_ring(fixture->device.memory, GPA(REGION), PEER_PAGE, 4096, true) != NULL;
}

static void buffers_of_others_are_served_and_rings_are_not(void **state)
{
        struct pair *pair = *state;
        struct shmem_mapping *mapping;

        pair_attach(pair);
        mapping = peer_show_now(&pair->showing, 0);
        share(&pair->using, mapping);
        assert_true(may_hold_a_buffer(pair->other));
        assert_true(reaches(pair->other, true));
        assert_int_equal(*(uint8_t *)mapping->host, 0x5a);
        assert_false(may_hold_a_ring(pair->other));
        pair_detach(pair);
}

static void a_region_that_refuses_is_a_hole_to_all_but_its_device(void **state)
{
        struct pair *pair = *state;
        struct shmem_mapping *mapping;

        pair_attach(pair);
        mapping = peer_show_now(&pair->showing, 0);
        share(&pair->using, mapping);
        share(&pair->showing, mapping);
        assert_true(may_hold_a_buffer(pair->other));
        assert_false(reaches(pair->other, false));
        assert_false(reaches(pair->other, true));
        assert_false(may_hold_a_ring(pair->other));
        assert_true(reaches(pair->owner, true));
        assert_int_equal(*(uint8_t *)mapping->host, 0x5a);
        assert_false(may_hold_a_ring(pair->owner));
        pair_detach(pair);
}

/* The device has taken it back, and the front end has not yet. */
static void what_is_about_to_go_is_refused_until_it_has_gone(void **state)
{
        struct pair *pair = *state;
        struct shmem_mapping *mapping, file;

        pair_attach(pair);
        mapping = peer_show_now(&pair->showing, 0);
        file = *mapping;
        file.fd = dup(mapping->fd);
        peer_hide(&pair->showing, mapping);
        share(&pair->using, &file);
        assert_false(reaches(pair->other, false));
        peer_unmap(&pair->showing, 0, 0);
        share(&pair->using, &file); /* it is anybody's file now */
        assert_true(reaches(pair->other, false));
        close(file.fd);
        pair_detach(pair);
}

/* What its worker has mapped before a front end is there stands in no view. */
static void what_no_front_end_shows_yet_is_refused_as_well(void **state)
{
        struct pair *pair = *state;
        struct shmem_mapping *mapping = fake_device_map(&pair->owner->device, 0, PEER_PAGE, true);

        peer_attach(&pair->using, pair->other);
        peer_start(&pair->using);
        share(&pair->using, mapping);
        assert_false(reaches(pair->other, false));
        peer_detach(&pair->using);
        fake_device_hide(&pair->owner->device, mapping);
}

static void a_device_that_has_gone_refuses_nobody(void **state)
{
        struct pair *pair = *state;
        struct shmem_mapping *mapping = fake_device_map(&pair->owner->device, 0, PEER_PAGE, true);

        peer_attach(&pair->using, pair->other);
        peer_start(&pair->using);
        vhost_user_family_remove(&pair->owner->family, pair->owner->listener);
        vhost_user_family_remove(&pair->owner->family, pair->owner->listener); /* nothing happens */
        share(&pair->using, mapping);
        assert_true(reaches(pair->other, false));
        assert_true(may_hold_a_ring(pair->other));
        peer_detach(&pair->using);
        fake_device_hide(&pair->owner->device, mapping);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(buffers_of_others_are_served_and_rings_are_not, setup_allows,
                                            teardown),
            cmocka_unit_test_setup_teardown(a_region_that_refuses_is_a_hole_to_all_but_its_device,
                                            setup_refuses, teardown),
            cmocka_unit_test_setup_teardown(what_is_about_to_go_is_refused_until_it_has_gone, setup_refuses,
                                            teardown),
            cmocka_unit_test_setup_teardown(what_no_front_end_shows_yet_is_refused_as_well, setup_refuses,
                                            teardown),
            cmocka_unit_test_setup_teardown(a_device_that_has_gone_refuses_nobody, setup_refuses, teardown),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
