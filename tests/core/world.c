/* A device with everything around it. Owns all of it. TRUST: it plays guest, front end, spawner and worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/world.h"
#include "tests/harness/blk_set.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/features.h"
#include "broker/core/supervisor.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/status.h"

#define READ_AT   MODEL_BUFFERS
#define STATUS_AT (MODEL_BUFFERS + 0x10000)

/* ---- the puppet ---- */

static void puppet_close(struct world *world)
{
        struct puppet *puppet = &world->puppet;

        if (!world->have_puppet)
                return;
        close(puppet->control_fd);
        close(puppet->output_fd);
        for (unsigned i = 0; i < puppet->n_lanes; i++)
                fake_worker_done(&puppet->lanes[i]);
        world->have_puppet = false;
}

void world_send_raw(struct world *world, const void *bytes, size_t len)
{
        (void)send(world->puppet.control_fd, bytes, len, MSG_NOSIGNAL); /* the broker may be gone: so be it */
}

void world_send(struct world *world, const struct control_to_broker *message)
{
        uint8_t buf[WORLD_FRAME];

        world_send_raw(world, buf, world_frame(message, buf));
}

size_t world_frame(const struct control_to_broker *message, uint8_t ret_buf[static WORLD_FRAME])
{
        ssize_t len = control_make_to_broker(message, ret_buf + FRAME_HEAD_BYTES, LIMIT_FRAME_HEADER);
        struct frame_head head = {.header_len = (uint32_t)len};

        assert_true(len > 0);
        frame_head_make(&head, ret_buf);
        return FRAME_HEAD_BYTES + (size_t)len;
}

static int done_error(const struct world *world, const struct control_to_worker *message)
{
        if ((int)message->kind != world->refuse_kind)
                return 0;
        if (message->kind == CONTROL_CONFIG_WRITE && world->refuse_value != 0 &&
            message->config_write.value != world->refuse_value)
                return 0;
        return world->refuse_error;
}

static void puppet_obey(struct world *world, const struct control_to_worker *message)
{
        struct puppet *puppet = &world->puppet;

        if (message->kind != CONTROL_SHMEM_ANSWER && message->kind != CONTROL_IOMMU_ANSWER) {
                assert_true(puppet->n_messages < WORLD_LOG);
                puppet->messages[puppet->n_messages++] = *message;
        }
        if (message->kind == CONTROL_CONFIGURE) {
                if (!world->silent)
                        world_send(world,
                                   &(struct control_to_broker){.kind = CONTROL_HELLO, .hello = world->hello});
        } else if (message->kind == CONTROL_SHMEM_ANSWER) {
                puppet->n_answers++;
                puppet->n_answered[message->shmem_answer.id % WORLD_LOG]++;
                puppet->answer[message->shmem_answer.id % WORLD_LOG] = message->shmem_answer.error;
        } else if (message->kind == CONTROL_IOMMU_ANSWER) {
                puppet->n_answers++;
                puppet->n_answered[message->iommu_answer.id % WORLD_LOG]++;
                puppet->answer[message->iommu_answer.id % WORLD_LOG] = message->iommu_answer.error;
        } else if (message->kind != CONTROL_SHUTDOWN && message->kind != CONTROL_IOMMU_FAULT &&
                   !world->deaf) {
                world_send(world, &(struct control_to_broker){
                                      .kind = CONTROL_DONE,
                                      .done = {.seq = message->seq, .error = done_error(world, message)}});
        }
}

static bool next_frame(uint8_t *rx, size_t *len, uint8_t *ret_header, size_t *ret_len)
{
        struct frame_head head;
        size_t whole;

        if (*len < FRAME_HEAD_BYTES)
                return false;
        assert_int_equal(frame_head_check(rx, 0, &head), 0);
        whole = FRAME_HEAD_BYTES + (size_t)head.header_len;
        if (*len < whole)
                return false;
        memcpy(ret_header, rx + FRAME_HEAD_BYTES, head.header_len);
        *ret_len = head.header_len;
        memmove(rx, rx + whole, *len - whole);
        *len -= whole;
        return true;
}

