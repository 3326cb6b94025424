/* The sample that walks its own ring: good rings of every size and shape, and every ring that is wrong. The fake broker fails at once if
 * a byte outside of the window is asked for.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/device/sample.h"
#include "tests/workers/fake_broker.h"

#define START  UINT64_C(0x40000000)
#define LEN    (1u << 20)
#define AVAIL  0x8000u /* offsets in the window; descriptors at 0 */
#define USED   0x10000u
#define DATA   0x20000u
#define ANSWER 0x18000u
#define NEXT   1u
#define WRITE  2u

static struct fake_broker broker;
static uint8_t memory[LEN];
static uint16_t size, avail, used; /* of the ring; indexes */
static uint64_t sum, records;

/* What it is done with is none of the worker's business: a kick has an id and no bytes. */
static struct fake_request kick(bool must_fail)
{
        struct fake_request r = {.id = 5, .must_fail = must_fail};

        broker.taken = 0;
        fake_send_requests(&broker, 0, &r, 1);
        fake_drain(&broker, 0);
        return r;
}

static int start_ring(uint16_t ring_size, uint16_t next)
{
        struct control_to_worker message = {.kind = CONTROL_START_QUEUE,
                                            .seq = 1,
                                            .start_queue = {.size = ring_size,
                                                            .desc = START,
                                                            .avail = START + AVAIL,
                                                            .used = START + USED,
                                                            .next = next}};
        struct control_to_broker done;

        size = ring_size;
        avail = used = next;
        bytes_store16(memory + AVAIL + 2, next);
        bytes_store16(memory + USED + 2, next);
        fake_send_control(&broker, &message);
        assert_true(fake_next_control(&broker, &done));
        assert_int_equal(done.kind, CONTROL_DONE);
        return done.done.error;
}

static void start(uint16_t ring_size, uint16_t next)
{
        const struct control_configure configure = {.name = "sample0",
                                                    .n_queues = 1,
                                                    .type = DEVICE_TYPE_SAMPLE,
                                                    .options = {{{.number = 1 << 20}}},
                                                    .raw = {START, LEN}};

        memset(memory, 0, sizeof(memory));
        sum = records = 0;
        fake_start_ops(&broker, &device_ops, 1, NULL, 0);
        broker.raw = memory;
        broker.raw_start = START;
        broker.raw_len = LEN;
        fake_configure(&broker, &configure);
        assert_int_equal(broker.hello.queue_replay[0], REPLAY_IDEMPOTENT);
        assert_int_equal(start_ring(ring_size, next), 0);
}

