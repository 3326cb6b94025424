/* A broker for tests.
 * Owns its ends of the socket and the pipes, and the child. Called by the tests of workers/. TRUST: the worker is what is tested: every
 * message is judged, offsets are held against the request. SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/fake_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"
#include "proto/base/status.h"
#include "sandbox/lockdown.h"
#include "workers/runtime/worker.h"

/* ---- the child ---- */

/* cmocka's handlers would make a trap in the child a test failure of the child. */
static void fake_child_signals(void)
{
        struct rlimit none = {0, 0};

        for (int s = 1; s < 32; s++)
                signal(s, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        setrlimit(RLIMIT_CORE, &none);
        alarm(3 * FAKE_DEADLINE_S);
}

/* Moves `fds` to 3, 4, ... and closes all others above. */
static void fake_child_fds(int *fds, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                fds[i] = fcntl(fds[i], F_DUPFD, 200);
        for (unsigned i = 0; i < n; i++)
                if (dup2(fds[i], 3 + (int)i) < 0)
                        _exit(99);
        close_range(3 + n, ~0u, 0);
}

static void fake_child_ops(const struct device_ops *ops, unsigned n_lanes, unsigned n_resources)
{
        static struct worker worker;

        if (worker_init(&worker, ops, n_lanes, n_resources) < 0 || worker_prepare(&worker) < 0)
                _exit(1);
        worker_serve(&worker);
}

static void fake_child_program(const char *path, unsigned n_lanes, unsigned n_resources)
{
        char lanes[16], resources[16];
        char *argv[] = {(char *)path, lanes, resources, NULL};
        char *envp[] = {NULL};

        snprintf(lanes, sizeof(lanes), "%u", n_lanes);
        snprintf(resources, sizeof(resources), "%u", n_resources);
        execve(path, argv, envp);
        _exit(98);
}

static void fake_never_waits(struct fd_duplex ends)
{
        assert_int_equal(fd_set_nonblock(ends.in), 0);
        assert_int_equal(fd_set_nonblock(ends.out), 0);
}

/* Makes the channels; fds gets the worker's ends, which the caller closes after the fork. How many. */
static unsigned fake_channels(struct fake_broker *broker, unsigned n_lanes, int *fds)
{
        unsigned n = 0;
        int pair[2];

        signal(SIGPIPE, SIG_IGN); /* a worker that is gone is an error of write */
        *broker = (struct fake_broker){.n_lanes = n_lanes};
        assert_int_equal(arena_init(&broker->arena, LIMIT_ARENA), 0);
        assert_int_equal(fd_stream_pair(pair), 0);
        broker->control = (struct fd_duplex){pair[0], pair[0]};
        fake_never_waits(broker->control);
        fds[n++] = pair[1];
        for (unsigned i = 0; i < n_lanes; i++) {
                struct fd_duplex ends[2];

                assert_int_equal(fd_pipe_pair(ends), 0);
                broker->lanes[i] = ends[0];
                fake_never_waits(broker->lanes[i]);
                fds[n++] = ends[1].in;
                fds[n++] = ends[1].out;
        }
        return n;
}

static void fake_start(struct fake_broker *broker, const struct device_ops *ops, const char *path,
                       unsigned n_lanes, const int *resources, unsigned n_resources, int policy_fd)
{
        int fds[1 + 2 * LIMIT_LANES + LIMIT_RESOURCES + 1];
        const unsigned n_channels = fake_channels(broker, n_lanes, fds);
        unsigned n = n_channels;

        for (unsigned i = 0; i < n_resources; i++)
                fds[n++] = resources[i];
        if (policy_fd >= 0)
                fds[n++] = policy_fd;
        fflush(NULL);
        broker->pid = fork();
        assert_true(broker->pid >= 0);
        if (broker->pid == 0) {
                fake_child_signals();
                fake_child_fds(fds, n);
                if (path)
                        fake_child_program(path, n_lanes, n_resources);
                fake_child_ops(ops, n_lanes, n_resources);
        }
        for (unsigned i = 0; i < n_channels; i++)
                close(fds[i]);
}

void fake_start_ops(struct fake_broker *broker, const struct device_ops *ops, unsigned n_lanes,
                    const int *resources, unsigned n_resources)
{
        fake_start(broker, ops, NULL, n_lanes, resources, n_resources, -1);
}

void fake_start_program(struct fake_broker *broker, const char *path, unsigned n_lanes, const int *resources,
                        unsigned n_resources, int policy_fd)
{
        fake_start(broker, NULL, path, n_lanes, resources, n_resources, policy_fd);
}

void fake_start_function(struct fake_broker *broker, void (*function)(struct fd_duplex ends))
{
        int fds[3];

        fake_channels(broker, 1, fds);
        fflush(NULL);
        broker->pid = fork();
        assert_true(broker->pid >= 0);
        if (broker->pid == 0) {
                fake_child_signals();
                fake_child_fds(fds, array_size(fds));
                function((struct fd_duplex){worker_fd_lane_in(0), worker_fd_lane_out(0)});
                _exit(7);
        }
        for (size_t i = 0; i < array_size(fds); i++)
                close(fds[i]);
}

/* ---- frames ---- */

/* A broker always reads: what the worker says while we write is kept here, by descriptor. */
static struct {
        uint8_t *bytes;
        size_t at, end;
} fake_kept[1024];

static void fake_forget(int fd)
{
        free(fake_kept[fd].bytes);
        memset(&fake_kept[fd], 0, sizeof(fake_kept[fd]));
}

static void fake_keep(int fd)
{
        uint8_t bytes[65536];
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n <= 0)
                return;
        fake_kept[fd].bytes = realloc(fake_kept[fd].bytes, fake_kept[fd].end + (size_t)n);
        assert_non_null(fake_kept[fd].bytes);
        memcpy(fake_kept[fd].bytes + fake_kept[fd].end, bytes, (size_t)n);
        fake_kept[fd].end += (size_t)n;
}

