/* Both neighbours of a boot in a test.
 * Owns the child and all channels; called by tests. TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/boot_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/fd.h"
#include "proto/frame.h"
#include "tests/unit/unit.h"

#define INDEX    0u           /* of the loader: the spawner has nobody else */
#define RIG_PIPE (256 * 1024) /* a test writes more than a page of frames before anybody reads */

/* ---- from the spawner's channel ---- */

static void on_spawned(void *context, uint32_t device, struct spawned_worker *worker)
{
        struct boot_rig *rig = context;

        assert_int_equal(device, INDEX);
        if (rig->boot)
                boot_spawned(rig->boot, worker);
}

static void on_failed(void *context, uint32_t device, int error, const char *reason)
{
        struct boot_rig *rig = context;

        (void)device;
        (void)error;
        if (rig->boot)
                boot_spawn_failed(rig->boot, reason);
}

static void on_exited(void *context, uint32_t device, const struct spawn_to_broker *exited)
{
        struct boot_rig *rig = context;

        (void)device;
        if (rig->boot)
                boot_exited(rig->boot, exited);
}

static void on_terminate(void *context)
{
        (void)context;
}

static void on_gone(void *context)
{
        struct boot_rig *rig = context;

        if (rig->boot)
                boot_spawner_gone(rig->boot);
}

static const struct spawner_client_ops client_ops = {.spawned = on_spawned,
                                                     .failed = on_failed,
                                                     .exited = on_exited,
                                                     .terminate = on_terminate,
                                                     .gone = on_gone};

/* ---- from the boot ---- */

static void over(struct boot_rig *rig)
{
        assert_int_equal(rig->n_booted + rig->n_failed, 1);
        if (rig->free_inside)
                rig->boot = boot_free(rig->boot);
}

static void on_booted(void *context, const struct boot_entry *entry)
{
        struct boot_rig *rig = context;

        rig->n_booted++;
        rig->entry = *entry;
        over(rig);
}

static void on_boot_failed(void *context, const char *why)
{
        struct boot_rig *rig = context;

        rig->n_failed++;
        snprintf(rig->why, sizeof(rig->why), "%s", why);
        over(rig);
}

/* ---- begin and end ---- */

static uint8_t *add_ram(struct boot_rig *rig, uint64_t start, uint64_t len)
{
        int fd = memfd_create("ram", MFD_CLOEXEC);
        struct guest_region region = {.start = {start}, .len = len, .writable = true};
        struct guest_memory *with;
        uint8_t *bytes;

        assert_true(fd >= 0 && ftruncate(fd, (off_t)len) == 0);
        assert_int_equal(guest_mapping_new(fd, 0, len, true, &region.mapping), 0);
        assert_int_equal(guest_memory_with(rig->memory, &region, &with), 0);
        guest_mapping_unref(region.mapping);
        guest_memory_unref(rig->memory);
        rig->memory = with;
        bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(bytes != MAP_FAILED);
        close(fd);
        return bytes;
}

void rig_begin(struct boot_rig *rig)
{
        static const unsigned n_lanes[] = {1};
        int pair[2];

        memset(rig, 0, sizeof(*rig));
        rig->fds_before = unit_count_fds();
        rig->control = -1;
        rig->lane = (struct fd_duplex){-1, -1};
        signal(SIGPIPE, SIG_IGN); /* a pipe has no MSG_NOSIGNAL */
        assert_int_equal(uv_loop_init(&rig->loop), 0);
        assert_int_equal(fd_stream_pair(pair), 0);
        rig->spawner_fd = pair[0];
        assert_int_equal(spawner_client_new(&rig->loop, pair[1], n_lanes, 1, &client_ops, rig, &rig->client),
                         0);
        rig->memory = guest_memory_new();
        rig->low = add_ram(rig, 0, RIG_LOW);
        rig->high = add_ram(rig, RIG_HIGH_AT, RIG_HIGH);
        rig->options = (struct boot_options){.arch = BOOT_ARCH_X86_64,
                                             .n_vcpus = 1,
                                             .n_ram = 2,
                                             .ram = {{0, RIG_LOW}, {RIG_HIGH_AT, RIG_HIGH}},
                                             .devices_start = 0xd0000000,
                                             .cmdline = "quiet"};
        assert_int_equal(boot_new(&(struct boot_start){.loop = &rig->loop,
                                                       .spawner = rig->client,
                                                       .index = INDEX,
                                                       .name = "test",
                                                       .options = &rig->options,
                                                       .memory = rig->memory,
                                                       .context = rig,
                                                       .booted = on_booted,
                                                       .failed = on_boot_failed},
                                  &rig->boot),
                         0);
}

