/* A worker's life, from the spawner to its successors.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/cleanup.h"
#include "tests/core/world.h"

static struct world world;

static void serving_guest(unsigned n_lanes)
{
        world_init(&world, n_lanes);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
}

static void one_request(unsigned queue)
{
        world_post(&world, queue, 100);
        world_until(&world, world_answered(&world, queue));
        assert_int_equal(world_status(&world), 1);
}

/* The next incarnation serves. */
static void next_one(unsigned spawns)
{
        world_until(&world, world.n_spawns > spawns && world_state(&world) == WORKER_SERVING);
}

static void a_device_is_greeted_and_serves(void **state)
{
        (void)state;
        for (unsigned n_lanes = 1; n_lanes <= 2; n_lanes++) {
                serving_guest(n_lanes);
                assert_int_equal(world.n_ready, 1);
                assert_int_equal(world.n_front_ready, 1);
                assert_int_equal(world.puppet.messages[0].kind, CONTROL_CONFIGURE);
                assert_string_equal(world.puppet.messages[0].configure.name, "disk0");
                assert_int_equal(world.puppet.messages[0].configure.n_lanes, n_lanes);
                for (unsigned i = 0; i < 20; i++)
                        one_request(i % 2);
                assert_int_equal(world.n_spawns, 1);
                assert_int_equal(world.seen[1].lane, n_lanes - 1); /* queue 1 is on the last lane */
                world_done(&world);
        }
}

/* Features, then config writes, then the saved state, then queues. */
static void a_successor_is_told_all_before_it_serves(void **state)
{
        static const enum control_kind_to_worker order[] = {CONTROL_CONFIGURE,    CONTROL_SET_FEATURES,
                                                            CONTROL_CONFIG_WRITE, CONTROL_RESTORE_STATE,
                                                            CONTROL_START_QUEUE,  CONTROL_START_QUEUE};
        const struct puppet *puppet = &world.puppet;

        (void)state;
        serving_guest(1);
        one_request(0);
        assert_int_equal(
            device_config_write(world.device, 32, 1, (const uint8_t[]){0}, world_written, &world), 0);
        world_until(&world, world.n_written == 1);
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_PUT_STATE,
                               .put_state = {.bytes = (const uint8_t *)"remember", .len = 8}});
        world_until(&world, device_supervisor(world.device)->state_len == 8);
        world_kill_worker(&world);
        next_one(1);
        assert_int_equal(puppet->n_messages, 6);
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(puppet->messages[i].kind, order[i]);
        assert_int_equal(puppet->messages[1].set_features.features, FEATURE_BIT(6) | FEATURE_BIT(9));
        assert_int_equal(puppet->messages[2].config_write.field, 1);
        assert_int_equal(puppet->messages[2].config_write.value, 0);
        assert_int_equal(puppet->messages[3].restore_state.len, 8);
        assert_int_equal(puppet->messages[4].start_queue.queue, 0);
        assert_int_equal(puppet->messages[5].start_queue.queue, 1);
        assert_int_equal(puppet->messages[5].start_queue.size, 64);
        one_request(1);
        world_done(&world);
}

static void a_killed_worker_s_requests_are_answered_by_its_successor(void **state)
{
        (void)state;
        for (unsigned n_lanes = 1; n_lanes <= 2; n_lanes++) {
                serving_guest(n_lanes);
                world.idle = true;
                for (uint32_t i = 1; i <= 5; i++)
                        world_post(&world, 0, i);
                world_post(&world, 1, 6);
                world_until(&world, world.n_seen == 6);
                world.idle = false;
                world_kill_worker(&world);
                for (unsigned i = 0; i < 5; i++)
                        world_until(&world, world_answered(&world, 0));
                world_until(&world, world_answered(&world, 1));
                assert_int_equal(world.n_seen, 12);
                for (unsigned i = 6; i < 12; i++) {
                        assert_int_equal(world.seen[i].attempt, 1);
                        assert_int_equal(world.seen[i].must_fail, 0);
                        assert_int_equal(world.seen[i].incarnation, 2);
                }
                assert_int_equal(device_supervisor(world.device)->restarts, 1);
                world_done(&world);
        }
}

