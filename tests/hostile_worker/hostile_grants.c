/* Reads, writes and completions beyond what the worker holds. Each ends in waiting for the broker's kill; that it
 * returns means that the broker has let it pass. The good twins at the end show that frames made like this are
 * taken when nothing is wrong with them.
 * Owns nothing; read by hostile_ops.c. TRUST: ids are those of the worker's own request, and guesses.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/lane.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"

#define KILL_MS  3000 /* the broker's time to kill: it needs less than one */
#define GUESSES  LIMIT_WIRE_COLUMN
#define REPLAYED 64u

static uint8_t header[16384], payload[LIMIT_FRAME_PAYLOAD];

static int64_t send_lane(const struct lane_to_broker *message, size_t payload_len)
{
        ssize_t len = lane_make_to_broker(message, header, sizeof(header));

        if (len < 0)
                return len;
        return hostile_send(worker_fd_lane_out(0), header, (size_t)len, payload, payload_len);
}

static int64_t then_wait(int64_t r)
{
        return r < 0 ? r : hostile_linger(KILL_MS);
}

static int64_t read_at(uint64_t id, uint32_t offset, uint32_t len)
{
        struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = 77, .n = 1, .id = &id, .offset = &offset, .len = &len, .total = len}};

        return then_wait(send_lane(&message, 0));
}

/* The payload is as long as the message says, as far as there is one that long. */
static int64_t write_at(uint64_t id, uint32_t offset, uint32_t len)
{
        struct lane_to_broker message = {.kind = LANE_MEM_WRITE,
                                         .mem_write = {.n = 1, .id = &id, .offset = &offset, .len = &len}};

        return then_wait(send_lane(&message, MIN((size_t)len, sizeof(payload))));
}

static int64_t complete_n(size_t n, const uint64_t *id, uint32_t status, uint32_t offset, uint32_t len)
{
        static uint32_t statuses[GUESSES], offsets[GUESSES], lens[GUESSES];
        struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = n, .id = id, .status = statuses, .offset = offsets, .len = lens}};

        for (size_t i = 0; i < n; i++) {
                statuses[i] = status;
                offsets[i] = offset;
                lens[i] = len;
        }
        return send_lane(&message, MIN(n * len, sizeof(payload)));
}

static int64_t complete_at(uint64_t id, uint32_t status, uint32_t offset, uint32_t len)
{
        return then_wait(complete_n(1, &id, status, offset, len));
}

/* ---- ranges ---- */

static int64_t read_past_end(struct hostile *hostile)
{
        return read_at(hostile->request_id, hostile->readable, 1);
}

static int64_t read_straddling(struct hostile *hostile)
{
        return read_at(hostile->request_id, hostile->readable - 1, 2);
}

static int64_t read_wrapping(struct hostile *hostile)
{
        return read_at(hostile->request_id, UINT32_MAX, 2);
}

static int64_t read_wrapping_exactly(struct hostile *hostile)
{
        return read_at(hostile->request_id, UINT32_MAX - 511, 512);
}

static int64_t read_nothing(struct hostile *hostile)
{
        return read_at(hostile->request_id, 0, 0);
}

static int64_t read_2g(struct hostile *hostile)
{
        return read_at(hostile->request_id, 0, UINT32_C(1) << 31);
}

/* What the guest lends for writing lies behind what it lends for reading: is that the way to read it? */
static int64_t read_writable_part(struct hostile *hostile)
{
        return read_at(hostile->request_id, hostile->readable, hostile->writable);
}

static int64_t write_past_end(struct hostile *hostile)
{
        return write_at(hostile->request_id, hostile->writable, 1);
}

static int64_t write_straddling(struct hostile *hostile)
{
        return write_at(hostile->request_id, hostile->writable - 1, 2);
}

static int64_t write_wrapping(struct hostile *hostile)
{
        return write_at(hostile->request_id, UINT32_MAX, 2);
}

static int64_t write_nothing(struct hostile *hostile)
{
        return write_at(hostile->request_id, 0, 0);
}

/* As long as both parts together: the tail would land in the readable one. */
static int64_t write_readable_part(struct hostile *hostile)
{
        return write_at(hostile->request_id, 0, hostile->readable + hostile->writable);
}

static int64_t write_2g(struct hostile *hostile)
{
        return write_at(hostile->request_id, 0, UINT32_C(1) << 31);
}

