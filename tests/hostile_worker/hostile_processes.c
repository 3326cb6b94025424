/* Sockets, signals, descriptors sent and moved.
 * Owns nothing; read by hostile_ops.c. TRUST: the broker's pid and socket path are the runner's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "proto/base/checked.h"
#include "proto/frame.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define MANY_FDS 253 /* SCM_MAX_FD */

static int64_t socket_family(struct hostile *hostile)
{
        int type = hostile->command.number == AF_NETLINK || hostile->command.number == AF_PACKET ? SOCK_RAW
                   : hostile->command.number == AF_ALG ? SOCK_SEQPACKET
                                                       : SOCK_STREAM;

        return CALL(SYS_socket, (int)hostile->command.number, type, 0);
}

static int64_t connect_admin(struct hostile *hostile)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int64_t fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

        memcpy(name.sun_path, hostile->command.socket, sizeof(name.sun_path) - 1);
        return fd < 0 ? fd : CALL(SYS_connect, fd, &name, sizeof(name));
}

static int64_t connect_loopback(struct hostile *hostile)
{
        uint8_t name[16] = {AF_INET, 0, 0, 9, 127, 0, 0, 1};
        int64_t fd = CALL(SYS_socket, AF_INET, SOCK_DGRAM, 0);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_connect, fd, name, sizeof(name));
}

static int64_t bind_abstract(struct hostile *hostile)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bulkhead-hostile"};
        int64_t fd = CALL(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

        (void)hostile;
        return fd < 0 ? fd : CALL(SYS_bind, fd, &name, sizeof(name));
}

/* ---- signals ---- */

static int64_t tgkill_broker(struct hostile *hostile)
{
        return CALL(SYS_tgkill, hostile->command.broker_pid, hostile->command.broker_pid, 0);
}

static int64_t pidfd_signal(struct hostile *hostile)
{
        int64_t fd = CALL(SYS_pidfd_open, hostile->command.broker_pid, 0);

        return fd < 0 ? fd : CALL(SYS_pidfd_send_signal, fd, 0, NULL, 0);
}

static int64_t kill_sibling(struct hostile *hostile)
{
        return CALL(SYS_kill, hostile->command.sibling_pid, 0);
}

static int64_t kill_group(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_kill, 0, 0);
}

static int64_t forge_kernel_signal(struct hostile *hostile)
{
        siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};

        return CALL(SYS_rt_sigqueueinfo, hostile->command.broker_pid, SIGSEGV, &info);
}

static int64_t stop_self(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_kill, syscall(SYS_getpid), SIGSTOP);
}

static int64_t ignore_term(struct hostile *hostile)
{
        uint64_t action[4] = {(uint64_t)(uintptr_t)SIG_IGN, 0, 0, 0};

        (void)hostile;
        return CALL(SYS_rt_sigaction, SIGTERM, action, NULL, 8);
}

static int64_t alarm_self(struct hostile *hostile)
{
        (void)hostile;
#ifdef SYS_alarm
        return CALL(SYS_alarm, 1000);
#else /* what the C library makes of it there */
        struct itimerval timer = {.it_value.tv_sec = 1000};

        return CALL(SYS_setitimer, ITIMER_REAL, &timer, NULL);
#endif
}

static int64_t semget_private(struct hostile *hostile)
{
        int64_t id = CALL(SYS_semget, IPC_PRIVATE, 1, IPC_CREAT | 0600);

        (void)hostile;
        if (id >= 0)
                syscall(SYS_semctl, id, 0, IPC_RMID, 0);
        return id;
}

/* ---- control data on our own sockets ---- */

static ssize_t send_control(int sock, void *control, size_t len)
{
        /* one whole Stats frame, so that only what rides beside it is wrong */
        uint8_t frame[FRAME_HEAD_BYTES + 2];
        struct control_to_broker message = {.kind = CONTROL_STATS};
        uint8_t body[64];
        ssize_t body_len = control_make_to_broker(&message, body, sizeof(body));
        struct iovec iov[] = {{frame, FRAME_HEAD_BYTES}, {body, body_len > 0 ? (size_t)body_len : 0}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = len};

        frame_head_make(&(struct frame_head){.header_len = (uint32_t)body_len}, frame);
        return syscall(SYS_sendmsg, sock, &msg, 0);
}

