/* What a front end calls: features, config space, queues.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/device/net.h"
#include "tests/core/world.h"

#define OWN_BITS (FEATURE_BIT(6) | FEATURE_BIT(9))
#define RING_BITS                                                                                            \
        (FEATURE_BIT(VIRTIO_F_INDIRECT_DESC_BIT) | FEATURE_BIT(VIRTIO_F_EVENT_IDX_BIT) |                     \
         FEATURE_BIT(VIRTIO_F_VERSION_1_BIT) | FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT))

static struct world world;

static void serving(void)
{
        world_init(&world, 1);
        world_serve(&world);
}

static void one_request(unsigned queue)
{
        world_post(&world, queue, 100);
        world_until(&world, world_answered(&world, queue));
}

static uint8_t writable_field(void)
{
        uint8_t byte = 0xaa;

        assert_int_equal(device_config_read(world.device, 32, 1, &byte), 0);
        return byte;
}

static int write_field(uint8_t value)
{
        return device_config_write(world.device, 32, 1, &value, world_written, &world);
}

/* ---- features ---- */

static void features_are_the_device_s_and_the_ring_s_and_are_masked_once(void **state)
{
        (void)state;
        world_init(&world, 1);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        assert_int_equal(device_features(world.device), OWN_BITS | RING_BITS);
        assert_int_equal(device_commit_features(world.device, ~FEATURE_BIT(VIRTIO_F_VERSION_1_BIT)), -EPROTO);
        assert_int_equal(device_commit_features(world.device, ~UINT64_C(0)), 0);
        world_until(&world, world_told(&world, CONTROL_SET_FEATURES) == 1);
        assert_int_equal(world.puppet.messages[1].set_features.features, OWN_BITS);
        /* a bit that is cleared again is really off */
        assert_int_equal(
            device_commit_features(world.device, FEATURE_BIT(9) | FEATURE_BIT(VIRTIO_F_VERSION_1_BIT)), 0);
        world_until(&world, world_told(&world, CONTROL_SET_FEATURES) == 2);
        assert_int_equal(world.puppet.messages[2].set_features.features, FEATURE_BIT(9));
        world_done(&world);
}

static void features_stay_while_a_queue_runs(void **state)
{

        uint64_t all;

        (void)state;
        serving();
        all = world_features(&world);
        world_start_queue(&world, 0, 0);
        assert_int_equal(device_commit_features(world.device, all), 0);
        assert_int_equal(device_commit_features(world.device, all & ~FEATURE_BIT(6)), -EBUSY);
        assert_int_equal(device_commit_features(world.device, all | FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT)),
                         -EBUSY);
        world_wait(&world, 10);
        assert_int_equal(world_told(&world, CONTROL_SET_FEATURES), 1);
        world_done(&world);
}

/* ---- config space ---- */

static void a_config_write_is_answered_when_the_worker_has_taken_it(void **state)
{
        (void)state;
        serving();
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        assert_int_equal(writable_field(), 0);
        assert_int_equal(write_field(1), -EBUSY);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world_wait(&world, 20);
        assert_int_equal(world.n_written, 0);
        world.deaf = false;
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_DONE,
                               .done = {.seq = world.puppet.messages[world.puppet.n_messages - 2].seq}});
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_DONE,
                               .done = {.seq = world.puppet.messages[world.puppet.n_messages - 1].seq}});
        world_until(&world, world.n_written == 1);
        assert_int_equal(world.written, 0);
        assert_int_equal(write_field(1), 0);
        world_until(&world, world.n_written == 2);
        world_done(&world);
}

static void a_config_write_must_hit_a_writable_field(void **state)
{
        uint8_t bytes[8] = {0};

        (void)state;
        serving();
        assert_int_equal(device_config_write(world.device, 0, 8, bytes, world_written, &world), -EINVAL);
        assert_int_equal(device_config_write(world.device, 32, 2, bytes, world_written, &world), -EINVAL);
        assert_int_equal(device_config_write(world.device, 31, 1, bytes, world_written, &world), -EINVAL);
        assert_int_equal(device_config_write(world.device, UINT32_MAX, 1, bytes, world_written, &world),
                         -EINVAL);
        assert_int_equal(device_config_write(world.device, 32, 0, bytes, world_written, &world), -EINVAL);
        world_wait(&world, 10);
        assert_int_equal(world.n_written, 0);
        assert_int_equal(write_field(0), 0); /* nothing is stuck */
        world_until(&world, world.n_written == 1);
        world_done(&world);
}

