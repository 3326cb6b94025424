/* How long it takes from the spawner's Spawn to a worker that is ready: a real spawner, the shipped worker in
 * its whole jail, and a broker that does nothing but ask and listen.
 *
 *      bulkhead-bench-spawn BINDIR IMAGE blk|rng STARTS [no-trace]
 *
 * Points in time, each from the moment at which Spawn is sent:
 *   spawned   the spawner says Spawned: jail made, program executed
 *   hello     the worker says Hello: configured, memory allocated and touched, second gate closed
 *   ready     it has answered SetFeatures and StartQueue: requests may be sent
 * no-trace: the spawner is not the workers' tracer, so that strace can be.
 * Prints one line of JSON. Exit status 77: jails cannot be made here. TRUST: the worker is ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "proto/control.h"
#include "proto/frame.h"
#include "proto/spawn.h"
#include "sandbox/spawner.h"
#include "tests/bench/host/samples.h"
#include "tests/harness/blk_set.h"

#define STARTS_MAX 10000u
#define WARM_UP    5u /* starts: files are in the page cache then */
#define WAIT_S     20u

enum point {
        POINT_SPAWNED = 0,
        POINT_HELLO,
        POINT_READY,
        POINT_COUNT_,
};
static const char *const point_names[POINT_COUNT_] = {"spawned", "hello", "ready"};

static uint64_t samples[POINT_COUNT_][STARTS_MAX];
static int channel;
static struct arena arena;
static struct device_config device;
static struct vm_config config;

static _Noreturn void give_up(const char *what, int error)
{
        fprintf(stderr, "bulkhead-bench-spawn: %s: %s\n", what, strerror(error < 0 ? -error : error));
        _exit(1);
}

static void must(int r, const char *what)
{
        if (r < 0)
                give_up(what, r);
}

/* ---- frames ---- */

static void send_frame(int fd, uint8_t *frame, ssize_t header_len)
{
        struct frame_head head = {.header_len = (uint32_t)header_len};

        must((int)header_len, "a message is too long");
        frame_head_make(&head, frame);
        must(fd_write_all(fd, frame, FRAME_HEAD_BYTES + (size_t)header_len), "cannot send");
}

static uint32_t read_header(int fd, const uint8_t *head_bytes, uint8_t *header)
{
        struct frame_head head;

        must(frame_head_check(head_bytes, 0, &head), "a frame out of shape");
        must(fd_read_all(fd, header, head.header_len), "cannot receive");
        arena_reset(&arena);
        return head.header_len;
}

/* ---- the spawner ---- */

static void tell_spawner(enum spawn_kind_to_spawner kind)
{
        struct spawn_to_spawner message = {.kind = kind};
        uint8_t frame[128];

        send_frame(
            channel, frame,
            spawn_make_to_spawner(&message, frame + FRAME_HEAD_BYTES, sizeof(frame) - FRAME_HEAD_BYTES));
}

static void hear_spawner(enum spawn_kind_to_broker kind, struct fd_set_owned *fds)
{
        static struct spawn_to_broker message;
        static uint8_t header[LIMIT_FRAME_HEADER];
        uint8_t head[FRAME_HEAD_BYTES];

        *fds = (struct fd_set_owned){0};
        if (fd_pass_recv(channel, head, sizeof(head), fds, LIMIT_PASS_FDS) != (ssize_t)sizeof(head))
                give_up("the spawner has ended", EPIPE);
        must(spawn_check_to_broker(&arena, header, read_header(channel, head, header), &message),
             "the spawner's word");
        if (message.kind != kind) {
                fprintf(stderr, "bulkhead-bench-spawn: %s\n", message.reason);
                give_up("no worker", message.error ? message.error : EPROTO);
        }
}

/* ---- the worker ---- */

static void tell_worker(int control, struct control_to_worker *message)
{
        static uint32_t seq;
        uint8_t frame[FRAME_HEAD_BYTES + 4096];

        message->seq = ++seq;
        send_frame(control, frame, control_make_to_worker(message, frame + FRAME_HEAD_BYTES, 4096));
}

static void hear_worker(int control, enum control_kind_to_broker kind)
{
        static struct control_to_broker message;
        static uint8_t header[LIMIT_FRAME_HEADER];
        uint8_t head[FRAME_HEAD_BYTES];

        do {
                must(fd_read_all(control, head, sizeof(head)), "the worker has ended");
                must(control_check_to_broker(&arena, header, read_header(control, head, header), &message),
                     "the worker's word");
        } while (message.kind == CONTROL_LOG);
        if (message.kind != kind || (kind == CONTROL_DONE && message.done.error != 0))
                give_up("the worker's word", EPROTO);
}

static void greet(int control)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE,
                                            .configure = {.name = "bench",
                                                          .n_queues = 1,
                                                          .n_lanes = 1,
                                                          .max_payload = LIMIT_FRAME_PAYLOAD,
                                                          .type = device.type,
                                                          .options = BLK_PLAIN}};

        tell_worker(control, &message);
        hear_worker(control, CONTROL_HELLO);
}

