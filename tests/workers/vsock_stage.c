/* A vsock device between a scripted guest and a scripted proxy.
 * Owns the sockets and the buffers. Called by the tests of workers/vsock.
 * TRUST: the worker is what is tested: every frame is judged, every packet must be well formed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/workers/vsock_stage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/device/vsock.h"
#include "workers/vsock/vsock_device.h"

static void stage_configure(struct vsock_stage *stage, uint64_t features, bool restored)
{
        struct control_configure configure = {
            .name = "vsock0", .n_queues = VSOCK_QUEUE_COUNT, .type = DEVICE_TYPE_VSOCK};

        for (unsigned i = 0; i < VSOCK_OPTION_COUNT_; i++)
                configure.options.value[i].text = "";
        configure.options.value[VSOCK_OPTION_CID].number = STAGE_CID;
        fake_start_ops(&stage->broker, &device_ops, 1, &stage->worker, 1);
        fake_configure(&stage->broker, &configure);
        assert_int_equal(fake_set_features(&stage->broker, features), 0);
        if (restored)
                assert_int_equal(fake_restore_state(&stage->broker, "\1", 1), 0);
        for (uint32_t queue = 0; queue < VSOCK_QUEUE_COUNT; queue++)
                assert_int_equal(fake_start_queue(&stage->broker, queue), 0);
        stage->lent = 0;
        stage->taken = 0;
}

void stage_start(struct vsock_stage *stage, uint64_t features)
{
        struct timeval limit = {.tv_sec = FAKE_DEADLINE_S};
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        stage->worker = pair[0];
        stage->proxy = pair[1];
        stage->id = 1;
        assert_int_equal(setsockopt(stage->proxy, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        stage_configure(stage, features, false);
        stage_welcome(stage);
}

void stage_start_again(struct vsock_stage *stage, uint64_t features, bool restored, bool welcome)
{
        stage_configure(stage, features, restored);
        if (welcome)
                stage_welcome(stage);
}

void stage_welcome(struct vsock_stage *stage)
{
        struct vsock_frame frame;

        do {
                frame = stage_next_frame(stage);
        } while (frame.kind != VSOCK_FRAME_HELLO);
        stage_frame(stage, (struct vsock_frame){.kind = VSOCK_FRAME_WELCOME, .a = frame.a, .b = frame.b},
                    NULL);
}

void stage_end(struct vsock_stage *stage)
{
        assert_true(fake_exited(fake_end(&stage->broker), 0));
        close(stage->proxy);
        close(stage->worker);
}

/* ---- the guest ---- */

void stage_lend(struct vsock_stage *stage, unsigned n, uint32_t len)
{
        for (unsigned i = 0; i < n; i++) {
                unsigned at = stage->lent++ % STAGE_BUFFERS;

                assert_true(stage->lent - stage->taken <= STAGE_BUFFERS);
                stage->rx[at] = (struct fake_request){.id = stage->id++,
                                                      .queue = VSOCK_QUEUE_RX,
                                                      .writable = stage->buffers[at],
                                                      .n_writable = len};
                fake_send_requests(&stage->broker, 0, &stage->rx[at], 1);
        }
}

uint32_t stage_put(struct vsock_stage *stage, const void *bytes, uint32_t len, uint32_t writable)
{
        static uint8_t answer[64];
        struct fake_request request = {.id = stage->id++,
                                       .queue = VSOCK_QUEUE_TX,
                                       .readable = bytes,
                                       .n_readable = len,
                                       .inlined = FAKE_INLINE_ALL,
                                       .writable = answer,
                                       .n_writable = writable};

        fake_send_requests(&stage->broker, 0, &request, 1);
        while (!request.done)
                assert_true(fake_serve(&stage->broker, 0));
        assert_int_equal(request.used, 0);
        return request.status;
}

void stage_make(const struct stage_packet *packet, uint8_t header[static VSOCK_HEADER_BYTES])
{
        const struct vsock_self peer = {.guest_cid = packet->dst_cid};
        const struct vsock_packet turned = {.host_cid = packet->src_cid,
                                            .guest_port = packet->dst_port,
                                            .host_port = packet->src_port,
                                            .len = packet->len,
                                            .type = packet->type,
                                            .op = packet->op,
                                            .flags = packet->flags,
                                            .buf_alloc = packet->buf_alloc,
                                            .fwd_cnt = packet->fwd_cnt};

        vsock_packet_make(&peer, &turned, header);
}

