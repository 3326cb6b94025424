/* The memory service against a byte oracle: the same chain as a flat array of addresses.
 * TRUST: segments as a walk has judged them; offsets by chance.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/memory_service.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/model_guest.h"

#define SEGMENTS   24u
#define AREA       (MODEL_HIGH - 0x8000) /* half in each region */
#define AREA_LEN   0x10000u
#define PART_BYTES (SEGMENTS * 3000u)

static struct model_guest guest;
static uint8_t shadow[AREA_LEN]; /* what the area must be */

struct oracle {
        struct request request;
        struct segment segments[SEGMENTS];
        uint64_t read_at[PART_BYTES], write_at[PART_BYTES]; /* guest address of each byte */
};

static void add_part(struct oracle *oracle, uint64_t *seed, uint64_t *at, unsigned n, uint32_t *ret_len)
{
        uint32_t total = 0;

        for (unsigned i = 0; i < n; i++) {
                uint32_t len = 1 + random_below(seed, random_below(seed, 4) == 0 ? 3000 : 9);
                uint64_t start = AREA + random_below(seed, AREA_LEN - len);
                unsigned k =
                    (unsigned)oracle->request.chain.n_readable + oracle->request.chain.n_writable + i;

                oracle->segments[k] = (struct segment){.at = GPA(start), .len = len};
                for (uint32_t j = 0; j < len; j++)
                        at[total++] = start + j;
        }
        *ret_len = total;
}

/* Segments overlap, repeat and cross the regions as chance has it. */
static void make_oracle(struct oracle *oracle, uint64_t *seed)
{
        struct chain *chain = &oracle->request.chain;
        unsigned n_readable = random_below(seed, SEGMENTS / 2), n_writable = random_below(seed, SEGMENTS / 2);

        memset(&oracle->request, 0, sizeof(oracle->request));
        chain->segments = oracle->segments;
        chain->max_segments = SEGMENTS;
        add_part(oracle, seed, oracle->read_at, n_readable, &chain->readable);
        chain->n_readable = (uint16_t)n_readable;
        add_part(oracle, seed, oracle->write_at, n_writable, &chain->writable);
        chain->n_writable = (uint16_t)n_writable;
}

static void check_area(void)
{
        assert_memory_equal(model_at(&guest, AREA), shadow, AREA_LEN);
}

static void check_read(const struct oracle *oracle, uint64_t *seed)
{
        const struct chain *chain = &oracle->request.chain;
        uint32_t offset = random_below(seed, chain->readable + 1);
        uint32_t len = random_below(seed, chain->readable - offset + 1);
        struct iovec iov[64];
        size_t max = 1 + random_below(seed, 64), n = 0;
        uint32_t at = offset;
        int64_t r;

        assert_true(memory_service_may_read(&oracle->request, offset, len));
        r = memory_service_iovec_readable(guest.memory, &oracle->request, offset, len, iov, max, &n);
        assert_true(r >= 0 && r <= len && n <= max);
        assert_true(r == len || n == max);
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < iov[i].iov_len; j++)
                        assert_int_equal(((uint8_t *)iov[i].iov_base)[j],
                                         shadow[oracle->read_at[at++] - AREA]);
        assert_int_equal(at - offset, r);
}

static void check_write(struct oracle *oracle, uint64_t *seed)
{
        static uint8_t bytes[PART_BYTES];
        struct request *request = &oracle->request;
        uint32_t offset = random_below(seed, request->chain.writable + 1);
        uint32_t len = random_below(seed, request->chain.writable - offset + 1);
        uint32_t written = request->written;

        assert_true(memory_service_may_write(request, offset, len));
        assert_int_equal(memory_service_close_gap(guest.memory, request, offset), 0);
        for (uint32_t i = written; i < offset; i++)
                shadow[oracle->write_at[i] - AREA] = 0;
        for (uint32_t i = 0; i < len; i++) {
                bytes[i] = (uint8_t)random_next(seed);
                shadow[oracle->write_at[offset + i] - AREA] = bytes[i];
        }
        assert_int_equal(memory_service_write(guest.memory, request, offset, bytes, len), 0);
        memory_service_written(request, offset, len);
        assert_int_equal(request->written, MAX(written, offset + len)); /* offset counts even when len is 0 */
}

static void random_chains_behave_as_their_bytes(void **state)
{
        struct oracle *oracle = malloc(sizeof(*oracle));
        uint64_t seed = 1;

        (void)state;
        model_guest_init(&guest, 64, false);
        for (uint32_t i = 0; i < AREA_LEN; i++)
                shadow[i] = (uint8_t)random_next(&seed);
        model_put(&guest, AREA, shadow, AREA_LEN);
        for (unsigned round = 0; round < 2000; round++) {
                make_oracle(oracle, &seed);
                for (unsigned i = 0; i < 4; i++) {
                        check_read(oracle, &seed);
                        check_write(oracle, &seed);
                }
                if (round % 20 == 0)
                        check_area();
        }
        check_area();
        free(oracle);
        model_guest_done(&guest);
}

