/* A request that kills its workers is found and failed; its neighbours never notice.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/core/device_state.h"
#include "broker/core/supervisor.h"
#include "proto/base/status.h"
#include "tests/core/world.h"

#define POISON   666u
#define PER_SIDE 10u /* neighbours before and behind the poison, on each queue */

static struct world world;

static void serving_guest(unsigned n_lanes)
{
        world_init(&world, n_lanes);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        for (unsigned i = 0; i < 2; i++) {
                world_post(&world, i, 5);
                world_until(&world, world_answered(&world, i));
        }
        world.n_seen = 0;
        world.poison = POISON;
}

/* A request with a status byte of its own, told apart by its readable length. */
static uint16_t post(unsigned queue, uint32_t len, uint32_t slot)
{
        uint64_t at = MODEL_HIGH + slot;

        *model_at(&world.guest, at) = 0x55;
        return model_post(&world.guest, queue,
                          (struct model_buffer[]){{MODEL_BUFFERS, len, false}, {at, 1, true}}, 2);
}

static uint8_t status_of(uint32_t slot)
{
        return *model_at(&world.guest, MODEL_HIGH + slot);
}

/* Both queues full of requests, the poison in the middle of one of them, and all posted while nobody serves,
 * so that they go out together. */
static unsigned post_all(unsigned poisoned)
{
        unsigned slot = 0;

        for (unsigned i = 0; i < 2 * PER_SIDE; i++)
                for (unsigned queue = 0; queue < 2; queue++) {
                        if (queue == poisoned && i == PER_SIDE)
                                post(queue, POISON, 100);
                        post(queue, 10 + slot, slot);
                        slot++;
                }
        return slot;
}

static void await(unsigned n)
{
        unsigned answered = 0;

        world_until(&world,
                    (answered += world_answered(&world, 0) + world_answered(&world, 1), answered == n));
}

static unsigned times_failed(uint32_t readable)
{
        unsigned n = 0;

        for (unsigned i = 0; i < world.n_seen; i++)
                n += world.seen[i].readable == readable && world.seen[i].must_fail;
        return n;
}

static void the_poison_is_failed_and_its_neighbours_complete(void **state)
{
        (void)state;
        for (unsigned n_lanes = 1; n_lanes <= 2; n_lanes++)
                for (unsigned poisoned = 0; poisoned < 2; poisoned++) {
                        unsigned slots;

                        serving_guest(n_lanes);
                        slots = post_all(poisoned);
                        await(slots + 1);
                        assert_int_equal(status_of(100), 0xee);
                        assert_int_equal(times_failed(POISON), 1);
                        for (unsigned i = 0; i < slots; i++) {
                                assert_int_equal(status_of(i), 1);
                                assert_int_equal(times_failed(10 + i), 0);
                        }
                        assert_int_equal(world.n_quarantined, 0);
                        assert_int_equal(world.n_broken, 0);
                        /* two die with it among others, the third alone; the fourth fails it */
                        assert_int_equal(world.n_spawns, 4);
                        world_done(&world);
                }
}

/* While one lane isolates, nothing is with the worker on the other one. */
static void only_one_request_of_the_device_is_with_an_isolating_worker(void **state)
{
        unsigned outstanding = 0;

        (void)state;
        serving_guest(2);
        world.poison = 0;
        world.idle = true;
        for (unsigned i = 0; i < 2 * PER_SIDE; i++)
                post(i % 2, 10 + i, i);
        world_until(&world, world.n_seen == 2 * PER_SIDE);
        for (unsigned death = 0; death < 2; death++) {
                unsigned before = world.n_seen;

                world_kill_worker(&world);
                if (death == 0)
                        world_until(&world, world.n_seen == before + 2 * PER_SIDE);
        }
        world.n_seen = 0;
        for (unsigned i = 0; i < 2 * PER_SIDE; i++) {
                world_until(&world, world.n_seen == i + 1);
                world_wait(&world, 5);
                assert_int_equal(world.n_seen, i + 1);
                outstanding = world.seen[i].lane;
                assert_int_equal(outstanding, i < PER_SIDE ? 0 : 1); /* one lane after the other */
                fake_worker_complete(&world.puppet.lanes[outstanding], world.seen[i].id, 0, "\1", 1);
        }
        await(2 * PER_SIDE);
        for (unsigned i = 0; i < 4; i++) /* open again: no request waits for another's answer */
                post(i % 2, 50 + i, i);
        world_until(&world, world.n_seen == 2 * PER_SIDE + 4);
        world_done(&world);
}

