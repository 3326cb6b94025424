/* Messages that are wrong: in form, in turn, in state, in size.
 * Owns nothing; read by hostile_ops.c. TRUST: sees no foreign bytes.
 *
 * Tags by hand: (field << 3 | wire type), wire types 0 varint, 1 fixed64, 2 length-prefixed, 3 and 4 group,
 * 5 fixed32. A lane message is field 1 (MemRead), 2 (MemWrite) or 3 (Complete); a control message is field 1
 * (Hello), 2 (Done), 3 (ConfigSpace), 4 (PutState), 5 (Log) or 6 (Stats).
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "proto/lane.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"

#define KILL_MS   3000
#define NESTING   10000u
#define BOMB_WORD 8u

static uint8_t bytes[LIMIT_FRAME_PAYLOAD];

static int64_t sent(int r)
{
        return r < 0 ? r : hostile_linger(KILL_MS);
}

/* ---- form ---- */

struct malformed {
        bool on_lane;
        const char *bytes;
        size_t len;
};

#define LANE(text)                                                                                           \
        {                                                                                                    \
                true, (text), sizeof(text) - 1                                                               \
        }
#define CONTROL(text)                                                                                        \
        {                                                                                                    \
                false, (text), sizeof(text) - 1                                                              \
        }

/* The command's number is an index; attempts_messages.c says what each is. */
static const struct malformed malformed[] = {
    LANE("\x1a\x05\x0a"),                                     /*  0 cut short inside a message */
    LANE("\x1a\xff\xff\xff\xff\x0f"),                         /*  1 a length of 4 GiB */
    LANE("\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /*  2 a varint of eleven bytes */
    LANE("\x02\x00"),                                         /*  3 field number 0 */
    LANE("\x2a\x00"),                                         /*  4 a kind that there is none of */
    LANE("\x1b\x1c"),                                         /*  5 a group */
    LANE("\x18\x01"),                                         /*  6 a varint where a message belongs */
    LANE("\x1a\x00\x1a\x00"),                                 /*  7 a kind twice */
    LANE("\x1a\x00"),                                         /*  8 a Complete of nothing */
    LANE("\x1a\x0a\x0a\x08\1\0\0\0\0\0\0\0"),                 /*  9 an id without its columns */
    LANE("\x1a\x09\x0a\x07\1\0\0\0\0\0\0"),                   /* 10 a column of seven eighths */
    LANE("\x1a\x09\x09\1\0\0\0\0\0\0\0"),                     /* 11 a column that is not packed */
    LANE("\x0a\x1b\x0d\1\0\0\0\x10\x02\x1a\x08\1\0\0\0\0\0\0\0\x22\x04\0\0\0\0\x2a\x04\1\0\0"
         "\0"), /* 12 space 2 */
    LANE("\x0a\x1b\x0d\1\0\0\0\x10\x00\x1a\x08\1\0\0\0\0\0\0\0\x22\x04\0\0\0\0\x2a\x04\1\0\0"
         "\0"),                                            /* 13 no space */
    CONTROL("\x12\x0a\x0d\x01\0\0\0\x15\xff\xff\xff\xff"), /* 14 a status that there is none of */
    CONTROL("\x2a\x09\x0d\x02\0\0\0\x12\x02\x41\0"),       /* 15 a text with a NUL */
    CONTROL("\x2a\x05\x0d\x09\0\0\0"),                     /* 16 a log level of nine */
    CONTROL("\x3a\x00"),                                   /* 17 a kind that there is none of */
    CONTROL("\x0a\x00"),                                   /* 18 an empty second Hello */
    CONTROL("\xff"),                                       /* 19 half a tag */
};

static int64_t send_malformed(struct hostile *hostile)
{
        const struct malformed *row = &malformed[hostile->command.number % array_size(malformed)];
        const int fd = row->on_lane ? worker_fd_lane_out(0) : WORKER_FD_CONTROL;

        return sent(hostile_send(fd, row->bytes, row->len, NULL, 0));
}

/* A frame's head by itself. */
static int64_t head_empty(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send_as(worker_fd_lane_out(0), 0, 0, NULL, 0, NULL, 0));
}

static int64_t head_too_long(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send_as(worker_fd_lane_out(0), LIMIT_FRAME_HEADER + 1, 0, NULL, 0, NULL, 0));
}

static int64_t head_payload_too_long(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send_as(worker_fd_lane_out(0), 8, LIMIT_FRAME_PAYLOAD + 1, NULL, 0, NULL, 0));
}

static int64_t head_most(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send_as(worker_fd_lane_out(0), UINT32_MAX, UINT32_MAX, NULL, 0, NULL, 0));
}

static int64_t control_payload(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send_as(WORKER_FD_CONTROL, 2, 4, "\x32\x00", 2, "abcd", 4));
}

