/* The spawner as a whole: a process that becomes spawner and broker, a scripted broker, real jailed workers.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "proto/frame.h"
#include "proto/spawn.h"
#include "sandbox/broker_jail.h"
#include "sandbox/spawner.h"
#include "tests/jail/jail_fixture.h"
#include "tests/harness/blk_set.h"

#define WAIT_MS 10000
/* run directory, /dev/null, two programs, four uid claims, channel, signals, the broker */
#define SPAWNER_FDS (1 + 1 + 2 + 4 + 1 + 1 + 1)

static bool trace = true; /* as in production */
static char dir[] = "/tmp/bulkhead-spawner-XXXXXX";
static char image_path[PATH_MAX];
static struct device_config devices[3];
static struct vm_config config;

#define CHECK(condition)                                                                                     \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);    \
                        _exit(101);                                                                          \
                }                                                                                            \
        } while (0)

static void in_dir(const char *name, char *ret_path, size_t size)
{
        snprintf(ret_path, size, "%s/%s", dir, name);
}

static int __attribute__((format(printf, 1, 2))) run_command(const char *format, ...)
{
        char command[3 * PATH_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(command, sizeof(command), format, args);
        va_end(args);
        return system(command);
}

static int make_dir(void **state)
{
        static const char *const programs[] = {"bulkhead-worker-rng", "bulkhead-worker-blk"};
        char path[PATH_MAX];

        (void)state;
        if (!mkdtemp(dir))
                return -1;
        for (int i = 0; i < 2; i++) {
                in_dir(programs[i], path, sizeof(path));
                if (run_command("install -m 0755 %s %s", PROBE_PROGRAM, path) != 0)
                        return -1;
        }
        in_dir("image", path, sizeof(path));
        return run_command("truncate -s %s %s", "1M", path);
}

static int remove_dir(void **state)
{
        (void)state;
        return run_command("rm -rf %s", dir);
}

/* A fresh configuration: two entropy devices and a disk. */
static void make_config(void)
{
        config = (struct vm_config){.uid_first = FIXTURE_OWNER + 20,
                                    .uid_count = 8,
                                    .worker_memory_max = FIXTURE_MEMORY,
                                    .devices = devices,
                                    .n_devices = 3};
        memset(devices, 0, sizeof(devices));
        snprintf(config.name, sizeof(config.name), "spawntest");
        snprintf(config.run_dir, sizeof(config.run_dir), "%s", dir);
        snprintf(config.worker_dir, sizeof(config.worker_dir), "%s", dir);
        for (int i = 0; i < 3; i++) {
                snprintf(devices[i].name, sizeof(devices[i].name), "dev%d", i);
                devices[i].type = i == 2 ? DEVICE_TYPE_BLK : DEVICE_TYPE_RNG;
                devices[i].n_queues = 1;
                devices[i].n_lanes = i == 1 ? LIMIT_LANES : 1;
        }
        devices[1].copy = DEVICE_COPY_SOCKET;
        in_dir("image", image_path, sizeof(image_path));
        devices[2].options = BLK_SET(.path = image_path);
}

/* ---- the scripted broker ---- */

struct spawned {
        struct spawn_to_broker message;
        struct probe probe;
        struct fd_set_owned fds;
};

static int channel;
static uid_t broker_uid; /* as the child is told */
static gid_t broker_gid;
static unsigned inherited_fds; /* that the test was started with */

static void say_bytes(const void *bytes, size_t len)
{
        CHECK(send(channel, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void say(enum spawn_kind_to_spawner kind, uint32_t device)
{
        struct spawn_to_spawner message = {.kind = kind, .device = device};
        uint8_t frame[128];
        struct frame_head head = {0};
        ssize_t len =
            spawn_make_to_spawner(&message, frame + FRAME_HEAD_BYTES, sizeof(frame) - FRAME_HEAD_BYTES);

        CHECK(len > 0);
        head.header_len = (uint32_t)len;
        frame_head_make(&head, frame);
        say_bytes(frame, FRAME_HEAD_BYTES + (size_t)len);
}

/* The next message, with its descriptors; false at end of file. */
static bool hear(struct spawned *ret)
{
        struct pollfd pfd = {.fd = channel, .events = POLLIN};
        uint8_t head_bytes[FRAME_HEAD_BYTES], body[1024];
        struct frame_head head;
        struct arena arena;
        ssize_t n;

        memset(ret, 0, sizeof(*ret));
        CHECK(poll(&pfd, 1, WAIT_MS) == 1);
        n = fd_pass_recv(channel, head_bytes, sizeof(head_bytes), &ret->fds, LIMIT_PASS_FDS);
        if (n <= 0)
                return false;
        CHECK(n == (ssize_t)sizeof(head_bytes));
        CHECK(frame_head_check(head_bytes, 0, &head) == 0 && head.header_len <= sizeof(body));
        CHECK(fd_read_all(channel, body, head.header_len) == 0);
        CHECK(arena_init(&arena, LIMIT_ARENA) == 0);
        CHECK(spawn_check_to_broker(&arena, body, head.header_len, &ret->message) == 0);
        arena_done(&arena);
        return true;
}

static void hear_kind(struct spawned *ret, enum spawn_kind_to_broker kind, uint32_t device)
{
        CHECK(hear(ret));
        if (ret->message.kind != kind)
                fprintf(stderr, "kind %d reason \"%s\"\n", ret->message.kind, ret->message.reason);
        CHECK(ret->message.kind == kind);
        CHECK(ret->message.device == device);
}

static void spawn(uint32_t device, struct spawned *ret)
{
        say(SPAWN_SPAWN, device);
        hear_kind(ret, SPAWN_SPAWNED, device);
        CHECK(ret->fds.n == 2 * devices[device].n_lanes + 3);
        for (unsigned i = 1; i <= 2 * devices[device].n_lanes; i++)
                CHECK(fixture_is_pipe(ret->fds.fds[i]) == (devices[device].copy != DEVICE_COPY_SOCKET));
        ret->probe.control = ret->fds.fds[0];
        ret->probe.lane = (struct fd_duplex){.in = ret->fds.fds[1], .out = ret->fds.fds[2]};
        ret->probe.child.pid = (pid_t)ret->message.pid;
        ret->probe.child.pidfd = ret->fds.fds[ret->fds.n - 2];
        CHECK(probe_ask(&ret->probe, PROBE_PING, 0, 0, 0, 0) == 42);
        CHECK(probe_ask(&ret->probe, PROBE_LOCKDOWN, 0, 0, 0, 0) == 0);
}

static void end_worker(struct spawned *worker)
{
        struct pollfd pfd = {.fd = worker->probe.child.pidfd, .events = POLLIN};

        CHECK(syscall(SYS_pidfd_send_signal, worker->probe.child.pidfd, SIGKILL, NULL, 0) == 0);
        CHECK(poll(&pfd, 1, WAIT_MS) == 1);
        fd_set_close(&worker->fds);
}

/* Runs a whole VM in a child: its exit code is the spawner's. A failed CHECK in the broker gives 101. */
static int run_vm(void (*broker)(void))
{
        struct spawner spawner;
        char why[512];
        int status, r;
        pid_t pid;

        inherited_fds = fixture_count_fds();
        pid = fork();
        if (pid == 0) {
                char path[PATH_MAX];

                log_init("test", LOG_LEVEL_ERROR);
                if (spawner_init(&spawner, &config, why, sizeof(why)) < 0) {
                        fprintf(stderr, "%s\n", why);
                        _exit(102);
                }
                in_dir("dev0.sock", path, sizeof(path));
                close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
                CHECK(spawner_unlink_later(&spawner, path) == 0);
                r = spawner_fork(&spawner, &channel);
                CHECK(r >= 0);
                if (r == 0) {
                        broker_uid = spawner_broker_uid(&spawner);
                        broker_gid = spawner_broker_gid(&spawner);
                        broker();
                        spawner_done(&spawner);
                        _exit(0);
                }
                spawner.trace = trace;
                r = spawner_run(&spawner);
                spawner_done(&spawner);
                _exit(r);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static bool exists(const char *name)
{
        char path[PATH_MAX];

        in_dir(name, path, sizeof(path));
        return access(path, F_OK) == 0;
}

static void broker_life(void)
{
        struct spawned first, second, other, disk, exited;

        spawn(0, &first);
        spawn(1, &other);
        spawn(2, &disk);
        CHECK(first.message.uid != other.message.uid && other.message.uid != disk.message.uid);
        CHECK(probe_ask(&disk.probe, PROBE_PREAD, 6, 512, 0, 0) == 512);
        end_worker(&first);
        hear_kind(&exited, SPAWN_EXITED, 0);
        CHECK(exited.message.pid == first.message.pid && exited.message.signaled &&
              exited.message.code == SIGKILL);
        CHECK(kill((pid_t)first.message.pid, 0) == 0); /* a zombie still: its pid is not given to others */
        say(SPAWN_REAP, 0);
        spawn(0, &second);
        CHECK(second.message.pid != first.message.pid && second.message.uid == first.message.uid);
        CHECK(probe_ask(&other.probe, PROBE_EXIT, 7, 0, 0, 0) == PROBE_DEAD || true);
        hear_kind(&exited, SPAWN_EXITED, 1);
        CHECK(!exited.message.signaled && exited.message.code == 7);
        say(SPAWN_REAP, 1);
        for (int i = 0; i < 2; i++) { /* whoever follows one that seccomp has killed may do no more than it */
                CHECK(probe_ask(&second.probe, PROBE_TIMERFD, 0, 0, 0, 0) == PROBE_DEAD);
                end_worker(&second);
                hear_kind(&exited, SPAWN_EXITED, 0);
                say(SPAWN_REAP, 0);
                spawn(0, &second);
        }
        say(SPAWN_STOP, 0);
}

static void devices_are_spawned_reaped_and_spawned_again(void **state)
{
        (void)state;
        make_config();
        for (int traced = 0; traced < 2; traced++) {
                trace = traced;
                assert_int_equal(run_vm(broker_life), 0);
                assert_false(exists("dev0.sock"));
                assert_int_equal(run_command("test -z \"$(ls -A %s/uids)\"", dir), 0);
        }
}

/* The broker's pidfd is as fast as the spawner's signal: Reap and Spawn may come before it has looked. */
static void broker_hasty(void)
{
        struct spawned worker, next;

        for (int i = 0; i < 20; i++) {
                spawn(0, &worker);
                end_worker(&worker);
                say(SPAWN_REAP, 0);
                say(SPAWN_SPAWN, 0);
                hear_kind(&next, SPAWN_EXITED, 0);
                hear_kind(&next, SPAWN_SPAWNED, 0);
                next.probe.child.pidfd = next.fds.fds[next.fds.n - 2];
                end_worker(&next);
                hear_kind(&next, SPAWN_EXITED, 0);
                say(SPAWN_REAP, 0);
        }
        say(SPAWN_STOP, 0);
}

static void reap_that_is_faster_than_the_signal_is_served(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_hasty), 0);
}

static void broker_confined(void)
{
        struct broker_jail jail = {.uid = broker_uid, .gid = broker_gid, .nofile = 256};
        struct spawned worker;
        uint32_t missing;
        const char *stage;
        char bytes[8] = "direct!";
        struct iovec local = {bytes, 8}, remote;
        uint64_t address;

        CHECK(broker_uid == config.uid_first + 3 && broker_gid == broker_uid);
        CHECK(broker_confine(&jail, &missing, &stage) == 0);
        say(SPAWN_SPAWN, 0);
        hear_kind(&worker, SPAWN_SPAWNED, 0);
        worker.probe.control = worker.fds.fds[0];
        worker.probe.child.pidfd = worker.fds.fds[worker.fds.n - 2];
        address = (uint64_t)probe_ask(&worker.probe, PROBE_BUFFER, 0, 0, 0, 0);
        CHECK(probe_ask(&worker.probe, PROBE_LOCKDOWN, 0, 0, 0, 0) == 0);
        remote = (struct iovec){(void *)(uintptr_t)address, 8};
        CHECK(process_vm_writev((pid_t)worker.message.pid, &local, 1, &remote, 1, 0) == 8);
        memset(bytes, 0, sizeof(bytes));
        CHECK(process_vm_readv((pid_t)worker.message.pid, &local, 1, &remote, 1, 0) == 8);
        CHECK(memcmp(bytes, "direct!", 8) == 0);
        end_worker(&worker);
        hear_kind(&worker, SPAWN_EXITED, 0);
        say(SPAWN_REAP, 0);
        say(SPAWN_STOP, 0);
}

static void confined_broker_drives_its_workers(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_confined), 0);
}

/* ---- failures that are told ---- */

static void broker_busy(void)
{
        struct spawned worker, failed;
        int fd = open(image_path, O_RDWR | O_CLOEXEC);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        CHECK(fcntl(fd, F_OFD_SETLK, &lock) == 0);
        say(SPAWN_SPAWN, 2);
        hear_kind(&failed, SPAWN_FAILED, 2);
        CHECK(failed.message.error == -EBUSY && strstr(failed.message.reason, "in use"));
        close(fd);
        spawn(2, &worker);
        CHECK(rename(image_path, dir) < 0); /* the image stays */
        end_worker(&worker);
        hear_kind(&failed, SPAWN_EXITED, 2);
        say(SPAWN_REAP, 2);
        CHECK(truncate(image_path, 1000) == 0);
        say(SPAWN_SPAWN, 2);
        hear_kind(&failed, SPAWN_FAILED, 2);
        CHECK(failed.message.error == -EINVAL && strstr(failed.message.reason, "512"));
        CHECK(truncate(image_path, 1 << 20) == 0);
        say(SPAWN_STOP, 0);
}

static void image_that_is_busy_or_bad_is_told_and_can_be_tried_again(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_busy), 0);
}