static void puppet_control(struct world *world)
{
        struct puppet *puppet = &world->puppet;
        uint8_t header[LIMIT_FRAME_HEADER];
        struct arena arena;
        size_t len;
        ssize_t n = recv(puppet->control_fd, puppet->rx + puppet->rx_len, sizeof(puppet->rx) - puppet->rx_len,
                         MSG_DONTWAIT);

        if (n > 0 && world->heard)
                world->heard(0, puppet->rx + puppet->rx_len, (size_t)n);
        if (n > 0)
                puppet->rx_len += (size_t)n;
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        while (world->have_puppet && next_frame(puppet->rx, &puppet->rx_len, header, &len)) {
                struct control_to_worker message;

                assert_int_equal(control_check_to_worker(&arena, header, len, &message), 0);
                puppet_obey(world, &message);
        }
        arena_done(&arena);
}

/* It dies in the middle: what it has answered before may or may not have arrived. */
static bool puppet_dies_of(struct world *world, unsigned lane, const struct lane_requests *requests, size_t i)
{
        if (world->poison == 0 || requests->readable[i] != world->poison ||
            (requests->must_fail[i] && !world->deadly))
                return false;
        fake_worker_push(&world->puppet.lanes[lane]);
        world_kill_worker(world);
        return true;
}

static void puppet_requests(struct world *world, unsigned lane, const struct lane_requests *requests)
{
        world->stays = requests->stay;
        world->looks = requests->look;
        for (size_t i = 0; i < requests->n; i++) {
                assert_true(world->n_seen < WORLD_LOG);
                world->seen[world->n_seen++] =
                    (struct seen_request){.id = requests->id[i],
                                          .queue = requests->queue[i],
                                          .readable = requests->readable[i],
                                          .attempt = requests->attempt[i],
                                          .must_fail = requests->must_fail[i],
                                          .in_at = requests->in_at ? requests->in_at[i] : 0,
                                          .incarnation = world->n_spawns,
                                          .lane = lane};
                if (puppet_dies_of(world, lane, requests, i))
                        return;
                if (!world->idle)
                        fake_worker_complete(&world->puppet.lanes[lane], requests->id[i], 0,
                                             requests->must_fail[i] ? "\xee" : "\1", 1);
        }
}

static void puppet_step(struct world *world)
{
        struct fake_frame frame;

        puppet_control(world);
        for (unsigned i = 0; world->have_puppet && i < world->puppet.n_lanes; i++) {
                fake_worker_pump(&world->puppet.lanes[i]);
                while (world->have_puppet && fake_worker_next(&world->puppet.lanes[i], &frame)) {
                        world->n_wakes += frame.message.kind == LANE_WAKE;
                        if (frame.message.kind == LANE_REQUESTS)
                                puppet_requests(world, i, &frame.message.requests);
                }
                if (world->have_puppet)
                        fake_worker_pump(&world->puppet.lanes[i]);
        }
}

/* ---- the spawner ---- */

static void spawner_send(struct world *world, const struct spawn_to_broker *message, const int *fds,
                         unsigned n_fds)
{
        uint8_t buf[FRAME_HEAD_BYTES + 1024];
        ssize_t len = spawn_make_to_broker(message, buf + FRAME_HEAD_BYTES, 1024);
        struct frame_head head = {.header_len = (uint32_t)len};
        struct iovec iov = {.iov_base = buf, .iov_len = FRAME_HEAD_BYTES + (size_t)len};
        ssize_t n;

        assert_true(len > 0);
        frame_head_make(&head, buf);
        n = fd_pass_send(world->spawner_fd, &iov, 1, fds, n_fds);
        assert_true(n == (ssize_t)iov.iov_len ||
                    (n == -EPIPE && !world->client)); /* it may be over already */
}

static pid_t sleeper(void)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close_range(0, ~0u, 0);
                for (;;)
                        pause();
        }
        return pid;
}

