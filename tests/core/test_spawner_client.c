/* The broker's side of the channel to the spawner.
 * TRUST: a spawner's messages and descriptors, good and bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/spawner_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/frame.h"
#include "tests/core/model_guest.h"

static struct test {
        uv_loop_t loop;
        struct spawner_client *client;
        int peer;
        unsigned n_spawned, n_failed, n_exited, n_companion, n_renewed, n_terminate, n_gone, fds_before;
        bool take;
        struct spawned_worker worker;
} test;

static void on_spawned(void *context, uint32_t device, struct spawned_worker *worker)
{
        (void)context;
        assert_true(device < LIMIT_WORKERS);
        test.n_spawned++;
        test.worker = *worker;
        if (!test.take)
                return;
        worker->control_fd = worker->pidfd = worker->output_fd = -1;
        for (unsigned i = 0; i < worker->n_lanes; i++)
                worker->lanes[i] = (struct fd_duplex){-1, -1};
}

static void on_failed(void *context, uint32_t device, int error, const char *reason)
{
        (void)context;
        assert_int_equal(device, 1);
        assert_int_equal(error, -EBUSY);
        assert_string_equal(reason, "locked");
        test.n_failed++;
}

static void on_exited(void *context, uint32_t device, const struct spawn_to_broker *exited)
{
        (void)context;
        (void)device;
        assert_int_equal(exited->pid, 77);
        assert_int_equal(exited->code, 9);
        assert_true(exited->signaled);
        test.n_exited++;
}

static void on_companion(void *context, uint32_t device, const struct spawn_to_broker *companion)
{
        (void)context;
        assert_int_equal(device, 1);
        assert_int_equal(companion->pid, 90);
        assert_int_equal(companion->starts, 3);
        test.n_companion++;
}

static void on_renewed(void *context, uint32_t device)
{
        (void)context;
        assert_int_equal(device, 1);
        test.n_renewed++;
}

static void on_terminate(void *context)
{
        (void)context;
        test.n_terminate++;
}

static void on_gone(void *context)
{
        (void)context;
        test.n_gone++;
}

static const struct spawner_client_ops ops = {.spawned = on_spawned,
                                              .failed = on_failed,
                                              .exited = on_exited,
                                              .companion = on_companion,
                                              .renewed = on_renewed,
                                              .terminate = on_terminate,
                                              .gone = on_gone};

static void begin_with(const unsigned *n_lanes, unsigned n_devices)
{
        uv_loop_t warm;
        int fds[2];

        assert_int_equal(uv_loop_init(&warm), 0);
        assert_int_equal(uv_loop_close(&warm), 0);
        test = (struct test){.fds_before = count_fds()};
        assert_int_equal(uv_loop_init(&test.loop), 0);
        assert_int_equal(fd_stream_pair(fds), 0);
        test.peer = fds[1];
        assert_int_equal(spawner_client_new(&test.loop, fds[0], n_lanes, n_devices, &ops, NULL, &test.client),
                         0);
}

static void begin(void)
{
        static const unsigned n_lanes[] = {1, 3};

        begin_with(n_lanes, 2);
}

static void run(void)
{
        for (unsigned i = 0; i < 10; i++)
                uv_run(&test.loop, UV_RUN_NOWAIT);
}

static void end(void)
{
        test.client = spawner_client_free(test.client);
        run();
        assert_int_equal(uv_loop_close(&test.loop), 0);
        close(test.peer);
        assert_int_equal(count_fds(), test.fds_before);
}

static void tell(const struct spawn_to_broker *message, unsigned n_fds)
{
        uint8_t buf[FRAME_HEAD_BYTES + 512];
        ssize_t len = spawn_make_to_broker(message, buf + FRAME_HEAD_BYTES, 512);
        struct iovec iov = {.iov_base = buf, .iov_len = FRAME_HEAD_BYTES + (size_t)len};
        int fds[LIMIT_PASS_FDS];

        assert_true(len > 0);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, buf);
        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = test.peer;
        assert_int_equal(fd_pass_send(test.peer, &iov, 1, fds, n_fds), iov.iov_len);
}

/* What comes with a worker of one lane and of three: control, two for each lane, its pidfd, its output. */
#define SPAWNED_1 5u
#define SPAWNED_3 9u

static const struct spawn_to_broker spawned_1 = {.kind = SPAWN_SPAWNED, .device = 1, .pid = 78, .uid = 5};
static const struct spawn_to_broker exited_0 = {
    .kind = SPAWN_EXITED, .device = 0, .pid = 77, .code = 9, .signaled = true};

static void what_is_not_taken_is_closed(void **state)
{
        (void)state;
        begin();
        tell(&spawned_1, SPAWNED_3);
        run();
        assert_int_equal(test.n_spawned, 1);
        assert_int_equal(test.worker.pid, 78);
        assert_int_equal(test.worker.uid, 5);
        assert_int_equal(test.worker.n_lanes, 3);
        assert_int_equal(test.n_gone, 0);
        end();
}

static void what_is_taken_is_the_taker_s(void **state)
{
        unsigned fds;

        (void)state;
        begin();
        fds = count_fds();
        test.take = true;
        tell(&spawned_1, SPAWNED_3);
        run();
        assert_int_equal(count_fds(), fds + SPAWNED_3);
        close(test.worker.control_fd);
        close(test.worker.pidfd);
        close(test.worker.output_fd);
        for (unsigned i = 0; i < 3; i++)
                fd_duplex_close(&test.worker.lanes[i]);
        end();
}