static void a_request_that_cannot_even_be_failed_ends_in_quarantine_with_words(void **state)
{
        unsigned slots;

        (void)state;
        serving_guest(2);
        world.deadly = true;
        slots = post_all(0);
        await(slots + 1);
        assert_int_equal(world.n_quarantined, 1);
        assert_string_equal(world.why, "a request kills its workers even when it is only to be failed");
        assert_int_equal(status_of(100), 1); /* the quarantine's I/O error */
        assert_int_equal(times_failed(POISON), LIMIT_POISON_FAILURES);
        world_done(&world);
}

static void is_restarted(void)
{
        unsigned spawns = world.n_spawns;

        world_kill_worker(&world);
        world_until(&world, world.n_spawns > spawns && world_state(&world) == WORKER_SERVING);
}

static void a_reset_forgets_that_a_device_was_hopeless(void **state)
{
        (void)state;
        serving_guest(1);
        world.deadly = true;
        post(0, POISON, 100);
        world_until(&world, world.n_quarantined == 1);
        world.poison = 0;
        device_reset(world.device);
        for (unsigned i = 0; i < 2; i++)
                model_queue_reset(&world.guest, i);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        post(0, POISON, 100);
        await(1);
        is_restarted();
        assert_int_equal(world.n_quarantined, 1);
        world_done(&world);
}

/* Two requests, one a queue; the worker is isolating the first, and takes its time. */
static void isolating_the_first_of_two(void)
{
        serving_guest(2);
        world.poison = 0;
        world.idle = true;
        post(0, 10, 0);
        post(1, 11, 1);
        world_until(&world, world.n_seen == 2);
        world_kill_worker(&world);
        world_until(&world, world.n_seen == 4);
        world_kill_worker(&world);
        world_until(&world, world.n_seen == 5 && world.seen[4].queue == 0);
}

/* The kill of a stop's deadline is of all requests together: the one that happened to be alone is innocent.
 * And what the stop waits for must not wait for it. */
static void a_stop_s_deadline_while_isolating_blames_nobody_and_holds_nobody_up(void **state)
{
        const struct seen_request *first = &world.seen[5], *second = &world.seen[6];

        (void)state;
        isolating_the_first_of_two();
        device_queue_stop(world.device, 1, world_stopped, &world);
        world_until(&world, world.n_seen == 7);
        assert_int_equal(first->queue, 0);
        assert_int_equal(first->must_fail, 0);
        assert_int_equal(second->queue, 1);
        assert_int_equal(second->must_fail, 1); /* the stop's own */
        fake_worker_complete(&world.puppet.lanes[1], second->id, 0, "\xee", 1);
        world_until(&world, world.n_stopped == 1);
        assert_true(world_answered(&world, 1));
        fake_worker_complete(&world.puppet.lanes[0], first->id, 0, "\1", 1);
        await(1);
        assert_int_equal(status_of(0), 1);
        world_done(&world);
}

static void a_death_with_more_than_one_blames_nobody(void **state)
{
        (void)state;
        isolating_the_first_of_two();
        device_queue_stop(world.device, 1, world_stopped, &world);
        world_until(&world, world.n_seen == 7);
        world.idle = false;
        world_kill_worker(&world); /* of which of the two? */
        await(2);
        for (unsigned i = 7; i < world.n_seen; i++)
                assert_int_equal(world.seen[i].must_fail, world.seen[i].queue == 1);
        assert_int_equal(status_of(0), 1);
        world_done(&world);
}

static void say_waits(const struct seen_request *request)
{
        const uint64_t id = request->id;
        const uint32_t status = WIRE_STATUS_WAITING, none = 0;
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &id, .status = &status, .offset = &none, .len = &none}};

        fake_worker_send(&world.puppet.lanes[0], &message, NULL, 0);
}