static void spawner_spawn(struct world *world)
{
        struct puppet *puppet = &world->puppet;
        unsigned n_lanes = world->config.n_lanes;
        int fds[2 * LIMIT_LANES + 3], pair[2];
        unsigned n = 0;

        assert_int_equal(puppet->pid, 0); /* no successor before the last one is dead and reaped */
        puppet_close(world);
        *puppet = (struct puppet){.pid = sleeper(), .n_lanes = n_lanes};
        assert_int_equal(fd_stream_pair(pair), 0);
        fds[n++] = pair[0];
        puppet->control_fd = pair[1];
        for (unsigned i = 0; i < n_lanes; i++) {
                struct fd_duplex ends[2];

                assert_int_equal(fd_pipe_pair(ends), 0);
                fds[n++] = ends[0].in;
                fds[n++] = ends[0].out;
                fake_worker_init(&puppet->lanes[i], ends[1]);
                puppet->lanes[i].heard = world->heard;
                puppet->lanes[i].stream = 1 + i;
        }
        fds[n] = (int)syscall(SYS_pidfd_open, puppet->pid, 0);
        assert_true(fds[n++] >= 0);
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        fds[n++] = pair[0];
        puppet->output_fd = pair[1];
        world->have_puppet = true;
        world->n_spawns++;
        spawner_send(
            world,
            &(struct spawn_to_broker){.kind = SPAWN_SPAWNED, .pid = (uint32_t)puppet->pid, .uid = 4711}, fds,
            n);
        for (unsigned i = 0; i < n; i++)
                close(fds[i]);
}

static void spawner_obey(struct world *world, const struct spawn_to_spawner *message)
{
        pid_t pid = world->puppet.pid;
        int status;

        switch (message->kind) {
        case SPAWN_SPAWN:
                if (world->mute)
                        break;
                if (world->refuse < 0) {
                        struct spawn_to_broker failed = {.kind = SPAWN_FAILED, .error = world->refuse};

                        strcpy(failed.reason, "the image is missing; make it");
                        world->n_spawns++;
                        spawner_send(world, &failed, NULL, 0);
                } else {
                        spawner_spawn(world);
                }
                break;
        case SPAWN_REAP:
                world->n_reaps++;
                assert_int_equal(waitpid(pid, &status, WNOHANG), pid); /* it is dead: the pidfd has said so */
                world->puppet.pid = 0;
                spawner_send(world,
                             &(struct spawn_to_broker){.kind = SPAWN_EXITED,
                                                       .pid = (uint32_t)pid,
                                                       .code = (uint32_t)WTERMSIG(status),
                                                       .signaled = true},
                             NULL, 0);
                break;
        case SPAWN_STOP:
                break;
        }
}

static void spawner_step(struct world *world)
{
        uint8_t header[LIMIT_FRAME_HEADER];
        struct arena arena;
        size_t len;
        ssize_t n;

        if (world->spawner_fd < 0)
                return;
        n = recv(world->spawner_fd, world->rx + world->rx_len, sizeof(world->rx) - world->rx_len,
                 MSG_DONTWAIT);
        if (n > 0)
                world->rx_len += (size_t)n;
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        while (next_frame(world->rx, &world->rx_len, header, &len)) {
                struct spawn_to_spawner message;

                assert_int_equal(spawn_check_to_spawner(&arena, header, len, &message), 0);
                spawner_obey(world, &message);
        }
        arena_done(&arena);
}

static void reap_rest(struct world *world)
{
        if (world->puppet.pid == 0)
                return;
        kill(world->puppet.pid, SIGKILL);
        assert_int_equal(waitpid(world->puppet.pid, NULL, 0), world->puppet.pid);
        world->puppet.pid = 0;
}

void world_kill_worker(struct world *world)
{
        assert_int_equal(kill(world->puppet.pid, SIGKILL), 0);
        puppet_close(world);
}

void world_kill_spawner(struct world *world)
{
        close(world->spawner_fd);
        world->spawner_fd = -1;
}

/* ---- what the device tells ---- */

static void on_spawned(void *context, uint32_t device, struct spawned_worker *worker)
{
        struct world *world = context;

        assert_int_equal(device, 0);
        supervisor_spawned(device_supervisor(world->device), worker);
}

static void on_failed(void *context, uint32_t device, int error, const char *reason)
{
        struct world *world = context;

        (void)device;
        supervisor_spawn_failed(device_supervisor(world->device), error, reason);
}

static void on_exited(void *context, uint32_t device, const struct spawn_to_broker *exited)
{
        struct world *world = context;

        (void)device;
        supervisor_exited(device_supervisor(world->device), exited);
}