/* As fd_read_all: what was kept, then what comes. */
static int fake_read(int fd, void *buf, size_t len)
{
        size_t done = MIN(len, fake_kept[fd].end - fake_kept[fd].at);

        if (done > 0)
                memcpy(buf, fake_kept[fd].bytes + fake_kept[fd].at, done);
        fake_kept[fd].at += done;
        if (fake_kept[fd].at == fake_kept[fd].end)
                fake_forget(fd);
        while (done < len) {
                struct pollfd wait = {.fd = fd, .events = POLLIN};
                ssize_t n = read(fd, (uint8_t *)buf + done, len - done);

                if (n == 0 || (n < 0 && errno != EAGAIN))
                        return n == 0 ? -EPIPE : -errno;
                if (n > 0)
                        done += (size_t)n;
                else
                        assert_int_equal(poll(&wait, 1, FAKE_DEADLINE_S * 1000), 1);
        }
        return 0;
}

bool fake_ready(struct fd_duplex ends)
{
        struct pollfd wait = {.fd = ends.in, .events = POLLIN};

        return fake_kept[ends.in].end > fake_kept[ends.in].at || poll(&wait, 1, 0) == 1;
}

/* A worker that has died is found out when it is waited for. */
void fake_send_bytes(struct fd_duplex ends, const void *bytes, size_t len)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = write(ends.out, (const uint8_t *)bytes + done, len - done);
                struct pollfd wait[] = {{.fd = ends.out, .events = POLLOUT},
                                        {.fd = ends.in, .events = POLLIN}};

                if (n > 0)
                        done += (size_t)n;
                else if (errno == EPIPE || errno == ECONNRESET)
                        return;
                else
                        assert_true(poll(wait, array_size(wait), FAKE_DEADLINE_S * 1000) > 0);
                if (n <= 0 && (wait[1].revents & POLLIN))
                        fake_keep(ends.in);
        }
}

void fake_send_frame(struct fd_duplex ends, const void *header, uint32_t header_len, const void *payload,
                     uint32_t payload_len)
{
        struct frame_head head = {.header_len = header_len, .payload_len = payload_len};
        uint8_t bytes[FRAME_HEAD_BYTES];

        frame_head_make(&head, bytes);
        fake_send_bytes(ends, bytes, sizeof(bytes));
        fake_send_bytes(ends, header, header_len);
        if (payload_len > 0)
                fake_send_bytes(ends, payload, payload_len);
}