uint32_t stage_say(struct vsock_stage *stage, const struct stage_packet *packet)
{
        static uint8_t bytes[VSOCK_HEADER_BYTES + LIMIT_VSOCK_BUFFER + 1];

        stage_make(packet, bytes);
        if (packet->len > 0)
                memcpy(bytes + VSOCK_HEADER_BYTES, packet->payload, packet->len);
        return stage_put(stage, bytes, VSOCK_HEADER_BYTES + packet->len, 0);
}

struct stage_packet stage_hear(struct vsock_stage *stage)
{
        struct fake_request *rx = &stage->rx[stage->taken++ % STAGE_BUFFERS];
        const uint8_t *header = rx->writable;
        struct stage_packet packet;

        assert_true(stage->taken <= stage->lent);
        while (!rx->done)
                assert_true(fake_serve(&stage->broker, 0));
        assert_int_equal(rx->status, WIRE_STATUS_OK);
        assert_true(rx->used >= VSOCK_HEADER_BYTES);
        packet = (struct stage_packet){.src_cid = bytes_load64(header),
                                       .dst_cid = bytes_load64(header + 8),
                                       .src_port = bytes_load32(header + 16),
                                       .dst_port = bytes_load32(header + 20),
                                       .len = bytes_load32(header + 24),
                                       .type = bytes_load16(header + 28),
                                       .op = bytes_load16(header + 30),
                                       .flags = bytes_load32(header + 32),
                                       .buf_alloc = bytes_load32(header + 36),
                                       .fwd_cnt = bytes_load32(header + 40),
                                       .payload = header + VSOCK_HEADER_BYTES};
        assert_int_equal(packet.len, rx->used - VSOCK_HEADER_BYTES);
        assert_int_equal(packet.dst_cid, STAGE_CID);
        return packet;
}

struct stage_packet stage_expect_op(struct vsock_stage *stage, uint16_t op, uint32_t guest_port,
                                    uint32_t host_port)
{
        struct stage_packet packet = stage_hear(stage);

        if (packet.op != op || packet.dst_port != guest_port || packet.src_port != host_port)
                fail_msg("op %u from %u to %u came for op %u from %u to %u", packet.op, packet.src_port,
                         packet.dst_port, op, host_port, guest_port);
        return packet;
}

struct stage_packet stage_packet(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
        return (struct stage_packet){.src_cid = STAGE_CID,
                                     .dst_cid = VSOCK_CID_HOST,
                                     .src_port = guest_port,
                                     .dst_port = host_port,
                                     .type = VSOCK_TYPE_STREAM,
                                     .op = op,
                                     .buf_alloc = 262144};
}

void stage_expect_no_packet(struct vsock_stage *stage)
{
        struct stage_packet probe = stage_packet(VSOCK_OP_RW, 4000000000u, 1);

        assert_int_equal(stage_say(stage, &probe), WIRE_STATUS_OK);
        stage_expect_op(stage, VSOCK_OP_RST, 4000000000u, 1);
}

/* ---- the proxy ---- */

void stage_frame(struct vsock_stage *stage, struct vsock_frame frame, const void *payload)
{
        uint8_t head[VSOCK_FRAME_BYTES];
        struct iovec iov[2] = {{head, sizeof(head)}, {(void *)payload, frame.len}};

        vsock_frame_make(&frame, head);
        assert_int_equal(writev(stage->proxy, iov, 2), VSOCK_FRAME_BYTES + frame.len);
}

struct vsock_frame stage_next_frame(struct vsock_stage *stage)
{
        static uint8_t bytes[VSOCK_FRAME_MAX + 1];
        ssize_t n = read(stage->proxy, bytes, sizeof(bytes));
        struct vsock_frame frame;

