/* A lane's work budget against a worker: at the edge it lives, one over it is killed, and honest work of the
 * largest and smallest kind stays far under. And what a worker may make the broker hold.
 * TRUST: the worker's bytes are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "tests/core/lane_bench.h"

#define READABLE 64u
#define WRITABLE 4000u
#define READ_AT  MODEL_BUFFERS
#define WRITE_AT (MODEL_BUFFERS + 0x1000)
#define WHY      "sends more than its requests can need"

static struct lane_bench bench;
static uint8_t zeros[LIMIT_FRAME_PAYLOAD];

static uint64_t post_one(void)
{
        model_post(&bench.guest, 0,
                   (struct model_buffer[]){{READ_AT, READABLE, false}, {WRITE_AT, WRITABLE, true}}, 2);
        assert_int_equal(bench_requests(&bench), 1);
        return bench.requests[0].id;
}

static unsigned reap_all(void)
{
        uint16_t head;
        uint32_t len;
        unsigned n = 0;

        while (model_reap(&bench.guest, 0, &head, &len))
                n++;
        return n;
}

static void lives(void)
{
        bench_run(&bench);
        if (bench.faults > 0)
                fail_msg("killed: %s", bench.why);
        bench.worker.rx_pos = bench.worker.rx_len;
}

static void is_killed(void)
{
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, WHY);
}

/* Bytes of a frame that writes `len` bytes to one segment. */
static uint64_t write_cost(uint64_t id, uint32_t len)
{
        uint8_t buf[256];
        const uint32_t offset = 0;
        const struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE, .mem_write = {.n = 1, .id = &id, .offset = &offset, .len = &len}};

        return FRAME_HEAD_BYTES + (uint64_t)lane_make_to_broker(&message, buf, sizeof(buf)) + len;
}

static void frames_at_the_edge_live_and_one_more_kills(void **state)
{
        (void)state;
        for (unsigned more = 0; more < 2; more++) {
                uint64_t id;

                bench_init(&bench, &bench_defaults);
                id = post_one();
                for (unsigned i = 0; i < LIMIT_QUOTA_FRAMES - 1 + more; i++)
                        fake_worker_write(&bench.worker, id, 0, zeros, 1);
                lives();
                assert_int_equal(reap_all(), 0);
                fake_worker_complete(&bench.worker, id, 0, zeros, 1);
                if (more)
                        is_killed();
                else
                        lives();
                assert_int_equal(reap_all(), !more);
                bench_done(&bench);
        }
}

/* MemReads cost what they ask for: the last question asks for what is left, or for one byte more. */
static void bytes_at_the_edge_live_and_one_more_kills(void **state)
{
        const uint64_t worth = quota_grant(READABLE, WRITABLE).bytes;

        (void)state;
        for (uint32_t more = 0; more < 2; more++) {
                uint64_t left = worth, id;

                bench_init(&bench, &bench_defaults);
                id = post_one();
                while (left >= 2 * write_cost(id, WRITABLE)) {
                        fake_worker_write(&bench.worker, id, 0, zeros, WRITABLE);
                        left -= write_cost(id, WRITABLE);
                }
                fake_worker_write(&bench.worker, id, 0, zeros, WRITABLE / 2);
                left -= write_cost(id, WRITABLE / 2);
                lives();
                assert_int_equal(bench.lane.quota.left.bytes, left);
                left -= write_cost(id, 0);
                assert_true(left > 0 && left < WRITABLE);
                fake_worker_write(&bench.worker, id, 0, zeros, (uint32_t)left + more);
                if (more)
                        is_killed();
                else
                        lives();
                assert_int_equal(bench.lane.quota.left.bytes, more ? left + write_cost(id, 0) : 0);
                bench_done(&bench);
        }
}

static void questions_cost_their_answers(void **state)
{
        uint64_t id[64];
        uint32_t offset[64] = {0}, len[64];
        const struct lane_to_broker message = {
            .kind = LANE_MEM_READ,
            .mem_read = {.seq = 1, .n = 64, .id = id, .offset = offset, .len = len, .total = 64 * READABLE}};
        unsigned n = 0;

        (void)state;
        bench_init(&bench, &bench_defaults);
        id[0] = post_one();
        for (unsigned i = 0; i < 64; i++) {
                id[i] = id[0];
                len[i] = READABLE;
        }
        while (bench.faults == 0 && n < 100) {
                fake_worker_send(&bench.worker, &message, NULL, 0);
                bench_run(&bench);
                bench.worker.rx_pos = bench.worker.rx_len;
                n++;
        }
        assert_string_equal(bench.why, WHY);
        assert_true(n > 1 && n <= 1 + quota_grant(READABLE, WRITABLE).bytes / (64 * READABLE));
        bench_done(&bench);
}

