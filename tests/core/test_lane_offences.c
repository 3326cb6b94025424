/* A worker that breaks the protocol: each offence ends in exactly one worker_fault, within one message, and
 * no byte of the guest outside its request has changed.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define READABLE 64u
#define WRITABLE 256u
#define AREA     MODEL_BUFFERS
#define AREA_LEN UINT64_C(0x4000)
#define READ_AT  (AREA + 0x1000)
#define WRITE_AT (AREA + 0x2000)
#define N_SENT   3u /* requests with the worker; a fourth was taken off the ring and has no credit */

static struct lane_bench bench;
static uint64_t ids[N_SENT];
static uint8_t zeros[LIMIT_FRAME_PAYLOAD];

static uint64_t write_at(unsigned i)
{
        return WRITE_AT + i * 0x200;
}

static void begin(void)
{
        struct bench_options options = bench_defaults;

        options.max_inline = READABLE;
        options.credit_bytes = N_SENT * READABLE + READABLE - 1;
        bench_init(&bench, &options);
        model_fill(&bench.guest, AREA, AREA_LEN, 0xcc);
        for (unsigned i = 0; i < N_SENT + 1; i++)
                model_post(&bench.guest, 0,
                           (struct model_buffer[]){{READ_AT, READABLE, false}, {write_at(i), WRITABLE, true}},
                           2);
        assert_int_equal(bench_requests(&bench), N_SENT);
        for (unsigned i = 0; i < N_SENT; i++)
                ids[i] = bench.requests[i].id;
}

/* Nothing but the writable bytes of the first N_SENT requests may differ from 0xcc. */
static void canaries_live(void)
{
        assert_true(model_is(&bench.guest, AREA, WRITE_AT - AREA, 0xcc));
        for (unsigned i = 0; i < N_SENT; i++)
                assert_true(model_is(&bench.guest, write_at(i) + WRITABLE, 0x200 - WRITABLE, 0xcc));
        assert_true(model_is(&bench.guest, write_at(N_SENT), AREA + AREA_LEN - write_at(N_SENT), 0xcc));
}

static void send_read(size_t n, const uint64_t *id, const uint32_t *offset, const uint32_t *len)
{
        uint32_t total = 0;

        for (size_t i = 0; i < n; i++)
                total += len[i];
        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){
                .kind = LANE_MEM_READ,
                .mem_read = {.seq = 1, .n = n, .id = id, .offset = offset, .len = len, .total = total}},
            NULL, 0);
}

static void send_write(size_t n, const uint64_t *id, const uint32_t *offset, const uint32_t *len,
                       size_t payload_len)
{
        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){.kind = LANE_MEM_WRITE,
                                     .mem_write = {.n = n, .id = id, .offset = offset, .len = len}},
            zeros, payload_len);
}

static void send_complete(size_t n, const uint64_t *id, uint32_t status, uint32_t offset, uint32_t len,
                          size_t payload_len)
{
        uint32_t statuses[LIMIT_WIRE_COLUMN], offsets[LIMIT_WIRE_COLUMN], lens[LIMIT_WIRE_COLUMN];

        for (size_t i = 0; i < n; i++) {
                statuses[i] = status;
                offsets[i] = offset;
                lens[i] = len;
        }
        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){
                .kind = LANE_COMPLETE,
                .complete = {.n = n, .id = id, .status = statuses, .offset = offsets, .len = lens}},
            zeros, payload_len);
}

static void read_one(uint64_t id, uint32_t offset, uint32_t len)
{
        send_read(1, &id, &offset, &len);
}

static void write_one(uint64_t id, uint32_t offset, uint32_t len)
{
        send_write(1, &id, &offset, &len, len);
}

static void complete_one(uint64_t id, uint32_t offset, uint32_t len)
{
        send_complete(1, &id, WIRE_STATUS_OK, offset, len, len);
}

static void raw(const void *bytes, size_t len)
{
        fake_worker_send_bytes(&bench.worker, bytes, len);
}

static void raw_head(uint32_t header_len, uint32_t payload_len)
{
        uint32_t words[2] = {htole32(header_len), htole32(payload_len)};

        raw(words, sizeof(words));
}

/* ---- the offences ---- */

