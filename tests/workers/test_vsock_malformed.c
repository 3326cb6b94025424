/* workers/vsock: what a guest must not say, by name, in each state that a connection can be in. After each the device serves on;
 * what breaks it is told to the broker as the guest's fault, and by nothing else.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/vsock_stage.h"

#define THEIRS LIMIT_VSOCK_STREAMS /* the first stream that the proxy gives */
#define GUEST  1025u
#define HOST   52u

static struct vsock_stage stage;

/* What there is when the packet comes. */
enum before {
        NOTHING = 0,
        OPENING,  /* the guest has asked, the proxy connects */
        OFFERED,  /* the host has asked */
        OPEN,     /* a stream */
        MESSAGES, /* a SEQPACKET connection */
        SHUT,     /* the guest has said that it sends no more */
        CLOSING,  /* the host has closed, and the guest was told */
};

/* And what becomes of it. */
enum after {
        REFUSED, /* the device is broken */
        RST,     /* the guest is told; a connection ends, and the proxy is told, too */
        IGNORED, /* nothing happens, and a connection goes on */
        LEFT,    /* the connection ends without a word to the guest */
};

static const struct malformed {
        const char *name;
        enum before before;
        enum after after;
        struct stage_packet packet; /* ports 0: the connection's */
        uint32_t cut;               /* bytes that are missing at its end */
        uint32_t writable;
} malformed[] = {
    {"no bytes at all", NOTHING, REFUSED, {.op = VSOCK_OP_REQUEST}, .cut = 44},
    {"one byte", NOTHING, REFUSED, {.op = VSOCK_OP_REQUEST}, .cut = 43},
    {"a header without its last byte", NOTHING, REFUSED, {.op = VSOCK_OP_REQUEST}, .cut = 1},
    {"a header without fwd_cnt", OPEN, REFUSED, {.op = VSOCK_OP_CREDIT_UPDATE}, .cut = 4},
    {"a header with room for an answer", NOTHING, REFUSED, {.op = VSOCK_OP_REQUEST}, .writable = 44},
    {"a payload without its last byte", OPEN, REFUSED, {.op = VSOCK_OP_RW, .len = 100}, .cut = 1},
    {"a payload that is not there", OPEN, REFUSED, {.op = VSOCK_OP_RW, .len = 100}, .cut = 100},
    {"a payload of 4 GiB", OPEN, REFUSED, {.op = VSOCK_OP_RW, .len = UINT32_MAX}},
    {"a payload whose length and header wrap", OPEN, REFUSED, {.op = VSOCK_OP_RW, .len = UINT32_MAX - 43}},

    {"from nobody", NOTHING, IGNORED, {.op = VSOCK_OP_REQUEST, .src_cid = 1}},
    {"from another guest", OPEN, IGNORED, {.op = VSOCK_OP_RST, .src_cid = STAGE_CID + 1}},
    {"from the host", OPEN, IGNORED, {.op = VSOCK_OP_RST, .src_cid = 2}},
    {"from a cid whose upper half is set",
     OPEN,
     IGNORED,
     {.op = VSOCK_OP_RST, .src_cid = STAGE_CID | UINT64_C(1) << 32}},
    {"to another guest", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .dst_cid = 77}},
    {"to itself", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .dst_cid = STAGE_CID}},
    {"to any", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .dst_cid = UINT32_MAX}},
    {"a reset to another guest", OPEN, IGNORED, {.op = VSOCK_OP_RST, .dst_cid = 77}},

    {"no type", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .type = 0xffff}},
    {"a type of nobody's", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .type = 3}},
    {"a datagram on a stream", OPEN, RST, {.op = VSOCK_OP_RW, .type = 3, .len = 1}},
    {"a message on a stream", OPEN, RST, {.op = VSOCK_OP_RW, .type = VSOCK_TYPE_SEQPACKET, .len = 1}},
    {"a stream's bytes among messages",
     MESSAGES,
     RST,
     {.op = VSOCK_OP_RW, .type = VSOCK_TYPE_STREAM, .len = 1}},

    {"no operation", NOTHING, RST, {.op = 0}},
    {"no operation on a connection", OPEN, RST, {.op = 0}},
    {"an operation of nobody's", OPEN, RST, {.op = VSOCK_OP_COUNT_}},
    {"an operation of 16 bits", OPEN, RST, {.op = 0xffff}},

    {"flags on a request", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .flags = 1}},
    {"flags on a stream's bytes", OPEN, RST, {.op = VSOCK_OP_RW, .flags = VSOCK_EOM, .len = 1}},
    {"flags of nobody's on a message",
     MESSAGES,
     RST,
     {.op = VSOCK_OP_RW, .type = VSOCK_TYPE_SEQPACKET, .flags = 4, .len = 1}},
    {"flags of nobody's on a shutdown", OPEN, RST, {.op = VSOCK_OP_SHUTDOWN, .flags = 4}},
    {"flags on a credit update", OPEN, RST, {.op = VSOCK_OP_CREDIT_UPDATE, .flags = UINT32_MAX}},
    {"flags on a reset", OPEN, LEFT, {.op = VSOCK_OP_RST, .flags = 1}},
    {"a shutdown of nothing", OPEN, IGNORED, {.op = VSOCK_OP_SHUTDOWN}},
    {"bytes on a request", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .len = 1}},
    {"bytes on a shutdown", OPEN, RST, {.op = VSOCK_OP_SHUTDOWN, .flags = 3, .len = 1}},
    {"bytes on a reset", OPEN, LEFT, {.op = VSOCK_OP_RST, .len = 9}},
    {"a packet of bytes without any", OPEN, IGNORED, {.op = VSOCK_OP_RW}},
    {"a message's end without bytes",
     MESSAGES,
     IGNORED,
     {.op = VSOCK_OP_RW, .type = VSOCK_TYPE_SEQPACKET, .flags = VSOCK_EOM}},

    {"bytes to nobody", NOTHING, RST, {.op = VSOCK_OP_RW, .len = 1}},
    {"an answer to nobody", NOTHING, RST, {.op = VSOCK_OP_RESPONSE}},
    {"a shutdown of nobody", NOTHING, RST, {.op = VSOCK_OP_SHUTDOWN, .flags = 3}},
    {"credit of nobody", NOTHING, RST, {.op = VSOCK_OP_CREDIT_UPDATE}},
    {"a question about nobody's credit", NOTHING, RST, {.op = VSOCK_OP_CREDIT_REQUEST}},
    {"a reset of nobody", NOTHING, IGNORED, {.op = VSOCK_OP_RST}},
    {"asked twice", OPENING, RST, {.op = VSOCK_OP_REQUEST}},
    {"bytes before an answer", OPENING, RST, {.op = VSOCK_OP_RW, .len = 1}},
    {"an answer to its own question", OPENING, RST, {.op = VSOCK_OP_RESPONSE}},
    {"a shutdown before an answer", OPENING, RST, {.op = VSOCK_OP_SHUTDOWN, .flags = 3}},
    {"a request for what is offered", OFFERED, RST, {.op = VSOCK_OP_REQUEST}},
    {"bytes in place of an answer", OFFERED, RST, {.op = VSOCK_OP_RW, .len = 1}},
    {"an answer of another type", OFFERED, RST, {.op = VSOCK_OP_RESPONSE, .type = VSOCK_TYPE_SEQPACKET}},
    {"a request for what is open", OPEN, RST, {.op = VSOCK_OP_REQUEST}},
    {"an answer that nobody waits for", OPEN, RST, {.op = VSOCK_OP_RESPONSE}},
    {"bytes behind the end of them", SHUT, RST, {.op = VSOCK_OP_RW, .len = 1}},
    {"bytes for a host that has closed", CLOSING, RST, {.op = VSOCK_OP_RW, .len = 1}},
    {"a request for what is being closed", CLOSING, RST, {.op = VSOCK_OP_REQUEST}},

    {"one byte more than its credit", OPEN, RST, {.op = VSOCK_OP_RW, .len = LIMIT_VSOCK_BUFFER + 1}},
    {"used what it was never given", OPEN, RST, {.op = VSOCK_OP_CREDIT_UPDATE, .fwd_cnt = 1}},
    {"used 2 GiB that it was never given", OPEN, RST, {.op = VSOCK_OP_CREDIT_UPDATE, .fwd_cnt = 1u << 31}},
    {"used something before it asked", NOTHING, RST, {.op = VSOCK_OP_REQUEST, .fwd_cnt = 1}},
};

