/* A broker that is none: answers on an admin socket as its mode says, until it is killed.
 *     fake_broker SOCKET VM MODE BROKER_PID SPAWNER_PID [NAME:TYPE:PID[:WHY]...]
 * A pid of 0 means its own (broker) or its parent's (spawner). Prints "ready" when it listens.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/admin.h"
#include "proto/device/net.h"
#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/frame.h"

#define HEADER_MAX 16384

static struct admin_to_client answer;

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(sock, 4) < 0)
                return -errno;
        return sock;
}

static void fill(const char *vm, uint32_t broker, uint32_t spawner, char *const devices[])
{
        struct admin_status *s = &answer.status;

        answer.kind = ADMIN_STATUS;
        snprintf(s->vm, sizeof(s->vm), "%s", vm);
        snprintf(s->version, sizeof(s->version), "0.1.0");
        s->broker_pid = broker ? broker : (uint32_t)getpid();
        s->spawner_pid = spawner ? spawner : (uint32_t)getppid();
        s->spawner_alive = true;
        s->stage = ADMIN_SERVING;
        for (; devices[s->n_devices]; s->n_devices++) {
                struct admin_device *d = &s->devices[s->n_devices];

                *d = (struct admin_device){.state = ADMIN_RUNNING,
                                           .uid = 70000 + (uint32_t)s->n_devices,
                                           .restarts = 1,
                                           .queues_running = 2,
                                           .outstanding = 3,
                                           .requests = 4,
                                           .bytes_from_guest = 5 << 20,
                                           .bytes_to_guest = 1234,
                                           .attached = true,
                                           .features = 1ull << 32,
                                           .sets = {3ull << 32 | 7, 3ull << 32 | 5, 5},
                                           .n_lanes = 1,
                                           .rate_ops = 500,
                                           .throttled = 17};
                if (sscanf(devices[s->n_devices], "%63[^:]:%63[^:]:%u:%159[^\n]", d->name, d->type, &d->pid,
                           d->why) < 3)
                        exit(2);
                for (; strcmp(d->type, "net") == 0 && d->n_counters < NET_COUNTER_COUNT_; d->n_counters++)
                        d->counters[d->n_counters] = d->n_counters;
                if (d->n_counters > 0)
                        d->translations = (struct admin_translations){true, true, 9, 2, 40, 3, 38, 29};
                d->direct = strcmp(d->type, "blk") == 0;
                d->resources.of[RESOURCE_FILE] = strcmp(d->type, "blk") == 0;
                d->seccomp_log = strstr(devices[s->n_devices], ":log") != NULL;
                if (d->pid == 0)
                        d->state = d->why[0] ? ADMIN_QUARANTINED : ADMIN_RESTARTING;
        }
}

static void send_answer(int sock, uint32_t payload_len)
{
        uint8_t bytes[FRAME_HEAD_BYTES + HEADER_MAX];
        ssize_t len = admin_make_to_client(&answer, bytes + FRAME_HEAD_BYTES, HEADER_MAX);

        if (len < 0)
                exit(3);
        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len, .payload_len = payload_len}, bytes);
        (void)!fd_write_all(sock, bytes, FRAME_HEAD_BYTES + (size_t)len);
}

static void wait_for_ever(void)
{
        for (;;)
                pause();
}

/* One byte a tenth of a second: each is in time, all are not. */
static void drip(int sock)
{
        uint8_t head[FRAME_HEAD_BYTES];

        frame_head_make(&(struct frame_head){.header_len = 60000}, head);
        (void)!fd_write_all(sock, head, sizeof(head));
        while (send(sock, "\n", 1, MSG_NOSIGNAL) == 1)
                nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
}

static int hear(int sock, struct admin_to_broker *ret_question)
{
        uint8_t bytes[FRAME_HEAD_BYTES], header[256];
        struct frame_head head;
        struct arena arena;
        int r;

        if (fd_read_all(sock, bytes, sizeof(bytes)) < 0 || frame_head_check(bytes, 0, &head) < 0 ||
            head.header_len > sizeof(header) || fd_read_all(sock, header, head.header_len) < 0 ||
            arena_init(&arena, LIMIT_ARENA) < 0)
                return -EPROTO;
        r = admin_check_to_broker(&arena, header, head.header_len, ret_question);
        arena_done(&arena);
        return r;
}

static void serve(int sock, const char *mode)
{
        static const uint8_t garbage[] = {3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff};
        static const uint8_t huge[] = {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0};
        struct admin_to_broker question;

        if (hear(sock, &question) < 0 || strcmp(mode, "close") == 0)
                return;
        if (question.kind == ADMIN_SET && strcmp(mode, "good") == 0) {
                const struct control_setting *setting = &question.set.setting;

                printf("%s %s %u %llu\n", question.device, control_setting_name(setting->id), setting->index,
                       (unsigned long long)setting->value);
                fflush(stdout);
                answer.kind = ADMIN_TAKEN;
        }
        if (strcmp(mode, "silent") == 0)
                wait_for_ever();
        else if (strcmp(mode, "drip") == 0)
                drip(sock);
        else if (strcmp(mode, "garbage") == 0)
                (void)!fd_write_all(sock, garbage, sizeof(garbage));
        else if (strcmp(mode, "huge") == 0)
                (void)!fd_write_all(sock, huge, sizeof(huge));
        else
                send_answer(sock, strcmp(mode, "payload") == 0 ? 1 : 0);
}

int main(int argc, char *argv[])
{
        int sock = argc < 6 ? -EINVAL : listen_at(argv[1]);
        const char *mode = argc < 6 ? "" : argv[3];

        if (sock < 0) {
                fprintf(stderr, "fake_broker: %s\n", strerror(-sock));
                return 2;
        }
        fill(strcmp(mode, "othervm") == 0 ? "somebody" : argv[2], (uint32_t)atoi(argv[4]),
             (uint32_t)atoi(argv[5]), argv + 6);
        if (strcmp(mode, "error") == 0) {
                answer = (struct admin_to_client){.kind = ADMIN_ERROR, .error = {.error = -EBUSY}};
                snprintf(answer.error.reason, sizeof(answer.error.reason), "busy\x1b[31m");
        }
        puts("ready");
        fflush(stdout);
        if (strcmp(mode, "deaf") == 0) /* the kernel's backlog takes the first few, nobody ever reads */
                wait_for_ever();
        for (;;) {
                int client = accept(sock, NULL, NULL);

                if (client < 0)
                        return 1;
                serve(client, mode);
                close(client);
        }
}
