/* A round trip by the size of the message: real frames through the code that makes and judges them, over
 * pipes, to a worker's real runtime in a process of its own. Both sides sleep while they wait.
 *
 *      bulkhead-bench-rpc [ROUNDS]
 *
 * "request": that many bytes go to the worker, one comes back. "answer": sixteen go, that many come back, in
 * the runtime's pieces. The two processes are bound to one processor, or to one each. Prints a line of JSON a
 * size. No jail: a filter adds some tens of nanoseconds a system call. TRUST: the worker is ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "tests/bench/host/samples.h"
#include "tests/workers/fake_broker.h"

#define ROUNDS_MAX   20000u
#define ROUNDS       2000u
#define ROUNDS_LARGE 300u /* of messages of LARGE and more */
#define LARGE        262144u
#define WARM_UP      50u
#define SMALL        16u        /* bytes of a message that only asks */
#define BUFFER       (4u << 20) /* an answer of the largest size, with its frames' heads and headers */
#define DEADLINE_S   300u

/* ---- the worker ---- */

static int ping_init(void *state, const struct control_configure *configure, const int *resources,
                     unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        (void)resources;
        (void)n_resources;
        *ret_hello = (struct control_hello){.device_type = device_types[DEVICE_TYPE_RNG].virtio_id,
                                            .n_queues = 1,
                                            .queue_kind = {QUEUE_WORK},
                                            .queue_replay = {REPLAY_IDEMPOTENT},
                                            .max_segments = 8,
                                            .credit_requests = 16,
                                            .credit_bytes = LIMIT_FRAME_PAYLOAD,
                                            .max_inline = LIMIT_FRAME_PAYLOAD};
        return 0;
}

/* Answers with whatever the reserved bytes hold: making them is not what is measured. */
static void ping_handle(void *state, struct request *request)
{
        uint32_t len = request_writable(request), done = 0;

        (void)state;
        for (; len - done > REQUEST_PIECE; done += REQUEST_PIECE) {
                (void)request_reserve(request, REQUEST_PIECE);
                request_write(request, done, REQUEST_PIECE);
        }
        (void)request_reserve(request, len - done);
        request_complete(request, done, len - done);
}

static const struct device_ops ping = {.type = DEVICE_TYPE_RNG, .init = ping_init, .handle = ping_handle};

/* ---- the broker's side ---- */

static uint8_t payload[LIMIT_FRAME_PAYLOAD];
static uint8_t received[BUFFER];
static struct fake_broker worker;

static _Noreturn void give_up(const char *what)
{
        fprintf(stderr, "bulkhead-bench-rpc: %s\n", what);
        exit(1);
}

static void send_all(struct iovec *iov, int n_iov)
{
        while (n_iov > 0) {
                ssize_t n = writev(worker.lanes[0].out, iov, n_iov);

                if (n < 0)
                        give_up("the worker has ended");
                for (; n_iov > 0 && (size_t)n >= iov->iov_len; n_iov--)
                        n -= (ssize_t)iov++->iov_len;
                if (n > 0) {
                        iov->iov_base = (uint8_t *)iov->iov_base + n;
                        iov->iov_len -= (size_t)n;
                }
        }
}

static void send_request(uint64_t id, uint32_t readable, uint32_t writable)
{
        const uint32_t none = 0;
        const struct lane_to_worker message = {.kind = LANE_REQUESTS,
                                               .requests = {.n = 1,
                                                            .id = &id,
                                                            .queue = &none,
                                                            .readable = &readable,
                                                            .writable = &writable,
                                                            .inlined = &readable,
                                                            .attempt = &none,
                                                            .must_fail = &none}};
        uint8_t frame[FRAME_HEAD_BYTES + 512];
        ssize_t len =
            lane_make_to_worker(&message, frame + FRAME_HEAD_BYTES, sizeof(frame) - FRAME_HEAD_BYTES);
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = readable};
        struct iovec iov[] = {{frame, FRAME_HEAD_BYTES + (size_t)len}, {payload, readable}};

        if (len < 0)
                give_up("no request can be made");
        frame_head_make(&head, frame);
        send_all(iov, readable > 0 ? 2 : 1);
}

