/* Sends one bad message and sees what becomes of the session. Owns the descriptors that it sends. TRUST: this is
 * the hostile side; answers are those of the broker under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_guest/message_case.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "tests/wire/messages.h"

#define REPEATS        1000u
#define REPEATS_UNREAD 20000u /* what the kernel holds of answers, and more */
#define READ_EVERY     16u    /* answers of that many messages are read together */
#define MEMORY_BYTES   0x10000

static double now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- the list ---- */

void message_list_add(struct message_list *list, const struct message_case *c, const char *format, ...)
{
        struct message_case *added = &list->cases[list->n];
        va_list arguments;

        if (list->n == MESSAGE_CASES_MAX)
                abort();
        va_start(arguments, format);
        vsnprintf(list->names[list->n], sizeof(list->names[0]), format, arguments);
        va_end(arguments);
        *added = *c;
        added->name = list->names[list->n++];
}

struct message_case message_example(uint32_t request, enum target target)
{
        static const enum fd_case kinds[] = {[MESSAGE_FD_EVENT] = FD_CASE_EVENT,
                                             [MESSAGE_FD_MEMORY] = FD_CASE_MEMORY,
                                             [MESSAGE_FD_SOCKET] = FD_CASE_SOCKET};
        const struct message_example *example = message_example_find(request);
        struct message_case c = {.target = target,
                                 .scene = SCENE_READY,
                                 .expect = OUTCOME_IGNORED,
                                 .request = request,
                                 .flags = WIRE_VERSION,
                                 .size = example->len,
                                 .len = example->len,
                                 .add_first = request == VHOST_USER_REM_MEM_REG};

        memcpy(c.payload, example->payload, sizeof(example->payload));
        if (example->fd != MESSAGE_FD_NONE)
                c.fds[c.n_fds++] = (uint8_t)kinds[example->fd];
        return c;
}

/* ---- descriptors ---- */

static int memory_new(int size, int seals)
{
        int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd >= 0 && (ftruncate(fd, size) < 0 || (seals && fcntl(fd, F_ADD_SEALS, seals) < 0)))
                abort();
        return fd;
}

static int reopened(int fd, int flags)
{
        char path[32];
        int again;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, flags | O_CLOEXEC);
        close(fd);
        return again;
}

static int file_new(void)
{
        int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0 && ftruncate(fd, MEMORY_BYTES) < 0)
                abort();
        return fd;
}

static int end_of(int pair[2], int keep)
{
        close(pair[!keep]);
        return pair[keep];
}

static int pipe_new(void)
{
        int pair[2];

        return pipe2(pair, O_CLOEXEC) < 0 ? -1 : end_of(pair, 1);
}

static int datagram_new(void)
{
        int pair[2];

        return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0 ? -1 : end_of(pair, 0);
}