/* ---- a broker that breaks the protocol ---- */

static void await_death(void)
{
        struct spawned message;

        while (hear(&message))
                ;
        poll(NULL, 0, WAIT_MS); /* for the kill */
}

static void broker_unknown_device(void)
{
        say(SPAWN_SPAWN, 3);
        await_death();
}

static void broker_twice(void)
{
        struct spawned worker;

        spawn(0, &worker);
        say(SPAWN_SPAWN, 0);
        await_death();
}

static void broker_reaps_the_living(void)
{
        struct spawned worker;

        spawn(0, &worker);
        say(SPAWN_REAP, 0);
        await_death();
}

static void broker_reaps_nothing(void)
{
        say(SPAWN_REAP, 1);
        await_death();
}

static void broker_stops_twice(void)
{
        say(SPAWN_STOP, 0);
        say(SPAWN_STOP, 0);
        await_death();
}

static void broker_garbage(void)
{
        say_bytes("\x05\0\0\0\0\0\0\0\xff\xff\xff\xff\xff", 13);
        await_death();
}

static void broker_long_frame(void)
{
        say_bytes("\xff\xff\0\0\0\0\0\0", 8);
        await_death();
}

static void broker_payload(void)
{
        say_bytes("\x02\0\0\0\x01\0\0\0\x1a\0x", 11);
        await_death();
}