static void count_waits(struct lane *lane, void *argument)
{
        *(uint32_t *)argument = lane->n_waits;
}

static bool one_waits(void)
{
        uint32_t n = 0;

        lane_thread_call(world.device->lanes[0], count_waits, &n);
        return n == 1;
}

/* A lock that somebody waits for, and a request that kills: it is found all the same. */
static void who_waits_is_no_second_whom_a_death_could_be_of(void **state)
{
        (void)state;
        serving_guest(1);
        world.poison = 0;
        world.idle = true;
        post(0, 10, 0);
        world_until(&world, world.n_seen == 1);
        post(1, 11, 1);
        world_until(&world, world.n_seen == 2);
        for (unsigned i = 0; i < 2; i++) {
                say_waits(&world.seen[2 * i]);
                world_until(&world, one_waits());
                world_kill_worker(&world);
                world_until(&world, world.n_seen >= 2 * i + 3);
                if (i == 0)
                        world_until(&world, world.n_seen == 4);
        }
        assert_int_equal(world.seen[4].readable, 10); /* alone, by isolation */
        say_waits(&world.seen[4]);
        world_until(&world, world.n_seen == 6);
        assert_int_equal(world.seen[5].readable, 11);
        assert_int_equal(world.seen[5].must_fail, 0);
        world.idle = false;
        world_kill_worker(&world);
        await(2);
        assert_int_equal(times_failed(11), 1);
        assert_int_equal(times_failed(10), 0);
        world_done(&world);
}

static void a_reset_while_isolating_blames_nobody(void **state)
{
        (void)state;
        serving_guest(2);
        world.poison = 0;
        world.idle = true;
        post(0, 10, 0);
        world_until(&world, world.n_seen == 1);
        for (unsigned i = 2; i <= 3; i++) {
                world_kill_worker(&world);
                world_until(&world, world.n_seen == i);
        }
        device_reset(world.device);
        for (unsigned i = 0; i < 2; i++)
                model_queue_reset(&world.guest, i);
        world.idle = false;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        post(0, 10, 0);
        await(1);
        assert_int_equal(status_of(0), 1);
        assert_int_equal(world.n_quarantined, 0);
        world_done(&world);
}

/* One more death and the device had been hopeless; the reset's kill is not that death. */
static void a_reset_is_not_the_last_proof_against_a_request(void **state)
{
        (void)state;
        serving_guest(1);
        world.poison = 0;
        world.idle = true;
        post(0, 10, 0);
        for (unsigned i = 1; i < 3 + LIMIT_POISON_FAILURES; i++) {
                world_until(&world, world.n_seen == i);
                world_kill_worker(&world);
        }
        world_until(&world, world.n_seen == 3 + LIMIT_POISON_FAILURES);
        assert_int_equal(world.seen[world.n_seen - 1].must_fail, 1);
        device_reset(world.device);
        model_queue_reset(&world.guest, 0);
        world.idle = false;
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        post(0, 10, 0);
        await(1);
        is_restarted();
        assert_int_equal(world.n_quarantined, 0);
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_poison_is_failed_and_its_neighbours_complete),
            cmocka_unit_test(only_one_request_of_the_device_is_with_an_isolating_worker),
            cmocka_unit_test(a_request_that_cannot_even_be_failed_ends_in_quarantine_with_words),
            cmocka_unit_test(a_reset_forgets_that_a_device_was_hopeless),
            cmocka_unit_test(a_stop_s_deadline_while_isolating_blames_nobody_and_holds_nobody_up),
            cmocka_unit_test(a_death_with_more_than_one_blames_nobody),
            cmocka_unit_test(who_waits_is_no_second_whom_a_death_could_be_of),
            cmocka_unit_test(a_reset_while_isolating_blames_nobody),
            cmocka_unit_test(a_reset_is_not_the_last_proof_against_a_request),
        };

        return cmocka_run_group_tests_name("device_poison", tests, NULL, NULL);
}