static int64_t write_short_payload(struct hostile *hostile)
{
        uint32_t offset = 0, len = 512;
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = 1, .id = &hostile->request_id, .offset = &offset, .len = &len}};

        return then_wait(send_lane(&message, 511));
}

/* ---- ids ---- */

static int64_t write_other_id(struct hostile *hostile)
{
        return write_at(hostile->command.number, 0, 64);
}

static int64_t read_other_id(struct hostile *hostile)
{
        return read_at(hostile->command.number, 0, 64);
}

static int64_t complete_other_id(struct hostile *hostile)
{
        return complete_at(hostile->command.number, WIRE_STATUS_OK, 0, 0);
}

static int64_t complete_next_ids(struct hostile *hostile)
{
        uint64_t ids[GUESSES];

        for (size_t i = 0; i < GUESSES; i++)
                ids[i] = hostile->request_id + 1 + i;
        return then_wait(complete_n(GUESSES, ids, WIRE_STATUS_OK, 0, 0));
}

static int64_t complete_low_ids(struct hostile *hostile)
{
        uint64_t ids[GUESSES];

        (void)hostile;
        for (size_t i = 0; i < GUESSES; i++)
                ids[i] = i;
        return then_wait(complete_n(GUESSES, ids, WIRE_STATUS_OK, 0, 0));
}

static int64_t complete_high_id(struct hostile *hostile)
{
        return complete_at(hostile->request_id | UINT64_C(1) << 63, WIRE_STATUS_OK, 0, 0);
}

static int64_t complete_truncated_id(struct hostile *hostile)
{
        return complete_at(hostile->request_id + (UINT64_C(1) << 32), WIRE_STATUS_OK, 0, 0);
}

/* ---- after, twice, too long ---- */

static int64_t write_after_complete(struct hostile *hostile)
{
        uint64_t id = hostile->request_id;

        hostile_report_now(hostile, 0);
        return write_at(id, 0, 64);
}

static int64_t read_after_complete(struct hostile *hostile)
{
        uint64_t id = hostile->request_id;

        hostile_report_now(hostile, 0);
        return read_at(id, 0, 64);
}

static int64_t complete_twice(struct hostile *hostile)
{
        uint64_t id = hostile->request_id;

        hostile_report_now(hostile, 0);
        return complete_at(id, WIRE_STATUS_OK, 0, 0);
}

static int64_t complete_twice_at_once(struct hostile *hostile)
{
        uint64_t ids[2] = {hostile->request_id, hostile->request_id};

        return then_wait(complete_n(2, ids, WIRE_STATUS_OK, 0, 0));
}

static int64_t complete_longer(struct hostile *hostile)
{
        return complete_at(hostile->request_id, WIRE_STATUS_OK, 0, hostile->writable + 1);
}

static int64_t complete_beyond(struct hostile *hostile)
{
        return complete_at(hostile->request_id, WIRE_STATUS_OK, hostile->writable, 1);
}

static int64_t complete_wrapping(struct hostile *hostile)
{
        return complete_at(hostile->request_id, WIRE_STATUS_OK, UINT32_MAX, 1);
}

static int64_t complete_status(struct hostile *hostile)
{
        return complete_at(hostile->request_id, 0xffff, 0, 0);
}

/* 17 questions where 16 may be open; the broker answers in order and must not keep more. */
static int64_t read_flood(struct hostile *hostile)
{
        static uint64_t ids[LIMIT_MEM_SEGMENTS];
        static uint32_t offsets[LIMIT_MEM_SEGMENTS], lens[LIMIT_MEM_SEGMENTS];
        struct lane_to_broker message = {.kind = LANE_MEM_READ,
                                         .mem_read = {.n = LIMIT_MEM_SEGMENTS,
                                                      .id = ids,
                                                      .offset = offsets,
                                                      .len = lens,
                                                      .total = LIMIT_MEM_SEGMENTS * 512u}};

        for (size_t i = 0; i < LIMIT_MEM_SEGMENTS; i++) {
                ids[i] = hostile->request_id;
                lens[i] = 512;
        }
        /* never read: their answers fill the pipe, then the broker's list of questions */
        for (uint32_t i = 0; i < REPLAYED; i++) {
                int64_t r;

                message.mem_read.seq = i;
                r = send_lane(&message, 0);
                if (r < 0)
                        return r;
        }
        return hostile_linger(KILL_MS);
}