static void on_terminate(void *context)
{
        ((struct world *)context)->terminate = true;
}

static void on_gone(void *context)
{
        struct world *world = context;

        world->gone = true;
        device_spawner_gone(world->device);
}

static const struct spawner_client_ops client_ops = {.spawned = on_spawned,
                                                     .failed = on_failed,
                                                     .exited = on_exited,
                                                     .terminate = on_terminate,
                                                     .gone = on_gone};

static void on_ready(void *context, struct device *device)
{
        (void)device;
        ((struct world *)context)->n_ready++;
}

static void on_device_failed(void *context, struct device *device, bool quarantined, const char *why)
{
        struct world *world = context;

        (void)device;
        world->n_failed += !quarantined;
        world->n_quarantined += quarantined;
        snprintf(world->why, sizeof(world->why), "%s", why);
}

static void on_front_ready(void *context)
{
        ((struct world *)context)->n_front_ready++;
}

static void on_config_changed(void *context)
{
        ((struct world *)context)->n_config_changed++;
}

static void on_broken(void *context, unsigned queue, enum queue_fault fault)
{
        (void)queue;
        assert_int_not_equal(fault, QUEUE_FAULT_NONE);
        ((struct world *)context)->n_broken++;
}

static void on_suspicious(void *context, unsigned queue)
{
        (void)queue;
        ((struct world *)context)->n_suspicious++;
}

static void on_freed(void *context)
{
        ((struct world *)context)->freed = true;
}

void world_stopped(void *context, uint32_t base)
{
        struct world *world = context;

        world->n_stopped++;
        world->base = base;
}

void world_stop_queues(struct world *world)
{
        unsigned n = world->n_stopped;

        for (unsigned i = 0; i < 2; i++) {
                if (!device_queue_running(world->device, i))
                        continue;
                device_queue_stop(world->device, i, world_stopped, world);
                n++;
        }
        world_until(world, world->n_stopped == n);
}

void world_written(void *context, int error)
{
        struct world *world = context;

        world->n_written++;
        world->written = error;
}

/* ---- the world ---- */

static void make_hello(enum device_type_id type, struct control_hello *ret_hello)
{
        *ret_hello = (struct control_hello){.device_type = device_types[type].virtio_id,
                                            .features = (FEATURE_BIT(6) | FEATURE_BIT(9)) &
                                                        features_of_type(device_types[type].virtio_id),
                                            .n_queues = MIN(2u, device_types[type].max_queues),
                                            .max_segments = 64,
                                            .credit_requests = 32,
                                            .credit_bytes = 65536,
                                            .max_inline = 4096,
                                            .n_fields = 2};
        for (unsigned i = 0; i < 2; i++) {
                ret_hello->queue_kind[i] = QUEUE_WORK;
                ret_hello->queue_replay[i] = REPLAY_IDEMPOTENT;
        }
        ret_hello->fields[0] = (struct control_field){.offset = 0, .width = 8, .value = 1000};
        ret_hello->fields[1] = (struct control_field){.offset = 32, .width = 1, .writable = true, .value = 1};
}

/* libuv opens descriptors for the whole process with its first loop. */
static void warm_up(void)
{
        uv_loop_t loop;

        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(uv_loop_close(&loop), 0);
}

void world_init(struct world *world, unsigned n_lanes)
{
        world_init_as(world, n_lanes, DEVICE_TYPE_BLK);
}

uint32_t world_poll_us;

static void make_options(enum device_type_id type, struct option_set *ret_options)
{
        static char room[LIMIT_NAME];

        *ret_options = (struct option_set)BLK_PLAIN;
        for (unsigned i = 0; type != DEVICE_TYPE_BLK && i < device_types[type].n_options; i++)
                ret_options->value[i] = option_preset(&device_types[type].options[i], "disk0", room);
}

void world_init_as(struct world *world, unsigned n_lanes, enum device_type_id type)
{
        world_init_with(world, n_lanes, type, NULL, &(struct device_front){0});
}

