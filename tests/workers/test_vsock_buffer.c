/* workers/vsock_proxy/proxy_buffer: bytes and messages over blocks, and a pool that comes to its end.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/vsock_proxy/proxy_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "proto/base/checked.h"

static struct proxy_pool pool;
static uint8_t bytes[LIMIT_VSOCK_BUFFER], back[LIMIT_VSOCK_BUFFER];

static int begin(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 7 + i / 253);
        return proxy_pool_init(&pool);
}

static int end(void **state)
{
        (void)state;
        return munmap(pool.blocks, LIMIT_VSOCK_POOL * sizeof(struct proxy_block));
}

static uint32_t gather(const struct iovec *spans, unsigned n)
{
        uint32_t len = 0;

        for (unsigned i = 0; i < n; i++) {
                memcpy(back + len, spans[i].iov_base, spans[i].iov_len);
                len += (uint32_t)spans[i].iov_len;
        }
        return len;
}

static void bytes_come_out_as_they_went_in(void **state)
{
        static const uint32_t lens[] = {
            1, 7, 8, 9, PROXY_BLOCK_BYTES - 1, PROXY_BLOCK_BYTES, PROXY_BLOCK_BYTES + 1, 65536};
        struct proxy_buffer buffer = {0};
        struct iovec spans[PROXY_SPANS];

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++)
                for (uint32_t step = 1; step <= 65536; step = step * 5 + 2) {
                        assert_true(proxy_buffer_put(&pool, &buffer, bytes, lens[i], false));
                        for (uint32_t at = 0; at < lens[i];) {
                                uint32_t n = MIN(step, lens[i] - at);

                                assert_true(gather(spans, proxy_buffer_spans(&buffer, spans)) >= n);
                                assert_memory_equal(back, bytes + at, n);
                                proxy_buffer_drop(&pool, &buffer, n);
                                at += n;
                        }
                        assert_int_equal(buffer.len, 0);
                        assert_int_equal(pool.n_used, 0);
                }
}

/* Of any length, in any pieces: one comes out whole, or not at all. */
static void messages_come_out_one_by_one(void **state)
{
        static const uint32_t lens[] = {1, 2, 8, 3599, 3600, 3601, 7200, 30000, 17};
        struct proxy_buffer buffer = {0};
        struct iovec spans[PROXY_SPANS];
        uint32_t len;

        (void)state;
        for (size_t i = 0; i < array_size(lens); i++) {
                uint32_t half = lens[i] / 2;

                if (half > 0) {
                        assert_true(proxy_buffer_put(&pool, &buffer, bytes, half, false));
                        if (buffer.len == half) /* nothing is before it */
                                assert_int_equal(proxy_buffer_message(&buffer, spans, &len), 0);
                }
                assert_true(proxy_buffer_put(&pool, &buffer, bytes + half, lens[i] - half, true));
        }
        for (size_t i = 0; i < array_size(lens); i++) {
                unsigned n = proxy_buffer_message(&buffer, spans, &len);

                assert_int_equal(len, lens[i]);
                assert_int_equal(gather(spans, n), len);
                assert_memory_equal(back, bytes, len);
                proxy_buffer_drop(&pool, &buffer, len);
        }
        assert_int_equal(proxy_buffer_message(&buffer, spans, &len), 0);
        assert_int_equal(pool.n_used, 0);
}

/* The longest message, begun at every place of a block that matters: its spans are as many as there is room for. */
static void the_longest_message_fits_its_spans(void **state)
{
        struct iovec spans[PROXY_SPANS];
        uint32_t len;

        (void)state;
        for (uint32_t lead = 1; lead <= PROXY_BLOCK_BYTES; lead += lead < 8 || lead > 3590 ? 1 : 97) {
                struct proxy_buffer buffer = {0};

                assert_true(proxy_buffer_put(&pool, &buffer, bytes, lead, true));
                assert_true(proxy_buffer_put(&pool, &buffer, bytes, LIMIT_VSOCK_BUFFER, true));
                proxy_buffer_drop(&pool, &buffer, lead);
                assert_int_equal(gather(spans, proxy_buffer_message(&buffer, spans, &len)),
                                 LIMIT_VSOCK_BUFFER);
                assert_int_equal(len, LIMIT_VSOCK_BUFFER);
                assert_memory_equal(back, bytes, len);
                proxy_buffer_drop(&pool, &buffer, len);
                assert_int_equal(pool.n_used, 0);
        }
}

static void a_pool_gives_its_last_block_and_no_more(void **state)
{
        struct proxy_buffer full = {0}, other = {0};

        (void)state;
        for (uint32_t i = 0; i < LIMIT_VSOCK_POOL - 1; i++)
                assert_true(proxy_buffer_put(&pool, &full, bytes, PROXY_BLOCK_BYTES, false));
        assert_false(proxy_buffer_put(&pool, &full, bytes, PROXY_BLOCK_BYTES + 1, false));
        assert_int_equal(full.len, (LIMIT_VSOCK_POOL - 1) * PROXY_BLOCK_BYTES);
        assert_true(proxy_buffer_put(&pool, &other, bytes, 1, false));
        assert_false(proxy_buffer_put(&pool, &full, bytes, 1, false));
        assert_true(proxy_buffer_put(&pool, &other, bytes, PROXY_BLOCK_BYTES - 1,
                                     false)); /* what it has is its own */
        assert_false(proxy_buffer_put(&pool, &other, bytes, 1, false));
        proxy_buffer_drop(&pool, &full, PROXY_BLOCK_BYTES);
        assert_true(proxy_buffer_put(&pool, &other, bytes, 1, false));
        proxy_buffer_drop(&pool, &full, full.len);
        proxy_buffer_drop(&pool, &other, other.len);
        assert_int_equal(pool.n_used, 0);
        assert_null(full.first);
        assert_null(other.last);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(bytes_come_out_as_they_went_in, begin, end),
            cmocka_unit_test_setup_teardown(messages_come_out_one_by_one, begin, end),
            cmocka_unit_test_setup_teardown(the_longest_message_fits_its_spans, begin, end),
            cmocka_unit_test_setup_teardown(a_pool_gives_its_last_block_and_no_more, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