static void close_end(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void rig_end(struct boot_rig *rig)
{
        rig->boot = boot_free(rig->boot);
        rig->client = spawner_client_free(rig->client);
        uv_run(&rig->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&rig->loop), 0);
        close_end(&rig->spawner_fd);
        close_end(&rig->control);
        fd_duplex_close(&rig->lane);
        if (rig->pid > 0)
                rig_child_status(rig);
        guest_memory_unref(rig->memory);
        munmap(rig->low, RIG_LOW);
        munmap(rig->high, RIG_HIGH);
        assert_int_equal(unit_count_fds(), rig->fds_before);
}

int rig_child_status(struct boot_rig *rig)
{
        int status;

        alarm(RIG_DEADLINE_MS / 1000);
        assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
        alarm(0);
        rig->pid = 0;
        return status;
}

/* ---- the spawner ---- */

static void tell_broker(struct boot_rig *rig, const struct spawn_to_broker *message, const int *fds,
                        unsigned n_fds)
{
        uint8_t head_bytes[FRAME_HEAD_BYTES], body[1024];
        struct iovec iov[] = {{head_bytes, sizeof(head_bytes)}, {body, 0}};
        ssize_t len = spawn_make_to_broker(message, body, sizeof(body));
        struct frame_head head = {.header_len = (uint32_t)len};

        assert_true(len > 0);
        frame_head_make(&head, head_bytes);
        iov[1].iov_len = (size_t)len;
        assert_int_equal(fd_pass_send(rig->spawner_fd, iov, 2, fds, n_fds),
                         (ssize_t)sizeof(head_bytes) + len);
}

static pid_t waiting_child(void)
{
        pid_t pid;

        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                alarm(RIG_DEADLINE_MS / 1000 * 2);
                for (;;)
                        pause();
        }
        return pid;
}

void rig_spawned(struct boot_rig *rig)
{
        int control[2], output[2], pidfd;
        struct fd_duplex lane[2];

        rig->pid = waiting_child();
        pidfd = (int)syscall(SYS_pidfd_open, rig->pid, 0);
        assert_int_equal(fd_stream_pair(control), 0);
        assert_int_equal(fd_pipe_pair(lane), 0);
        assert_true(fcntl(lane[1].out, F_SETPIPE_SZ, RIG_PIPE) >= RIG_PIPE);
        assert_int_equal(pipe(output), 0);
        tell_broker(rig,
                    &(struct spawn_to_broker){
                        .kind = SPAWN_SPAWNED, .device = INDEX, .pid = (uint32_t)rig->pid, .uid = 1000},
                    (const int[]){control[0], lane[0].in, lane[0].out, pidfd, output[0]}, 5);
        close(control[0]);
        fd_duplex_close(&lane[0]);
        close(pidfd);
        close(output[0]);
        close(output[1]);
        rig->control = control[1];
        rig->lane = lane[1];
}

void rig_spawn_failed(struct boot_rig *rig, const char *reason)
{
        struct spawn_to_broker message = {.kind = SPAWN_FAILED, .device = INDEX, .error = -ENOENT};

        snprintf(message.reason, sizeof(message.reason), "%s", reason);
        tell_broker(rig, &message, NULL, 0);
}

void rig_exited(struct boot_rig *rig, const struct spawn_cause *cause, uint32_t signal_number)
{
        struct spawn_to_broker message = {.kind = SPAWN_EXITED,
                                          .device = INDEX,
                                          .pid = (uint32_t)rig->pid,
                                          .signaled = signal_number != 0,
                                          .code = signal_number};

        if (cause)
                message.cause = *cause;
        tell_broker(rig, &message, NULL, 0);
}

void rig_spawner_dies(struct boot_rig *rig)
{
        close_end(&rig->spawner_fd);
}