bool fake_next_frame(struct fd_duplex ends, struct frame_head *ret_head, uint8_t *header,
                     uint8_t **ret_payload)
{
        uint8_t bytes[FRAME_HEAD_BYTES];
        int r = fake_read(ends.in, bytes, sizeof(bytes));

        if (r == -EPIPE || r == -ECONNRESET)
                return false;
        assert_int_equal(r, 0);
        assert_int_equal(frame_head_check(bytes, LIMIT_FRAME_PAYLOAD, ret_head), 0);
        assert_int_equal(fake_read(ends.in, header, ret_head->header_len), 0);
        if (!ret_payload) {
                assert_int_equal(ret_head->payload_len, 0);
                return true;
        }
        *ret_payload = malloc(ret_head->payload_len + 1);
        assert_non_null(*ret_payload);
        assert_int_equal(fake_read(ends.in, *ret_payload, ret_head->payload_len), 0);
        return true;
}

/* ---- control ---- */

void fake_send_control(struct fake_broker *broker, const struct control_to_worker *message)
{
        uint8_t header[8192];
        ssize_t len = control_make_to_worker(message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(broker->control, header, (uint32_t)len, NULL, 0);
}

bool fake_next_control(struct fake_broker *broker, struct control_to_broker *ret_message)
{
        static uint8_t header[LIMIT_FRAME_HEADER];
        struct frame_head head;

        while (fake_next_frame(broker->control, &head, header, NULL)) {
                assert_int_equal(
                    control_check_to_broker(&broker->arena, header, head.header_len, ret_message), 0);
                if (ret_message->kind != CONTROL_LOG)
                        return true;
                print_message("worker: %s\n", ret_message->log.text);
        }
        return false;
}

void fake_configure(struct fake_broker *broker, const struct control_configure *configure)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE, .configure = *configure};
        static struct control_to_broker answer;

        message.configure.n_lanes = broker->n_lanes;
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        fake_send_control(broker, &message);
        assert_true(fake_next_control(broker, &answer));
        assert_int_equal(answer.kind, CONTROL_HELLO);
        broker->hello = answer.hello;
}

static int fake_ask(struct fake_broker *broker, struct control_to_worker *message)
{
        static struct control_to_broker answer;
        static uint32_t seq = 1000;

        message->seq = ++seq;
        fake_send_control(broker, message);
        do
                assert_true(fake_next_control(broker, &answer));
        while (answer.kind == CONTROL_STATS); /* comes when it comes */
        assert_int_equal(answer.kind, CONTROL_DONE);
        assert_int_equal(answer.done.seq, seq);
        return answer.done.error;
}

int fake_set_features(struct fake_broker *broker, uint64_t features)
{
        struct control_to_worker message = {.kind = CONTROL_SET_FEATURES,
                                            .set_features = {.features = features}};

        return fake_ask(broker, &message);
}

int fake_config_write(struct fake_broker *broker, uint32_t field, uint64_t value)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIG_WRITE,
                                            .config_write = {.field = field, .value = value}};

        return fake_ask(broker, &message);
}

int fake_restore_state(struct fake_broker *broker, const void *bytes, size_t len)
{
        struct control_to_worker message = {.kind = CONTROL_RESTORE_STATE,
                                            .restore_state = {.bytes = bytes, .len = len}};

        return fake_ask(broker, &message);
}

int fake_start_queue(struct fake_broker *broker, uint32_t queue)
{
        struct control_to_worker message = {.kind = CONTROL_START_QUEUE,
                                            .start_queue = {.queue = queue, .size = 256}};

        return fake_ask(broker, &message);
}

/* ---- lanes ---- */

void fake_place(const struct fake_broker *broker, const struct fake_request *request)
{
        const struct control_area *area = &broker->hello.area;
        uint64_t at =
            area->at + (uint64_t)(request->in_at - 1) * control_area_step(area) + control_area_shift(area);
        struct iovec from = {.iov_base = (void *)(uintptr_t)request->readable,
                             .iov_len = request->n_readable};
        struct iovec to = {.iov_base = (void *)(uintptr_t)at, .iov_len = request->n_readable};

        assert_int_equal(process_vm_writev(broker->pid, &from, 1, &to, 1, 0), request->n_readable);
}

