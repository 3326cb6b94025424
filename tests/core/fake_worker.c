/* A worker for tests. Owns its ends of a lane. TRUST: it is the worker; here it is the attacker as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/fake_worker.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/fd.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"

void fake_worker_init(struct fake_worker *worker, struct fd_duplex ends)
{
        signal(SIGPIPE, SIG_IGN);
        *worker = (struct fake_worker){.ends = ends};
        worker->rx = malloc(FAKE_BUFFER);
        worker->tx = malloc(FAKE_BUFFER);
        assert_true(worker->rx && worker->tx);
        assert_int_equal(arena_init(&worker->arena, LIMIT_ARENA), 0);
        assert_int_equal(fd_set_nonblock(ends.in), 0);
        assert_int_equal(fd_set_nonblock(ends.out), 0);
}

void fake_worker_close(struct fake_worker *worker)
{
        fd_duplex_close(&worker->ends);
}

void fake_worker_done(struct fake_worker *worker)
{
        fake_worker_close(worker);
        free(worker->rx);
        free(worker->tx);
        arena_done(&worker->arena);
        *worker = (struct fake_worker){.ends = {-1, -1}};
}

bool fake_worker_push(struct fake_worker *worker)
{
        size_t len = worker->tx_len - worker->tx_pos;
        ssize_t n;

        if (len == 0)
                return false;
        if (worker->step > 0)
                len = MIN(len, worker->step);
        n = write(worker->ends.out, worker->tx + worker->tx_pos, len);
        if (n < 0)
                return false;
        worker->tx_pos += (size_t)n;
        if (worker->tx_pos == worker->tx_len)
                worker->tx_pos = worker->tx_len = 0;
        return n > 0;
}

static bool pump_in(struct fake_worker *worker)
{
        size_t room;
        ssize_t n;

        if (worker->rx_pos > 0) {
                memmove(worker->rx, worker->rx + worker->rx_pos, worker->rx_len - worker->rx_pos);
                worker->rx_len -= worker->rx_pos;
                worker->rx_pos = 0;
        }
        room = FAKE_BUFFER - worker->rx_len;
        if (worker->step > 0)
                room = MIN(room, worker->step);
        n = read(worker->ends.in, worker->rx + worker->rx_len, room);
        if (n == 0 || (n < 0 && errno != EAGAIN))
                worker->ended = true;
        if (n <= 0)
                return false;
        if (worker->heard)
                worker->heard(worker->stream, worker->rx + worker->rx_len, (size_t)n);
        worker->rx_len += (size_t)n;
        return true;
}

bool fake_worker_pump(struct fake_worker *worker)
{
        bool moved;

        if (worker->ends.in < 0 || worker->ended)
                return false;
        moved = fake_worker_push(worker);
        return pump_in(worker) || moved;
}

bool fake_worker_next(struct fake_worker *worker, struct fake_frame *ret_frame)
{
        size_t have = worker->rx_len - worker->rx_pos;
        const uint8_t *at = worker->rx + worker->rx_pos;
        struct frame_head head;

        if (have < FRAME_HEAD_BYTES)
                return false;
        assert_int_equal(frame_head_check(at, LIMIT_FRAME_PAYLOAD, &head), 0);
        if (have < FRAME_HEAD_BYTES + (size_t)head.header_len + head.payload_len)
                return false;
        assert_int_equal(lane_check_to_worker(&worker->arena, at + FRAME_HEAD_BYTES, head.header_len,
                                              head.payload_len, &ret_frame->message),
                         0);
        ret_frame->payload = at + FRAME_HEAD_BYTES + head.header_len;
        ret_frame->payload_len = head.payload_len;
        worker->rx_pos += FRAME_HEAD_BYTES + (size_t)head.header_len + head.payload_len;
        return true;
}

void fake_worker_send_bytes(struct fake_worker *worker, const void *bytes, size_t len)
{
        assert_true(len <= FAKE_BUFFER - worker->tx_len);
        if (bytes)
                memcpy(worker->tx + worker->tx_len, bytes, len);
        else
                memset(worker->tx + worker->tx_len, 0, len);
        worker->tx_len += len;
}

void fake_worker_send(struct fake_worker *worker, const struct lane_to_broker *message, const void *payload,
                      size_t payload_len)
{
        uint8_t buf[FRAME_HEAD_BYTES + LIMIT_FRAME_HEADER];
        ssize_t len = lane_make_to_broker(message, buf + FRAME_HEAD_BYTES, LIMIT_FRAME_HEADER);
        struct frame_head head = {.header_len = (uint32_t)len, .payload_len = (uint32_t)payload_len};

        assert_true(len > 0);
        frame_head_make(&head, buf);
        fake_worker_send_bytes(worker, buf, FRAME_HEAD_BYTES + (size_t)len);
        fake_worker_send_bytes(worker, payload, payload_len);
}

void fake_worker_complete(struct fake_worker *worker, uint64_t id, uint32_t offset, const void *bytes,
                          uint32_t len)
{
        const uint32_t status = WIRE_STATUS_OK;
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &id, .status = &status, .offset = &offset, .len = &len}};

        fake_worker_send(worker, &message, bytes, len);
}

void fake_worker_complete_placed(struct fake_worker *worker, uint64_t id, uint32_t placed, const void *bytes,
                                 uint32_t len)
{
        const uint32_t status = WIRE_STATUS_OK;
        const struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {
                .n = 1, .id = &id, .status = &status, .offset = &placed, .len = &len, .placed = &placed}};

        fake_worker_send(worker, &message, bytes, len);
}

void fake_worker_write(struct fake_worker *worker, uint64_t id, uint32_t offset, const void *bytes,
                       uint32_t len)
{
        const struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE, .mem_write = {.n = 1, .id = &id, .offset = &offset, .len = &len}};

        fake_worker_send(worker, &message, bytes, len);
}

void fake_worker_read(struct fake_worker *worker, uint32_t seq, uint64_t id, uint32_t offset, uint32_t len)
{
        const struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = seq, .n = 1, .id = &id, .offset = &offset, .len = &len, .total = len}};

        fake_worker_send(worker, &message, NULL, 0);
}
