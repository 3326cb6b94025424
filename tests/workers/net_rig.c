/* A network device in a process of its own.
 * Owns the sockets and the buffers. TRUST: what the worker says is judged by fake_broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/net_rig.h"

#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"

/* ---- start and end ---- */

static void open_ends(struct net_rig *rig)
{
        int kind = rig->carrier == NET_CARRIER_TAP ? SOCK_SEQPACKET : SOCK_STREAM;

        rig->n_ends = rig->carrier == NET_CARRIER_TAP ? rig->n_queues / 2 : 1;
        for (unsigned i = 0; i < rig->n_ends; i++) {
                int pair[2];

                assert_int_equal(socketpair(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
                rig->worker[i] = pair[0];
                rig->host[i] = pair[1];
        }
}

static void configure(const struct net_rig *rig, struct control_configure *ret_configure)
{
        struct option_value *value = ret_configure->options.value;

        *ret_configure = (struct control_configure){
            .name = "net0", .n_queues = rig->n_queues, .n_lanes = 1, .type = DEVICE_TYPE_NET};
        for (unsigned i = 0; i < LIMIT_OPTIONS; i++)
                value[i].text = "";
        value[NET_OPTION_BACKEND].number = rig->carrier;
        value[NET_OPTION_PCAP_MAX].number =
            rig->pcap_max ? rig->pcap_max : net_option_rows[NET_OPTION_PCAP_MAX].preset;
        value[NET_OPTION_MTU].number = rig->mtu ? rig->mtu : 1500;
        value[NET_OPTION_MAC].text = rig->mac ? rig->mac : "";
}

static void start_worker(struct net_rig *rig)
{
        int fds[LIMIT_NET_PAIRS + 1];
        unsigned n = 0;

        if (!rig->keep_ends)
                open_ends(rig);
        for (; n < rig->n_ends; n++)
                fds[n] = rig->worker[n];
        if (rig->pcap_fd > 0)
                fds[n++] = rig->pcap_fd;
        rig->next_id = 1000;
        rig->n_lent = 0;
        fake_start_ops(&rig->broker, &device_ops, 1, fds, n);
        /* What has come for the guest must not stop what it sends: nobody reads meanwhile, as a lane would. */
        assert_true(fcntl(rig->broker.lanes[0].in, F_SETPIPE_SZ, 1 << 20) > 0);
}

void rig_start(struct net_rig *rig)
{
        struct control_configure said;

        start_worker(rig);
        configure(rig, &said);
        fake_configure(&rig->broker, &said);
        if (rig->features == 0)
                rig->features = UINT64_MAX;
        assert_int_equal(fake_set_features(&rig->broker, rig->broker.hello.features & rig->features), 0);
        for (uint32_t i = 0; i < rig->n_queues; i++)
                assert_int_equal(fake_start_queue(&rig->broker, i), 0);
}

static void close_ends(struct net_rig *rig)
{
        for (unsigned i = 0; i < rig->n_ends; i++) {
                close(rig->worker[i]);
                if (rig->host[i] >= 0)
                        close(rig->host[i]);
        }
}

void rig_refused(struct net_rig *rig)
{
        struct control_to_worker message = {.kind = CONTROL_CONFIGURE};
        struct control_to_broker said;

        start_worker(rig);
        configure(rig, &message.configure);
        message.configure.max_payload = LIMIT_FRAME_PAYLOAD;
        fake_send_control(&rig->broker, &message);
        assert_false(fake_next_control(&rig->broker, &said));
        assert_int_not_equal(fake_await(&rig->broker), 0);
        close_ends(rig);
}

static void forget_lent(struct net_rig *rig)
{
        for (unsigned i = 0; i < rig->n_lent; i++)
                free(rig->bytes[i]);
        rig->n_lent = 0;
}

void rig_end(struct net_rig *rig)
{
        assert_true(fake_exited(fake_end(&rig->broker), 0));
        close_ends(rig);
        forget_lent(rig);
}

void rig_kill(struct net_rig *rig)
{
        assert_int_equal(kill(rig->broker.pid, SIGKILL), 0);
        fake_end(&rig->broker);
        forget_lent(rig);
        rig->keep_ends = true;
}

/* ---- the guest ---- */

unsigned rig_lend(struct net_rig *rig, uint32_t queue, unsigned n, uint32_t len)
{
        unsigned first = rig->n_lent;

        assert_true(first + n <= RIG_LENT);
        for (unsigned i = first; i < first + n; i++) {
                rig->bytes[i] = malloc(len + !len);
                assert_non_null(rig->bytes[i]);
                rig->lent[i] = (struct fake_request){
                    .id = rig->next_id++, .queue = queue, .writable = rig->bytes[i], .n_writable = len};
        }
        rig->n_lent += n;
        fake_send_requests(&rig->broker, 0, rig->lent + first, n);
        return first;
}

uint32_t rig_await(struct net_rig *rig, unsigned i)
{
        while (!rig->lent[i].done)
                assert_true(fake_serve(&rig->broker, 0));
        assert_int_equal(rig->lent[i].status, WIRE_STATUS_OK);
        return rig->lent[i].used;
}

void rig_came(struct net_rig *rig, unsigned i, const void *frame, uint32_t len)
{
        struct net_header header;

        assert_int_equal(rig_await(rig, i), NET_HEADER + len);
        net_header_load(rig->bytes[i], &header);
        assert_int_equal(header.n_buffers, 1);
        assert_memory_equal(rig->bytes[i] + NET_HEADER, frame, len);
}

static void ask(struct net_rig *rig, struct fake_request *request)
{
        request->id = rig->next_id++;
        fake_send_requests(&rig->broker, 0, request, 1);
        while (!request->done)
                assert_true(fake_serve(&rig->broker, 0));
        assert_int_equal(request->status, WIRE_STATUS_OK);
}

void rig_send(struct net_rig *rig, uint32_t queue, const struct net_header *header, const void *frame,
              uint32_t len)
{
        uint8_t *bytes = calloc(1, NET_HEADER + len);
        struct fake_request request = {
            .queue = queue, .readable = bytes, .n_readable = NET_HEADER + len, .inlined = FAKE_INLINE_ALL};

        assert_non_null(bytes);
        if (header)
                net_header_store(header, bytes);
        memcpy(bytes + NET_HEADER, frame, len);
        ask(rig, &request);
        assert_int_equal(request.used, 0);
        free(bytes);
}

void rig_settle(struct net_rig *rig)
{
        uint8_t byte = 0;
        struct fake_request request = {.queue = 1, .readable = &byte, .n_readable = 1, .inlined = 1};

        ask(rig, &request);
}

uint8_t rig_command(struct net_rig *rig, const void *bytes, uint32_t len)
{
        uint8_t ack = 0xff;
        struct fake_request request = {.queue = rig->n_queues - 1,
                                       .readable = bytes,
                                       .n_readable = len,
                                       .inlined = FAKE_INLINE_ALL,
                                       .writable = &ack,
                                       .n_writable = 1};

        ask(rig, &request);
        assert_int_equal(request.used, 1);
        return ack;
}

int rig_set(struct net_rig *rig, enum control_setting_id id, uint32_t index, uint64_t value)
{
        const struct control_to_worker message = {
            .kind = CONTROL_SET, .seq = 9000, .set = {.id = id, .index = index, .value = value}};
        struct control_to_broker said;

        fake_send_control(&rig->broker, &message);
        do
                assert_true(fake_next_control(&rig->broker, &said));
        while (said.kind != CONTROL_DONE);
        assert_int_equal(said.done.seq, 9000);
        return said.done.error;
}

/* ---- the host ---- */

static void await_socket(int fd, short events)
{
        struct pollfd wait = {.fd = fd, .events = events};

        assert_int_equal(poll(&wait, 1, FAKE_DEADLINE_S * 1000), 1);
}

static void send_all(int fd, const struct iovec *iov, size_t len)
{
        await_socket(fd, POLLOUT);
        assert_int_equal(writev(fd, iov, 2), len);
}

void rig_feed_stream(struct net_rig *rig, const void *frame, uint32_t len)
{
        uint32_t prefix = htobe32(len);

        send_all(rig->host[0], (struct iovec[]){{&prefix, 4}, {(void *)(uintptr_t)frame, len}}, 4 + len);
}

void rig_feed_tap(struct net_rig *rig, unsigned end, const struct net_header *header, const void *frame,
                  uint32_t len)
{
        uint8_t bytes[NET_HEADER] = {0};

        if (header)
                net_header_store(header, bytes);
        send_all(rig->host[end], (struct iovec[]){{bytes, NET_HEADER}, {(void *)(uintptr_t)frame, len}},
                 NET_HEADER + len);
}

static void recv_all(int fd, void *bytes, uint32_t len)
{
        for (uint32_t at = 0; at < len;) {
                ssize_t n;

                await_socket(fd, POLLIN);
                n = recv(fd, (uint8_t *)bytes + at, len - at, 0);
                assert_true(n > 0);
                at += (uint32_t)n;
        }
}

uint32_t rig_take_stream(struct net_rig *rig, void *frame)
{
        uint32_t len;

        recv_all(rig->host[0], &len, 4);
        len = be32toh(len);
        assert_true(len <= NET_FRAME_MAX);
        recv_all(rig->host[0], frame, len);
        return len;
}

uint32_t rig_take_tap(struct net_rig *rig, unsigned end, struct net_header *ret_header, void *frame)
{
        uint8_t bytes[NET_HEADER];
        struct iovec iov[2] = {{bytes, NET_HEADER}, {frame, NET_FRAME_MAX}};
        ssize_t n;

        await_socket(rig->host[end], POLLIN);
        n = readv(rig->host[end], iov, 2);
        assert_true(n >= (ssize_t)NET_HEADER);
        net_header_load(bytes, ret_header);
        return (uint32_t)n - NET_HEADER;
}

void rig_frame(uint8_t *frame, uint32_t len, unsigned seed)
{
        for (uint32_t i = 0; i < len; i++)
                frame[i] = (uint8_t)(i * 3 + seed * 17 + i / 255);
        frame[0] = 2;
        if (len >= NET_ETHERNET)
                memcpy(frame + 12, "\x08\x00", 2);
}