static void read_of_an_unknown_id(void)
{
        read_one(0x1234567890, 0, 1);
}
static void read_of_id_zero(void)
{
        read_one(0, 0, 1);
}
static void read_of_a_forged_generation(void)
{
        read_one(ids[0] + 0x10000, 0, 1);
}
static void read_of_a_slot_outside_the_table(void)
{
        read_one(ids[0] | 0xffff, 0, 1);
}
static void read_behind_the_readable_bytes(void)
{
        read_one(ids[0], READABLE, 1);
}
static void read_over_their_end(void)
{
        read_one(ids[0], READABLE - 1, 2);
}
static void read_that_wraps(void)
{
        read_one(ids[0], UINT32_MAX, 2);
}
static void read_of_the_writable_part(void)
{
        read_one(ids[0], READABLE, WRITABLE);
}
static void read_of_nothing(void)
{
        read_one(ids[0], 0, 0);
}
static void write_to_an_unknown_id(void)
{
        write_one(77u << 16, 0, 1);
}
static void write_to_a_forged_generation(void)
{
        write_one(ids[1] + 0x10000, 0, 1);
}
/* Of a request that it holds, to a part that it may write: but that space is the kernel loader's. */
static void write_as_if_it_were_the_loader(void)
{
        const uint32_t offset = 0, len = 1;

        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){
                .kind = LANE_MEM_WRITE,
                .mem_write = {.n = 1, .id = ids, .offset = &offset, .len = &len, .space = LANE_SPACE_BOOT}},
            zeros, 1);
}
static void write_behind_the_writable_bytes(void)
{
        write_one(ids[1], WRITABLE, 1);
}
static void write_over_their_end(void)
{
        write_one(ids[1], 1, WRITABLE);
}
static void write_that_wraps(void)
{
        write_one(ids[1], UINT32_MAX - 1, 4);
}
static void write_of_nothing(void)
{
        write_one(ids[1], 0, 0);
}
static void completion_of_an_unknown_id(void)
{
        complete_one(12345, 0, 0);
}
static void completion_over_the_end(void)
{
        complete_one(ids[0], WRITABLE, 1);
}
static void completion_with_an_offset_outside(void)
{
        complete_one(ids[0], WRITABLE + 1, 0);
}
static void completion_that_wraps(void)
{
        complete_one(ids[0], UINT32_MAX, 1);
}

static void second_segment_outside(void)
{
        const uint64_t id[2] = {ids[0], ids[1]};
        const uint32_t offset[2] = {0, WRITABLE}, len[2] = {16, 16};

        send_write(2, id, offset, len, 32);
}

static void second_read_outside(void)
{
        const uint64_t id[2] = {ids[0], ids[1]};
        const uint32_t offset[2] = {0, READABLE}, len[2] = {16, 16};

        send_read(2, id, offset, len);
}

static void completion_twice_in_one_message(void)
{
        const uint64_t id[3] = {ids[0], ids[1], ids[0]};

        send_complete(3, id, WIRE_STATUS_OK, 0, 0, 0);
}

static void completion_twice_in_two_messages(void)
{
        complete_one(ids[0], 0, 4);
        complete_one(ids[0], 0, 4);
}

static void write_after_completion(void)
{
        complete_one(ids[0], 0, 4);
        write_one(ids[0], 4, 4);
}

static void read_after_completion(void)
{
        complete_one(ids[0], 0, 4);
        read_one(ids[0], 0, 4);
}

static void completion_of_what_was_not_sent(void)
{
        complete_one(bench.lane.requests.newest->id, 0, 0);
}

static void unknown_status(void)
{
        send_complete(1, ids, WIRE_STATUS_COUNT_, 0, 0, 0);
}

static void status_that_no_device_may_say(void)
{
        send_complete(1, ids, WIRE_STATUS_IO, 0, 0, 0);
}

static void payload_that_is_too_short(void)
{
        const uint32_t offset = 0, len = 100;

        send_write(1, ids, &offset, &len, 99);
}

static void payload_that_is_too_long(void)
{
        const uint32_t offset = 0, len = 100;

        send_write(1, ids, &offset, &len, 101);
}

static void completion_with_a_payload_that_nobody_owns(void)
{
        send_complete(1, ids, WIRE_STATUS_OK, 0, 0, 10);
}

static void a_read_with_a_payload(void)
{
        const uint32_t offset = 0, len = 1;

        fake_worker_send(
            &bench.worker,
            &(struct lane_to_broker){
                .kind = LANE_MEM_READ,
                .mem_read = {.seq = 1, .n = 1, .id = ids, .offset = &offset, .len = &len, .total = 1}},
            zeros, 1);
}

static void one_read_too_many(void)
{
        for (unsigned i = 0; i <= LIMIT_MEM_READS; i++)
                read_one(ids[0], 0, 1);
}