void fake_fetch(const struct fake_broker *broker, struct fake_request *request)
{
        uint64_t at = broker->hello.area.at + (uint64_t)(request->out_at - 1) * LIMIT_AREA_PAGE;
        struct iovec from = {.iov_base = (void *)(uintptr_t)at, .iov_len = request->placed};
        struct iovec to = {.iov_base = request->writable, .iov_len = request->placed};

        assert_int_equal(process_vm_readv(broker->pid, &to, 1, &from, 1, 0), request->placed);
        request->used = MAX(request->used, request->placed);
}

/* Places for writable parts of some length, side by side. */
static void fake_lend(struct fake_broker *broker, struct fake_request *request)
{
        uint32_t pages = (request->n_writable + LIMIT_AREA_PAGE - 1) / LIMIT_AREA_PAGE;

        request->out_at = 0;
        if (broker->n_out == 0)
                broker->lent = 0;
        if (request->n_writable < LIMIT_AREA_PAGE || request->n_writable > LIMIT_DIRECT_LEND ||
            pages > broker->hello.area.len / LIMIT_AREA_PAGE - broker->lent)
                return;
        assert_true(broker->hello.area.out);
        request->out_at = broker->lent + 1;
        broker->lent += pages;
}

void fake_send_requests(struct fake_broker *broker, unsigned lane, struct fake_request *requests, size_t n)
{
        static uint64_t id[LIMIT_WIRE_COLUMN];
        static uint32_t column[8][LIMIT_WIRE_COLUMN];
        static uint8_t header[LIMIT_FRAME_HEADER], payload[LIMIT_FRAME_PAYLOAD];
        struct lane_to_worker message = {.kind = LANE_REQUESTS,
                                         .requests = {.n = n,
                                                      .id = id,
                                                      .queue = column[0],
                                                      .readable = column[1],
                                                      .writable = column[2],
                                                      .inlined = column[3],
                                                      .attempt = column[4],
                                                      .must_fail = column[5],
                                                      .longer = broker->longer,
                                                      .stay = broker->stay,
                                                      .look = broker->look,
                                                      .spin_us = broker->spin_us}};
        uint32_t len = 0;
        ssize_t header_len;

        for (size_t i = 0; i < n; i++) {
                struct fake_request *r = &requests[i];

                if (broker->lend)
                        fake_lend(broker, r);
                if (r->in_at > 0) {
                        r->inlined = 0;
                        message.requests.in_at = column[6];
                }
                if (r->out_at > 0)
                        message.requests.out_at = column[7];
                if (r->inlined == FAKE_INLINE_ALL)
                        r->inlined = MIN(r->n_readable, broker->hello.max_inline);
                assert_true(len + r->inlined <= sizeof(payload));
                if (r->inlined > 0)
                        memcpy(payload + len, r->readable, r->inlined);
                len += r->inlined;
                id[i] = r->id;
                column[0][i] = r->queue;
                column[1][i] = r->n_readable;
                column[2][i] = r->n_writable;
                column[3][i] = r->in_at > 0 ? r->n_readable : r->inlined;
                column[4][i] = r->attempt;
                column[5][i] = r->must_fail;
                column[6][i] = r->in_at;
                column[7][i] = r->out_at;
                assert_true(broker->n_out < array_size(broker->out));
                broker->out[broker->n_out++] = r;
        }
        header_len = lane_make_to_worker(&message, header, sizeof(header));
        assert_true(header_len > 0);
        fake_send_frame(broker->lanes[lane], header, (uint32_t)header_len, payload, len);
}

static struct fake_request *fake_find(struct fake_broker *broker, uint64_t id)
{
        for (size_t i = 0; i < broker->n_out; i++)
                if (broker->out[i]->id == id)
                        return broker->out[i];
        fail_msg("the worker named request %llu, which it does not hold", (unsigned long long)id);
        return NULL;
}