static void broker_that_breaks_the_protocol_is_killed_with_its_workers(void **state)
{
        static void (*const brokers[])(void) = {
            broker_unknown_device, broker_twice,   broker_reaps_the_living, broker_reaps_nothing,
            broker_stops_twice,    broker_garbage, broker_long_frame,       broker_payload};

        (void)state;
        for (size_t i = 0; i < sizeof(brokers) / sizeof(brokers[0]); i++) {
                make_config();
                assert_int_equal(run_vm(brokers[i]), 128 + SIGKILL);
                assert_false(exists("dev0.sock"));
        }
}

/* The spawner closes its copies a moment after it has spoken. */
static void await_spawner_fds(unsigned n)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/fd", (int)getppid());
        for (int i = 0; i < WAIT_MS && fixture_count_entries(path) != n; i++)
                poll(NULL, 0, 1);
        CHECK(fixture_count_entries(path) == n);
}

/* Descriptors beside a message are not received at all. */
static void broker_sends_descriptors(void)
{
        struct spawn_to_spawner message = {.kind = SPAWN_SPAWN, .device = 0};
        uint8_t frame[64];
        struct spawned worker, other;
        ssize_t len = spawn_make_to_spawner(&message, frame + FRAME_HEAD_BYTES, 32);
        struct frame_head head = {.header_len = (uint32_t)len};
        struct iovec iov = {frame, FRAME_HEAD_BYTES + (size_t)len};
        int fds[4] = {0, 0, 0, 0};

        frame_head_make(&head, frame);
        spawn(1, &other);
        await_spawner_fds(inherited_fds + SPAWNER_FDS + 1); /* the worker's pidfd */
        CHECK(fd_pass_send(channel, &iov, 1, fds, 4) > 0);
        hear_kind(&worker, SPAWN_SPAWNED, 0);
        worker.probe.child.pidfd = worker.fds.fds[worker.fds.n - 2];
        await_spawner_fds(inherited_fds + SPAWNER_FDS + 2);
        end_worker(&worker);
        hear_kind(&worker, SPAWN_EXITED, 0);
        say(SPAWN_REAP, 0);
        await_spawner_fds(inherited_fds + SPAWNER_FDS + 1);
        say(SPAWN_STOP, 0);
}