void world_attach(struct world *world, const struct device_front *front)
{
        struct device_front whole = *front;

        whole.context = world;
        whole.ready = on_front_ready;
        whole.config_changed = on_config_changed;
        whole.broken = on_broken;
        whole.suspicious = on_suspicious;
        device_attach(world->device, &whole);
}

void world_init_with(struct world *world, unsigned n_lanes, enum device_type_id type,
                     void (*configure)(struct device_config *config), const struct device_front *front)
{
        const struct device_owner owner = {.context = world, .ready = on_ready, .failed = on_device_failed};
        int pair[2];

        warm_up();
        *world = (struct world){.fds_before = count_fds(), .spawner_fd = -1};
        model_guest_init(&world->guest, 64, false);
        make_hello(type, &world->hello);
        world->config = (struct device_config){.name = "disk0",
                                               .type = type,
                                               .n_queues = world->hello.n_queues,
                                               .n_lanes = n_lanes,
                                               .poll_us = world_poll_us};
        make_options(type, &world->config.options);
        if (configure)
                configure(&world->config);
        assert_int_equal(uv_loop_init(&world->loop), 0);
        assert_int_equal(fd_stream_pair(pair), 0);
        world->spawner_fd = pair[1];
        assert_int_equal(
            spawner_client_new(&world->loop, pair[0], &n_lanes, 1, &client_ops, world, &world->client), 0);
        assert_int_equal(
            device_new(&world->loop, &world->config, LIMIT_AREA, 0, world->client, &owner, &world->device),
            0);
        world_attach(world, front);
}

void world_done(struct world *world)
{
        device_free(world->device, on_freed, world);
        world->client = spawner_client_free(world->client);
        world_until(world, world->freed);
        uv_run(&world->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&world->loop), 0);
        reap_rest(world);
        puppet_close(world);
        if (world->spawner_fd >= 0)
                close(world->spawner_fd);
        model_guest_done(&world->guest);
        assert_int_equal(count_fds(), world->fds_before);
}

uint64_t world_features(const struct world *world)
{
        return device_features(world->device) & ~FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT);
}

void world_serve(struct world *world)
{
        world_until(world, world_state(world) == WORKER_SERVING);
        assert_int_equal(device_set_memory(world->device, world->guest.memory), 0);
        assert_int_equal(device_commit_features(world->device, world_features(world)), 0);
}

void world_start_queue(struct world *world, unsigned queue, uint32_t base)
{
        const struct model_queue *model = &world->guest.queues[queue];

        assert_int_equal(
            device_queue_start(world->device, queue, &model->layout, base, model->kick, model->call), 0);
        if (queue < MODEL_QUEUES)
                world->guest.queues[queue].event_idx = true; /* with the rest that was offered */
}

void world_step(struct world *world)
{
        struct pollfd poll_fd = {.fd = uv_backend_fd(&world->loop), .events = POLLIN};

        (void)poll(&poll_fd, 1,
                   1); /* lanes have threads: a puppet may have work without the loop having any */
        uv_run(&world->loop, UV_RUN_NOWAIT);
        spawner_step(world);
        if (world->have_puppet)
                puppet_step(world);
}

void world_wait(struct world *world, uint64_t ms)
{
        uint64_t end = uv_hrtime() + ms * 1000000;

        while (uv_hrtime() < end)
                world_step(world);
}

unsigned world_state(const struct world *world)
{
        return device_supervisor(world->device)->state;
}

uint32_t world_pid(const struct world *world)
{
        return device_supervisor(world->device)->pid;
}

unsigned world_told(const struct world *world, enum control_kind_to_worker kind)
{
        unsigned n = 0;

        for (unsigned i = 0; i < world->puppet.n_messages; i++)
                n += world->puppet.messages[i].kind == kind;
        return n;
}

uint16_t world_post(struct world *world, unsigned queue, uint32_t len)
{
        return model_post(&world->guest, queue,
                          (struct model_buffer[]){{READ_AT, len, false}, {STATUS_AT, 1, true}}, 2);
}

bool world_answered(struct world *world, unsigned queue)
{
        uint16_t head;
        uint32_t len;

        return model_reap(&world->guest, queue, &head, &len);
}

uint8_t world_status(const struct world *world)
{
        return *model_at(&world->guest, STATUS_AT);
}