static void more_bytes_than_a_frame_has(void)
{
        uint64_t id[64];
        uint32_t offset[64], len[64];

        for (unsigned i = 0; i < 64; i++) {
                id[i] = ids[0];
                offset[i] = 0;
                len[i] = LIMIT_FRAME_PAYLOAD / 64 + 1;
        }
        send_read(64, id, offset, len);
}

static void head_of_length_zero(void)
{
        raw_head(0, 0);
}
static void head_over_the_header_limit(void)
{
        raw_head(LIMIT_FRAME_HEADER + 1, 0);
}
static void head_over_the_payload_limit(void)
{
        raw_head(8, LIMIT_FRAME_PAYLOAD + 1);
}
static void head_of_all_ones(void)
{
        raw_head(UINT32_MAX, UINT32_MAX);
}

static void header_of_rubbish(void)
{
        raw_head(200, 0);
        raw(zeros, 200);
}

static void header_of_the_largest_rubbish(void)
{
        raw_head(LIMIT_FRAME_HEADER, LIMIT_FRAME_PAYLOAD);
        raw(NULL, LIMIT_FRAME_HEADER);
}

static void hanging_up(void)
{
        fake_worker_close(&bench.worker);
}

static void hanging_up_in_a_head(void)
{
        raw(zeros, 3);
        fake_worker_push(&bench.worker);
        fake_worker_close(&bench.worker);
}

static void hanging_up_in_a_payload(void)
{
        write_one(ids[0], 0, WRITABLE);
        bench.worker.tx_len -= 100;
        fake_worker_push(&bench.worker);
        fake_worker_close(&bench.worker);
}

static const struct offence {
        const char *name;
        void (*commit)(void);
        unsigned used; /* requests that were rightly completed before it */
} offences[] = {
#define OFFENCE(name, used)                                                                                  \
        {                                                                                                    \
#name, name, used                                                                            \
        }
    OFFENCE(read_of_an_unknown_id, 0),
    OFFENCE(read_of_id_zero, 0),
    OFFENCE(read_of_a_forged_generation, 0),
    OFFENCE(read_of_a_slot_outside_the_table, 0),
    OFFENCE(read_behind_the_readable_bytes, 0),
    OFFENCE(read_over_their_end, 0),
    OFFENCE(read_that_wraps, 0),
    OFFENCE(read_of_the_writable_part, 0),
    OFFENCE(read_of_nothing, 0),
    OFFENCE(write_to_an_unknown_id, 0),
    OFFENCE(write_to_a_forged_generation, 0),
    OFFENCE(write_as_if_it_were_the_loader, 0),
    OFFENCE(write_behind_the_writable_bytes, 0),
    OFFENCE(write_over_their_end, 0),
    OFFENCE(write_that_wraps, 0),
    OFFENCE(write_of_nothing, 0),
    OFFENCE(completion_of_an_unknown_id, 0),
    OFFENCE(completion_over_the_end, 0),
    OFFENCE(completion_with_an_offset_outside, 0),
    OFFENCE(completion_that_wraps, 0),
    OFFENCE(second_segment_outside, 0),
    OFFENCE(second_read_outside, 0),
    OFFENCE(completion_twice_in_one_message, 0),
    OFFENCE(completion_twice_in_two_messages, 1),
    OFFENCE(write_after_completion, 1),
    OFFENCE(read_after_completion, 1),
    OFFENCE(completion_of_what_was_not_sent, 0),
    OFFENCE(unknown_status, 0),
    OFFENCE(status_that_no_device_may_say, 0),
    OFFENCE(payload_that_is_too_short, 0),
    OFFENCE(payload_that_is_too_long, 0),
    OFFENCE(completion_with_a_payload_that_nobody_owns, 0),
    OFFENCE(a_read_with_a_payload, 0),
    OFFENCE(one_read_too_many, 0),
    OFFENCE(more_bytes_than_a_frame_has, 0),
    OFFENCE(head_of_length_zero, 0),
    OFFENCE(head_over_the_header_limit, 0),
    OFFENCE(head_over_the_payload_limit, 0),
    OFFENCE(head_of_all_ones, 0),
    OFFENCE(header_of_rubbish, 0),
    OFFENCE(header_of_the_largest_rubbish, 0),
    OFFENCE(hanging_up, 0),
    OFFENCE(hanging_up_in_a_head, 0),
    OFFENCE(hanging_up_in_a_payload, 0),
};

static unsigned reap_all(void)
{
        uint16_t head;
        uint32_t len;
        unsigned n = 0;

        while (model_reap(&bench.guest, 0, &head, &len)) {
                assert_true(len <= 4);
                n++;
        }
        return n;
}