static void descriptors_of_the_broker_do_not_reach_the_spawner(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_sends_descriptors), 0);
}

/* ---- ends ---- */

static void broker_leaves_workers(void)
{
        struct spawned worker;
        FILE *file;
        char path[PATH_MAX];

        in_dir("pid", path, sizeof(path));
        file = fopen(path, "we");
        CHECK(file != NULL);
        for (uint32_t i = 0; i < 3; i++) {
                spawn(i, &worker);
                fprintf(file, "%u\n", worker.message.pid);
        }
        fclose(file);
        _exit(3);
}

static void workers_die_with_their_broker_whose_code_is_returned(void **state)
{
        char path[PATH_MAX];
        int pid, n = 0;
        FILE *file;

        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_leaves_workers), 3);
        in_dir("pid", path, sizeof(path));
        file = fopen(path, "re");
        assert_non_null(file);
        while (fscanf(file, "%d", &pid) == 1) {
                assert_int_equal(kill(pid, 0), -1);
                n++;
        }
        assert_int_equal(n, 3);
        fclose(file);
        assert_false(exists("dev0.sock"));
}

static void broker_dies(void)
{
        struct spawned worker;

        spawn(0, &worker);
        kill(getpid(), SIGUSR1);
        poll(NULL, 0, WAIT_MS);
}

