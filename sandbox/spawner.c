/* The spawner's loop.
 * Owns the workers' processes and the broker's; called by the broker's main in the parent after spawner_fork.
 * TRUST: bytes on the channel are the broker's, which guests may have taken over: a fixed small buffer, one
 * table, and the first wrong message ends the broker.
 *
 * How it works: four things wake it. A message of the broker; SIGCHLD, after which it looks at every child;
 * SIGTERM and its kind, which become Terminate; and what companions say, or peers that go (spawner_peer.c). A worker's exit is told at once, but its zombie is kept until
 * the broker says Reap: only then nobody copies into that pid any more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/frame.h"
#include "proto/rpc.h"
#include "proto/spawn.h"
#include "proto/vm_exit.h"
#include "sandbox/spawner_companion.h"
#include "sandbox/spawner_device.h"
#include "sandbox/spawner_peer.h"

#define SPAWNER_TERMINATE_MS                                                                                 \
        10000u /* the broker's time to stop its queues after Terminate; a good one needs 2 s */
#define SPAWNER_EXIT_BY_SIGNAL 128 /* the shell's habit: 128 + signal */

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static int on_spawn(void *context, const void *message)
{
        return spawner_device_spawn(context, ((const struct spawn_to_spawner *)message)->device);
}

static int on_reap(void *context, const void *message)
{
        return spawner_device_reap(context, ((const struct spawn_to_spawner *)message)->device);
}

static int on_stop(void *context, const void *message)
{
        struct spawner *spawner = context;

        (void)message;
        spawner->stopping = true;
        return 0;
}

#define SPAWNER_STATES                                                                                       \
        1u /* one state: the order of messages is kept a device, in enum spawner_device_state */

static const struct rpc_row rows[] = {
    [SPAWN_SPAWN] = {"spawn", 1, SPAWNER_INBOX, 0, 0, SPAWNER_STATES, false, on_spawn},
    [SPAWN_REAP] = {"reap", 1, SPAWNER_INBOX, 0, 0, SPAWNER_STATES, false, on_reap},
    [SPAWN_STOP] = {"stop", 1, SPAWNER_INBOX, 0, 0, SPAWNER_STATES, true, on_stop},
};
static const struct rpc_table table = {rows, array_size(rows)};

static int spawner_dispatch(struct spawner *spawner, const uint8_t *bytes, size_t len)
{
        struct spawn_to_spawner message;
        int r;

        arena_reset(&spawner->arena);
        r = spawn_check_to_spawner(&spawner->arena, bytes, len, &message);
        if (r < 0)
                return r;
        if (message.kind != SPAWN_STOP && message.device >= spawner->n_workers)
                return -EPROTO;
        return rpc_dispatch(&table, &spawner->peer, 0, message.kind, len, 0, spawner, &message);
}

/* The first whole frame of the inbox. 1: served, 0: none yet. */
static int spawner_serve_frame(struct spawner *spawner)
{
        struct frame_head head;
        size_t whole;
        int r;

        if (spawner->inbox_len < FRAME_HEAD_BYTES)
                return 0;
        r = frame_head_check(spawner->inbox, 0, &head);
        if (r < 0)
                return r;
        if (head.header_len > SPAWNER_INBOX - FRAME_HEAD_BYTES)
                return -EPROTO;
        whole = FRAME_HEAD_BYTES + head.header_len;
        if (spawner->inbox_len < whole)
                return 0;
        r = spawner_dispatch(spawner, spawner->inbox + FRAME_HEAD_BYTES, head.header_len);
        spawner->inbox_len -= whole;
        memmove(spawner->inbox, spawner->inbox + whole, spawner->inbox_len);
        return r < 0 ? r : 1;
}

/* Descriptors are not expected and not received: no room is given for them. -EPIPE: end of file. */
static int spawner_read(struct spawner *spawner)
{
        ssize_t n = recv(spawner->channel, spawner->inbox + spawner->inbox_len,
                         sizeof(spawner->inbox) - spawner->inbox_len, MSG_DONTWAIT);
        int r;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        spawner->inbox_len += (size_t)n;
        do {
                r = spawner_serve_frame(spawner);
        } while (r == 1);
        return r;
}

static void spawner_kill_broker(const struct spawner *spawner)
{
        if (!spawner->broker_exited)
                syscall(SYS_pidfd_send_signal, spawner->broker_pidfd, SIGKILL, NULL, 0);
}

/* The operator's wish: once in good order, the second time by force. */
static void spawner_terminate(struct spawner *spawner)
{
        struct spawn_to_broker message = {.kind = SPAWN_TERMINATE};

        if (spawner->kill_at_ms != 0 || spawner_send(spawner, &message, NULL, 0) < 0) {
                spawner_kill_broker(spawner);
                return;
        }
        spawner->stopping = true;
        spawner->kill_at_ms = now_ms() + SPAWNER_TERMINATE_MS;
}