static int64_t noise(struct hostile *hostile)
{
        uint64_t word = hostile->report.incarnation | 1;

        for (size_t i = 0; i + BOMB_WORD <= 4096; i += BOMB_WORD) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                memcpy(bytes + i, &word, BOMB_WORD);
        }
        return sent(hostile_send(worker_fd_lane_out(0), bytes, 4096, NULL, 0));
}

/* As many unknown fields as a header holds: each would cost protobuf-c an allocation. */
static size_t fill_unknown(size_t size)
{
        size_t at = 0;

        for (; at + 3 <= size; at += 3)
                memcpy(bytes + at, "\xf8\x07\x01", 3); /* field 127, varint 1 */
        return at;
}

static int64_t bomb_unknown(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send(worker_fd_lane_out(0), bytes, fill_unknown(LIMIT_FRAME_HEADER), NULL, 0));
}

static int64_t bomb_unknown_control(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send(WORKER_FD_CONTROL, bytes, fill_unknown(LIMIT_FRAME_HEADER), NULL, 0));
}

static int64_t bomb_unknown_1m(struct hostile *hostile)
{
        size_t len = fill_unknown(sizeof(bytes));

        (void)hostile;
        return sent(hostile_send(worker_fd_lane_out(0), bytes, len, NULL, 0));
}

/* 32 KiB of it, for protobuf-c's parser to recurse on: from the inside out, each length in three bytes. */
static size_t fill_nested(void)
{
        size_t at = sizeof(bytes), inner = 0;

        for (unsigned i = 0; i < NESTING && inner + 4 < LIMIT_FRAME_HEADER; i++) {
                const uint8_t head[4] = {0x1a, (uint8_t)(inner | 0x80), (uint8_t)(inner >> 7 | 0x80),
                                         (uint8_t)(inner >> 14 & 0x7f)};

                at -= sizeof(head);
                memcpy(bytes + at, head, sizeof(head));
                inner += sizeof(head);
        }
        memmove(bytes, bytes + at, inner);
        return inner;
}

static int64_t bomb_nested(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send(worker_fd_lane_out(0), bytes, fill_nested(), NULL, 0));
}

static int64_t bomb_nested_control(struct hostile *hostile)
{
        (void)hostile;
        return sent(hostile_send(WORKER_FD_CONTROL, bytes, fill_nested(), NULL, 0));
}

/* ---- turn and state ---- */

static int send_control(const struct control_to_broker *message)
{
        ssize_t len = control_make_to_broker(message, bytes, sizeof(bytes));

        return len < 0 ? (int)len : hostile_send(WORKER_FD_CONTROL, bytes, (size_t)len, NULL, 0);
}

static int64_t second_hello(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_HELLO, .hello = hostile_hello};

        (void)hostile;
        return sent(send_control(&message));
}

/* Both are an IOMMU's alone: to whom the pages are to belong is not even looked at. */
static int64_t iommu_map(struct hostile *hostile)
{
        struct control_to_broker message = {
            .kind = CONTROL_IOMMU_MAP,
            .iommu = {.len = LIMIT_IOTLB_PAGE, .rights = CONTROL_IOMMU_READ | CONTROL_IOMMU_WRITE}};

        (void)hostile;
        return sent(send_control(&message));
}

static int64_t iommu_unmap(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_IOMMU_UNMAP};

        (void)hostile;
        return sent(send_control(&message));
}

static int64_t done_unasked(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_DONE, .done = {.seq = 1}};

        (void)hostile;
        return sent(send_control(&message));
}

static int64_t done_future(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_DONE, .done = {.seq = UINT32_MAX}};

        (void)hostile;
        return sent(send_control(&message));
}

/* The messages of the other direction have numbers that mean something here too. */
static int64_t lane_on_control(struct hostile *hostile)
{
        uint32_t zero = 0;
        struct lane_to_broker message = {
            .kind = LANE_COMPLETE,
            .complete = {.n = 1, .id = &hostile->request_id, .status = &zero, .offset = &zero, .len = &zero}};
        ssize_t len = lane_make_to_broker(&message, bytes, sizeof(bytes));

        return len < 0 ? len : sent(hostile_send(WORKER_FD_CONTROL, bytes, (size_t)len, NULL, 0));
}

static int64_t control_on_lane(struct hostile *hostile)
{
        struct control_to_broker message = {.kind = CONTROL_STATS};
        ssize_t len = control_make_to_broker(&message, bytes, sizeof(bytes));

        (void)hostile;
        return len < 0 ? len : sent(hostile_send(worker_fd_lane_out(0), bytes, (size_t)len, NULL, 0));
}