static void broker_that_dies_by_a_signal_gives_its_number(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_dies), 128 + SIGUSR1);
}

static void broker_obeys(void)
{
        struct spawned message;

        kill(getppid(), SIGTERM);
        hear_kind(&message, SPAWN_TERMINATE, 0);
        say(SPAWN_STOP, 0);
}

static void operators_wish_becomes_terminate(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_obeys), 0);
}

static void broker_is_stubborn(void)
{
        struct spawned message;

        kill(getppid(), SIGTERM);
        hear_kind(&message, SPAWN_TERMINATE, 0);
        kill(getppid(), SIGINT);
        poll(NULL, 0, WAIT_MS);
}

static void second_wish_is_a_kill(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_is_stubborn), 128 + SIGKILL);
}

/* ---- what the spawner itself is ---- */

static void broker_looks_at_the_spawner(void)
{
        struct spawned worker;
        char text[128];

        spawn(0, &worker); /* it has given up its rights by then */
        /* CAP_DAC_OVERRIDE 1, CAP_KILL 5, CAP_SETGID 6, CAP_SETUID 7 */
        CHECK(strcmp(proc_status(getppid(), "CapEff", text, sizeof(text)), "00000000000000e2") == 0);
        CHECK(strcmp(proc_status(getppid(), "CapPrm", text, sizeof(text)), "00000000000000e2") == 0);
        CHECK(strcmp(proc_status(getppid(), "CapBnd", text, sizeof(text)), "00000000000000e2") == 0);
        CHECK(strcmp(proc_status(getppid(), "CapInh", text, sizeof(text)), "0000000000000000") == 0);
        CHECK(strcmp(proc_status(getppid(), "NoNewPrivs", text, sizeof(text)), "1") == 0);
        CHECK(strcmp(proc_status(getppid(), "Threads", text, sizeof(text)), "1") == 0);
        CHECK(getsid(0) == getpid() && getsid(0) != getsid(getppid()));
}