        if (n <= 0)
                fail_msg("no frame: %s", n == 0 ? "end of file" : strerror(errno));
        assert_int_equal(vsock_frame_check(VSOCK_SIDE_PROXY, bytes, (size_t)n, &frame), 0);
        memcpy(stage->payload, bytes + VSOCK_FRAME_BYTES, frame.len);
        return frame;
}

struct vsock_frame stage_expect_frame(struct vsock_stage *stage, enum vsock_frame_kind kind)
{
        struct vsock_frame frame = stage_next_frame(stage);

        if (frame.kind != kind)
                fail_msg("kind %u came for %u", frame.kind, kind);
        return frame;
}

/* ---- both ---- */

uint32_t stage_open(struct vsock_stage *stage, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_REQUEST, guest_port, host_port);
        struct vsock_frame frame;

        packet.type = type;
        assert_int_equal(stage_say(stage, &packet), WIRE_STATUS_OK);
        frame = stage_expect_frame(stage, VSOCK_FRAME_OPEN);
        assert_int_equal(frame.a, guest_port);
        assert_int_equal(frame.b, host_port);
        assert_int_equal(frame.flags, type == VSOCK_TYPE_SEQPACKET ? VSOCK_FRAME_SEQPACKET : 0);
        stage_frame(stage, (struct vsock_frame){.kind = VSOCK_FRAME_OPENED, .stream = frame.stream}, NULL);
        packet = stage_expect_op(stage, VSOCK_OP_RESPONSE, guest_port, host_port);
        assert_int_equal(packet.buf_alloc, LIMIT_VSOCK_BUFFER);
        assert_int_equal(packet.type, type);
        assert_int_equal(stage_expect_frame(stage, VSOCK_FRAME_CREDIT).a, 262144);
        return frame.stream;
}

void stage_offer(struct vsock_stage *stage, uint32_t stream, uint32_t guest_port, uint32_t host_port)
{
        struct stage_packet packet;

        stage_frame(stage,
                    (struct vsock_frame){
                        .kind = VSOCK_FRAME_OFFER, .stream = stream, .a = guest_port, .b = host_port},
                    NULL);
        packet = stage_expect_op(stage, VSOCK_OP_REQUEST, guest_port, host_port);
        assert_int_equal(packet.src_cid, VSOCK_CID_HOST);
        packet = stage_packet(VSOCK_OP_RESPONSE, guest_port, host_port);
        assert_int_equal(stage_say(stage, &packet), WIRE_STATUS_OK);
        assert_int_equal(stage_expect_frame(stage, VSOCK_FRAME_ACCEPT).stream, stream);
        assert_int_equal(stage_expect_frame(stage, VSOCK_FRAME_CREDIT).a, 262144);
}

void stage_start_lent(struct vsock_stage *stage)
{
        stage_start(stage, VSOCK_F_STREAM | VSOCK_F_SEQPACKET);
        stage_lend(stage, 32, STAGE_BUFFER);
}

uint32_t stage_say_bytes(struct vsock_stage *stage, uint32_t guest_port, uint32_t host_port,
                         const void *payload, uint32_t len, uint32_t flags)
{
        struct stage_packet packet = stage_packet(VSOCK_OP_RW, guest_port, host_port);

        packet.type = flags ? VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM;
        packet.payload = payload;
        packet.len = len;
        packet.flags = flags;
        return stage_say(stage, &packet);
}

void stage_say_op(struct vsock_stage *stage, uint16_t op, uint32_t guest_port, uint32_t host_port,
                  uint32_t flags)
{
        struct stage_packet packet = stage_packet(op, guest_port, host_port);

        packet.flags = flags;
        assert_int_equal(stage_say(stage, &packet), WIRE_STATUS_OK);
}

void stage_frame_plain(struct vsock_stage *stage, enum vsock_frame_kind kind, uint32_t stream)
{
        stage_frame(stage, (struct vsock_frame){.kind = kind, .stream = stream}, NULL);
}

void stage_frame_data(struct vsock_stage *stage, uint32_t stream, const void *payload, uint32_t len,
                      uint16_t flags)
{
        stage_frame(
            stage,
            (struct vsock_frame){.kind = VSOCK_FRAME_DATA, .flags = flags, .len = len, .stream = stream},
            payload);
}