static int64_t reply_on_lane(struct hostile *hostile)
{
        uint32_t status = 0;
        struct lane_to_worker message = {.kind = LANE_MEM_READ_REPLY,
                                         .mem_read_reply = {.seq = 1, .n = 1, .status = &status}};
        ssize_t len = lane_make_to_worker(&message, bytes, sizeof(bytes));

        (void)hostile;
        return len < 0 ? len : sent(hostile_send(worker_fd_lane_out(0), bytes, (size_t)len, NULL, 0));
}

static int64_t config_space(size_t n, uint64_t value)
{
        static uint64_t values[LIMIT_CONFIG_FIELDS + 1];
        struct control_to_broker message = {.kind = CONTROL_CONFIG_SPACE,
                                            .config_space = {.n = n, .value = values}};

        for (size_t i = 0; i < array_size(values); i++)
                values[i] = value;
        return sent(send_control(&message));
}

static int64_t config_more(struct hostile *hostile)
{
        (void)hostile;
        return config_space(hostile_hello.n_fields + 1, 0);
}

static int64_t config_most(struct hostile *hostile)
{
        (void)hostile;
        return config_space(LIMIT_CONFIG_FIELDS, 0);
}

static int64_t config_wide(struct hostile *hostile)
{
        (void)hostile;
        return config_space(hostile_hello.n_fields, UINT64_MAX);
}

static int64_t state_too_long(struct hostile *hostile)
{
        (void)hostile;
        memset(bytes, 'x', 5000);
        /* PutState { state: 4097 bytes }, by hand: ours refuses to make it */
        memmove(bytes + 6, bytes, 4097);
        memcpy(bytes, "\x22\x84\x20\x0a\x81\x20", 6);
        return sent(hostile_send(WORKER_FD_CONTROL, bytes, 6 + 4097, NULL, 0));
}

/* ---- log ---- */

static int64_t log_text(const char *text)
{
        struct control_to_broker message = {.kind = CONTROL_LOG,
                                            .log = {.level = LOG_LEVEL_ERROR, .text = text}};
        int r = send_control(&message);

        return r < 0 ? r : hostile_linger(20);
}

/* Looks like a line of the broker's own, like a terminal's command, like a syslog priority. */
static int64_t log_injection(struct hostile *hostile)
{
        (void)hostile;
        return log_text(
            "\nbulkhead-broker[all]: error: FORGED-LINE \r\x1b[2J\x1b]0;FORGED\x07<0>\xff\xfe %n%s");
}

static int64_t log_long(struct hostile *hostile)
{
        (void)hostile;
        memset(bytes, 'A', LIMIT_LOG_LINE - 1);
        bytes[LIMIT_LOG_LINE - 1] = '\0';
        static char text[LIMIT_LOG_LINE];

        memcpy(text, bytes, sizeof(text));
        return log_text(text);
}

/* One byte more than a line has, and 1 MiB of it: by hand. */
static int64_t log_too_long(struct hostile *hostile)
{
        (void)hostile;
        memset(bytes + 6, 'A', LIMIT_LOG_LINE);
        memcpy(bytes, "\x2a\x83\x08\x12\x80\x08", 6);
        return sent(hostile_send(WORKER_FD_CONTROL, bytes, 6 + LIMIT_LOG_LINE, NULL, 0));
}

static int64_t log_1m(struct hostile *hostile)
{
        (void)hostile;
        memset(bytes, 'A', sizeof(bytes));
        return sent(hostile_send(WORKER_FD_CONTROL, bytes, sizeof(bytes), NULL, 0));
}

static const struct hostile_attack rows[] = {
    {"malformed", send_malformed, 0},
    {"head-empty", head_empty, 0},
    {"head-too-long", head_too_long, 0},
    {"head-payload-too-long", head_payload_too_long, 0},
    {"head-most", head_most, 0},
    {"control-payload", control_payload, 0},
    {"noise", noise, 0},
    {"bomb-unknown", bomb_unknown, 0},
    {"bomb-unknown-control", bomb_unknown_control, 0},
    {"bomb-unknown-1m", bomb_unknown_1m, 0},
    {"bomb-nested", bomb_nested, 0},
    {"bomb-nested-control", bomb_nested_control, 0},
    {"second-hello", second_hello, 0},
    {"iommu-map", iommu_map, 0},
    {"iommu-unmap", iommu_unmap, 0},
    {"done-unasked", done_unasked, 0},
    {"done-future", done_future, 0},
    {"lane-on-control", lane_on_control, 0},
    {"control-on-lane", control_on_lane, 0},
    {"reply-on-lane", reply_on_lane, 0},
    {"config-more", config_more, 0},
    {"config-most", config_most, 0},
    {"config-wide", config_wide, 0},
    {"state-too-long", state_too_long, 0},
    {"log-injection", log_injection, 0},
    {"log-long", log_long, 0},
    {"log-too-long", log_too_long, 0},
    {"log-1m", log_1m, 0},
};

const struct hostile_attacks hostile_messages = {rows, array_size(rows)};