static void spawner_keeps_four_capabilities(void **state)
{
        (void)state;
        make_config();
        assert_int_equal(run_vm(broker_looks_at_the_spawner), 0);
}

/* ---- preflight ---- */

static void assert_no_start(const char *word)
{
        struct spawner spawner;
        unsigned before = fixture_count_fds();
        char why[PATH_MAX + 256] = "";

        assert_true(spawner_init(&spawner, &config, why, sizeof(why)) < 0);
        if (!strstr(why, word) || strchr(why, '\n'))
                fail_msg("\"%s\" is not one line with \"%s\"", why, word);
        assert_int_equal(fixture_count_fds(), before);
        assert_int_equal(run_command("test ! -d %s/uids || test -z \"$(ls -A %s/uids)\"", dir, dir), 0);
}

static void what_is_missing_is_said_before_anything_runs(void **state)
{
        int fd;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        (void)state;
        make_config();
        strcat(image_path, ".missing");
        assert_no_start("dev2: /tmp/");
        assert_no_start("truncate -s");
        make_config();
        strcat(config.worker_dir, "/nosuch");
        assert_no_start("worker_dir");
        make_config();
        strcat(config.run_dir, "/nosuch");
        assert_no_start("--run-dir");
        make_config();
        config.uid_count = 3; /* three devices and the broker are four */
        assert_no_start("uid_range");
        make_config();
        fd = open(image_path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        assert_no_start("in use by another process");
        close(fd);
}

static void paths_to_unlink_have_a_limit(void **state)
{
        struct spawner spawner;
        char why[512];

        (void)state;
        make_config();
        assert_int_equal(spawner_init(&spawner, &config, why, sizeof(why)), 0);
        for (size_t i = 0; i < SPAWNER_UNLINK_MAX; i++)
                assert_int_equal(spawner_unlink_later(&spawner, "/tmp/bulkhead-nosuch"), 0);
        assert_int_equal(spawner_unlink_later(&spawner, "/tmp/bulkhead-nosuch"), -ENOSPC);
        spawner_done(&spawner);
        spawner_done(&spawner);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_missing_is_said_before_anything_runs),
            cmocka_unit_test(paths_to_unlink_have_a_limit),
            cmocka_unit_test(devices_are_spawned_reaped_and_spawned_again),
            cmocka_unit_test(reap_that_is_faster_than_the_signal_is_served),
            cmocka_unit_test(confined_broker_drives_its_workers),
            cmocka_unit_test(image_that_is_busy_or_bad_is_told_and_can_be_tried_again),
            cmocka_unit_test(broker_that_breaks_the_protocol_is_killed_with_its_workers),
            cmocka_unit_test(descriptors_of_the_broker_do_not_reach_the_spawner),
            cmocka_unit_test(workers_die_with_their_broker_whose_code_is_returned),
            cmocka_unit_test(broker_that_dies_by_a_signal_gives_its_number),
            cmocka_unit_test(operators_wish_becomes_terminate),
            cmocka_unit_test(second_wish_is_a_kill),
            cmocka_unit_test(spawner_keeps_four_capabilities),
        };

        if (!fixture_needs_root())
                return 77;
        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