/* Two workers change places: every message keeps its own descriptors, though the kernel joins them. */
static void messages_in_a_row_keep_their_own_descriptors(void **state)
{
        struct spawn_to_broker failed = {
            .kind = SPAWN_FAILED, .device = 1, .error = -EBUSY, .reason = "locked"};

        (void)state;
        begin();
        tell(&exited_0, 0);
        tell(&failed, 0);
        tell(&spawned_1, SPAWNED_3);
        tell(&exited_0, 0);
        tell(&(struct spawn_to_broker){.kind = SPAWN_SPAWNED, .device = 0, .pid = 79}, SPAWNED_1);
        tell(&(struct spawn_to_broker){.kind = SPAWN_COMPANION, .device = 1, .pid = 90, .starts = 3}, 0);
        tell(&(struct spawn_to_broker){.kind = SPAWN_RENEWED, .device = 1}, 0);
        tell(&(struct spawn_to_broker){.kind = SPAWN_TERMINATE}, 0);
        run();
        assert_int_equal(test.n_exited, 2);
        assert_int_equal(test.n_companion, 1);
        assert_int_equal(test.n_renewed, 1);
        assert_int_equal(test.n_failed, 1);
        assert_int_equal(test.n_spawned, 2);
        assert_int_equal(test.n_terminate, 1);
        assert_int_equal(test.n_gone, 0);
        end();
}

/* As many devices as there may be, and the loader behind them. */
static void the_last_of_all_workers_comes_with_its_lanes(void **state)
{
        unsigned n_lanes[LIMIT_WORKERS] = {0};

        (void)state;
        for (unsigned i = 0; i < LIMIT_WORKERS; i++)
                n_lanes[i] = 1 + i % LIMIT_LANES;
        begin_with(n_lanes, LIMIT_WORKERS);
        tell(&(struct spawn_to_broker){.kind = SPAWN_SPAWNED, .device = LIMIT_WORKERS - 1, .pid = 80},
             SPAWNED_1);
        run();
        assert_int_equal(test.n_gone, 0);
        assert_int_equal(test.n_spawned, 1);
        assert_int_equal(test.worker.n_lanes, 1);
        tell(&(struct spawn_to_broker){.kind = SPAWN_SPAWNED, .device = LIMIT_WORKERS - 2, .pid = 81},
             3 + 2 * LIMIT_LANES);
        run();
        assert_int_equal(test.n_gone, 0);
        assert_int_equal(test.worker.n_lanes, 16);
        end();
}

static void a_message_out_of_shape_ends_the_channel(void **state)
{
        static const struct {
                struct spawn_to_broker message;
                unsigned n_fds;
        } bad[] = {
            {{.kind = SPAWN_SPAWNED, .device = 1, .pid = 78}, SPAWNED_3 - 1},
            {{.kind = SPAWN_SPAWNED, .device = 1, .pid = 78}, 3 + 3}, /* one a lane */
            {{.kind = SPAWN_SPAWNED, .device = 1, .pid = 78}, SPAWNED_3 + 1},
            {{.kind = SPAWN_SPAWNED, .device = 0, .pid = 78}, 0},
            {{.kind = SPAWN_SPAWNED, .device = 1, .pid = 78}, 2 * LIMIT_LANES + 4},
            {{.kind = SPAWN_SPAWNED, .device = 2, .pid = 78}, SPAWNED_3},
            {{.kind = SPAWN_EXITED, .device = 2, .pid = 77, .code = 9, .signaled = true}, 0},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                begin();
                tell(&bad[i].message, bad[i].n_fds);
                run();
                assert_int_equal(test.n_gone, 1);
                assert_int_equal(test.n_spawned + test.n_exited, 0);
                assert_false(spawner_client_alive(test.client));
                assert_int_equal(spawner_client_spawn(test.client, 0), -EPIPE);
                end();
        }
}

static void questions_arrive_and_a_dead_spawner_is_told_once(void **state)
{
        uint8_t buf[256];
        struct spawn_to_spawner message;
        struct frame_head head;
        struct arena arena;

        (void)state;
        begin();
        assert_int_equal(spawner_client_spawn(test.client, 1), 0);
        assert_int_equal(recv(test.peer, buf, FRAME_HEAD_BYTES, 0), FRAME_HEAD_BYTES);
        assert_int_equal(frame_head_check(buf, 0, &head), 0);
        assert_int_equal(recv(test.peer, buf, head.header_len, 0), head.header_len);
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        assert_int_equal(spawn_check_to_spawner(&arena, buf, head.header_len, &message), 0);
        arena_done(&arena);
        assert_int_equal(message.kind, SPAWN_SPAWN);
        assert_int_equal(message.device, 1);
        assert_int_equal(spawner_client_reap(test.client, 0), 0); /* never read: an error event, not an end */
        shutdown(test.peer, SHUT_RDWR);
        run();
        assert_int_equal(test.n_gone, 1);
        assert_int_equal(spawner_client_stop(test.client), -EPIPE);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_not_taken_is_closed),
            cmocka_unit_test(what_is_taken_is_the_taker_s),
            cmocka_unit_test(messages_in_a_row_keep_their_own_descriptors),
            cmocka_unit_test(the_last_of_all_workers_comes_with_its_lanes),
            cmocka_unit_test(a_message_out_of_shape_ends_the_channel),
            cmocka_unit_test(questions_arrive_and_a_dead_spawner_is_told_once),
        };

        return cmocka_run_group_tests_name("spawner_client", tests, NULL, NULL);
}
