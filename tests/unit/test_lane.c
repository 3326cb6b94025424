/* Lane messages: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/lane.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

#define ROOM (LIMIT_WIRE_COLUMN + 1)

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];

/* Columns that every test fills anew: ids count, everything else is 0 but lens, which are 1. */
static uint64_t id[ROOM];
static uint32_t queue[ROOM], readable[ROOM], writable[ROOM], inlined[ROOM], attempt[ROOM], must_fail[ROOM];
static uint32_t offset[ROOM], len[ROOM], status[ROOM];

static int columns_setup(void **state)
{
        (void)state;
        for (size_t i = 0; i < ROOM; i++) {
                id[i] = UINT64_MAX - i;
                queue[i] = readable[i] = writable[i] = inlined[i] = attempt[i] = must_fail[i] = 0;
                offset[i] = status[i] = 0;
                len[i] = 1;
        }
        return arena_init(&arena, LIMIT_ARENA);
}

static int columns_teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static struct lane_to_worker requests(size_t n)
{
        return (struct lane_to_worker){
            .kind = LANE_REQUESTS,
            .requests = {n, id, queue, readable, writable, inlined, attempt, must_fail}};
}

static struct lane_to_worker mem_read_reply(size_t n)
{
        return (struct lane_to_worker){.kind = LANE_MEM_READ_REPLY, .mem_read_reply = {9, n, status}};
}

static struct lane_to_broker mem_read(size_t n)
{
        return (struct lane_to_broker){.kind = LANE_MEM_READ, .mem_read = {9, n, id, offset, len, 0}};
}

static struct lane_to_broker mem_write(size_t n)
{
        return (struct lane_to_broker){.kind = LANE_MEM_WRITE, .mem_write = {n, id, offset, len}};
}

static struct lane_to_broker complete(size_t n)
{
        return (struct lane_to_broker){.kind = LANE_COMPLETE, .complete = {n, id, status, offset, len}};
}

static int to_broker(struct lane_to_broker message, uint32_t payload_len, struct lane_to_broker *ret)
{
        ssize_t n = lane_make_to_broker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return lane_check_to_broker(&arena, buf, (size_t)n, payload_len, ret);
}

static int to_worker(struct lane_to_worker message, uint32_t payload_len, struct lane_to_worker *ret)
{
        ssize_t n = lane_make_to_worker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return lane_check_to_worker(&arena, buf, (size_t)n, payload_len, ret);
}