static void prime(int control)
{
        struct control_to_worker features = {.kind = CONTROL_SET_FEATURES};
        struct control_to_worker queue = {.kind = CONTROL_START_QUEUE, .start_queue = {.size = 128}};

        tell_worker(control, &features);
        tell_worker(control, &queue);
        hear_worker(control, CONTROL_DONE);
        hear_worker(control, CONTROL_DONE);
}

/* ---- one start ---- */

/* The worker, and nothing of it left. fds: control, the lane's two, its pidfd, its standard error. */
static void end_worker(struct fd_set_owned *fds)
{
        struct fd_set_owned none;

        must((int)syscall(SYS_pidfd_send_signal, fds->fds[fds->n - 2], SIGKILL, NULL, 0), "kill");
        hear_spawner(SPAWN_EXITED, &none);
        fd_set_close(fds);
        tell_spawner(SPAWN_REAP);
}

static void start_once(uint64_t *ret_ns)
{
        struct fd_set_owned fds;
        uint64_t start = samples_now_ns();

        tell_spawner(SPAWN_SPAWN);
        hear_spawner(SPAWN_SPAWNED, &fds);
        ret_ns[POINT_SPAWNED] = samples_now_ns() - start;
        greet(fds.fds[0]);
        ret_ns[POINT_HELLO] = samples_now_ns() - start;
        prime(fds.fds[0]);
        ret_ns[POINT_READY] = samples_now_ns() - start;
        end_worker(&fds);
}

static void broker(const char *type, unsigned starts)
{
        uint64_t ns[POINT_COUNT_];

        must(arena_init(&arena, LIMIT_ARENA), "memory");
        for (unsigned i = 0; i < WARM_UP; i++)
                start_once(ns);
        for (unsigned i = 0; i < starts; i++) {
                start_once(ns);
                for (unsigned p = 0; p < POINT_COUNT_; p++)
                        samples[p][i] = ns[p];
        }
        tell_spawner(SPAWN_STOP);
        printf("{\"type\": \"%s\", \"starts\": %u", type, starts);
        for (unsigned p = 0; p < POINT_COUNT_; p++)
                samples_print_json(point_names[p], samples[p], starts);
        printf("}\n");
        fflush(stdout);
}

/* ---- the whole ---- */

static char image_path[PATH_MAX];

static void fill_config(const char *bin, const char *image, const char *type, const char *run_dir)
{
        device = (struct device_config){.name = "bench",
                                        .type = strcmp(type, "rng") == 0 ? DEVICE_TYPE_RNG : DEVICE_TYPE_BLK,
                                        .n_queues = 1,
                                        .n_lanes = 1,
                                        .request_timeout = VM_CONFIG_REQUEST_TIMEOUT,
                                        .options = BLK_PLAIN};
        config = (struct vm_config){.frontend = VM_FRONTEND_VHOST_USER,
                                    .socket_mode = 0660,
                                    .socket_gid = VM_CONFIG_NO_GID,
                                    .uid_first = VM_CONFIG_UID_FIRST,
                                    .uid_count = VM_CONFIG_UID_COUNT,
                                    .worker_memory_max = VM_CONFIG_MEMORY_MAX,
                                    .devices = &device,
                                    .n_devices = 1};
        (void)snprintf(config.name, sizeof(config.name), "spawn%d", (int)getpid());
        if (!realpath(bin, config.worker_dir) || !realpath(run_dir, config.run_dir) ||
            !realpath(image, image_path))
                give_up("no such path", errno);
        device.options.value[BLK_OPTION_PATH].text = image_path;
}

static int run(const char *type, unsigned starts, bool trace)
{
        struct spawner spawner;
        char why[512] = "";
        int r = spawner_init(&spawner, &config, why, sizeof(why));

        if (r < 0) {
                fprintf(stderr, "skipped: %s\n", why);
                return 77;
        }
        r = spawner_fork(&spawner, &channel);
        if (r == 0) {
                alarm(WAIT_S + starts / 4);
                broker(type, starts);
                spawner_done(&spawner);
                _exit(0);
        }
        must(r, "fork");
        spawner.trace = trace;
        r = spawner_run(&spawner);
        spawner_done(&spawner);
        return r;
}

int main(int argc, char **argv)
{
        unsigned starts = argc >= 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
        bool trace = argc < 6 || strcmp(argv[5], "no-trace") != 0; /* as `bulkhead run` */
        char run_dir[] = "/tmp/bulkhead-bench.XXXXXX";
        int r;

        if (starts == 0 || starts > STARTS_MAX) {
                fprintf(stderr, "usage: bulkhead-bench-spawn BINDIR IMAGE blk|rng STARTS [no-trace]\n");
                return 2;
        }
        log_init("bulkhead-bench-spawn", LOG_LEVEL_WARNING);
        if (!mkdtemp(run_dir))
                give_up(run_dir, errno);
        fill_config(argv[1], argv[2], argv[3], run_dir);
        r = run(argv[3], starts, trace);
        (void)rmdir(run_dir);
        return r;
}