_Static_assert(array_size(malformed) >= 40, "as many as are promised");

/* The connection there is. */
static void make_before(enum before before)
{
        uint32_t stream;

        if (before == OPENING) {
                stage_say_op(&stage, VSOCK_OP_REQUEST, GUEST, HOST, 0);
                stage_expect_frame(&stage, VSOCK_FRAME_OPEN);
        } else if (before == OFFERED) {
                stage_frame(
                    &stage,
                    (struct vsock_frame){.kind = VSOCK_FRAME_OFFER, .stream = THEIRS, .a = GUEST, .b = HOST},
                    NULL);
                stage_expect_op(&stage, VSOCK_OP_REQUEST, GUEST, HOST);
        } else if (before != NOTHING) {
                stream = stage_open(&stage, GUEST, HOST,
                                    before == MESSAGES ? VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM);
                if (before == SHUT) {
                        stage_say_op(&stage, VSOCK_OP_SHUTDOWN, GUEST, HOST, VSOCK_NO_SEND);
                        stage_expect_frame(&stage, VSOCK_FRAME_SHUT);
                }
                if (before == CLOSING) {
                        stage_frame_plain(&stage, VSOCK_FRAME_END, stream);
                        stage_expect_op(&stage, VSOCK_OP_SHUTDOWN, GUEST, HOST);
                }
        }
}