/* Refused, and the result is untouched. */
static void refused_by_broker(struct lane_to_broker message, uint32_t payload_len)
{
        struct lane_to_broker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(to_broker(message, payload_len, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

static void refused_by_worker(struct lane_to_worker message, uint32_t payload_len)
{
        struct lane_to_worker got, before;

        memset(&got, 0x7e, sizeof(got));
        before = got;
        assert_int_equal(to_worker(message, payload_len, &got), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
}

/* ---- what lane_make would not say: columns of any length ---- */

static int forged(Bulkhead__Lane__ToBroker *wire, uint32_t payload_len, struct lane_to_broker *ret)
{
        ssize_t n = wire_pack(&wire->base, buf, sizeof(buf));

        assert_true(n > 0);
        return lane_check_to_broker(&arena, buf, (size_t)n, payload_len, ret);
}

static int forged_mem_read(size_t n_id, size_t n_offset, size_t n_len, struct lane_to_broker *ret)
{
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
        Bulkhead__Lane__MemRead body = BULKHEAD__LANE__MEM_READ__INIT;

        body.space = BULKHEAD__LANE__SPACE__SPACE_CHAIN;
        body.n_id = n_id, body.id = id;
        body.n_offset = n_offset, body.offset = offset;
        body.n_len = n_len, body.len = len;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_READ;
        wire.mem_read = &body;
        return forged(&wire, 0, ret);
}

static int forged_mem_write(size_t n_id, size_t n_offset, size_t n_len, struct lane_to_broker *ret)
{
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
        Bulkhead__Lane__MemWrite body = BULKHEAD__LANE__MEM_WRITE__INIT;

        body.space = BULKHEAD__LANE__SPACE__SPACE_CHAIN;
        body.n_id = n_id, body.id = id;
        body.n_offset = n_offset, body.offset = offset;
        body.n_len = n_len, body.len = len;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_MEM_WRITE;
        wire.mem_write = &body;
        return forged(&wire, (uint32_t)n_len, ret);
}

static int forged_complete(size_t n_id, size_t n_status, size_t n_offset, size_t n_len,
                           struct lane_to_broker *ret)
{
        Bulkhead__Lane__ToBroker wire = BULKHEAD__LANE__TO_BROKER__INIT;
        Bulkhead__Lane__Complete body = BULKHEAD__LANE__COMPLETE__INIT;

        body.n_id = n_id, body.id = id;
        body.n_status = n_status, body.status = status;
        body.n_offset = n_offset, body.offset = offset;
        body.n_len = n_len, body.len = len;
        wire.kind_case = BULKHEAD__LANE__TO_BROKER__KIND_COMPLETE;
        wire.complete = &body;
        return forged(&wire, (uint32_t)n_len, ret);
}

static int forged_mem_read_reply(size_t n, struct lane_to_worker *ret)
{
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;
        Bulkhead__Lane__MemReadReply body = BULKHEAD__LANE__MEM_READ_REPLY__INIT;
        ssize_t made;

        body.n_status = n, body.status = status;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_MEM_READ_REPLY;
        wire.mem_read_reply = &body;
        made = wire_pack(&wire.base, buf, sizeof(buf));
        return lane_check_to_worker(&arena, buf, (size_t)made, (uint32_t)n, ret);
}

/* n requests without payload; column `short_column`, when there is such a one, has an element less. */
static int forged_requests(size_t n, size_t short_column, struct lane_to_worker *ret)
{
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;
        Bulkhead__Lane__Requests body = BULKHEAD__LANE__REQUESTS__INIT;
        size_t *counts[] = {&body.n_id,      &body.n_queue,   &body.n_readable, &body.n_writable,
                            &body.n_inlined, &body.n_attempt, &body.n_must_fail};
        ssize_t made;

        body.id = id, body.queue = queue, body.readable = readable, body.writable = writable;
        body.inlined = inlined, body.attempt = attempt, body.must_fail = must_fail;
        for (size_t i = 0; i < array_size(counts); i++)
                *counts[i] = i == short_column ? n - 1 : n;
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_REQUESTS;
        wire.requests = &body;
        made = wire_pack(&wire.base, buf, sizeof(buf));
        return lane_check_to_worker(&arena, buf, (size_t)made, 0, ret);
}

/* ---- claims ---- */

static void requests_come_back_as_they_were(void **state)
{
        struct lane_to_worker got;

        (void)state;
        for (uint32_t i = 0; i < LIMIT_WIRE_COLUMN; i++) {
                queue[i] = i % LIMIT_QUEUES;
                readable[i] = i * 3;
                inlined[i] = i;
                writable[i] = i * 5;
                attempt[i] = UINT32_MAX - i;
                must_fail[i] = i % 2;
        }
        assert_int_equal(to_worker(requests(LIMIT_WIRE_COLUMN), 255 * 256 / 2, &got), 0);
        assert_int_equal(got.kind, LANE_REQUESTS);
        assert_int_equal(got.requests.n, LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.id, id, sizeof(uint64_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.queue, queue, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.readable, readable, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.writable, writable, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.inlined, inlined, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.attempt, attempt, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.requests.must_fail, must_fail, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
}

/* What is said of a whole frame: each 0 or 1, and a time. */
static int forged_flags(const uint32_t said[4], struct lane_to_worker *ret)
{
        Bulkhead__Lane__ToWorker wire = BULKHEAD__LANE__TO_WORKER__INIT;
        Bulkhead__Lane__Requests body = BULKHEAD__LANE__REQUESTS__INIT;
        ssize_t made;

        body.id = id, body.n_id = 1;
        body.longer = said[0], body.stay = said[1], body.look = said[2], body.spin_us = said[3];
        wire.kind_case = BULKHEAD__LANE__TO_WORKER__KIND_REQUESTS;
        wire.requests = &body;
        made = wire_pack(&wire.base, buf, sizeof(buf));
        return lane_check_to_worker(&arena, buf, (size_t)made, 0, ret);
}

static void assert_flags(const struct lane_requests *got, unsigned flags)
{
        assert_int_equal(got->longer, flags & 1);
        assert_int_equal(got->stay, flags >> 1 & 1);
        assert_int_equal(got->look, flags >> 2);
}

static void what_is_said_of_a_frame_is_yes_or_no(void **state)
{
        struct lane_to_worker got, message = requests(1);

        (void)state;
        for (unsigned flags = 0; flags < 8; flags++) {
                message.requests.longer = flags & 1;
                message.requests.stay = flags >> 1 & 1;
                message.requests.look = flags >> 2;
                assert_int_equal(to_worker(message, 0, &got), 0);
                assert_flags(&got.requests, flags);
                assert_int_equal(forged_flags((uint32_t[]){flags & 1, flags >> 1 & 1, flags >> 2, 0}, &got),
                                 0);
                assert_flags(&got.requests, flags);
        }
        for (unsigned flag = 0; flag < 6; flag++) {
                uint32_t wrong[4] = {0};

                wrong[flag / 2] = flag % 2 ? UINT32_MAX : 2;
                assert_int_equal(forged_flags(wrong, &got), -EPROTO);
        }
        message.requests.spin_us = LIMIT_POLL_US;
        assert_int_equal(to_worker(message, 0, &got), 0);
        assert_int_equal(got.requests.spin_us, LIMIT_POLL_US);
        assert_int_equal(forged_flags((uint32_t[]){0, 0, 0, LIMIT_POLL_US + 1}, &got), -EPROTO);
}

static void mem_messages_come_back_as_they_were(void **state)
{
        struct lane_to_broker got;
        struct lane_to_worker reply;
        const uint32_t n = LIMIT_MEM_SEGMENTS;

        (void)state;
        for (uint32_t i = 0; i < n; i++)
                offset[i] = LIMIT_CHAIN_BYTES - 1 - i;
        assert_int_equal(to_broker(mem_read(n), 0, &got), 0);
        assert_int_equal(got.mem_read.n, n);
        assert_int_equal(got.mem_read.seq, 9);
        assert_int_equal(got.mem_read.total, n);
        assert_memory_equal(got.mem_read.id, id, sizeof(uint64_t) * n);
        assert_memory_equal(got.mem_read.offset, offset, sizeof(uint32_t) * n);
        assert_memory_equal(got.mem_read.len, len, sizeof(uint32_t) * n);
        assert_int_equal(to_broker(mem_write(n), n, &got), 0);
        assert_int_equal(got.mem_write.n, n);
        assert_memory_equal(got.mem_write.offset, offset, sizeof(uint32_t) * n);
        status[3] = WIRE_STATUS_FAULT;
        assert_int_equal(to_worker(mem_read_reply(n), n, &reply), 0);
        assert_int_equal(reply.mem_read_reply.seq, 9);
        assert_memory_equal(reply.mem_read_reply.status, status, sizeof(uint32_t) * n);
}

static void complete_comes_back_as_it_was(void **state)
{
        struct lane_to_broker got;

        (void)state;
        status[7] = WIRE_STATUS_PROTOCOL;
        len[8] = 0;
        assert_int_equal(to_broker(complete(LIMIT_WIRE_COLUMN), LIMIT_WIRE_COLUMN - 1, &got), 0);
        assert_int_equal(got.complete.n, LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.complete.id, id, sizeof(uint64_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.complete.status, status, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
        assert_memory_equal(got.complete.len, len, sizeof(uint32_t) * LIMIT_WIRE_COLUMN);
}

static void batches_of_nothing_are_refused(void **state)
{
        (void)state;
        refused_by_broker(mem_read(0), 0);
        refused_by_broker(mem_write(0), 0);
        refused_by_broker(complete(0), 0);
        refused_by_worker(requests(0), 0);
        refused_by_worker(mem_read_reply(0), 0);
}

static void batches_over_their_limit_are_neither_made_nor_accepted(void **state)
{
        struct lane_to_broker up[] = {mem_write(LIMIT_MEM_SEGMENTS + 1), mem_read(LIMIT_MEM_SEGMENTS + 1),
                                      complete(LIMIT_WIRE_COLUMN + 1)};
        struct lane_to_worker down[] = {requests(LIMIT_WIRE_COLUMN + 1),
                                        mem_read_reply(LIMIT_MEM_SEGMENTS + 1)};
        struct lane_to_broker got;
        struct lane_to_worker got_worker;

        (void)state;
        for (size_t i = 0; i < array_size(up); i++)
                assert_int_equal(lane_make_to_broker(&up[i], buf, sizeof(buf)), -E2BIG);
        for (size_t i = 0; i < array_size(down); i++)
                assert_int_equal(lane_make_to_worker(&down[i], buf, sizeof(buf)), -E2BIG);
        for (size_t over = 0; over < 2; over++) {
                const size_t n = LIMIT_MEM_SEGMENTS + over;
                const int r = over ? -EPROTO : 0;

                assert_int_equal(forged_mem_write(n, n, n, &got), r);
                assert_int_equal(forged_mem_read(n, n, n, &got), r);
                assert_int_equal(forged_mem_read_reply(n, &got_worker), r);
        }
        assert_int_equal(
            forged_complete(LIMIT_WIRE_COLUMN, LIMIT_WIRE_COLUMN, LIMIT_WIRE_COLUMN, LIMIT_WIRE_COLUMN, &got),
            0);
        assert_int_equal(forged_complete(ROOM, ROOM, ROOM, ROOM, &got), -EPROTO);
        assert_int_equal(forged_requests(LIMIT_WIRE_COLUMN, SIZE_MAX, &got_worker), 0);
        assert_int_equal(forged_requests(ROOM, SIZE_MAX, &got_worker), -EPROTO);
}

static void payloads_are_the_sum_of_their_segments(void **state)
{
        struct lane_to_broker got;
        struct lane_to_worker got_worker;

        (void)state;
        len[0] = 100;
        for (int off = -1; off <= 1; off++) {
                const int r = off == 0 ? 0 : -EPROTO;

                assert_int_equal(to_broker(mem_write(2), (uint32_t)(101 + off), &got), r);
                assert_int_equal(to_broker(complete(2), (uint32_t)(101 + off), &got), r);
        }
        readable[0] = inlined[0] = 100;
        readable[1] = inlined[1] = 1;
        for (int off = -1; off <= 1; off++)
                assert_int_equal(to_worker(requests(2), (uint32_t)(101 + off), &got_worker),
                                 off == 0 ? 0 : -EPROTO);
        refused_by_broker(mem_read(1), 1); /* a question has no payload */
        refused_by_worker(mem_read_reply(2), 1);
        assert_int_equal(to_worker(mem_read_reply(2), 2, &got_worker), 0);
}

static void segments_lie_inside_the_longest_chain(void **state)
{
        struct lane_to_broker got;

        (void)state;
        offset[0] = LIMIT_CHAIN_BYTES - 10;
        len[0] = 10;
        assert_int_equal(to_broker(mem_read(1), 0, &got), 0);
        assert_int_equal(to_broker(mem_write(1), 10, &got), 0);
        assert_int_equal(to_broker(complete(1), 10, &got), 0);
        len[0] = 11;
        refused_by_broker(mem_read(1), 0);
        refused_by_broker(mem_write(1), 11);
        refused_by_broker(complete(1), 11);
        offset[0] = UINT32_MAX; /* the sum wraps to 10 */
        refused_by_broker(mem_read(1), 0);
        refused_by_broker(mem_write(1), 11);
        refused_by_broker(complete(1), 11);
}

static void empty_segments_are_for_complete_only(void **state)
{
        struct lane_to_broker got;

        (void)state;
        len[1] = 0;
        refused_by_broker(mem_read(2), 0);
        refused_by_broker(mem_write(2), 1);
        assert_int_equal(to_broker(complete(2), 1, &got), 0);
}

static void answers_never_pass_the_largest_payload(void **state)
{
        struct lane_to_broker got;

        (void)state;
        len[0] = LIMIT_FRAME_PAYLOAD - 1;
        assert_int_equal(to_broker(mem_read(2), 0, &got), 0);
        assert_int_equal(got.mem_read.total, LIMIT_FRAME_PAYLOAD);
        len[0]++;
        refused_by_broker(mem_read(2), 0);
        for (size_t i = 0; i < LIMIT_MEM_SEGMENTS; i++)
                len[i] = LIMIT_CHAIN_BYTES; /* 64 times 32 MiB is 2^31: a 32-bit sum of 128 would be 0 */
        refused_by_broker(mem_read(LIMIT_MEM_SEGMENTS), 0);
        for (size_t i = 0; i < 128; i++)
                len[i] = LIMIT_CHAIN_BYTES;
        refused_by_broker(complete(128), 0);
}

static void requests_are_judged_one_by_one(void **state)
{
        struct lane_to_worker got;

        (void)state;
        queue[1] = LIMIT_QUEUES - 1;
        assert_int_equal(to_worker(requests(2), 0, &got), 0);
        queue[1] = LIMIT_QUEUES;
        refused_by_worker(requests(2), 0);
        queue[1] = 0;
        must_fail[1] = 2;
        refused_by_worker(requests(2), 0);
        must_fail[1] = 0;
        readable[1] = 4;
        inlined[1] = 5;
        refused_by_worker(requests(2), 5);
        inlined[1] = 4;
        assert_int_equal(to_worker(requests(2), 4, &got), 0);
        writable[1] = LIMIT_CHAIN_BYTES - 4;
        assert_int_equal(to_worker(requests(2), 4, &got), 0);
        writable[1]++;
        refused_by_worker(requests(2), 4);
        writable[1] = UINT32_MAX - 3; /* the sum wraps */
        refused_by_worker(requests(2), 4);
}

static void statuses_are_known_ones(void **state)
{
        struct lane_to_broker got;
        struct lane_to_worker reply;

        (void)state;
        for (uint32_t s = 0; s < WIRE_STATUS_COUNT_ + 2; s++) {
                status[1] = s;
                assert_int_equal(to_broker(complete(2), 2, &got),
                                 s == WIRE_STATUS_OK || s == WIRE_STATUS_PROTOCOL ? 0 : -EPROTO);
                assert_int_equal(to_worker(mem_read_reply(2), 2, &reply),
                                 s < WIRE_STATUS_COUNT_ ? 0 : -EPROTO);
        }
}

static void what_is_given_back_unused_or_waits_has_no_bytes(void **state)
{
        static const uint32_t statuses[] = {WIRE_STATUS_CANCELED, WIRE_STATUS_WAITING};
        struct lane_to_broker got;
        uint32_t was = len[1];

        (void)state;
        for (size_t i = 0; i < array_size(statuses); i++) {
                status[1] = statuses[i];
                len[1] = was;
                assert_int_equal(to_broker(complete(2), 2, &got), -EPROTO);
                len[1] = 0;
                assert_int_equal(to_broker(complete(2), 1, &got), 0);
                assert_int_equal(got.complete.status[1], statuses[i]);
        }
}

static struct lane_to_worker recall(uint32_t of)
{
        return (struct lane_to_worker){.kind = LANE_RECALL, .recall = {.queue = of}};
}

static void recall_is_of_a_queue_and_has_no_payload(void **state)
{
        struct lane_to_worker got;

        (void)state;
        assert_int_equal(to_worker(recall(LIMIT_QUEUES - 1), 0, &got), 0);
        assert_int_equal(got.kind, LANE_RECALL);
        assert_int_equal(got.recall.queue, LIMIT_QUEUES - 1);
        refused_by_worker(recall(LIMIT_QUEUES), 0);
        refused_by_worker(recall(0), 1);
}

static void wake_has_no_payload(void **state)
{
        const struct lane_to_worker wake = {.kind = LANE_WAKE};
        struct lane_to_worker got;

        (void)state;
        assert_int_equal(to_worker(wake, 0, &got), 0);
        assert_int_equal(got.kind, LANE_WAKE);
        refused_by_worker(wake, 1);
}

static void columns_of_unequal_length_are_refused(void **state)
{
        static const size_t odd[] = {0, 1, 3};
        struct lane_to_broker got;
        struct lane_to_worker got_worker;

        (void)state;
        assert_int_equal(forged_mem_read(2, 2, 2, &got), 0);
        assert_int_equal(forged_mem_write(2, 2, 2, &got), 0);
        assert_int_equal(forged_complete(2, 2, 2, 2, &got), 0);
        assert_int_equal(forged_requests(2, SIZE_MAX, &got_worker), 0);
        for (size_t i = 0; i < array_size(odd); i++) {
                const size_t n = odd[i];
                const int zeros = n == 0 ? 0 : -EPROTO; /* that are not sent: test_lane_zeros.c */

                assert_int_equal(forged_mem_read(n, 2, 2, &got), -EPROTO);
                assert_int_equal(forged_mem_read(2, n, 2, &got), zeros);
                assert_int_equal(forged_mem_read(2, 2, n, &got), -EPROTO);
                assert_int_equal(forged_mem_write(n, 2, 2, &got), -EPROTO);
                assert_int_equal(forged_mem_write(2, n, 2, &got), zeros);
                assert_int_equal(forged_mem_write(2, 2, n, &got), -EPROTO);
                assert_int_equal(forged_complete(n, 2, 2, 2, &got), -EPROTO);
                assert_int_equal(forged_complete(2, n, 2, 2, &got), zeros);
                assert_int_equal(forged_complete(2, 2, n, 2, &got), zeros);
                assert_int_equal(forged_complete(2, 2, 2, n, &got), zeros);
        }
        for (size_t column = 0; column < 7; column++)
                assert_int_equal(forged_requests(2, column, &got_worker), -EPROTO);
}

static void messages_of_no_kind_are_refused(void **state)
{
        struct lane_to_broker broker = {.kind = (enum lane_kind_to_broker)8};
        struct lane_to_worker worker = {.kind = (enum lane_kind_to_worker)0};

        (void)state;
        assert_int_equal(lane_check_to_broker(&arena, NULL, 0, 0, &broker), -EPROTO);
        assert_int_equal(lane_check_to_worker(&arena, NULL, 0, 0, &worker), -EPROTO);
        assert_int_equal(lane_make_to_broker(&broker, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(lane_make_to_worker(&worker, buf, sizeof(buf)), -EINVAL);
}

/* The space is the one byte that a one-byte field of this number announces. */
static void space_is_one_of(uint32_t good, struct lane_to_broker message, uint8_t field, uint32_t payload_len)
{
        const enum lane_kind_to_broker raw = message.kind == LANE_MEM_READ ? LANE_RAW_READ : LANE_RAW_WRITE;
        ssize_t n = lane_make_to_broker(&message, buf, sizeof(buf));
        uint8_t *space = memchr(buf + 2, field << 3, (size_t)n - 2);
        struct lane_to_broker got;

        assert_non_null(space);
        assert_int_equal(space[1], 1);
        for (uint8_t v = 0; v < 128; v++) {
                bool is_good = v < 32 && good >> v & 1;

                space[1] = v;
                got.kind = 0;
                assert_int_equal(lane_check_to_broker(&arena, buf, (size_t)n, payload_len, &got),
                                 is_good ? 0 : -EPROTO);
                assert_int_equal(got.kind, !is_good ? 0 : v == 3 ? raw : message.kind);
        }
}

/* What the loader may write is no request of a device (test_control_boot); what is named by address is another kind of message
 * (test_lane_raw). */
static void only_a_request_can_be_read(void **state)
{
        (void)state;
        space_is_one_of(1u << 1 | 1u << 3, mem_read(1), 2, 0);
        space_is_one_of(1u << 1 | 1u << 2 | 1u << 3, mem_write(1), 1, 1);
}

static void a_small_arena_is_told_from_a_bad_message(void **state)
{
        struct lane_to_worker got, message = requests(LIMIT_WIRE_COLUMN);
        ssize_t n = lane_make_to_worker(&message, buf, sizeof(buf));
        struct arena small;

        (void)state;
        assert_int_equal(arena_init(&small, 1024), 0);
        assert_int_equal(lane_check_to_worker(&small, buf, (size_t)n, 0, &got), -ENOMEM);
        arena_done(&small);
}

/* The largest message of each kind is far below the arena's cap. */
static void full_batches_fit_the_arena_many_times(void **state)
{
        struct lane_to_worker got;

        (void)state;
        assert_int_equal(to_worker(requests(LIMIT_WIRE_COLUMN), 0, &got), 0);
        assert_true(arena.used < LIMIT_ARENA / 8);
}

struct sweep {
        uint32_t payload_len;
        unsigned accepted;
};

/* What is accepted keeps the promises of lane.h, and can be said again in the same words. */
static void sweep_to_broker(const uint8_t *bytes, size_t n, void *context)
{
        struct sweep *sweep = context;
        uint8_t again[4096];
        struct lane_to_broker got;
        ssize_t again_len;
        int r = lane_check_to_broker(&arena, bytes, n, sweep->payload_len, &got);

        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        sweep->accepted++;
        assert_true(judged_lane_to_broker(&got, sweep->payload_len));
        again_len = lane_make_to_broker(&got, again, sizeof(again));
        assert_true(again_len > 0);
        assert_int_equal(lane_check_to_broker(&arena, again, (size_t)again_len, sweep->payload_len, &got), 0);
}

static void sweep_to_worker(const uint8_t *bytes, size_t n, void *context)
{
        struct sweep *sweep = context;
        struct lane_to_worker got;
        int r = lane_check_to_worker(&arena, bytes, n, sweep->payload_len, &got);

        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        sweep->accepted++;
        assert_true(judged_lane_to_worker(&got, sweep->payload_len));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static const size_t counts[] = {1, 2, 33, LIMIT_MEM_SEGMENTS};

        (void)state;
        for (size_t i = 0; i < array_size(counts); i++) {
                const size_t n = counts[i];
                const struct lane_to_broker up[] = {mem_read(n), mem_write(n), complete(n)};
                const struct lane_to_worker down[] = {requests(n), mem_read_reply(n),
                                                      recall((uint32_t)n - 1)};

                for (size_t k = 0; k < array_size(up); k++) {
                        struct sweep sweep = {.payload_len = k == 0 ? 0 : (uint32_t)n};
                        ssize_t made = lane_make_to_broker(&up[k], buf, sizeof(buf));

                        unit_sweep(buf, (size_t)made, sweep_to_broker, &sweep);
                        assert_true(sweep.accepted >= 1 + 64 * n); /* each bit of each id */
                }
                for (size_t k = 0; k < array_size(down); k++) {
                        struct sweep sweep = {.payload_len = k == 1 ? (uint32_t)n : 0};
                        ssize_t made = lane_make_to_worker(&down[k], buf, sizeof(buf));

                        unit_sweep(buf, (size_t)made, sweep_to_worker, &sweep);
                        assert_true(sweep.accepted >= 1);
                }
        }
}

#define LANE_TEST(f) cmocka_unit_test_setup_teardown(f, columns_setup, columns_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            LANE_TEST(requests_come_back_as_they_were),
            LANE_TEST(what_is_said_of_a_frame_is_yes_or_no),
            LANE_TEST(mem_messages_come_back_as_they_were),
            LANE_TEST(complete_comes_back_as_it_was),
            LANE_TEST(batches_of_nothing_are_refused),
            LANE_TEST(batches_over_their_limit_are_neither_made_nor_accepted),
            LANE_TEST(payloads_are_the_sum_of_their_segments),
            LANE_TEST(segments_lie_inside_the_longest_chain),
            LANE_TEST(empty_segments_are_for_complete_only),
            LANE_TEST(answers_never_pass_the_largest_payload),
            LANE_TEST(requests_are_judged_one_by_one),
            LANE_TEST(statuses_are_known_ones),
            LANE_TEST(what_is_given_back_unused_or_waits_has_no_bytes),
            LANE_TEST(recall_is_of_a_queue_and_has_no_payload),
            LANE_TEST(wake_has_no_payload),
            LANE_TEST(columns_of_unequal_length_are_refused),
            LANE_TEST(messages_of_no_kind_are_refused),
            LANE_TEST(only_a_request_can_be_read),
            LANE_TEST(a_small_arena_is_told_from_a_bad_message),
            LANE_TEST(full_batches_fit_the_arena_many_times),
            LANE_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
