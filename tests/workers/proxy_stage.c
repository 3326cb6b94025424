/* A proxy, and what stands around it.
 * Owns the child and the directory. Called by the tests of workers/vsock_proxy.
 * TRUST: the proxy is what is tested: every frame is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/proxy_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/log.h"
#include "workers/vsock_proxy/proxy.h"

static void stage_deadline(int fd)
{
        struct timeval limit = {.tv_sec = STAGE_DEADLINE_S};

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

static _Noreturn void stage_child(struct proxy_stage *stage, int ready)
{
        static struct proxy proxy;
        int folder = open(stage->folder, O_PATH | O_DIRECTORY);

        for (int s = 1; s < 32; s++)
                signal(s, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        alarm(6 * STAGE_DEADLINE_S);
        close(stage->worker);
        log_init("proxy", LOG_LEVEL_INFO);
        if (folder < 0 || proxy_init(&proxy, stage->proxy, folder, STAGE_NAME) < 0)
                _exit(1);
        close(ready);
        while (proxy_turn(&proxy))
                ;
        _exit(0);
}

void stage_start(struct proxy_stage *stage)
{
        int pair[2], ready[2];
        char byte;

        *stage = (struct proxy_stage){.folder = "/tmp/proxy-stage-XXXXXX"};
        assert_non_null(mkdtemp(stage->folder));
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        stage->worker = pair[0];
        stage->proxy = pair[1];
        stage_deadline(stage->worker);
        fflush(NULL);
        stage->pid = fork();
        assert_true(stage->pid >= 0);
        if (stage->pid == 0) {
                close(ready[0]);
                stage_child(stage, ready[1]);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 0); /* it has closed its end: it listens, or is dead */
        close(ready[0]);
        close(stage->proxy);
}

void stage_end(struct proxy_stage *stage)
{
        char command[128];
        int status;

        assert_int_equal(kill(stage->pid, 0), 0); /* nothing has made it end */
        kill(stage->pid, SIGKILL);
        assert_int_equal(waitpid(stage->pid, &status, 0), stage->pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(stage->worker);
        snprintf(command, sizeof(command), "rm -rf %s", stage->folder);
        assert_int_equal(system(command), 0);
}

/* ---- the worker ---- */

void stage_send(struct proxy_stage *stage, struct vsock_frame frame, const void *payload)
{
        uint8_t head[VSOCK_FRAME_BYTES];
        struct iovec iov[2] = {{head, sizeof(head)}, {(void *)payload, frame.len}};

        vsock_frame_make(&frame, head);
        assert_int_equal(writev(stage->worker, iov, 2), VSOCK_FRAME_BYTES + frame.len);
}

bool stage_next(struct proxy_stage *stage, struct vsock_frame *ret_frame)
{
        static uint8_t bytes[VSOCK_FRAME_MAX + 1];
        ssize_t n = read(stage->worker, bytes, sizeof(bytes));

        if (n == 0 || (n < 0 && errno == ECONNRESET))
                return false;
        if (n < 0)
                fail_msg("no frame in %u s", STAGE_DEADLINE_S);
        assert_int_equal(vsock_frame_check(VSOCK_SIDE_WORKER, bytes, (size_t)n, ret_frame), 0);
        memcpy(stage->payload, bytes + VSOCK_FRAME_BYTES, ret_frame->len);
        return true;
}

struct vsock_frame stage_expect(struct proxy_stage *stage, enum vsock_frame_kind kind, uint32_t stream)
{
        struct vsock_frame frame;

        do {
                assert_true(stage_next(stage, &frame));
        } while (frame.kind != kind && (frame.kind == VSOCK_FRAME_CONSUMED ||
                                        (frame.kind == VSOCK_FRAME_SHUT && kind == VSOCK_FRAME_END)));
        if (frame.kind != kind || frame.stream != stream)
                fail_msg("kind %u of stream %u came for kind %u of stream %u", frame.kind, frame.stream, kind,
                         stream);
        return frame;
}

void stage_hello(struct proxy_stage *stage, uint32_t number)
{
        struct vsock_frame frame;

        stage_send(stage, (struct vsock_frame){.kind = VSOCK_FRAME_HELLO, .a = number, .b = ~number}, NULL);
        do {
                assert_true(stage_next(stage, &frame));
        } while (frame.kind != VSOCK_FRAME_WELCOME);
        assert_int_equal(frame.a, number);
        assert_int_equal(frame.b, ~number);
}

/* A port that nobody listens at: its END has come behind all else. */
void stage_expect_silence(struct proxy_stage *stage)
{
        const uint32_t probe = LIMIT_VSOCK_STREAMS - 1;

        stage_send(stage,
                   (struct vsock_frame){.kind = VSOCK_FRAME_OPEN, .stream = probe, .a = 1, .b = 999999},
                   NULL);
        stage_expect(stage, VSOCK_FRAME_END, probe);
        stage_send(stage, (struct vsock_frame){.kind = VSOCK_FRAME_END, .stream = probe}, NULL);
}

/* ---- the host ---- */

static struct sockaddr_un stage_address(const struct proxy_stage *stage, const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", stage->folder, name);
        return address;
}

int stage_listen(const struct proxy_stage *stage, const char *name, int type)
{
        struct sockaddr_un address = stage_address(stage, name);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 4), 0);
        stage_deadline(fd);
        return fd;
}