static uint32_t put(const struct malformed *row)
{
        static uint8_t bytes[VSOCK_HEADER_BYTES + LIMIT_VSOCK_BUFFER + 1];
        struct stage_packet packet = stage_packet(row->packet.op, GUEST, HOST);
        uint32_t there = row->packet.len <= LIMIT_VSOCK_BUFFER + 1 ? row->packet.len : 100;

        if (row->packet.src_cid)
                packet.src_cid = row->packet.src_cid;
        if (row->packet.dst_cid)
                packet.dst_cid = row->packet.dst_cid;
        if (row->packet.type)
                packet.type = row->packet.type == 0xffff ? 0 : row->packet.type;
        packet.flags = row->packet.flags;
        packet.fwd_cnt = row->packet.fwd_cnt;
        packet.len = row->packet.len;
        stage_make(&packet, bytes);
        return stage_put(&stage, bytes, VSOCK_HEADER_BYTES + there - row->cut, row->writable);
}

static void a_packet_that_must_not_be_ends_what_it_is_about(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(malformed); i++) {
                const struct malformed *row = &malformed[i];
                uint64_t host_cid = row->packet.dst_cid ? row->packet.dst_cid : VSOCK_CID_HOST;

                print_message("%s\n", row->name);
                stage_start_lent(&stage);
                make_before(row->before);
                assert_int_equal(put(row), row->after == REFUSED ? WIRE_STATUS_PROTOCOL : WIRE_STATUS_OK);
                if (row->after == RST)
                        assert_true(stage_expect_op(&stage, VSOCK_OP_RST, GUEST, HOST).src_cid == host_cid);
                if ((row->after == RST && row->before != NOTHING) || row->after == LEFT)
                        stage_expect_frame(&stage, VSOCK_FRAME_END);
                if (row->after == IGNORED && (row->before == OPEN || row->before == MESSAGES)) {
                        stage_say_bytes(&stage, GUEST, HOST, "on", 2,
                                        row->before == MESSAGES ? VSOCK_EOM : 0);
                        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, 2);
                }
                stage_open(&stage, 2000, HOST, VSOCK_TYPE_STREAM); /* the device serves on */
                stage_expect_no_packet(&stage);
                stage_end(&stage);
        }
}

/* A flood of each kind, 5,000 in a row; connections that were there live on, and memory is what it was. */
static void a_flood_of_any_operation_is_served(void **state)
{
        (void)state;
        for (uint16_t op = VSOCK_OP_REQUEST; op < VSOCK_OP_COUNT_; op++) {
                stage_start_lent(&stage);
                stage_open(&stage, 2000, HOST, VSOCK_TYPE_STREAM);
                for (uint32_t i = 0; i < 5000; i++) {
                        struct stage_packet packet = stage_packet(op, i, 1);

                        assert_int_equal(stage_say(&stage, &packet), WIRE_STATUS_OK);
                        if (op != VSOCK_OP_REQUEST || i >= LIMIT_VSOCK_STREAMS - 1) /* one is used */
                                continue;
                        assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_OPEN).a, i);
                }
                stage_say_bytes(&stage, 2000, HOST, "on", 2, 0);
                assert_int_equal(stage_expect_frame(&stage, VSOCK_FRAME_DATA).len, 2);
                stage_end(&stage);
        }
}

/* A buffer that cannot hold a packet is the guest's fault, whatever it was meant for. */
static void a_buffer_that_is_none_breaks_the_device(void **state)
{
        static const uint32_t lens[] = {1, 43, 44};

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++) {
                stage_start(&stage, VSOCK_F_STREAM);
                stage_lend(&stage, 1, lens[i]);
                while (!stage.rx[0].done)
                        assert_true(fake_serve(&stage.broker, 0));
                assert_int_equal(stage.rx[0].status, WIRE_STATUS_PROTOCOL);
                stage_end(&stage);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_packet_that_must_not_be_ends_what_it_is_about),
            cmocka_unit_test(a_flood_of_any_operation_is_served),
            cmocka_unit_test(a_buffer_that_is_none_breaks_the_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