static void requests_do_not_overtake_a_config_write(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        one_request(0);
        world.n_seen = 0;
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        world_post(&world, 0, 5);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world_wait(&world, 20);
        assert_int_equal(world.n_seen, 0);
        world.deaf = false;
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_DONE,
                               .done = {.seq = world.puppet.messages[world.puppet.n_messages - 1].seq}});
        world_until(&world, world_answered(&world, 0));
        world_done(&world);
}

/* A guest's nonsense is the guest's: no worker dies of it, and no successor either. */
static void a_value_that_the_worker_refuses_is_taken_back(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        world.refuse_kind = CONTROL_CONFIG_WRITE;
        world.refuse_error = -EINVAL;
        assert_int_equal(write_field(7), 0);
        world_until(&world, world.n_written == 1);
        assert_int_equal(world.written, -EINVAL);
        assert_int_equal(writable_field(), 1);
        one_request(0);
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

static void a_refused_value_that_only_the_successor_sees_is_taken_back(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        one_request(0);
        world.deaf = true;
        assert_int_equal(write_field(7), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world.refuse_kind = CONTROL_CONFIG_WRITE;
        world.refuse_error = -EINVAL;
        world.refuse_value = 7;
        world.deaf = false;
        world_kill_worker(&world);
        world_until(&world, world.n_written == 1);
        assert_int_equal(world.written, -EINVAL);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(writable_field(), 1);
        one_request(0);
        assert_int_equal(world.n_spawns, 2);
        world_done(&world);
}

static void a_worker_that_is_put_down_gets_no_request_that_waited_for_a_config_write(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        one_request(0);
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world_post(&world, 0, 200);
        world.mute = true; /* no successor yet: the old one's sockets stay open to be looked at */
        device_reset(world.device);
        world_until(&world, world.n_reaps == 1);
        world_wait(&world, 10);
        assert_int_equal(world.n_seen, 1);
        world_done(&world);
}

static void a_config_write_whose_worker_dies_is_told_to_the_successor(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        one_request(0);
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world.deaf = false;
        world_kill_worker(&world);
        while (world_state(&world) != WORKER_SERVING || world.n_spawns < 2) {
                assert_int_equal(world.n_written, 0); /* nobody has taken it yet */
                world_step(&world);
        }
        world_until(&world, world.n_written == 1);
        assert_int_equal(world.written, 0);
        assert_int_equal(world_told(&world, CONTROL_CONFIG_WRITE), 1);
        assert_int_equal(writable_field(), 0);
        one_request(0); /* and nothing is held any more */
        world_done(&world);
}

static void a_config_write_in_any_other_state_reaches_the_worker_that_serves_next(void **state)
{
        (void)state;
        for (unsigned at = WORKER_SPAWNING; at <= WORKER_PRIMING; at++) {
                serving();
                world_start_queue(&world, 0, 0);
                one_request(0);
                world.mute = at == WORKER_SPAWNING;
                world.silent = at == WORKER_GREETING;
                world.deaf = at == WORKER_PRIMING;
                world_kill_worker(&world);
                world_until(&world, world_state(&world) == at && world.n_reaps == 1);
                world_wait(&world, 10); /* a PRIMING one has been told the old value by now */
                assert_int_equal(write_field(0), 0);
                world_wait(&world, 10);
                assert_int_equal(world.n_written, 0); /* nobody has taken it yet */
                world.silent = world.deaf = false;
                if (world.mute) {
                        world.mute = false;
                        assert_int_equal(spawner_client_spawn(world.client, 0), 0);
                } else if (at == WORKER_GREETING) {
                        world_send(&world,
                                   &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world.hello});
                } else {
                        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
                        for (unsigned i = 1; i < world.puppet.n_messages - 1; i++)
                                world_send(&world, &(struct control_to_broker){
                                                       .kind = CONTROL_DONE,
                                                       .done = {.seq = world.puppet.messages[i].seq}});
                }
                if (at == WORKER_PRIMING) { /* SERVING not before the write was answered, too */
                        world_wait(&world, 10);
                        assert_int_equal(world_state(&world), WORKER_PRIMING);
                        world_send(
                            &world,
                            &(struct control_to_broker){
                                .kind = CONTROL_DONE,
                                .done = {.seq = world.puppet.messages[world.puppet.n_messages - 1].seq}});
                }
                world_until(&world, world_state(&world) == WORKER_SERVING && world.n_written == 1);
                assert_int_equal(world.written, 0);
                assert_int_equal(world_told(&world, CONTROL_CONFIG_WRITE), 1);
                one_request(0);
                world_done(&world);
        }
}

static void a_config_write_that_a_successor_refuses_leaves_the_value_before(void **state)
{
        (void)state;
        serving();
        assert_int_equal(write_field(0), 0);
        world_until(&world, world.n_written == 1);
        world.deaf = true;
        assert_int_equal(write_field(7), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 2);
        world.deaf = false;
        world.refuse_kind = CONTROL_CONFIG_WRITE;
        world.refuse_error = -EINVAL;
        world.refuse_value = 7;
        world_kill_worker(&world);
        world_until(&world, world.n_written == 2);
        assert_int_equal(world.written, -EINVAL);
        assert_int_equal(writable_field(), 0);
        assert_int_equal(world_state(&world), WORKER_SERVING);
        assert_int_equal(world_told(&world, CONTROL_CONFIG_WRITE),
                         2); /* the one that it refused, the other */
        world_done(&world);
}

static void a_config_write_whose_device_is_quarantined_fails(void **state)
{
        (void)state;
        serving();
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world_kill_spawner(&world);
        world_kill_worker(&world);
        world_until(&world, world.n_quarantined == 1 && world.n_written == 1);
        assert_int_equal(world.written, -EIO);
        assert_int_equal(write_field(1), 0); /* what comes later has nobody to wait for */
        world_until(&world, world.n_written == 2);
        assert_int_equal(world.written, 0);
        world_done(&world);
}

static void a_reset_takes_a_config_write_back(void **state)
{
        (void)state;
        serving();
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world.deaf = false;
        device_reset(world.device);
        assert_int_equal(writable_field(), 1);
        world_until(&world, world.n_spawns == 2 && world_state(&world) == WORKER_SERVING);
        assert_int_equal(world.n_written, 0);
        assert_int_equal(world_told(&world, CONTROL_CONFIG_WRITE), 0);
        assert_int_equal(write_field(0), 0);
        world_until(&world, world.n_written == 1);
        world_done(&world);
}

static void a_worker_s_new_config_is_cached_told_and_survives_a_reset(void **state)
{
        uint8_t bytes[8];

        (void)state;
        world_init(&world, 1);
        world_until(&world, world_state(&world) == WORKER_SERVING);
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_CONFIG_SPACE,
                               .config_space = {.n = 2, .value = (const uint64_t[]){2000, 1}}});
        world_until(&world, world.n_config_changed == 1);
        device_reset(world.device); /* it was told nothing: it stays, and so does its capacity */
        assert_int_equal(device_config_read(world.device, 0, 8, bytes), 0);
        assert_memory_equal(bytes, "\xd0\x07\0\0\0\0\0\0", 8);
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_CONFIG_SPACE,
                               .config_space = {.n = 2, .value = (const uint64_t[]){2000, 1}}});
        world_wait(&world, 10);
        assert_int_equal(world.n_config_changed, 1); /* nothing new */
        world_done(&world);
}