static void fifty_deaths_under_load_lose_nothing(void **state)
{
        unsigned posted = 0, answered = 0;

        (void)state;
        serving_guest(2);
        for (unsigned death = 0; death < 50; death++) {
                unsigned spawns = world.n_spawns;

                for (unsigned i = 0; i < 8; i++, posted++)
                        world_post(&world, posted % 2, 64);
                world_until(&world, ((answered += world_answered(&world, 0) + world_answered(&world, 1)),
                                     answered + 4 >= posted));
                world_kill_worker(&world);
                world_until(&world, world.n_spawns > spawns);
                world.n_seen = 0;
        }
        world_until(&world, ((answered += world_answered(&world, 0) + world_answered(&world, 1)),
                             answered == posted));
        world_wait(&world, 20);
        assert_false(world_answered(&world, 0) || world_answered(&world, 1));
        assert_int_equal(world.n_quarantined, 0);
        assert_int_equal(world.n_broken, 0);
        world_done(&world);
}

static void a_hello_of_another_device_is_refused(void **state)
{
        (void)state;
        serving_guest(1);
        one_request(0);
        world.hello.features ^= FEATURE_BIT(6);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        assert_int_equal(world.n_ready, 1);
        assert_int_equal(world.n_front_ready, 1);
        assert_int_equal(world.n_reaps, world.n_spawns);
        world_done(&world);
}

static void a_first_hello_of_the_wrong_type_queues_or_features_is_refused(void **state)
{
        (void)state;
        for (unsigned i = 0; i < 4; i++) {
                world_init(&world, 1);
                if (i == 0)
                        world.hello.device_type = 4;
                else if (i == 1)
                        world.hello.n_queues = 1;
                else
                        world.hello.features |= UINT64_C(1) << (i == 2 ? 17 : 50); /* no disk has these */
                world_until(&world, world.n_quarantined == 1);
                assert_int_equal(world.n_ready, 0);
                assert_false(device_is_ready(world.device));
                world_done(&world);
        }
}

static void a_successor_s_new_capacity_is_seen_and_told(void **state)
{
        uint8_t bytes[8];

        (void)state;
        serving_guest(1);
        one_request(0);
        world.hello.fields[0].value = 2000;
        world_kill_worker(&world);
        next_one(1);
        assert_int_equal(world.n_config_changed, 1);
        assert_int_equal(device_config_read(world.device, 0, 8, bytes), 0);
        assert_memory_equal(bytes, "\xd0\x07\0\0\0\0\0\0", 8);
        world_done(&world);
}

static void six_barren_incarnations_end_in_quarantine(void **state)
{
        (void)state;
        serving_guest(1);
        for (unsigned i = 1; i <= 1 + LIMIT_BARREN_RESTARTS; i++) {
                assert_int_equal(world.n_quarantined, 0);
                next_one(i - 1);
                world_kill_worker(&world);
        }
        world_until(&world, world.n_quarantined == 1);
        assert_int_equal(world_state(&world), WORKER_QUARANTINED);
        world_until(&world, world.n_broken == 2);
        world_wait(&world, 50);
        assert_int_equal(world.n_spawns, 1 + LIMIT_BARREN_RESTARTS);
        world_done(&world);
}

static void one_answer_between_keeps_a_device_out_of_quarantine(void **state)
{
        (void)state;
        serving_guest(1);
        for (unsigned i = 1; i <= 3 * LIMIT_BARREN_RESTARTS; i++) {
                one_request(0);
                world_kill_worker(&world);
                next_one(i);
        }
        assert_int_equal(world.n_quarantined, 0);
        world_done(&world);
}

static void workers_that_had_nothing_to_do_for_long_were_not_barren(void **state)
{
        (void)state;
        serving_guest(1);
        for (unsigned i = 1; i <= 2 + LIMIT_BARREN_RESTARTS; i++) {
                world_wait(&world, LIMIT_SETTLED_MS + 20);
                world_kill_worker(&world);
                next_one(i);
        }
        assert_int_equal(world.n_quarantined, 0);
        world_done(&world);
}

/* The first restart is at once, the others wait 10, 20, 40, 80 ms. */
static void restarts_back_off(void **state)
{
        uint64_t start;

        (void)state;
        serving_guest(1);
        start = uv_hrtime();
        for (unsigned i = 1; i <= LIMIT_BARREN_RESTARTS; i++) {
                world_kill_worker(&world);
                next_one(i);
        }
        assert_true(uv_hrtime() - start >= UINT64_C(145000000));
        assert_int_equal(world.n_quarantined, 0);
        world_done(&world);
}

