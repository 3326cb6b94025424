/* The sample device's stream: however its bytes come, it is the same one.
 * TRUST: makes up what a guest may say.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "workers/sample/sample_stream.h"

#define WORDS 12u

/* Three records: of 1 byte, of 64, of 8. */
static const uint64_t words[WORDS] = {1, 0x5a, 64, 1, 2, UINT64_MAX, 1ull << 63, 3, 0x0123456789abcdef,
                                      4, 5,    8};
static const uint64_t last_word = 0xfedcba9876543210;

static size_t make(uint8_t ret_bytes[static(WORDS + 1) * 8])
{
        for (size_t i = 0; i < WORDS; i++)
                bytes_store64(ret_bytes + i * 8, words[i]);
        bytes_store64(ret_bytes + WORDS * 8, last_word);
        return (WORDS + 1) * 8;
}

static uint64_t sum_of_all(void)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < WORDS; i++)
                sum = (sum << 1 | sum >> 63) + words[i];
        return (sum << 1 | sum >> 63) + last_word;
}

static void assert_taken(const struct sample_stream *stream)
{
        assert_true(sample_stream_is_whole(stream));
        assert_int_equal(stream->records, 3);
        assert_true(stream->sum == sum_of_all());
}

static void stream_is_the_same_in_any_pieces(void **state)
{
        uint8_t bytes[(WORDS + 1) * 8];
        size_t len = make(bytes);

        (void)state;
        for (size_t piece = 1; piece <= len; piece++) {
                struct sample_stream stream = {0};

                for (size_t at = 0; at < len; at += piece)
                        sample_stream_take(&stream, bytes + at, MIN(piece, len - at));
                assert_taken(&stream);
        }
        for (size_t first = 0; first <= len; first++) {
                struct sample_stream stream = {0};

                sample_stream_take(&stream, bytes, first);
                assert_int_equal(sample_stream_is_whole(&stream),
                                 first == 0 || first == 16 || first == 88 || first == len);
                sample_stream_take(&stream, bytes + first, len - first);
                assert_taken(&stream);
        }
}

static void stream_is_the_same_at_any_address(void **state)
{
        uint8_t room[(WORDS + 2) * 8], bytes[(WORDS + 1) * 8];
        size_t len = make(bytes);

        (void)state;
        for (size_t shift = 0; shift < 8; shift++) {
                struct sample_stream stream = {0};

                memcpy(room + shift, bytes, len);
                sample_stream_take(&stream, room + shift, len);
                assert_taken(&stream);
        }
}

static void record_that_cannot_be_ends_the_stream(void **state)
{
        static const struct {
                uint64_t head;
                bool bad;
        } cases[] = {{0, true},
                     {1, false},
                     {SAMPLE_RECORD_MAX, false},
                     {SAMPLE_RECORD_MAX + 1, true},
                     {1ull << 32 | 8, true},
                     {UINT64_MAX, true}};

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct sample_stream stream = {0};
                uint8_t bytes[24] = {0};

                bytes_store64(bytes, cases[i].head);
                bytes_store64(bytes + 8, 7);
                sample_stream_take(&stream, bytes, sizeof(bytes));
                assert_int_equal(stream.bad,
                                 cases[i].head == 1 || cases[i].bad); /* 1: the third word is a head of 0 */
                assert_int_equal(stream.records, cases[i].head == 1);
                assert_false(sample_stream_is_whole(&stream));
                if (cases[i].bad)
                        assert_true(stream.sum == cases[i].head); /* what is behind it is not looked at */
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(stream_is_the_same_in_any_pieces),
            cmocka_unit_test(stream_is_the_same_at_any_address),
            cmocka_unit_test(record_that_cannot_be_ends_the_stream),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