static void push_config(uint64_t capacity, uint64_t flag)
{
        const uint64_t values[] = {capacity, flag};

        world_send(&world, &(struct control_to_broker){.kind = CONTROL_CONFIG_SPACE,
                                                       .config_space = {.n = 2, .value = values}});
}

static void a_worker_s_config_that_crosses_a_write_does_not_undo_it(void **state)
{
        (void)state;
        serving();
        world.deaf = true;
        assert_int_equal(write_field(0), 0);
        push_config(2000, 1); /* said before the write has come */
        world_until(&world, world.n_config_changed == 1);
        assert_int_equal(writable_field(), 0);
        world_until(&world, world_told(&world, CONTROL_CONFIG_WRITE) == 1);
        world_kill_worker(&world);
        world_until(&world, world_state(&world) == WORKER_PRIMING); /* deaf still, and told the write */
        push_config(3000, 1);
        world_until(&world, world.n_config_changed == 3); /* the Hello's capacity came before */
        assert_int_equal(writable_field(), 0);
        world_done(&world);
}

/* ---- queues ---- */

static void queues_that_cannot_start_leave_nothing(void **state)
{
        struct queue_layout layout;
        const struct model_queue *model = &world.guest.queues[0];
        unsigned fds;

        (void)state;
        serving();
        layout = model->layout;
        world_wait(&world, 5);
        fds = count_fds();
        assert_int_equal(device_queue_start(world.device, 2, &layout, 0, model->kick, -1), -EINVAL);
        layout.size = 3;
        assert_int_equal(device_queue_start(world.device, 0, &layout, 0, model->kick, -1), -EINVAL);
        layout.size = 64;
        layout.used = GPA(MODEL_END);
        assert_int_equal(device_queue_start(world.device, 0, &layout, 0, model->kick, model->call), -EFAULT);
        assert_int_equal(device_queue_start(world.device, 0, &model->layout, 0, -1, -1), -EBADF);
        assert_int_equal(device_queue_start(world.device, 0, &model->layout, 0, model->kick, 9999), -EBADF);
        assert_int_equal(count_fds(), fds);
        assert_int_equal(device_queue_set_call(world.device, 2, -1), -EINVAL);
        assert_int_equal(device_queue_set_call(world.device, 0, model->call),
                         0); /* not running: nothing to do */
        assert_int_equal(count_fds(), fds);
        world_start_queue(&world, 0, 0);
        assert_int_equal(device_queue_start(world.device, 0, &model->layout, 0, model->kick, -1), -EBUSY);
        one_request(0);
        assert_int_equal(world_told(&world, CONTROL_START_QUEUE), 1);
        world_done(&world);
}