static void fake_answer_read(struct fake_broker *broker, unsigned lane, uint32_t seq, uint64_t id,
                             uint32_t offset, uint32_t len)
{
        struct fake_request *r = fake_find(broker, id);
        uint8_t header[64];
        struct lane_to_worker message = {
            .kind = LANE_MEM_READ_REPLY,
            .mem_read_reply = {.seq = seq, .n = 1, .status = &broker->read_status}};
        ssize_t header_len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(header_len > 0);
        broker->open_reads--;
        fake_send_frame(broker->lanes[lane], header, (uint32_t)header_len, r->readable + offset, len);
}

static void fake_on_mem_read(struct fake_broker *broker, unsigned lane, const struct lane_mem_read *ask)
{
        struct fake_request *r = fake_find(broker, ask->id[0]);

        assert_int_equal(ask->n, 1);
        assert_true(range_inside(ask->offset[0], ask->len[0], r->n_readable));
        broker->n_mem_reads++;
        assert_true(broker->open_reads < LIMIT_MEM_READS);
        broker->held[broker->open_reads].lane = lane;
        broker->held[broker->open_reads].seq = ask->seq;
        broker->held[broker->open_reads].id = ask->id[0];
        broker->held[broker->open_reads].offset = ask->offset[0];
        broker->held[broker->open_reads].len = ask->len[0];
        broker->open_reads++;
        broker->max_open_reads = MAX(broker->max_open_reads, broker->open_reads);
        if (!broker->hold_reads)
                fake_answer_reads(broker);
}

void fake_answer_reads(struct fake_broker *broker)
{
        unsigned n = broker->open_reads;

        for (unsigned i = 0; i < n; i++)
                fake_answer_read(broker, broker->held[i].lane, broker->held[i].seq, broker->held[i].id,
                                 broker->held[i].offset, broker->held[i].len);
}

void fake_answer_rest(struct fake_broker *broker, unsigned lane)
{
        const struct lane_to_worker message = {.kind = LANE_MAY_REST};
        uint8_t header[16];
        ssize_t len = lane_make_to_worker(&message, header, sizeof(header));

        assert_true(len > 0);
        fake_send_frame(broker->lanes[lane], header, (uint32_t)len, NULL, 0);
}

static void fake_store(struct fake_request *r, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
        assert_true(range_inside(offset, len, r->n_writable));
        if (len == 0)
                return;
        memcpy(r->writable + offset, bytes, len);
        r->used = MAX(r->used, offset + len);
}

static void fake_on_mem_write(struct fake_broker *broker, const struct lane_mem_write *write,
                              const uint8_t *payload)
{
        broker->n_mem_writes++;
        for (size_t i = 0; i < write->n; i++) {
                fake_store(fake_find(broker, write->id[i]), write->offset[i], payload, write->len[i]);
                payload += write->len[i];
        }
}

static void fake_on_complete(struct fake_broker *broker, const struct lane_complete *complete,
                             const uint8_t *payload)
{
        broker->n_completes++;
        for (size_t i = 0; i < complete->n; i++) {
                struct fake_request *r = fake_find(broker, complete->id[i]);

                for (size_t j = 0; j < i; j++)
                        assert_int_not_equal(complete->id[i], complete->id[j]);
                if (complete->status[i] == WIRE_STATUS_WAITING) {
                        assert_false(r->waits || r->must_fail);
                        r->waits = true;
                        broker->n_waits++;
                        continue;
                }
                broker->n_waits -= r->waits;
                r->waits = false;
                r->placed = complete->placed ? complete->placed[i] : 0;
                assert_true(r->placed <= (r->out_at > 0 ? r->n_writable : 0));
                broker->n_placed += r->placed > 0;
                if (r->placed > 0 && !broker->late)
                        fake_fetch(broker, r);
                fake_store(r, complete->offset[i], payload, complete->len[i]);
                payload += complete->len[i];
                r->status = complete->status[i];
                r->done = true;
                for (size_t j = 0; j < broker->n_out; j++)
                        if (broker->out[j] == r)
                                broker->out[j] = broker->out[--broker->n_out];
        }
}

/* A worker of ours never asks for what it may not have: a real broker would kill it. */
static uint8_t *fake_raw(const struct fake_broker *broker, uint64_t at, uint32_t len)
{
        assert_true(broker->n_out > 0); /* it holds a kick */
        assert_true(range_inside(at - broker->raw_start, len, broker->raw_len));
        return broker->raw + (at - broker->raw_start);
}