/* A frame is paid before it is received: a length that cannot be paid is not waited for. */
static void a_frame_that_cannot_be_paid_is_refused_by_its_length(void **state)
{
        const struct frame_head head = {.header_len = 100, .payload_len = LIMIT_FRAME_PAYLOAD};
        uint8_t bytes[FRAME_HEAD_BYTES];

        (void)state;
        bench_init(&bench, &bench_defaults);
        post_one();
        frame_head_make(&head, bytes);
        fake_worker_send_bytes(&bench.worker, bytes, sizeof(bytes));
        is_killed();
        bench_done(&bench);
}

/* Each byte alone: the average is made up for by so many. */
static void drips_live_to_their_edge(void **state)
{
        const struct frame_head head = {.header_len = 8000, .payload_len = 0};
        uint8_t bytes[FRAME_HEAD_BYTES];

        (void)state;
        bench_init(&bench, &bench_defaults);
        post_one();
        bench.worker.step = 1;
        frame_head_make(&head, bytes);
        fake_worker_send_bytes(&bench.worker, bytes, sizeof(bytes));
        fake_worker_send_bytes(&bench.worker, NULL, LIMIT_QUOTA_SHORT_TURNS - sizeof(bytes));
        lives();
        fake_worker_send_bytes(&bench.worker, NULL, 1);
        bench_run(&bench);
        assert_int_equal(bench.faults, 1);
        assert_string_equal(bench.why, "sends in drips");
        bench_die(&bench);
        bench.faults = 0;
        bench_attach(&bench);
        assert_int_equal(bench.lane.quota.turns, LIMIT_QUOTA_SHORT_TURNS * LIMIT_QUOTA_TURN);
        bench_done(&bench);
}