/* Each queue waits for its own Done: a worker may be given no request of a queue that it has not heard of. */
static void a_queue_is_released_by_its_own_answer(void **state)
{
        uint32_t first;

        (void)state;
        serving();
        world_until(&world, world_told(&world, CONTROL_SET_FEATURES) == 1);
        world_wait(&world, 5);
        world.deaf = true;
        first = world.puppet.n_messages;
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        world_post(&world, 0, 5);
        world_post(&world, 1, 6);
        world_until(&world, world_told(&world, CONTROL_START_QUEUE) == 2);
        world_send(&world, &(struct control_to_broker){.kind = CONTROL_DONE,
                                                       .done = {.seq = world.puppet.messages[first].seq}});
        world_until(&world, world_answered(&world, 0));
        world_wait(&world, 20);
        assert_int_equal(world.n_seen, 1);
        world_send(&world, &(struct control_to_broker){
                               .kind = CONTROL_DONE, .done = {.seq = world.puppet.messages[first + 1].seq}});
        world_until(&world, world_answered(&world, 1));
        world_done(&world);
}

static void a_guest_that_breaks_a_ring_loses_that_queue_only(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        world_start_queue(&world, 1, 0);
        one_request(0);
        one_request(1);
        model_post(&world.guest, 0, &(struct model_buffer){MODEL_END - 1, 2, false}, 1);
        world_until(&world, world.n_broken == 1);
        one_request(1);
        world_wait(&world, 10);
        assert_int_equal(world.n_broken, 1);
        assert_int_equal(world.n_spawns, 1);
        world_done(&world);
}