static void spawner_look_at_broker(struct spawner *spawner)
{
        siginfo_t info = {.si_pid = 0};

        if (spawner->broker_exited ||
            waitid(P_PIDFD, (id_t)spawner->broker_pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;
        spawner->broker_exited = true;
        spawner->broker_status =
            info.si_code == CLD_EXITED ? info.si_status : SPAWNER_EXIT_BY_SIGNAL + info.si_status;
}

static int spawner_look_at_children(struct spawner *spawner)
{
        int r = 0;

        spawner->look = false;
        spawner_device_serve_all(spawner);
        spawner_look_at_broker(spawner);
        if (!spawner->broker_exited)
                r = spawner_companions_look(spawner, now_ms());
        for (uint32_t i = 0; i < spawner->n_workers && r == 0 && !spawner->broker_exited; i++)
                r = spawner_device_look(spawner, i);
        return r;
}

void spawner_take_signals(struct spawner *spawner)
{
        struct signalfd_siginfo info;

        while (read(spawner->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                if (info.ssi_signo != SIGCHLD)
                        spawner_terminate(spawner);
                spawner->look = true;
        }
}

static bool spawner_broker_is_overdue(const struct spawner *spawner)
{
        return spawner->kill_at_ms != 0 && spawner->kill_at_ms <= now_ms();
}

/* `listen`: companions are started, and peers connected to. */
static int spawner_timeout(const struct spawner *spawner, bool listen)
{
        uint64_t now = now_ms(), at = listen ? spawner_companions_due(spawner, now) : 0;
        uint64_t peers = listen ? spawner_peers_due(spawner) : 0;

        if (peers != 0 && (at == 0 || peers < at))
                at = peers;
        if (spawner->kill_at_ms != 0 && (at == 0 || spawner->kill_at_ms < at))
                at = spawner->kill_at_ms;
        if (at == 0)
                return -1;
        return at > now ? (int)(at - now) : 0;
}

/* One round. Negative errno: the broker is at fault or gone. */
static int spawner_turn(struct spawner *spawner, bool listen)
{
        struct pollfd pfds[2 + 2 * LIMIT_WORKERS] = {
            {.fd = spawner->signal_fd, .events = POLLIN},
            {.fd = listen ? spawner->channel : -1, .events = POLLIN}};
        unsigned n_words = spawner_companions_poll(spawner, now_ms(), &pfds[2]);
        unsigned n_peers = spawner_peers_poll(spawner, &pfds[2 + n_words]);
        int n = poll(pfds, 2 + n_words + n_peers, spawner_timeout(spawner, listen));
        int r = 0;

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        if (spawner_broker_is_overdue(spawner))
                spawner_kill_broker(spawner);
        spawner_companions_listen(spawner, now_ms(), &pfds[2], n_words);
        spawner_peers_look(spawner, &pfds[2 + n_words], n_peers, now_ms());
        if (pfds[0].revents)
                spawner_take_signals(spawner);
        if (pfds[1].revents)
                r = spawner_read(spawner);
        if (spawner->look) { /* also when the broker has hung up: its end is a signal that has been taken */
                int looked = spawner_look_at_children(spawner);

                r = r < 0 ? r : looked;
        }
        if (listen && r == 0 && !spawner->broker_exited)
                r = spawner_companions_start(spawner, now_ms());
        if (listen && r == 0 && !spawner->broker_exited)
                r = spawner_peers_connect(spawner, now_ms());
        return r;
}

/* After its channel is closed, the broker has as long to exit as after Terminate. */
static void spawner_await_broker(struct spawner *spawner, int error)
{
        if (error != -EPIPE && error != -ECONNRESET && error != -EAGAIN && !spawner->broker_exited) {
                log_error("broker broke the protocol and is killed error=%s", strerror(-error));
                spawner->stopping = false;
                spawner_kill_broker(spawner);
        }
        if (spawner->kill_at_ms == 0)
                spawner->kill_at_ms = now_ms() + SPAWNER_TERMINATE_MS;
        while (!spawner->broker_exited) {
                if (spawner_broker_is_overdue(spawner)) {
                        spawner_kill_broker(spawner);
                        spawner->kill_at_ms = now_ms() + LIMIT_KILL_MS;
                }
                (void)spawner_turn(spawner, false);
                spawner_look_at_broker(spawner);
        }
}

int spawner_run(struct spawner *spawner)
{
        int r = spawner_keep_rights();

        cgroup_sweep(&spawner->cgroup_host, spawner->cgroup_vm);
        if (r < 0) {
                log_error("cannot give up capabilities: %s", strerror(-r));
                spawner_kill_broker(spawner);
        }
        for (uint32_t i = 0; i < spawner->config->n_devices; i++)
                if (spawner->config->devices[i].seccomp_log)
                        log_warning(
                            "SECCOMP ONLY LOGS: a worker may make any system call, for development only "
                            "dev=%s",
                            spawner->config->devices[i].name);
        if (r == 0)
                r = spawner_companions_start(spawner, now_ms());
        while (r == 0 && !spawner->broker_exited)
                r = spawner_turn(spawner, true);
        spawner_await_broker(spawner, r);
        for (uint32_t i = 0; i < spawner->n_workers; i++)
                spawner_device_end(spawner, i);
        spawner_companions_end(spawner);
        cgroup_sweep(&spawner->cgroup_host, spawner->cgroup_vm);
        if (spawner->broker_status != 0 &&
            !(spawner->config->frontend == VM_FRONTEND_KVM && vm_exit_is_told(spawner->broker_status)))
                log_error("broker ended %s status=%d", spawner->stopping ? "badly" : "unasked",
                          spawner->broker_status);
        return spawner->broker_status;
}