static void fake_on_raw_read(struct fake_broker *broker, unsigned lane, const struct lane_raw *read)
{
        uint32_t status[LIMIT_MEM_SEGMENTS] = {0}, at = 0;
        struct lane_to_worker reply = {.kind = LANE_MEM_READ_REPLY,
                                       .mem_read_reply = {read->seq, read->n, status}};
        uint8_t header[1024], *bytes = malloc(read->total);
        ssize_t n;

        assert_non_null(bytes);
        broker->n_mem_reads++;
        for (size_t i = 0; i < read->n; at += read->len[i++]) {
                memcpy(bytes + at, fake_raw(broker, read->at[i], read->len[i]), read->len[i]);
                status[i] = broker->read_status;
        }
        n = lane_make_to_worker(&reply, header, sizeof(header));
        assert_true(n > 0);
        fake_send_frame(broker->lanes[lane], header, (uint32_t)n, bytes, read->total);
        free(bytes);
}

static void fake_on_raw_write(struct fake_broker *broker, const struct lane_raw *write, const uint8_t *bytes)
{
        broker->n_mem_writes++;
        for (size_t i = 0; i < write->n; bytes += write->len[i++])
                memcpy(fake_raw(broker, write->at[i], write->len[i]), bytes, write->len[i]);
}

bool fake_serve(struct fake_broker *broker, unsigned lane)
{
        static uint8_t header[LIMIT_FRAME_HEADER];
        struct lane_to_broker message;
        struct frame_head head;
        uint8_t *payload = NULL;

        if (!fake_next_frame(broker->lanes[lane], &head, header, &payload))
                return false;
        assert_int_equal(
            lane_check_to_broker(&broker->arena, header, head.header_len, head.payload_len, &message), 0);
        switch (message.kind) {
        case LANE_MEM_READ:
                fake_on_mem_read(broker, lane, &message.mem_read);
                break;
        case LANE_MEM_WRITE:
                fake_on_mem_write(broker, &message.mem_write, payload);
                break;
        case LANE_COMPLETE:
                fake_on_complete(broker, &message.complete, payload);
                break;
        case LANE_ASK_REST:
                broker->n_rests++;
                if (!broker->hold_rest)
                        fake_answer_rest(broker, lane);
                break;
        case LANE_RAW_READ:
                fake_on_raw_read(broker, lane, &message.raw);
                break;
        case LANE_RAW_WRITE:
                fake_on_raw_write(broker, &message.raw, payload);
                break;
        case LANE_TAKEN:
                assert_true(broker->n_out > 0);
                broker->taken = message.taken.next + 1;
                break;
        }
        free(payload);
        return true;
}

void fake_drain(struct fake_broker *broker, unsigned lane)
{
        while (broker->n_out > broker->n_waits)
                assert_true(fake_serve(broker, lane));
}

/* ---- the end ---- */

static int fake_wait(struct fake_broker *broker)
{
        int status;

        assert_int_equal(waitpid(broker->pid, &status, 0), broker->pid); /* the child has an alarm */
        return status;
}

static void fake_close(struct fake_broker *broker)
{
        for (unsigned i = 0; i <= broker->n_lanes; i++) {
                struct fd_duplex *ends = i == 0 ? &broker->control : &broker->lanes[i - 1];

                if (ends->in >= 0)
                        fake_forget(ends->in);
                fd_duplex_close(ends);
        }
}

int fake_end(struct fake_broker *broker)
{
        int status;

        fake_close(broker);
        status = fake_wait(broker);
        arena_done(&broker->arena);
        return status;
}

int fake_await(struct fake_broker *broker)
{
        int status = fake_wait(broker);

        fake_close(broker);
        arena_done(&broker->arena);
        return status;
}

bool fake_trapped(int wait_status)
{
        return WIFSIGNALED(wait_status) &&
               (WTERMSIG(wait_status) == SIGILL || WTERMSIG(wait_status) == SIGTRAP);
}

bool fake_exited(int wait_status, int code)
{
        return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == code;
}