bool rig_was_reaped(struct boot_rig *rig)
{
        uint8_t bytes[64];
        struct spawn_to_spawner message;
        struct frame_head head;
        struct arena arena;
        ssize_t n = recv(rig->spawner_fd, bytes, FRAME_HEAD_BYTES, MSG_DONTWAIT);

        if (n < 0)
                return false;
        assert_int_equal(n, FRAME_HEAD_BYTES);
        assert_int_equal(frame_head_check(bytes, 0, &head), 0);
        assert_int_equal(recv(rig->spawner_fd, bytes, head.header_len, MSG_DONTWAIT), head.header_len);
        assert_int_equal(arena_init(&arena, LIMIT_ARENA), 0);
        assert_int_equal(spawn_check_to_spawner(&arena, bytes, head.header_len, &message), 0);
        arena_done(&arena);
        assert_int_equal(message.device, INDEX);
        return message.kind == SPAWN_REAP || rig_was_reaped(rig); /* the first was Spawn */
}

/* ---- the loader ---- */

static void put_frame(int fd, uint8_t *header, ssize_t len, const void *payload, uint32_t payload_len)
{
        uint8_t head_bytes[FRAME_HEAD_BYTES];
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = payload_len};

        assert_true(len > 0);
        frame_head_make(&head, head_bytes);
        assert_int_equal(fd_write_all(fd, head_bytes, sizeof(head_bytes)), 0);
        assert_int_equal(fd_write_all(fd, header, (size_t)len), 0);
        if (payload_len > 0)
                assert_int_equal(fd_write_all(fd, payload, payload_len), 0);
}

void rig_control(struct boot_rig *rig, const struct control_to_broker *message)
{
        static uint8_t header[16384];

        put_frame(rig->control, header, control_make_to_broker(message, header, sizeof(header)), NULL, 0);
}

void rig_hello(struct boot_rig *rig, uint32_t device_type)
{
        static struct control_to_broker message;

        message = (struct control_to_broker){.kind = CONTROL_HELLO, .hello.device_type = device_type};
        if (device_type != 0) {
                message.hello.n_queues = message.hello.max_segments = message.hello.credit_requests = 1;
                message.hello.queue_kind[0] = QUEUE_WORK;
                message.hello.queue_replay[0] = REPLAY_IDEMPOTENT;
        }
        rig_control(rig, &message);
}

void rig_lane(struct boot_rig *rig, const struct lane_to_broker *message, const void *payload, uint32_t len)
{
        static uint8_t header[16384];

        put_frame(rig->lane.out, header, lane_make_to_broker(message, header, sizeof(header)), payload, len);
}

void rig_write(struct boot_rig *rig, uint64_t range, uint32_t offset, const void *bytes, uint32_t len)
{
        rig_lane(rig,
                 &(struct lane_to_broker){
                     .kind = LANE_MEM_WRITE,
                     .mem_write =
                         {.n = 1, .id = &range, .offset = &offset, .len = &len, .space = LANE_SPACE_BOOT}},
                 bytes, len);
}

void rig_booted(struct boot_rig *rig, enum kvm_boot_mode mode, uint64_t entry, uint64_t arg)
{
        static struct control_to_broker message;

        message = (struct control_to_broker){.kind = CONTROL_BOOTED, .booted.entry = {mode, entry, arg}};
        rig_control(rig, &message);
}

/* ---- the loop ---- */

static void on_deadline(uv_timer_t *timer)
{
        *(bool *)timer->data = true;
}

void rig_await_end(struct boot_rig *rig)
{
        bool late = false;
        uv_timer_t timer;

        uv_timer_init(&rig->loop, &timer);
        timer.data = &late;
        uv_timer_start(&timer, on_deadline, RIG_DEADLINE_MS, 0);
        while (rig->n_booted + rig->n_failed == 0 && !late)
                uv_run(&rig->loop, UV_RUN_ONCE);
        uv_close((uv_handle_t *)&timer, NULL);
        uv_run(&rig->loop, UV_RUN_NOWAIT);
        assert_false(late);
}

void rig_settle(struct boot_rig *rig)
{
        for (unsigned i = 0; i < 20; i++)
                uv_run(&rig->loop, UV_RUN_NOWAIT);
}