static int64_t send_fds(int sock, int fd, unsigned n)
{
        static union {
                struct cmsghdr head;
                char room[CMSG_SPACE(MANY_FDS * sizeof(int))];
        } u;
        int *fds = (int *)(void *)CMSG_DATA(&u.head);

        u.head = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
        for (unsigned i = 0; i < n; i++)
                fds[i] = fd;
        return send_control(sock, &u, CMSG_SPACE(n * sizeof(int))) < 0 ? -errno : hostile_linger(500);
}

static int64_t send_one_fd(struct hostile *hostile)
{
        (void)hostile;
        return send_fds(WORKER_FD_CONTROL, 0, 1);
}

static int64_t send_many_fds(struct hostile *hostile)
{
        (void)hostile;
        return send_fds(WORKER_FD_CONTROL, 0, MANY_FDS);
}

static int64_t send_own_end(struct hostile *hostile)
{
        (void)hostile;
        return send_fds(WORKER_FD_CONTROL, WORKER_FD_CONTROL, 1);
}

static int64_t send_credentials(struct hostile *hostile)
{
        union {
                struct cmsghdr head;
                char room[CMSG_SPACE(sizeof(struct ucred))];
        } u = {.head = {.cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_CREDENTIALS,
                        .cmsg_len = CMSG_LEN(sizeof(struct ucred))}};
        struct ucred cred = {.pid = (pid_t)hostile->command.broker_pid};

        memcpy(CMSG_DATA(&u.head), &cred, sizeof(cred));
        return send_control(WORKER_FD_CONTROL, &u, sizeof(u)) < 0 ? -errno : hostile_linger(500);
}

static int64_t recv_fds(struct hostile *hostile)
{
        char byte, room[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {&byte, 1};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};

        (void)hostile;
        return CALL(SYS_recvmsg, WORKER_FD_CONTROL, &msg, MSG_DONTWAIT | MSG_PEEK) == -EAGAIN ? 0 : -errno;
}

/* ---- own descriptors ---- */

static int64_t shutdown_control(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_shutdown, WORKER_FD_CONTROL, SHUT_RD);
}

static int64_t close_lane_out(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_close, worker_fd_lane_out(0));
}

static int64_t dup_control(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_dup3, WORKER_FD_CONTROL, 60, 0);
}

static int64_t pipe_new(struct hostile *hostile)
{
        int fds[2];

        (void)hostile;
        return CALL(SYS_pipe2, fds, 0);
}

static int64_t epoll_new(struct hostile *hostile)
{
        (void)hostile;
        return CALL(SYS_epoll_create1, 0);
}

static int64_t peer_sockopt(struct hostile *hostile)
{
        int size = 1 << 26, sock = hostile_lanes > 0 ? WORKER_FD_CONTROL : hostile_resource;

        (void)hostile;
        return CALL(SYS_setsockopt, sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static const struct hostile_attack rows[] = {
    {"socket", socket_family, 0},
    {"connect-admin", connect_admin, 0},
    {"connect-loopback", connect_loopback, 0},
    {"bind-abstract", bind_abstract, 0},
    {"tgkill-broker", tgkill_broker, 0},
    {"pidfd-signal", pidfd_signal, 0},
    {"kill-sibling", kill_sibling, 0},
    {"kill-group", kill_group, 0},
    {"forge-kernel-signal", forge_kernel_signal, 0},
    {"stop-self", stop_self, 0},
    {"ignore-term", ignore_term, 0},
    {"alarm", alarm_self, 0},
    {"semget", semget_private, 0},
    {"send-fd", send_one_fd, 0},
    {"send-253-fds", send_many_fds, 0},
    {"send-own-end", send_own_end, 0},
    {"send-credentials", send_credentials, 0},
    {"receive-fds", recv_fds, 0},
    {"shutdown-control", shutdown_control, 0},
    {"close-lane-out", close_lane_out, 0},
    {"dup-control", dup_control, 0},
    {"pipe", pipe_new, 0},
    {"epoll", epoll_new, 0},
    {"grow-socket", peer_sockopt, 0},
};

const struct hostile_attacks hostile_processes = {rows, array_size(rows)};