/* A frame whose end never comes. */
static int64_t half_payload(struct hostile *hostile)
{
        uint32_t offset = (uint32_t)sizeof(hostile->report), len = 2048;
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = 1, .id = &hostile->request_id, .offset = &offset, .len = &len}};
        ssize_t n = lane_make_to_broker(&message, header, sizeof(header));

        if (n < 0)
                return n;
        hostile_send_as(worker_fd_lane_out(0), (uint32_t)n, len, header, (size_t)n, payload, len / 2);
        return hostile_linger((int)hostile->command.number);
}

static int64_t half_frame(struct hostile *hostile)
{
        hostile_send_as(worker_fd_lane_out(0), 1000, 0, "\x1a", 1, NULL, 0);
        return hostile_linger((int)hostile->command.number);
}

static int64_t blame_guest(struct hostile *hostile)
{
        complete_n(1, &hostile->request_id, WIRE_STATUS_PROTOCOL, 0, 0);
        return hostile_linger(100);
}

/* ---- guest memory by address, of a worker that walks no ring ---- */

static int64_t raw_at(enum lane_kind_to_broker kind, uint64_t at, uint32_t len)
{
        const struct lane_to_broker message = {.kind = kind,
                                               .raw = {.seq = 77, .n = 1, .at = &at, .len = &len}};

        return then_wait(send_lane(&message, kind == LANE_RAW_WRITE ? len : 0));
}

static int64_t raw_read(struct hostile *hostile)
{
        return raw_at(LANE_RAW_READ, hostile->command.number, 8);
}

static int64_t raw_write(struct hostile *hostile)
{
        return raw_at(LANE_RAW_WRITE, hostile->command.number, 8);
}

static int64_t raw_taken(struct hostile *hostile)
{
        (void)hostile;
        return then_wait(send_lane(&(struct lane_to_broker){.kind = LANE_TAKEN, .taken = {0, 1}}, 0));
}

/* ---- good twins ---- */

/* Up to the last byte that was granted. */
static int64_t write_inside(struct hostile *hostile)
{
        uint32_t offset = (uint32_t)sizeof(hostile->report),
                 len = hostile->writable - (uint32_t)sizeof(hostile->report);
        struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = 1, .id = &hostile->request_id, .offset = &offset, .len = &len}};
        int64_t r = send_lane(&message, len);

        return r < 0 ? r : hostile_linger(20);
}

static int64_t read_inside(struct hostile *hostile)
{
        uint8_t answer[512];
        uint32_t len = 128;

        request_push(hostile->request);
        return request_read(hostile->request, hostile->readable - len, answer, len);
}

static const struct hostile_attack rows[] = {
    {"read-past-end", read_past_end, 0},
    {"read-straddling", read_straddling, 0},
    {"read-wrapping", read_wrapping, 0},
    {"read-wrapping-exactly", read_wrapping_exactly, 0},
    {"read-nothing", read_nothing, 0},
    {"read-2g", read_2g, 0},
    {"read-writable-part", read_writable_part, 0},
    {"write-past-end", write_past_end, 0},
    {"write-straddling", write_straddling, 0},
    {"write-wrapping", write_wrapping, 0},
    {"write-nothing", write_nothing, 0},
    {"write-readable-part", write_readable_part, 0},
    {"write-2g", write_2g, 0},
    {"write-short-payload", write_short_payload, 0},
    {"write-other-id", write_other_id, 0},
    {"read-other-id", read_other_id, 0},
    {"complete-other-id", complete_other_id, 0},
    {"complete-next-ids", complete_next_ids, 0},
    {"complete-low-ids", complete_low_ids, 0},
    {"complete-high-id", complete_high_id, 0},
    {"complete-truncated-id", complete_truncated_id, 0},
    {"write-after-complete", write_after_complete, 0},
    {"read-after-complete", read_after_complete, 0},
    {"complete-twice", complete_twice, 0},
    {"complete-twice-at-once", complete_twice_at_once, 0},
    {"complete-longer", complete_longer, 0},
    {"complete-beyond", complete_beyond, 0},
    {"complete-wrapping", complete_wrapping, 0},
    {"complete-status", complete_status, 0},
    {"read-flood", read_flood, 0},
    {"half-payload", half_payload, 0},
    {"half-frame", half_frame, 0},
    {"blame-guest", blame_guest, 0},
    {"raw-read", raw_read, 0},
    {"raw-write", raw_write, 0},
    {"raw-taken", raw_taken, 0},
    {"write-inside", write_inside, 0},
    {"read-inside", read_inside, 0},
};

const struct hostile_attacks hostile_grants = {rows, array_size(rows)};