static int fd_new(enum fd_case kind)
{
        switch (kind) {
        case FD_CASE_MEMORY:
                return memory_new(MEMORY_BYTES, 0);
        case FD_CASE_SOCKET:
                return message_fd_new(MESSAGE_FD_SOCKET);
        case FD_CASE_FILE:
                return file_new();
        case FD_CASE_DIRECTORY:
                return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        case FD_CASE_PIPE:
                return pipe_new();
        case FD_CASE_EPOLL:
                return epoll_create1(EPOLL_CLOEXEC);
        case FD_CASE_NULL:
                return open("/dev/null", O_RDWR | O_CLOEXEC);
        case FD_CASE_PATH:
                return open("/dev/null", O_PATH | O_CLOEXEC);
        case FD_CASE_DATAGRAM:
                return datagram_new();
        case FD_CASE_SMALL:
                return memory_new(4096, 0);
        case FD_CASE_SEALED:
                return memory_new(MEMORY_BYTES, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
        case FD_CASE_KEPT:
                return memory_new(MEMORY_BYTES, F_SEAL_SHRINK | F_SEAL_SEAL);
        case FD_CASE_READ_ONLY:
                return reopened(memory_new(MEMORY_BYTES, 0), O_RDONLY);
        case FD_CASE_WRITE_ONLY:
                return reopened(memory_new(MEMORY_BYTES, 0), O_WRONLY);
        default:
                return message_fd_new(MESSAGE_FD_EVENT);
        }
}

const char *fd_case_name(enum fd_case kind)
{
        static const char *const names[FD_CASE_COUNT_] = {
            "eventfd",    "memfd",           "socket",          "file",     "directory",   "pipe",
            "epoll",      "dev_null",        "o_path",          "datagram", "small_memfd", "sealed_memfd",
            "kept_memfd", "read_only_memfd", "write_only_memfd"};

        return names[kind];
}

/* ---- sending ---- */

static int send_bytes(struct wire *wire, const uint8_t *bytes, size_t len, const int *fds, unsigned n_fds)
{
        for (size_t i = 0; i < len; i++) {
                int r = wire_send_bytes(wire, bytes + i, 1, fds, i == 0 ? n_fds : 0);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int send_in_its_manner(struct wire *wire, const struct message_case *c, const int *fds)
{
        uint32_t header[3] = {c->request, c->flags, c->size};
        uint8_t bytes[sizeof(header) + MESSAGE_PAYLOAD];
        size_t len = sizeof(header) + c->len;
        int r;

        memcpy(bytes, header, sizeof(header));
        memcpy(bytes + sizeof(header), c->payload, c->len);
        switch (c->manner) {
        case MANNER_BYTES:
                return send_bytes(wire, bytes, len, fds, c->n_fds);
        case MANNER_LATE_FDS:
                r = wire_send_bytes(wire, bytes, sizeof(header), NULL, 0);
                return r < 0 ? r : wire_send_bytes(wire, bytes + sizeof(header), c->len, fds, c->n_fds);
        case MANNER_CUT:
                r = wire_send_bytes(wire, bytes, len - 1, fds, c->n_fds);
                return r < 0 ? r : -(shutdown(wire->sock, SHUT_WR) < 0);
        default:
                return wire_send_bytes(wire, bytes, len, fds, c->n_fds);
        }
}

/* The other side may close at any byte: errors are part of it. */
static int send_once(struct wire *wire, const struct message_case *c)
{
        int fds[MESSAGE_FDS_MAX], r;

        for (unsigned i = 0; i < c->n_fds; i++)
                fds[i] = fd_new((enum fd_case)c->fds[i]);
        r = send_in_its_manner(wire, c, fds);
        for (unsigned i = 0; i < c->n_fds; i++)
                close(fds[i]);
        return r;
}

/* Reads answers until that of a question that is asked here; the first answer of the message is kept. */
static bool session_answers(struct wire *wire, struct wire_message *ret_first, bool *ret_any)
{
        struct wire_message answer;

        *ret_any = false;
        if (wire_send(wire, VHOST_USER_GET_PROTOCOL_FEATURES, WIRE_VERSION, NULL, 0, NULL, 0) < 0)
                return false;
        for (unsigned i = 0; i < 2 * REPEATS; i++) {
                if (wire_receive(wire, &answer) < 0)
                        return false;
                if (answer.request == VHOST_USER_GET_PROTOCOL_FEATURES && (answer.size == 8 || *ret_any))
                        return true;
                if (!*ret_any)
                        *ret_first = answer;
                *ret_any = true;
        }
        return false;
}

/* Nothing is left of what was asked before. */
static bool drain(struct wire *wire)
{
        uint8_t bytes[4096];

        while (recv(wire->sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        return errno == EAGAIN;
}

static void send_often(struct wire *wire, const struct message_case *c)
{
        unsigned n = c->manner == MANNER_UNREAD ? REPEATS_UNREAD : REPEATS;

        for (unsigned i = 0; i < n; i++) {
                struct wire_message first;
                bool any;

                if (send_once(wire, c) < 0)
                        return;
                if (c->manner == MANNER_REPEATED && i % READ_EVERY == READ_EVERY - 1 &&
                    (!session_answers(wire, &first, &any) || !drain(wire)))
                        return;
        }
}

/* ---- judging ---- */

static enum outcome judge(struct attack *attack, const struct message_case *c, int timeout_ms)
{
        struct wire *wire = &attack->front.wire;
        struct wire_message first;
        bool any;

        if (c->expect == OUTCOME_DROPPED)
                return wire_wait_closed(wire, timeout_ms) == 0 ? OUTCOME_DROPPED : OUTCOME_IGNORED;
        wire->deadline_ms = timeout_ms;
        if (!session_answers(wire, &first, &any))
                return wire_wait_closed(wire, 0) == 0 ? OUTCOME_DROPPED : OUTCOME_NOTHING;
        if ((c->flags & WIRE_NEED_REPLY) && any && first.request == c->request && first.size == 8 &&
            first.payload[0] == 1)
                return OUTCOME_REFUSED;
        return OUTCOME_IGNORED;
}

static bool bring_to(struct oracle *oracle, struct attack *attack, enum scene scene, char *why, size_t size)
{
        struct ring_plan plan = ring_plan_at(0, RING_SIZE);
        int r = 0;

        snprintf(why, size, "the session cannot be made");
        if (scene >= SCENE_READY)
                r = attack_configure(attack, FEATURE_VERSION_1 | FEATURE_PROTOCOL);
        if (r == 0 && scene >= SCENE_RUNNING)
                r = attack_start(attack, 0, &plan);
        return r == 0 && (scene < SCENE_RUNNING || oracle_request(oracle, attack, 0, PARTNER, why, size));
}

static int open_session(struct oracle *oracle, struct attack *attack, const struct message_case *c)
{
        const char *path = oracle->paths[c->target];

        if (c->scene != SCENE_FRESH)
                return attack_connect(attack, &oracle->map, c->target, path, oracle->settle_ms);
        attack->front.wire = (struct wire){.sock = -1, .deadline_ms = oracle->settle_ms};
        return wire_connect(&attack->front.wire, path);
}

static bool run_session(struct oracle *oracle, struct attack *attack, const struct message_case *c,
                        struct verdict *verdict)
{
        const struct message_case add = message_example(VHOST_USER_ADD_MEM_REG, c->target);
        struct wire *wire = &attack->front.wire;
        double start;
        int r = open_session(oracle, attack, c);

        if (r < 0 || !bring_to(oracle, attack, c->scene, verdict->why, sizeof(verdict->why)) ||
            (c->add_first && c->scene != SCENE_FRESH && send_once(wire, &add) < 0)) {
                snprintf(verdict->why, sizeof(verdict->why), "no session: %s", strerror(-r));
                return false;
        }
        verdict->why[0] = '\0';
        if (c->manner == MANNER_REPEATED)
                send_often(wire, c); /* the last is judged */
        if (c->manner == MANNER_UNREAD)
                send_often(wire, c); /* until nobody takes them */
        start = now_ms();
        if (c->manner != MANNER_REPEATED && c->manner != MANNER_UNREAD)
                (void)send_once(wire, c);
        verdict->outcome = judge(attack, c, oracle->judge_ms);
        verdict->ms = now_ms() - start;
        if (verdict->outcome == c->expect)
                return true;
        snprintf(verdict->why, sizeof(verdict->why), "%s", outcome_name(verdict->outcome));
        return false;
}

bool message_case_run(struct oracle *oracle, const struct message_case *c, struct verdict *ret_verdict)
{
        struct verdict verdict = {.outcome = OUTCOME_NOTHING};
        struct attack attack = {.front = {.wire = {.sock = -1}}};
        bool good = oracle_before(oracle, verdict.why, sizeof(verdict.why)) &&
                    run_session(oracle, &attack, c, &verdict);
        char after[sizeof(verdict.why) / 2];

        attack_close(&attack);
        if (!oracle_after(oracle, c->target, after, sizeof(after))) {
                size_t used = strlen(verdict.why);

                snprintf(verdict.why + used, sizeof(verdict.why) - used, "%safterwards: %s", used ? "; " : "",
                         after);
                good = false;
        }
        *ret_verdict = verdict;
        return good;
}