static void a_reset_leaves_quarantine(void **state)
{
        (void)state;
        serving_guest(1);
        world.hello.features ^= FEATURE_BIT(6);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1);
        world.hello.features ^= FEATURE_BIT(6);
        device_reset(world.device);
        next_one(world.n_spawns);
        model_queue_reset(&world.guest, 0);
        world_serve(&world);
        world_start_queue(&world, 0, 0);
        one_request(0);
        world_done(&world);
}

static void a_silent_worker_is_replaced(void **state)
{
        (void)state;
        world_init(&world, 1);
        world.silent = true;
        world_until(&world, world.n_reaps == 1);
        world.silent = false;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        assert_int_equal(world.n_ready, 1);
        world_done(&world);
}

static void a_worker_that_does_not_take_its_setup_is_replaced(void **state)
{
        (void)state;
        serving_guest(1);
        one_request(0);
        world.deaf = true;
        world_kill_worker(&world);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_PRIMING);
        world_until(&world, world.n_reaps == 2);
        world.deaf = false;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        one_request(0);
        world_done(&world);
}

static void a_serving_worker_that_answers_no_control_message_is_replaced(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        world_until(&world, world_told(&world, CONTROL_SET_FEATURES) == 1);
        world.deaf = true;
        world_start_queue(&world, 0, 0);
        world_post(&world, 0, 5);
        world_until(&world, world.n_reaps == 1);
        assert_int_equal(world.n_seen, 0); /* the queue was held all the time */
        world.deaf = false;
        world_until(&world, world_answered(&world, 0));
        world_done(&world);
}

static void a_setup_that_is_refused_ends_the_worker(void **state)
{
        (void)state;
        serving_guest(1);
        one_request(0);
        world.refuse_kind = CONTROL_SET_FEATURES;
        world.refuse_error = -EINVAL;
        world_kill_worker(&world);
        world_until(&world, world.n_reaps == 2);
        world.refuse_error = 0;
        world_until(&world, world_state(&world) == WORKER_SERVING);
        one_request(0);
        world_done(&world);
}

static void a_reset_replaces_a_touched_worker_and_keeps_an_untouched_one(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        device_reset(world.device);
        world_wait(&world, 30);
        assert_int_equal(world.n_spawns, 1);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        world_serve(&world); /* touched */
        device_reset(world.device);
        next_one(1);
        assert_int_equal(world.n_spawns, 2);
        assert_int_equal(device_supervisor(world.device)->restarts, 0); /* nobody's fault */
        assert_int_equal(world_told(&world, CONTROL_SET_FEATURES), 0);
        world_done(&world);
}

/* A peer of its stream comes and goes: that is not its fault, however little it has done. */
static void a_worker_whose_gifts_are_renewed_is_replaced_for_ever(void **state)
{
        static const struct control_to_broker put = {.kind = CONTROL_PUT_STATE,
                                                     .put_state = {.bytes = (const uint8_t *)"x", .len = 1}};
        const unsigned often = LIMIT_BARREN_RESTARTS + 2;

        (void)state;
        serving_guest(1);
        world_send(&world, &put);
        world_until(&world, device_supervisor(world.device)->state_len == 1);
        for (unsigned i = 1; i <= often; i++) {
                world.idle = i == 1;
                if (i == 1)
                        world_post(&world, 0, 9);
                world_until(&world, i > 1 || world.n_seen == 1);
                world.idle = false;
                supervisor_renew(device_supervisor(world.device));
                assert_int_equal(world_state(&world), WORKER_DYING);
                supervisor_renew(device_supervisor(world.device)); /* there is none */
                next_one(i);
                assert_int_equal(world_told(&world, CONTROL_RESTORE_STATE), 1);
        }
        assert_int_equal(device_supervisor(world.device)->restarts, often);
        world_until(&world, world_answered(&world, 0));
        world_done(&world);
}

static void saved_state_goes_to_a_crash_s_successor_and_not_to_a_reset_s(void **state)
{
        static const struct control_to_broker put = {.kind = CONTROL_PUT_STATE,
                                                     .put_state = {.bytes = (const uint8_t *)"x", .len = 1}};

        (void)state;
        serving_guest(1);
        one_request(0);
        world_send(&world, &put);
        world_until(&world, device_supervisor(world.device)->state_len == 1);
        world_kill_worker(&world);
        next_one(1);
        assert_int_equal(world_told(&world, CONTROL_RESTORE_STATE), 1);
        device_reset(world.device);
        next_one(2);
        assert_int_equal(world_told(&world, CONTROL_RESTORE_STATE), 0);
        world_done(&world);
}