static void the_permission_ends_at_the_last_byte(void **state)
{
        const struct request request = {.chain = {.readable = 100, .writable = 50}};
        const struct request nothing = {0};

        (void)state;
        assert_true(memory_service_may_read(&request, 0, 100));
        assert_true(memory_service_may_read(&request, 100, 0));
        assert_false(memory_service_may_read(&request, 0, 101));
        assert_false(memory_service_may_read(&request, 100, 1));
        assert_false(memory_service_may_read(&request, 101, 0));
        assert_false(memory_service_may_read(&request, UINT32_MAX, 2));
        assert_false(memory_service_may_read(&request, 2, UINT32_MAX));
        assert_true(memory_service_may_write(&request, 49, 1));
        assert_false(memory_service_may_write(&request, 49, 2));
        assert_false(memory_service_may_write(&request, 50, 1));
        assert_false(memory_service_may_write(&request, UINT32_MAX, UINT32_MAX));
        assert_true(memory_service_may_read(&nothing, 0, 0));
        assert_false(memory_service_may_read(&nothing, 0, 1));
        assert_false(memory_service_may_write(&nothing, 0, 1));
}

static void memory_that_is_gone_is_a_fault_in_every_call(void **state)
{
        struct segment segments[2] = {{GPA(MODEL_HIGH - 8), 16}, {GPA(MODEL_HIGH - 8), 16}};
        struct request request = {
            .chain = {
                .n_readable = 1, .n_writable = 1, .readable = 16, .writable = 16, .segments = segments}};
        struct guest_memory *low;
        struct iovec iov[4];
        size_t n = 0;

        (void)state;
        model_guest_init(&guest, 64, false);
        low = model_guest_snapshot(&guest, false);
        for (unsigned i = 0; i < 2; i++) {
                const struct guest_memory *memory = i == 0 ? low : NULL;

                request.written = 0;
                assert_int_equal(memory_service_iovec_readable(memory, &request, 0, 16, iov, 4, &n), -EFAULT);
                assert_int_equal(memory_service_iovec_writable(memory, &request, 0, 16, iov, 4, &n), -EFAULT);
                assert_int_equal(n, 0);
                assert_int_equal(memory_service_write(memory, &request, 8, "x", 1), -EFAULT);
                assert_int_equal(memory_service_close_gap(memory, &request, 16), -EFAULT);
                assert_int_equal(request.written, 16);
        }
        request.written = 0;
        assert_int_equal(memory_service_iovec_readable(low, &request, 0, 8, iov, 4, &n), 8);
        assert_int_equal(memory_service_write(low, &request, 0, "12345678", 8), 0);
        guest_memory_unref(low);
        model_guest_done(&guest);
}

/* A frame's bytes land in as many spans as were counted: a span of a range that is not there as a whole would take what
 * belongs to the next. */
static void a_part_that_is_half_gone_has_no_spans(void **state)
{
        struct segment segments[] = {{GPA(MODEL_LOW), 16}, {GPA(MODEL_HIGH), 16}};
        const struct request request = {.chain = {.n_readable = 2, .readable = 32, .segments = segments}};
        const struct request other = {.chain = {.n_writable = 2, .writable = 32, .segments = segments}};
        struct guest_memory *low;
        struct iovec iov[4];
        size_t n = 1;

        (void)state;
        model_guest_init(&guest, 64, false);
        low = model_guest_snapshot(&guest, false);
        assert_int_equal(memory_service_iovec_readable(low, &request, 0, 32, iov, 4, &n), -EFAULT);
        assert_int_equal(n, 1);
        assert_int_equal(memory_service_iovec_writable(low, &other, 0, 32, iov, 4, &n), -EFAULT);
        assert_int_equal(n, 1);
        assert_int_equal(memory_service_iovec_writable(low, &other, 0, 16, iov, 4, &n), 16);
        assert_int_equal(n, 2);
        guest_memory_unref(low);
        model_guest_done(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(random_chains_behave_as_their_bytes),
            cmocka_unit_test(the_permission_ends_at_the_last_byte),
            cmocka_unit_test(memory_that_is_gone_is_a_fault_in_every_call),
            cmocka_unit_test(a_part_that_is_half_gone_has_no_spans),
        };

        return cmocka_run_group_tests_name("memory_service", tests, NULL, NULL);
}
