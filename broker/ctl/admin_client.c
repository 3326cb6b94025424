/* One question to a broker over its admin socket.
 * Owns the connection while it lasts; called by ps, audit and set.
 * TRUST: the answer is of a broker that may have been taken over: bounded, judged by admin_check, in its
 * time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/frame.h"

#define QUESTION_SIZE 256u /* Set with the longest name has about 100 bytes */

static int64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 when the socket is ready (or has failed: the next call will say), -ETIMEDOUT at the deadline. */
static int wait_for(int sock, short events, int64_t deadline_ms)
{
        for (;;) { /* ends at the deadline */
                struct pollfd pollfd = {.fd = sock, .events = events};
                int64_t left = deadline_ms - now_ms();
                int r;

                if (left <= 0)
                        return -ETIMEDOUT;
                r = poll(&pollfd, 1, (int)left);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

static int connect_to(const struct sockaddr_un *address, int64_t deadline_ms, int *ret_sock)
{
        _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (sock < 0)
                return -errno;
        while (connect(sock, (const struct sockaddr *)address, sizeof(*address)) < 0) {
                struct timespec pause = {.tv_nsec = 10000000};

                /* A full backlog is EAGAIN and cannot be polled for: a broker that accepts nobody. */
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (now_ms() >= deadline_ms)
                        return -ETIMEDOUT;
                nanosleep(&pause, NULL);
        }
        *ret_sock = take_fd(&sock);
        return 0;
}

static int send_all(int sock, const uint8_t *bytes, size_t len, int64_t deadline_ms)
{
        while (len > 0) {
                ssize_t n = send(sock, bytes, len, MSG_NOSIGNAL);
                int r;

                if (n >= 0) {
                        bytes += n;
                        len -= (size_t)n;
                        continue;
                }
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                r = wait_for(sock, POLLOUT, deadline_ms);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int receive_all(int sock, uint8_t *bytes, size_t len, int64_t deadline_ms)
{
        while (len > 0) { /* ends at the deadline, even if bytes come one by one */
                ssize_t n;
                int r = wait_for(sock, POLLIN, deadline_ms);

                if (r < 0)
                        return r;
                n = recv(sock, bytes, len, 0);
                if (n == 0)
                        return -EPIPE;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

static int ask(int sock, const struct admin_to_broker *question, int64_t deadline_ms)
{
        uint8_t bytes[FRAME_HEAD_BYTES + QUESTION_SIZE];
        ssize_t len = admin_make_to_broker(question, bytes + FRAME_HEAD_BYTES, QUESTION_SIZE);

        if (len < 0)
                return (int)len;
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, bytes);
        return send_all(sock, bytes, FRAME_HEAD_BYTES + (size_t)len, deadline_ms);
}

/* The answer, judged; *ret_message is 14 KiB and the caller's. */
static int hear(int sock, int64_t deadline_ms, struct admin_to_client *ret_message)
{
        _cleanup_(arena_done) struct arena arena = {0};
        _cleanup_free_ uint8_t *header = NULL;
        uint8_t bytes[FRAME_HEAD_BYTES];
        struct frame_head head;
        int r;

        r = receive_all(sock, bytes, sizeof(bytes), deadline_ms);
        if (r == 0)
                r = frame_head_check(bytes, 0, &head);
        if (r < 0)
                return r;
        header = malloc(head.header_len);
        if (!header || arena_init(&arena, LIMIT_ARENA) < 0)
                return -ENOMEM;
        r = receive_all(sock, header, head.header_len, deadline_ms);
        return r < 0 ? r : admin_check_to_client(&arena, header, head.header_len, ret_message);
}

static int converse(const char *run_dir, const char *vm, const struct admin_to_broker *question,
                    unsigned timeout_ms, struct admin_to_client *ret_message, pid_t *ret_peer)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const int64_t deadline_ms = now_ms() + timeout_ms;
        _cleanup_close_ int sock = -1;
        struct ucred peer;
        socklen_t len = sizeof(peer);
        int n, r;

        n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s/admin.sock", run_dir, vm);
        if (n < 0 || (size_t)n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        r = connect_to(&address, deadline_ms, &sock);
        if (r == 0)
                r = ask(sock, question, deadline_ms);
        if (r == 0)
                r = hear(sock, deadline_ms, ret_message);
        if (r < 0)
                return r;
        if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return -errno;
        *ret_peer = peer.pid;
        return 0;
}

static const char *explain(int negative_errno)
{
        switch (negative_errno) {
        case -ECONNREFUSED:
        case -ENOENT:
                return "nobody listens: the VM has ended";
        case -ETIMEDOUT:
                return "no answer in time: the broker hangs";
        case -EACCES:
        case -EPERM:
                return "no permission: run as root or as the VM's user";
        case -EPROTO:
        case -EPIPE:
        case -ECONNRESET:
                return "the answer is not one of a broker";
        default:
                return strerror(-negative_errno);
        }
}

/* 0 when the answer is of this kind; else a sentence. */
static int conclude(int error, const struct admin_to_client *message, enum admin_kind_to_client wanted,
                    char *why, size_t why_size)
{
        if (error == 0 && message->kind == ADMIN_ERROR) {
                log_escape(message->error.reason, strlen(message->error.reason), why, why_size);
                return message->error.error;
        }
        if (error == 0 && message->kind != wanted)
                error = -EPROTO;
        if (error < 0)
                snprintf(why, why_size, "%s", explain(error));
        return error;
}

int admin_client_status(const char *run_dir, const char *vm, unsigned timeout_ms,
                        struct admin_answer *ret_answer, char *why, size_t why_size)
{
        _cleanup_free_ struct admin_to_client *message = calloc(1, sizeof(*message));
        const struct admin_to_broker question = {.kind = ADMIN_GET_STATUS};
        pid_t peer = 0;
        int r;

        if (!message)
                return -ENOMEM;
        r = converse(run_dir, vm, &question, timeout_ms, message, &peer);
        if (r == 0 && message->kind == ADMIN_STATUS && strcmp(message->status.vm, vm) != 0)
                r = -EPROTO; /* it would be listed under another VM's name */
        r = conclude(r, message, ADMIN_STATUS, why, why_size);
        if (r < 0)
                return r;
        ret_answer->status = message->status;
        ret_answer->peer_pid = peer;
        return 0;
}

int admin_client_set(const char *run_dir, const char *vm, const char *device,
                     const struct control_setting *setting, char *why, size_t why_size)
{
        _cleanup_free_ struct admin_to_client *message = calloc(1, sizeof(*message));
        struct admin_to_broker question = {.kind = ADMIN_SET, .set = {.setting = *setting}};
        pid_t peer = 0;
        int r;

        if (!message)
                return -ENOMEM;
        snprintf(question.device, sizeof(question.device), "%s", device);
        r = converse(run_dir, vm, &question, LIMIT_CTL_SET_MS, message, &peer);
        return conclude(r, message, ADMIN_TAKEN, why, why_size);
}

int admin_client_shmem(const char *run_dir, const char *vm, const char *device, struct admin_shmem *ret_shmem,
                       char *why, size_t why_size)
{
        _cleanup_free_ struct admin_to_client *message = calloc(1, sizeof(*message));
        struct admin_to_broker question = {.kind = ADMIN_GET_SHMEM};
        pid_t peer = 0;
        int r;

        if (!message)
                return -ENOMEM;
        snprintf(question.device, sizeof(question.device), "%s", device);
        r = converse(run_dir, vm, &question, LIMIT_CTL_ANSWER_MS, message, &peer);
        r = conclude(r, message, ADMIN_SHMEM, why, why_size);
        if (r == 0)
                *ret_shmem = message->shmem;
        return r;
}