/* Judges the frame at `at`. Returns its length, 0: it has not all come. *ret_done: the request is done. */
static size_t judge_frame(size_t at, size_t end, bool *ret_done)
{
        struct lane_to_broker message;
        struct frame_head head;
        size_t whole;

        if (end - at < FRAME_HEAD_BYTES)
                return 0;
        if (frame_head_check(received + at, LIMIT_FRAME_PAYLOAD, &head) < 0)
                give_up("a frame out of shape");
        whole = (size_t)FRAME_HEAD_BYTES + head.header_len + head.payload_len;
        if (end - at < whole)
                return 0;
        arena_reset(&worker.arena);
        if (lane_check_to_broker(&worker.arena, received + at + FRAME_HEAD_BYTES, head.header_len,
                                 head.payload_len, &message) < 0)
                give_up("a message out of shape");
        *ret_done = message.kind == LANE_COMPLETE;
        return whole;
}

static void receive_answer(void)
{
        size_t at = 0, end = 0;
        bool done = false;

        while (!done) {
                ssize_t n = read(worker.lanes[0].in, received + end, sizeof(received) - end);
                size_t len;

                if (n <= 0)
                        give_up("the worker has ended, or the answer is too long");
                end += (size_t)n;
                while ((len = judge_frame(at, end, &done)) > 0)
                        at += len;
        }
}

/* We sleep in our calls. */
static void ready_pipe(int pipe)
{
        if (fcntl(pipe, F_SETFL, 0) < 0)
                give_up("a pipe does not wait");
}

/* ---- measuring ---- */

static bool bind_to(pid_t pid, size_t cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        return sched_setaffinity(pid, sizeof(set), &set) == 0;
}

static void measure(const char *direction, const char *where, uint32_t bytes, unsigned rounds)
{
        static uint64_t ns[ROUNDS_MAX];
        bool answer = strcmp(direction, "answer") == 0;

        for (unsigned i = 0; i < WARM_UP + rounds; i++) {
                uint64_t start = samples_now_ns();

                send_request(i + 1, answer ? SMALL : bytes, answer ? bytes : 1);
                receive_answer();
                if (i >= WARM_UP)
                        ns[i - WARM_UP] = samples_now_ns() - start;
        }
        printf("{\"direction\": \"%s\", \"where\": \"%s\", \"bytes\": %u, \"rounds\": %u", direction, where,
               bytes, rounds);
        samples_print_json("ms", ns, rounds);
        printf("}\n");
        fflush(stdout);
}

static void measure_all(const char *where, unsigned rounds)
{
        static const uint32_t sizes[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576};
        static const char *const directions[] = {"request", "answer"};

        for (size_t d = 0; d < array_size(directions); d++)
                for (size_t i = 0; i < array_size(sizes); i++)
                        measure(directions[d], where, sizes[i],
                                sizes[i] < LARGE ? rounds : MIN(rounds, ROUNDS_LARGE));
}

int main(int argc, char **argv)
{
        unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS;
        const struct control_configure configure = {.name = "ping", .n_queues = 1, .type = DEVICE_TYPE_RNG};

        if (rounds == 0 || rounds > ROUNDS_MAX) {
                fprintf(stderr, "usage: bulkhead-bench-rpc [ROUNDS]\n");
                return 2;
        }
        alarm(DEADLINE_S);
        memset(payload, 0x5a, sizeof(payload));
        memset(received, 0, sizeof(received)); /* no page fault is measured */
        fake_start_ops(&worker, &ping, 1, NULL, 0);
        ready_pipe(worker.lanes[0].in);
        ready_pipe(worker.lanes[0].out);
        fake_configure(&worker, &configure);
        if (fake_start_queue(&worker, 0) < 0)
                give_up("the queue does not start");
        if (bind_to(0, 0) && bind_to(worker.pid, 0))
                measure_all("same processor", rounds);
        if (bind_to(worker.pid, 1))
                measure_all("other processor", rounds);
        return fake_exited(fake_end(&worker), 0) ? 0 : 1;
}