static void resets_in_a_row_are_slowed_down(void **state)
{
        uint64_t start;

        (void)state;
        world_init(&world, 1);
        world_serve(&world);
        start = uv_hrtime();
        for (unsigned i = 1; i <= 5; i++) {
                device_reset(world.device);
                next_one(i);
                assert_int_equal(device_commit_features(world.device, world_features(&world)), 0);
        }
        assert_true(uv_hrtime() - start >= 4 * LIMIT_RESET_MS * UINT64_C(1000000));
        world_done(&world);
}

/* A reset in each state that a worker can be in; afterwards the device works. */
static void a_reset_is_right_in_every_state(void **state)
{
        (void)state;
        for (unsigned at = WORKER_SPAWNING; at <= WORKER_QUARANTINED; at++) {
                serving_guest(2);
                world.idle = true;
                world_post(&world, 0, 9);
                world_post(&world, 1, 9);
                world_until(&world, world.n_seen == 2);
                world.mute = at == WORKER_SPAWNING;
                world.silent = at == WORKER_GREETING;
                world.deaf = at == WORKER_PRIMING;
                if (at == WORKER_DYING)
                        supervisor_fault(device_supervisor(world.device), "is tested");
                else if (at == WORKER_QUARANTINED)
                        world.hello.features ^= FEATURE_BIT(6);
                if (at != WORKER_SERVING && at != WORKER_DYING)
                        world_kill_worker(&world);
                while (at == WORKER_BACKING_OFF && world_state(&world) != at) {
                        if (world_state(&world) == WORKER_SERVING)
                                world_kill_worker(&world);
                        world_step(&world);
                }
                world_until(&world, world_state(&world) == at);
                device_reset(world.device);
                for (unsigned i = 0; i < 2; i++) {
                        assert_false(device_queue_running(world.device, i));
                        model_queue_reset(&world.guest, i);
                }
                world.idle = world.deaf = world.silent = false;
                world.hello.features |= FEATURE_BIT(6);
                if (world.mute) { /* it answers now */
                        world.mute = false;
                        assert_int_equal(spawner_client_spawn(world.client, 0), 0);
                }
                if (at == WORKER_GREETING)
                        world_send(&world,
                                   &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world.hello});
                world_serve(&world);
                world_start_queue(&world, 0, 0);
                world_start_queue(&world, 1, 0);
                one_request(0);
                one_request(1);
                world_done(&world);
        }
}

/* ---- a worker that breaks the control protocol ---- */

static void send_second_hello(void)
{
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world.hello});
}

static void send_unsolicited_done(void)
{
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_DONE, .done = {.seq = 99}});
}

static void send_config_of_the_wrong_length(void)
{
        world_send(&world,
                   &(struct control_to_broker){.kind = CONTROL_CONFIG_SPACE,
                                               .config_space = {.n = 1, .value = (const uint64_t[]){1}}});
}

static void send_config_wider_than_its_field(void)
{
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_CONFIG_SPACE,
                               .config_space = {.n = 2, .value = (const uint64_t[]){1, 256}}});
}

static void send_rubbish(void)
{
        world_send_raw(&world, "\4\0\0\0\0\0\0\0abcd", 12);
}

static void send_a_payload(void)
{
        world_send_raw(&world, "\4\0\0\0\1\0\0\0abcde", 13);
}

static void send_an_endless_head(void)
{
        world_send_raw(&world, "\xff\xff\xff\xff\0\0\0\0", 8);
}

static void hang_up_control(void)
{
        shutdown(world.puppet.control_fd, SHUT_RDWR);
}

static void hang_up_a_lane(void)
{
        fake_worker_close(&world.puppet.lanes[0]);
}

static void stop_talking_on_a_lane(void)
{
        close(take_fd(&world.puppet.lanes[0].ends.out));
}

/* Found out when there is something to say. */
static void stop_listening_on_a_lane(void)
{
        close(take_fd(&world.puppet.lanes[0].ends.in));
        world_post(&world, 0, 100);
}

static void send_lane_rubbish(void)
{
        fake_worker_send_bytes(&world.puppet.lanes[0], "\4\0\0\0\0\0\0\0abcd", 12);
}