/* Descriptors that a VMM may hand us as a kick: the queue breaks, no worker dies, no thread spins. */
static void a_kick_that_is_no_eventfd_breaks_its_queue(void **state)
{
        const struct model_queue *model = &world.guest.queues[0];

        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                struct epoll_event event = {.events = EPOLLIN};
                int ready = eventfd(1, EFD_CLOEXEC);
                int odd = i == 0 ? memfd_create("no-eventfd", MFD_CLOEXEC) : epoll_create1(EPOLL_CLOEXEC);

                assert_true(ready >= 0 && odd >= 0);
                if (i == 1)
                        assert_int_equal(epoll_ctl(odd, EPOLL_CTL_ADD, ready, &event), 0);
                serving();
                world.fds_before -= 2; /* they are closed before the end */
                assert_int_equal(device_queue_start(world.device, 0, &model->layout, 0, odd, -1), 0);
                world_start_queue(&world, 1, 0);
                world_until(&world, world.n_broken == 1);
                one_request(1);
                assert_int_equal(world.n_spawns, 1);
                close(odd);
                close(ready);
                world_done(&world);
        }
}

static void a_changed_interrupt_is_used_from_then_on(void **state)
{
        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        one_request(0);
        world_until(&world, model_signals(&world.guest, 0) > 0);
        assert_int_equal(device_queue_set_call(world.device, 0, world.guest.queues[5].call), 0);
        assert_int_equal(model_signals(&world.guest, 5), 1);
        one_request(0);
        world_until(&world, model_signals(&world.guest, 5) > 0);
        assert_int_equal(model_signals(&world.guest, 0), 0);
        assert_int_equal(device_queue_set_call(world.device, 0, -1), 0);
        one_request(0);
        world_done(&world);
}

static void memory_is_changed_under_load(void **state)
{
        struct guest_memory *low;

        (void)state;
        serving();
        low = model_guest_snapshot(&world.guest, false);
        world_start_queue(&world, 0, 0);
        for (unsigned i = 0; i < 100; i++) {
                world_post(&world, 0, 4000);
                assert_int_equal(device_set_memory(world.device, i % 2 ? world.guest.memory : low), 0);
                world_until(&world, world_answered(&world, 0));
        }
        assert_int_equal(world.n_broken, 0);
        assert_int_equal(device_set_memory(world.device, NULL), 0);
        world_until(&world, world.n_broken == 1);
        guest_memory_unref(low);
        world_done(&world);
}

static void an_unshared_ring_is_reported(void **state)
{
        uint64_t one = 1;

        (void)state;
        serving();
        world_start_queue(&world, 0, 0);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(write(world.guest.queues[0].kick, &one, sizeof(one)), sizeof(one));
                world_wait(&world, 5);
        }
        assert_int_equal(world.n_suspicious, 1);
        world_done(&world);
}

/* A network's: over all its workers, whatever a new one begins with. */
static void what_workers_count_is_kept_when_they_are_gone(void **state)
{
        uint64_t values[LIMIT_COUNTERS] = {[0] = 3, [NET_COUNTER_COUNT_ - 1] = UINT64_MAX - 1};
        const struct control_to_broker counted = {.kind = CONTROL_STATS,
                                                  .stats = {NET_COUNTER_COUNT_, values}};
        struct admin_device status = {0};

        (void)state;
        world_init_as(&world, 1, DEVICE_TYPE_NET);
        world_serve(&world);
        for (unsigned life = 1; life <= 3; life++) {
                world_send(&world, &counted);
                world_until(&world, (device_status(world.device, &status), status.counters[0] == 3 * life));
                assert_int_equal(status.n_counters, NET_COUNTER_COUNT_);
                assert_true(status.counters[NET_COUNTER_COUNT_ - 1] ==
                            (life == 1 ? UINT64_MAX - 1 : UINT64_MAX)); /* it does not begin anew */
                world_kill_worker(&world);
                world_until(&world, world.n_spawns == life + 1 && world_state(&world) == WORKER_SERVING);
                device_status(world.device, &status);
                assert_int_equal(status.counters[0], 3 * life);
        }
        world_done(&world);
}