static void end(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void desc(uint16_t i, uint64_t at, uint32_t len, uint16_t flags, uint16_t next)
{
        uint8_t *d = memory + 16u * i;

        bytes_store64(d, at);
        bytes_store32(d + 8, len);
        bytes_store16(d + 12, flags);
        bytes_store16(d + 14, next);
}

static void show(uint16_t head)
{
        bytes_store16(memory + AVAIL + 4 + 2u * (avail % size), head);
        bytes_store16(memory + AVAIL + 2, ++avail);
}

/* A request with one record of `len` bytes at DATA + at. Returns its bytes. */
static uint32_t record(uint32_t at, uint32_t len)
{
        uint8_t *p = memory + DATA + at;

        bytes_store32(p, SAMPLE_APPEND);
        bytes_store32(p + 4, 0);
        bytes_store64(p + 8, 0);
        bytes_store32(p + 16, len);
        bytes_store32(p + 20, 0);
        sum = (sum << 1 | sum >> 63) + len;
        for (uint32_t i = 0; i < len; i += 8) {
                uint64_t word = (uint64_t)rand() << 32 | (uint32_t)rand();

                bytes_store64(p + 24 + i, word);
                sum = (sum << 1 | sum >> 63) + word;
        }
        records++;
        return 24 + (len + 7) / 8 * 8;
}

static void answered(uint16_t head, const uint8_t *answer)
{
        const uint8_t *element = memory + USED + 4 + 8u * (used % size);

        assert_int_equal(bytes_load32(element), head);
        assert_int_equal(bytes_load32(element + 4), sizeof(struct sample_answer));
        assert_int_equal(bytes_load16(memory + USED + 2), ++used);
        assert_int_equal(answer[0], SAMPLE_OK);
        assert_true(bytes_load64(answer + 8) == records);
        assert_true(bytes_load64(answer + 16) == sum);
}

static void good_kick(void)
{
        struct fake_request r = kick(false);

        assert_int_equal(r.status, WIRE_STATUS_OK);
        assert_int_equal(r.used, 0);
        assert_int_equal(broker.taken, avail + 1u);
}

static void requests_are_taken_off_rings_of_any_size(void **state)
{
        static const uint16_t sizes[] = {1, 2, 4, 64, LIMIT_RING_SIZE};

        (void)state;
        for (unsigned s = 0; s < array_size(sizes); s++) {
                start(sizes[s], 65530); /* indexes wrap */
                good_kick();            /* nothing is there */
                for (unsigned i = 0; i < 20; i++) {
                        const uint16_t head = (uint16_t)(i * 3 % size),
                                       second = (uint16_t)((head + 1) % size);
                        uint32_t len = record(0, 1 + i * 200);

                        if (size == 1)
                                break; /* no room for an answer */
                        desc(head, START + DATA, len, NEXT, second);
                        desc(second, START + ANSWER, 24, WRITE, 0);
                        show(head);
                        good_kick();
                        answered(head, memory + ANSWER);
                }
                end();
        }
}

static void chains_of_many_pieces_are_one_request(void **state)
{
        uint32_t len, at = 0;

        (void)state;
        start(64, 0);
        len = record(1, 3000); /* at no round address */
        for (uint16_t i = 0; i < 40; i++) {
                uint32_t piece = i == 39 ? len - at : i + 1u;

                desc(i, START + DATA + 1 + at, piece, NEXT, (uint16_t)(i + 1));
                at += piece;
        }
        for (uint16_t i = 40; i < 64; i++) /* and the answer in single bytes */
                desc(i, START + ANSWER + 3u * i, 1, i == 63 ? WRITE : WRITE | NEXT, (uint16_t)(i + 1));
        show(0);
        good_kick();
        for (uint32_t i = 0; i < 24; i++)
                memory[i + 0x1f000] = memory[ANSWER + 3 * (40 + i)];
        answered(0, memory + 0x1f000);
        end();
}

/* All that are there, as many as can be read together by one question. */
static void a_kick_is_for_all_that_are_there(void **state)
{
        unsigned reads;

        (void)state;
        start(256, 7);
        for (unsigned round = 0; round < 3; round++) {
                for (uint16_t i = 0; i < 128; i++) {
                        uint32_t len = record(2048u * i, 500);

                        desc((uint16_t)(2 * i), START + DATA + 2048u * i, len, NEXT, (uint16_t)(2 * i + 1));
                        desc((uint16_t)(2 * i + 1), START + ANSWER + 32u * i, 24, WRITE, 0);
                        show((uint16_t)(2 * i));
                }
                reads = broker.n_mem_reads;
                good_kick();
                used = (uint16_t)(used + 127); /* the last has the sum of all */
                answered(254, memory + ANSWER + 32 * 127);
                assert_true(broker.n_mem_reads - reads <= 1 + 1 + 4);
        }
        end();
}

static void what_is_too_long_is_refused_by_its_answer(void **state)
{
        (void)state;
        start(4, 0);
        record(0, 8);
        records = sum = 0;
        desc(0, START + DATA, 131073, NEXT, 1);
        desc(1, START + ANSWER, 100, WRITE, 0);
        show(0);
        good_kick();
        assert_int_equal(memory[ANSWER], SAMPLE_REFUSED);
        desc(0, START + DATA, 15, NEXT, 1); /* or too short */
        show(0);
        good_kick();
        assert_int_equal(memory[ANSWER], SAMPLE_REFUSED);
        desc(0, START + DATA, record(0, 8), NEXT, 1);
        show(0);
        used = 2;
        good_kick();
        answered(0, memory + ANSWER);
        end();
}

static void wrong(unsigned i)
{
        desc(0, START + DATA, record(0, 8), NEXT, 1);
        desc(1, START + ANSWER, 24, WRITE, 0);
        switch (i) {
        case 0: /* further than the ring is long */
                bytes_store16(memory + AVAIL + 2, (uint16_t)(avail + size + 1));
                return;
        case 1:
                show(size);
                return;
        case 2:
                show(UINT16_MAX);
                return;
        case 3:
                desc(0, START + DATA, 32, NEXT, size);
                break;
        case 4: /* for ever */
                desc(1, START + ANSWER, 24, WRITE | NEXT, 1);
                break;
        case 5: /* back to its beginning */
                desc(1, START + DATA, 24, NEXT, 0);
                break;
        case 6: /* an indirect table, which was not offered */
                desc(0, START + DATA, 32, 4, 0);
                break;
        case 7:
                desc(0, START + DATA, 0, NEXT, 1);
                break;
        case 8: /* to be read behind what is to be written */
                desc(0, START + ANSWER, 24, WRITE | NEXT, 1);
                desc(1, START + DATA, 32, 0, 0);
                break;
        case 9:
                desc(1, START + ANSWER, 23, WRITE, 0);
                break;
        case 10: /* no answer */
                desc(0, START + DATA, 32, 0, 0);
                break;
        case 11:
                desc(0, START - 1, 32, NEXT, 1);
                break;
        case 12:
                desc(0, START + LEN - 31, 32, NEXT, 1);
                break;
        case 13:
                desc(1, START + LEN, 24, WRITE, 0);
                break;
        case 14:
                desc(1, UINT64_MAX - 10, 24, WRITE, 0);
                break;
        case 15:
                desc(1, START + ANSWER, UINT32_MAX, WRITE, 0);
                break;
        case 16:
                desc(0, 0, 32, NEXT, 1);
                break;
        default: /* longer than a question */
                for (uint16_t k = 0; k < 65; k++)
                        desc(k, START + DATA + k, 1, NEXT, (uint16_t)(k + 1));
                desc(65, START + ANSWER, 24, WRITE, 0);
        }
        show(0);
}

static void a_ring_that_is_wrong_is_called_so_and_nothing_is_written(void **state)
{
        (void)state;
        for (unsigned i = 0; i <= 17; i++) {
                struct fake_request r;

                start(128, 0);
                wrong(i);
                r = kick(false);
                if (r.status != WIRE_STATUS_PROTOCOL)
                        fail_msg("%u ends with %u", i, r.status);
                assert_int_equal(bytes_load16(memory + USED + 2), 0);
                assert_int_equal(broker.n_mem_writes, 0);
                end();
        }
}

static void memory_that_is_not_there_breaks_the_ring(void **state)
{
        (void)state;
        start(8, 0);
        broker.read_status = WIRE_STATUS_FAULT;
        assert_int_equal(kick(false).status, WIRE_STATUS_PROTOCOL);
        end();
}

static void what_must_fail_is_left_in_the_ring(void **state)
{
        (void)state;
        start(8, 0);
        desc(0, START + DATA, record(0, 8), NEXT, 1);
        desc(1, START + ANSWER, 24, WRITE, 0);
        show(0);
        assert_int_equal(kick(true).status, WIRE_STATUS_OK);
        assert_int_equal(broker.n_mem_reads + broker.n_mem_writes + broker.taken, 0);
        good_kick();
        answered(0, memory + ANSWER);
        end();
}

/* Its predecessor has used more than it told of; and: a front end goes on elsewhere than where the ring is. */
static void it_begins_where_the_ring_says_if_that_is_ahead(void **state)
{
        (void)state;
        for (unsigned far = 0; far < 2; far++) {
                start(8, 100);
                bytes_store16(memory + USED + 2, far ? 109 : 101);
                desc(0, START + DATA, record(0, 8), NEXT, 1);
                desc(1, START + ANSWER, 24, WRITE, 0);
                if (!far)
                        show(7); /* no good any more: it was used */
                show(0);
                used = far ? 109 : 101;
                good_kick();
                answered(0, memory + ANSWER);
                end();
        }
}

static void a_ring_starts_again_elsewhere(void **state)
{
        (void)state;
        start(8, 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(start_ring((uint16_t)(8 << i), (uint16_t)(i * 1000)), 0);
                desc(0, START + DATA, record(0, 8), NEXT, 1);
                desc(1, START + ANSWER, 24, WRITE, 0);
                show(0);
                good_kick();
                answered(0, memory + ANSWER);
        }
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests_are_taken_off_rings_of_any_size),
            cmocka_unit_test(chains_of_many_pieces_are_one_request),
            cmocka_unit_test(a_kick_is_for_all_that_are_there),
            cmocka_unit_test(what_is_too_long_is_refused_by_its_answer),
            cmocka_unit_test(a_ring_that_is_wrong_is_called_so_and_nothing_is_written),
            cmocka_unit_test(memory_that_is_not_there_breaks_the_ring),
            cmocka_unit_test(what_must_fail_is_left_in_the_ring),
            cmocka_unit_test(it_begins_where_the_ring_says_if_that_is_ahead),
            cmocka_unit_test(a_ring_starts_again_elsewhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
