/* Shared memory regions over vhost-user: a front end that does not answer. Linked with a session that waits a tenth of a second
 * for an answer (tests/wire/CMakeLists.txt). TRUST: is a hostile front end.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "proto/base/log.h"
#include "tests/wire/shmem_peer.h"

/* Until the device was told so often, by the loop's own time. */
static void wait_told(struct peer *peer, unsigned n)
{
        for (int i = 0; i < WIRE_DEADLINE_MS && peer->fixture->device.shown < n; i++)
                assert_true(wire_silent(&peer->front.wire, 1));
        assert_int_equal(peer->fixture->device.shown, n);
}

static void front_end_that_never_answers_costs_the_mapping_alone(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *kept, *late;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        kept = peer_show_now(&peer, 0);
        late = peer_show_later(&peer, 1);
        peer_expect_map(&peer, 1, late);
        (void)peer_show_later(&peer, 2); /* stands in line, and waits as long */
        wait_told(&peer, 3);
        assert_int_equal(fixture->device.last_error, -ETIMEDOUT);
        wire_barrier(&peer.front.wire);
        assert_int_equal(shmem_n_mappings(fixture->device.shmem), 1);

        (void)peer_show_later(&peer, 3); /* nobody waits for one that is silent */
        fixture_turn(fixture);
        assert_int_equal(fixture->device.shown, 4);
        assert_int_equal(fixture->device.last_error, -ETIMEDOUT);

        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0); /* after all: nobody wants it any more */
        peer_unmap(&peer, 1, 0);
        (void)peer_show_now(&peer, 1);
        peer_hide(&peer, kept);
        peer_unmap(&peer, 0, 0);
        assert_int_equal(fixture->device.shown, 5);
        peer_detach(&peer);
}

/* It holds what stands behind its message up, too. */
static void change_that_is_never_answered_holds_no_worker_up(void **state)
{
        struct fixture *fixture = *state;
        struct wire_message message;
        struct peer peer;

        peer_attach_and_start(&peer, fixture);
        fixture->device.front.config_changed(fixture->device.front.context);
        assert_int_equal(wire_receive(&peer.backend, &message), 0);
        (void)peer_show_later(&peer, 0);
        wait_told(&peer, 1);
        assert_int_equal(fixture->device.last_error, -ETIMEDOUT);
        peer_answer(&peer, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0);
        (void)peer_show_now(&peer, 0);
        peer_detach(&peer);
}

/* Nobody waits for a mapping of before: it may come when it will. */
static void mapping_of_before_has_all_the_time(void **state)
{
        struct fixture *fixture = *state;
        struct shmem_mapping *mapping;
        struct peer peer;
        bool shown;

        mapping = fake_device_show(&fixture->device, 0, PEER_PAGE, &shown);
        peer_attach_and_start(&peer, fixture);
        peer_expect_map(&peer, 0, mapping);
        assert_true(wire_silent(&peer.front.wire, 300));
        peer_answer(&peer, VHOST_USER_BACKEND_SHMEM_MAP, 0);
        assert_int_equal(fixture->device.shown, 0);
        peer_hide(&peer, mapping);
        peer_unmap(&peer, 0, 0);
        peer_detach(&peer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define SHMEM_TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, fixture_teardown)
            SHMEM_TEST(front_end_that_never_answers_costs_the_mapping_alone),
            SHMEM_TEST(change_that_is_never_answered_holds_no_worker_up),
            SHMEM_TEST(mapping_of_before_has_all_the_time),
        };

        log_init("wire", LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