/* The successor gets what was not answered, and is served: nothing was lost and nothing is stuck. */
static void successor_is_well(unsigned used)
{
        size_t n;

        bench_die(&bench);
        bench.faults = 0;
        bench_attach(&bench);
        n = bench_requests(&bench);
        assert_int_equal(n, N_SENT + 1 - used > N_SENT ? N_SENT : N_SENT + 1 - used);
        for (size_t i = 0; i < n; i++)
                complete_one(bench.requests[i].id, 0, 4);
        assert_int_equal(bench_requests(&bench) + n, N_SENT + 1 - used);
        assert_int_equal(reap_all(), n);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(bench.broken[0], 0);
}

static void each_offence_ends_in_one_fault_and_leaves_the_guest_alone(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(offences); i++) {
                for (size_t step = 0; step < 2; step++) {
                        begin();
                        bench.worker.step = step;
                        if (step > 0 && offences[i].commit == header_of_the_largest_rubbish)
                                bench.worker.step = 1000;
                        if (offences[i].commit == one_read_too_many)
                                bench.worker.step = 0; /* else each is answered before the next one comes */
                        offences[i].commit();
                        bench_run(&bench);
                        if (bench.faults != 1)
                                fail_msg("%s: %u faults", offences[i].name, bench.faults);
                        assert_non_null(bench.why);
                        /* deaf from here on: no second fault, no second completion */
                        lane_readable(&bench.lane);
                        lane_turn(&bench.lane);
                        assert_int_equal(bench.faults, 1);
                        assert_int_equal(reap_all(), offences[i].used);
                        assert_int_equal(bench.broken[0], 0);
                        canaries_live();
                        successor_is_well(offences[i].used);
                        bench_done(&bench);
                }
        }
}

/* The device's own protocol was broken by the guest: the queue breaks, the worker lives. */
static void a_protocol_status_breaks_the_queue_and_not_the_worker(void **state)
{
        (void)state;
        begin();
        send_complete(1, ids, WIRE_STATUS_PROTOCOL, 0, 0, 0);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.faults, 0);
        assert_int_equal(lane_queue_find(&bench.lane, 0)->ring.fault, QUEUE_FAULT_DEVICE);
        complete_one(ids[1], 0, 4); /* the others end without an answer */
        complete_one(ids[2], 0, 4);
        bench_not_used(&bench, 0);
        assert_int_equal(bench.broken[0], 1);
        assert_int_equal(bench.faults, 0);
        canaries_live();
        bench_done(&bench);
}

/* At the edges the same messages are right. */
static void the_edges_are_permitted(void **state)
{
        (void)state;
        begin();
        read_one(ids[0], READABLE - 1, 1);
        read_one(ids[0], 0, READABLE);
        write_one(ids[0], WRITABLE - 1, 1);
        write_one(ids[0], 0, WRITABLE);
        complete_one(ids[0], WRITABLE, 0);
        bench_run(&bench);
        assert_int_equal(bench.faults, 0);
        canaries_live();
        bench_done(&bench);
}

/* Random frames of valid form around real ids: whatever happens, the canaries live. */
static void random_messages_never_reach_outside(void **state)
{
        uint64_t seed = 42;

        (void)state;
        for (unsigned round = 0; round < 400; round++) {
                begin();
                for (unsigned i = 0; i < 30 && bench.faults == 0; i++) {
                        uint64_t id = ids[random_below(&seed, N_SENT)];
                        uint32_t offset = random_below(&seed, WRITABLE + (round % 20 == 0 ? 8 : 0));
                        uint32_t len = 1 + random_below(&seed, WRITABLE - MIN(offset, WRITABLE - 1));

                        if (random_below(&seed, 100) == 0)
                                id ^= UINT64_C(1) << random_below(&seed, 64);
                        switch (random_below(&seed, 8)) {
                        case 0:
                                complete_one(id, offset, len);
                                break;
                        case 1:
                                read_one(id, offset % READABLE, 1 + len % READABLE);
                                break;
                        default:
                                write_one(id, offset, len);
                        }
                        bench_run(&bench);
                        bench.worker.rx_pos = bench.worker.rx_len;
                }
                assert_true(bench.faults <= 1);
                canaries_live();
                bench_done(&bench);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_offence_ends_in_one_fault_and_leaves_the_guest_alone),
            cmocka_unit_test(a_protocol_status_breaks_the_queue_and_not_the_worker),
            cmocka_unit_test(the_edges_are_permitted),
            cmocka_unit_test(random_messages_never_reach_outside),
        };

        return cmocka_run_group_tests_name("lane_offences", tests, NULL, NULL);
}