int stage_connect(const struct proxy_stage *stage, const char *name, int type)
{
        struct sockaddr_un address = stage_address(stage, name);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        stage_deadline(fd);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

int stage_accept(int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        stage_deadline(fd);
        return fd;
}

void stage_say(int fd, const char *text)
{
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void stage_hear(int fd, const char *text)
{
        char bytes[256];
        size_t len = strlen(text);

        assert_true(len < sizeof(bytes));
        assert_int_equal(recv(fd, bytes, len, MSG_WAITALL), len);
        assert_memory_equal(bytes, text, len);
}

bool stage_is_closed(int fd)
{
        char byte;
        ssize_t n = recv(fd, &byte, 1, 0);

        return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* ---- both ---- */

static void stage_give_credit(struct proxy_stage *stage, uint32_t stream)
{
        stage_send(
            stage,
            (struct vsock_frame){.kind = VSOCK_FRAME_CREDIT, .stream = stream, .a = 262144, .b = 262144},
            NULL);
}

int stage_open(struct proxy_stage *stage, uint32_t stream, int listener, bool seqpacket)
{
        stage_send(stage,
                   (struct vsock_frame){.kind = VSOCK_FRAME_OPEN,
                                        .flags = seqpacket ? VSOCK_FRAME_SEQPACKET : 0,
                                        .stream = stream,
                                        .a = 1024 + stream,
                                        .b = 52},
                   NULL);
        stage_expect(stage, VSOCK_FRAME_OPENED, stream);
        stage_give_credit(stage, stream);
        return stage_accept(listener);
}

int stage_offer(struct proxy_stage *stage, bool seqpacket, uint32_t *ret_stream)
{
        int client = stage_connect(stage, seqpacket ? STAGE_NAME ".seqpacket" : STAGE_NAME,
                                   seqpacket ? SOCK_SEQPACKET : SOCK_STREAM);
        struct vsock_frame frame;
        char answer[32];

        stage_say(client, "CONNECT 7\n");
        do {
                assert_true(stage_next(stage, &frame));
        } while (frame.kind != VSOCK_FRAME_OFFER);
        assert_int_equal(frame.a, 7);
        assert_int_equal(frame.flags, seqpacket ? VSOCK_FRAME_SEQPACKET : 0);
        stage_send(stage, (struct vsock_frame){.kind = VSOCK_FRAME_ACCEPT, .stream = frame.stream}, NULL);
        stage_give_credit(stage, frame.stream);
        snprintf(answer, sizeof(answer), "OK %u\n", frame.b);
        stage_hear(client, answer);
        *ret_stream = frame.stream;
        return client;
}