/* The largest frames in the pieces that kernels make of them. */
static void large_frames_in_pages_are_no_drips(void **state)
{
        uint64_t id;

        (void)state;
        bench_init(&bench, &bench_defaults);
        bench.worker.step = LIMIT_QUOTA_TURN;
        model_post(&bench.guest, 0, (struct model_buffer[]){{MODEL_HIGH, LIMIT_FRAME_PAYLOAD, true}}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        id = bench.requests[0].id;
        fake_worker_write(&bench.worker, id, 0, zeros, LIMIT_FRAME_PAYLOAD);
        fake_worker_complete(&bench.worker, id, 0, zeros, LIMIT_FRAME_PAYLOAD);
        lives();
        assert_int_equal(reap_all(), 1);
        bench_done(&bench);
}

/* What a gap cuts is our own doing: however many reads it takes, it is one turn. */
static void scattered_pieces_are_no_drips(void **state)
{
        enum { PIECE = 500, APART = 512 };
        uint64_t id[64];
        uint32_t offset[64], len[64];

        (void)state;
        bench_init(&bench, &bench_defaults);
        model_post(&bench.guest, 0, (struct model_buffer[]){{MODEL_HIGH, MODEL_PART, true}}, 1);
        assert_int_equal(bench_requests(&bench), 1);
        for (unsigned frame = 0; frame < 100; frame++) {
                const struct lane_to_broker message = {
                    .kind = LANE_MEM_WRITE, .mem_write = {.n = 64, .id = id, .offset = offset, .len = len}};

                for (unsigned i = 0; i < 64; i++) {
                        id[i] = bench.requests[0].id;
                        offset[i] = (frame * 64 + i) * APART + 1;
                        len[i] = PIECE;
                }
                fake_worker_send(&bench.worker, &message, zeros, 64 * PIECE);
                lives();
        }
        bench_done(&bench);
}

static void a_worker_without_requests_may_say_nothing(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        fake_worker_send_bytes(&bench.worker, "\1\0\0\0\0\0\0\0", FRAME_HEAD_BYTES);
        is_killed();
        bench_done(&bench);
}

/* An honest past buys the saved frames and no flood; a successor begins with nothing of it. */
static void savings_are_small_and_are_not_inherited(void **state)
{
        uint64_t id;

        (void)state;
        bench_init(&bench, &bench_defaults);
        for (unsigned i = 0; i < 1000; i++) {
                id = post_one();
                fake_worker_complete(&bench.worker, id, 0, zeros, 1);
                lives();
                assert_int_equal(reap_all(), 1);
        }
        id = post_one();
        for (unsigned i = 0; i < LIMIT_QUOTA_FRAMES + LIMIT_QUOTA_SAVED_FRAMES; i++)
                fake_worker_write(&bench.worker, id, 0, zeros, 1);
        lives();
        fake_worker_write(&bench.worker, id, 0, zeros, 1);
        is_killed();
        bench_die(&bench);
        bench.faults = 0;
        bench_attach(&bench);
        assert_int_equal(bench_requests(&bench), 1);
        id = bench.requests[0].id;
        assert_int_equal(bench.lane.quota.left.frames, LIMIT_QUOTA_FRAMES);
        for (unsigned i = 0; i < LIMIT_QUOTA_FRAMES; i++)
                fake_worker_write(&bench.worker, id, 0, zeros, 1);
        lives();
        fake_worker_complete(&bench.worker, id, 0, zeros, 1);
        is_killed();
        bench_done(&bench);
}

/* However many frames have come: who waits for the lane's thread waits for some of them only. */
static void a_turn_takes_a_bounded_number_of_frames_and_forgets_none(void **state)
{
        enum { N = 2000 };
        const uint64_t least = write_cost(1, 1);
        uint64_t before, after, id;

        (void)state;
        bench_init(&bench, &bench_defaults);
        model_post(&bench.guest, 0,
                   (struct model_buffer[]){{MODEL_HIGH, MODEL_PART, true}, {MODEL_HIGH, MODEL_PART, true}},
                   2);
        assert_int_equal(bench_requests(&bench), 1);
        id = bench.requests[0].id;
        for (unsigned i = 0; i < N; i++)
                fake_worker_write(&bench.worker, id, 0, zeros, 1);
        assert_true(fcntl(bench.worker.ends.out, F_SETPIPE_SZ, 1 << 20) > 0);
        assert_true(fake_worker_push(&bench.worker));
        assert_int_equal(bench.worker.tx_len, 0); /* in one piece, all of it is in the pipe */
        before = bench.lane.quota.left.frames;
        lane_readable(&bench.lane);
        after = bench.lane.quota.left.frames;
        assert_true(before - after >= LIMIT_LANE_TURN);
        assert_true(before - after < LIMIT_LANE_TURN + LANE_RX_FIRST / least + 1);
        lives();
        assert_int_equal(before - bench.lane.quota.left.frames, N);
        bench_done(&bench);
}

/* ---- honest work ---- */

#define LARGEST_PARTS (LIMIT_CHAIN_BYTES / 0x100000)

/* The largest request, all of the same megabyte of guest memory. */
static uint64_t post_largest(bool write)
{
        struct model_buffer buffers[LARGEST_PARTS];

        for (unsigned i = 0; i < LARGEST_PARTS; i++)
                buffers[i] = (struct model_buffer){MODEL_HIGH, 0x100000, write};
        model_post(&bench.guest, 0, buffers, LARGEST_PARTS);
        assert_int_equal(bench_requests(&bench), 1);
        return bench.requests[0].id;
}

/* In pieces of a page, of what our workers send, and of a whole frame. */
static void the_largest_write_in_small_pieces_is_under_the_limit(void **state)
{
        static const uint32_t pieces[] = {4096, 131072, LIMIT_FRAME_PAYLOAD};

        (void)state;
        for (size_t p = 0; p < array_size(pieces); p++) {
                uint64_t id;

                bench_init(&bench, &bench_defaults);
                id = post_largest(true);
                for (uint32_t at = 0; at < LIMIT_CHAIN_BYTES; at += pieces[p]) {
                        fake_worker_write(&bench.worker, id, at, zeros, pieces[p]);
                        lives();
                }
                fake_worker_complete(&bench.worker, id, 0, zeros, 1);
                lives();
                assert_int_equal(reap_all(), 1);
                /* A request that follows at once has all of its own. */
                assert_true(bench.lane.quota.left.frames <= LIMIT_QUOTA_SAVED_FRAMES);
                bench_done(&bench);
        }
}

static void the_largest_read_in_small_pieces_is_under_the_limit(void **state)
{
        static const uint32_t pieces[] = {4096, 131072, LIMIT_FRAME_PAYLOAD};

        (void)state;
        for (size_t p = 0; p < array_size(pieces); p++) {
                struct quota_work before;
                uint64_t id;

                bench_init(&bench, &bench_defaults);
                id = post_largest(false);
                before = bench.lane.quota.left;
                for (uint32_t at = 0, seq = 0; at < LIMIT_CHAIN_BYTES; at += pieces[p]) {
                        fake_worker_read(&bench.worker, seq++, id, at, pieces[p]);
                        lives();
                }
                /* At most a quarter of its bytes, and one frame a piece. */
                assert_true(bench.lane.quota.left.bytes >= before.bytes / 2);
                assert_int_equal(before.frames - bench.lane.quota.left.frames, LIMIT_CHAIN_BYTES / pieces[p]);
                fake_worker_complete(&bench.worker, id, 0, NULL, 0);
                lives();
                assert_int_equal(reap_all(), 1);
                bench_done(&bench);
        }
}

/* Small requests, each answered in a frame of its own: the least that a worker can do for each. */
static void small_requests_cost_a_sixteenth_of_their_worth(void **state)
{
        (void)state;
        bench_init(&bench, &bench_defaults);
        for (unsigned i = 0; i < 10; i++) {
                uint64_t id = post_one();
                struct quota_work before = bench.lane.quota.left;

                fake_worker_complete(&bench.worker, id, 0, zeros, WRITABLE);
                lives();
                assert_int_equal(reap_all(), 1);
                assert_true(before.frames >= LIMIT_QUOTA_FRAMES);
        }
        bench_done(&bench);
}

/* ---- what a worker can make the broker hold ---- */

#define N_REQUESTS 64u

/* Bytes that malloc has handed out. */
static size_t heap(void)
{
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}

static size_t resident(void)
{
        unsigned long size = 0, pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
        fclose(file);
        return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void post_many(uint32_t readable)
{
        for (unsigned i = 0; i < N_REQUESTS; i++)
                model_post(&bench.guest, 0,
                           (struct model_buffer[]){{READ_AT, readable, false}, {WRITE_AT, 64, true}}, 2);
}

/* Gets requests, and reads nothing: neither them nor the answers to its questions. */
static void never_reads(void)
{
        post_many(16384);
        for (unsigned i = 0; i < bench.hello.n_queues; i++)
                lane_kicked(&bench.lane, lane_queue_find(&bench.lane, i), 1);
        for (unsigned i = 0; i < 1000; i++)
                lane_turn(&bench.lane);
        assert_true(lane_wants_write(&bench.lane));
}

static void floods(void)
{
        uint64_t id;

        id = post_one();
        while (bench.faults == 0) {
                for (unsigned i = 0; i < 100; i++)
                        fake_worker_write(&bench.worker, id, 0, zeros, 1);
                bench_run(&bench);
        }
}

static void drips(void)
{
        post_many(64);
        bench_run(&bench);
        bench.worker.step = 1;
        while (bench.faults == 0) {
                fake_worker_send_bytes(&bench.worker, "\xff\xff\0\0\0\0\0\0", FRAME_HEAD_BYTES);
                fake_worker_send_bytes(&bench.worker, NULL, 65535);
                bench_run(&bench);
        }
}

static void asks_and_never_reads(void)
{
        post_many(16384);
        bench_run(&bench);
        for (unsigned i = 0; i < LIMIT_MEM_READS; i++)
                fake_worker_read(&bench.worker, i, bench.lane.requests.oldest->id, 0, 16384);
        while (fake_worker_push(&bench.worker))
                lane_readable(&bench.lane);
        for (unsigned i = 0; i < 1000; i++)
                lane_turn(&bench.lane);
        assert_true(lane_wants_write(&bench.lane));
        assert_int_equal(bench.faults, 0);
}

static void no_attacker_makes_a_lane_grow(void **state)
{
        static const struct {
                const char *name;
                void (*attack)(void);
        } rows[] = {{"never reads", never_reads},
                    {"floods", floods},
                    {"drips", drips},
                    {"asks and never reads", asks_and_never_reads}};

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                size_t heap_before, resident_before;

                bench_init(&bench, &bench_defaults);
                memset(bench.worker.tx, 0,
                       FAKE_BUFFER); /* the attacker's own memory is none of the broker's */
                memset(bench.worker.rx, 0, FAKE_BUFFER);
                memset(bench.inlined, 0, 8u << 20);
                memset(bench.guest.bytes, 0x11, MODEL_PART / 2);
                model_queue_reset(&bench.guest, 0);
                heap_before = heap();
                resident_before = resident();
                rows[i].attack();
                if (heap() > heap_before + 4096)
                        fail_msg("%s: %zu bytes of heap", rows[i].name, heap() - heap_before);
                if (resident() > resident_before + (1u << 20))
                        fail_msg("%s: %zu resident bytes", rows[i].name, resident() - resident_before);
                bench_done(&bench);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(frames_at_the_edge_live_and_one_more_kills),
            cmocka_unit_test(bytes_at_the_edge_live_and_one_more_kills),
            cmocka_unit_test(questions_cost_their_answers),
            cmocka_unit_test(a_frame_that_cannot_be_paid_is_refused_by_its_length),
            cmocka_unit_test(drips_live_to_their_edge),
            cmocka_unit_test(large_frames_in_pages_are_no_drips),
            cmocka_unit_test(scattered_pieces_are_no_drips),
            cmocka_unit_test(a_worker_without_requests_may_say_nothing),
            cmocka_unit_test(savings_are_small_and_are_not_inherited),
            cmocka_unit_test(a_turn_takes_a_bounded_number_of_frames_and_forgets_none),
            cmocka_unit_test(the_largest_write_in_small_pieces_is_under_the_limit),
            cmocka_unit_test(the_largest_read_in_small_pieces_is_under_the_limit),
            cmocka_unit_test(small_requests_cost_a_sixteenth_of_their_worth),
            cmocka_unit_test(no_attacker_makes_a_lane_grow),
        };

        return cmocka_run_group_tests_name("quota_lane", tests, NULL, NULL);
}