static void a_worker_that_breaks_the_protocol_is_killed_and_replaced(void **state)
{
        static void (*const offences[])(void) = {send_second_hello,
                                                 send_unsolicited_done,
                                                 send_config_of_the_wrong_length,
                                                 send_config_wider_than_its_field,
                                                 send_rubbish,
                                                 send_a_payload,
                                                 send_an_endless_head,
                                                 hang_up_control,
                                                 hang_up_a_lane,
                                                 stop_talking_on_a_lane,
                                                 stop_listening_on_a_lane,
                                                 send_lane_rubbish};

        (void)state;
        for (size_t i = 0; i < sizeof(offences) / sizeof(offences[0]); i++) {
                serving_guest(1);
                one_request(0);
                offences[i]();
                next_one(1);
                assert_int_equal(world.n_reaps, 1);
                one_request(1);
                assert_int_equal(world.n_broken, 0);
                world_done(&world);
        }
}

static void before_hello_nothing_but_hello_and_log_is_permitted(void **state)
{
        const struct control_to_broker early[] = {
            {.kind = CONTROL_PUT_STATE, .put_state = {.bytes = (const uint8_t *)"x", .len = 1}},
            {.kind = CONTROL_CONFIG_SPACE, .config_space = {.n = 2, .value = (const uint64_t[]){1, 1}}},
            {.kind = CONTROL_DONE, .done = {.seq = 1}},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
                world_init(&world, 1);
                world.silent = true;
                world_until(&world, world.have_puppet && world_told(&world, CONTROL_CONFIGURE) == 1);
                world_send(&world, &(struct control_to_broker){.kind = CONTROL_LOG,
                                                               .log = {.level = 2, .text = "early\x1b[2J"}});
                world_send(&world, &early[i]);
                world_until(&world, world.n_reaps == 1);
                assert_int_equal(device_supervisor(world.device)->state_len, 0);
                world_done(&world);
        }
}

static void a_device_can_be_freed_in_every_state(void **state)
{
        (void)state;
        for (unsigned steps = 0; steps < 60; steps++) {
                world_init(&world, 2);
                for (unsigned i = 0; i < steps % 20; i++)
                        world_step(&world);
                if (steps >= 20 && world.have_puppet)
                        world_kill_worker(&world);
                for (unsigned i = 0; i < steps / 20; i++)
                        world_step(&world);
                world_done(&world);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_device_is_greeted_and_serves),
            cmocka_unit_test(a_successor_is_told_all_before_it_serves),
            cmocka_unit_test(a_killed_worker_s_requests_are_answered_by_its_successor),
            cmocka_unit_test(fifty_deaths_under_load_lose_nothing),
            cmocka_unit_test(a_hello_of_another_device_is_refused),
            cmocka_unit_test(a_first_hello_of_the_wrong_type_queues_or_features_is_refused),
            cmocka_unit_test(a_successor_s_new_capacity_is_seen_and_told),
            cmocka_unit_test(six_barren_incarnations_end_in_quarantine),
            cmocka_unit_test(one_answer_between_keeps_a_device_out_of_quarantine),
            cmocka_unit_test(workers_that_had_nothing_to_do_for_long_were_not_barren),
            cmocka_unit_test(restarts_back_off),
            cmocka_unit_test(a_reset_leaves_quarantine),
            cmocka_unit_test(a_silent_worker_is_replaced),
            cmocka_unit_test(a_worker_that_does_not_take_its_setup_is_replaced),
            cmocka_unit_test(a_serving_worker_that_answers_no_control_message_is_replaced),
            cmocka_unit_test(a_setup_that_is_refused_ends_the_worker),
            cmocka_unit_test(a_reset_replaces_a_touched_worker_and_keeps_an_untouched_one),
            cmocka_unit_test(a_worker_whose_gifts_are_renewed_is_replaced_for_ever),
            cmocka_unit_test(saved_state_goes_to_a_crash_s_successor_and_not_to_a_reset_s),
            cmocka_unit_test(resets_in_a_row_are_slowed_down),
            cmocka_unit_test(a_reset_is_right_in_every_state),
            cmocka_unit_test(a_worker_that_breaks_the_protocol_is_killed_and_replaced),
            cmocka_unit_test(before_hello_nothing_but_hello_and_log_is_permitted),
            cmocka_unit_test(a_device_can_be_freed_in_every_state),
        };

        return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