static void a_worker_that_counts_what_its_type_has_not_is_killed(void **state)
{
        uint64_t values[LIMIT_COUNTERS] = {0};
        const struct control_to_broker counted[] = {
            {.kind = CONTROL_STATS, .stats = {NET_COUNTER_COUNT_ - 1, values}},
            {.kind = CONTROL_STATS, .stats = {NET_COUNTER_COUNT_ + 1, values}}};

        (void)state;
        world_init_as(&world, 1, DEVICE_TYPE_NET);
        world_serve(&world);
        for (unsigned i = 0; i < array_size(counted); i++) {
                world_send(&world, &counted[i]);
                world_until(&world, world.n_spawns == i + 2 && world_state(&world) == WORKER_SERVING);
        }
        world_done(&world);
}

static void status_tells_what_is(void **state)
{
        struct admin_device status = {0};

        (void)state;
        world_init(&world, 2);
        device_status(world.device, &status);
        assert_int_equal(status.state, ADMIN_STARTING);
        world_serve(&world);
        status = (struct admin_device){0};
        device_status(world.device, &status);
        assert_int_equal(status.state, ADMIN_READY);
        assert_int_equal(status.uid, 4711);
        assert_int_equal(status.pid, world.puppet.pid);
        world_start_queue(&world, 0, 0);
        one_request(0);
        status = (struct admin_device){0};
        device_status(world.device, &status);
        assert_int_equal(status.state, ADMIN_RUNNING);
        assert_int_equal(status.queues_running, 1);
        assert_int_equal(status.requests, 1);
        assert_int_equal(status.bytes_from_guest, 100);
        assert_int_equal(status.bytes_to_guest, 1);
        assert_int_equal(status.n_lanes, 2);
        assert_string_equal(status.name, "disk0");
        assert_string_equal(status.type, "blk");
        world_done(&world);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(features_are_the_device_s_and_the_ring_s_and_are_masked_once),
            cmocka_unit_test(features_stay_while_a_queue_runs),
            cmocka_unit_test(a_config_write_is_answered_when_the_worker_has_taken_it),
            cmocka_unit_test(a_config_write_must_hit_a_writable_field),
            cmocka_unit_test(requests_do_not_overtake_a_config_write),
            cmocka_unit_test(a_value_that_the_worker_refuses_is_taken_back),
            cmocka_unit_test(a_refused_value_that_only_the_successor_sees_is_taken_back),
            cmocka_unit_test(a_worker_that_is_put_down_gets_no_request_that_waited_for_a_config_write),
            cmocka_unit_test(a_config_write_whose_worker_dies_is_told_to_the_successor),
            cmocka_unit_test(a_config_write_in_any_other_state_reaches_the_worker_that_serves_next),
            cmocka_unit_test(a_config_write_that_a_successor_refuses_leaves_the_value_before),
            cmocka_unit_test(a_config_write_whose_device_is_quarantined_fails),
            cmocka_unit_test(a_reset_takes_a_config_write_back),
            cmocka_unit_test(a_worker_s_new_config_is_cached_told_and_survives_a_reset),
            cmocka_unit_test(a_worker_s_config_that_crosses_a_write_does_not_undo_it),
            cmocka_unit_test(queues_that_cannot_start_leave_nothing),
            cmocka_unit_test(a_queue_is_released_by_its_own_answer),
            cmocka_unit_test(a_guest_that_breaks_a_ring_loses_that_queue_only),
            cmocka_unit_test(a_kick_that_is_no_eventfd_breaks_its_queue),
            cmocka_unit_test(a_changed_interrupt_is_used_from_then_on),
            cmocka_unit_test(memory_is_changed_under_load),
            cmocka_unit_test(an_unshared_ring_is_reported),
            cmocka_unit_test(what_workers_count_is_kept_when_they_are_gone),
            cmocka_unit_test(a_worker_that_counts_what_its_type_has_not_is_killed),
            cmocka_unit_test(status_tells_what_is),
        };

        return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
