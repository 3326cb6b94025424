/* Log lines: escaping, rate limits, length.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "tests/unit/unit.h"

/* Runs `fn` with stderr in a pipe and returns what came, NUL-terminated. Pipes hold 64 KiB: no test writes
 * more. */
static const char *captured(void (*fn)(void))
{
        static char text[65536];
        int ends[2], saved = dup(STDERR_FILENO);
        ssize_t n;

        assert_int_equal(pipe(ends), 0);
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        fn();
        dup2(saved, STDERR_FILENO); /* closes the last write end */
        close(saved);
        n = read(ends[0], text, sizeof(text) - 1);
        close(ends[0]);
        text[n < 0 ? 0 : n] = '\0';
        return text;
}

static const char *escaped(const char *bytes, size_t len, size_t size)
{
        static char out[64];

        memset(out, 0x7e, sizeof(out));
        assert_ptr_equal(log_escape(bytes, len, out, size), out);
        for (size_t i = size; i < sizeof(out); i++)
                assert_int_equal(out[i], 0x7e); /* nothing behind the room that was given */
        return out;
}

static void printable_ascii_stays_and_the_rest_becomes_hex(void **state)
{
        (void)state;
        assert_string_equal(escaped("a b~", 4, 64), "a b~");
        assert_string_equal(escaped("a\nb", 3, 64), "a\\x0ab");
        assert_string_equal(escaped("\x1b[31m", 5, 64), "\\x1b[31m");
        assert_string_equal(escaped("\0\x7f\xff\\", 4, 64), "\\x00\\x7f\\xff\\x5c");
        assert_string_equal(escaped("", 0, 64), "");
}

static void text_that_fits_exactly_is_whole_and_one_more_is_cut(void **state)
{
        (void)state;
        assert_string_equal(escaped("abcdefg", 7, 8), "abcdefg");
        assert_string_equal(escaped("abcdefgh", 8, 8), "abcd...");
        assert_string_equal(escaped("a\n", 2, 6), "a\\x0a");
        assert_string_equal(escaped("ab\n", 3, 6), "ab...");
        assert_string_equal(escaped("\n\n", 2, 8), "\\x0a...");
        assert_string_equal(escaped("\n\n", 2, 7), "...");
}

static void tiny_rooms_are_never_overrun(void **state)
{
        (void)state;
        assert_string_equal(escaped("abcdef", 6, 1), "");
        assert_string_equal(escaped("abcdef", 6, 2), ".");
        assert_string_equal(escaped("abcdef", 6, 4), "...");
        assert_int_equal(escaped("abcdef", 6, 0)[0], 0x7e);
}

static void a_site_writes_its_burst_and_then_counts(void **state)
{
        struct log_site site = {0};
        uint32_t suppressed = 9;

        (void)state;
        for (uint32_t i = 0; i < LIMIT_LOG_BURST; i++)
                assert_true(log_site_allows(&site, 1000 + i, &suppressed));
        assert_int_equal(suppressed, 0);
        assert_false(log_site_allows(&site, 1100, &suppressed));
        assert_false(log_site_allows(&site, 1000 + LIMIT_LOG_WINDOW_MS - 1, &suppressed));
        assert_true(log_site_allows(&site, 1000 + LIMIT_LOG_WINDOW_MS, &suppressed));
        assert_int_equal(suppressed, 2);
        assert_true(log_site_allows(&site, 1001 + LIMIT_LOG_WINDOW_MS, &suppressed));
        assert_int_equal(suppressed, 0); /* told once */
}

static void a_site_works_at_time_zero(void **state)
{
        struct log_site site = {0};
        uint32_t suppressed;

        (void)state;
        for (uint32_t i = 0; i < LIMIT_LOG_BURST; i++)
                assert_true(log_site_allows(&site, 0, &suppressed));
        assert_false(log_site_allows(&site, 0, &suppressed));
}

static void write_three_levels(void)
{
        log_init("tag", LOG_LEVEL_WARNING);
        log_error("e%d", 1);
        log_warning("w");
        log_info("i");
        log_init("tag", LOG_LEVEL_DEBUG);
        log_info("i");
        log_debug("d");
}

static void lines_carry_tag_and_level_up_to_the_maximum(void **state)
{
        (void)state;
        assert_string_equal(captured(write_three_levels),
                            "tag: error: e1\ntag: warning: w\ntag: i\ntag: debug: d\n");
}

static char long_text[LIMIT_LOG_LINE + 1];

static void write_long(void)
{
        log_init("t", LOG_LEVEL_INFO);
        for (size_t len = LIMIT_LOG_LINE - 6; len <= LIMIT_LOG_LINE; len++) {
                memset(long_text, 'x', len);
                long_text[len] = '\0';
                log_info("%s", long_text);
        }
}

static void long_lines_are_cut_and_stay_one_line(void **state)
{
        const char *at = captured(write_long);
        unsigned lines = 0;

        (void)state;
        for (; *at; lines++) {
                size_t len = strcspn(at, "\n");

                assert_in_range(len, LIMIT_LOG_LINE - 3, LIMIT_LOG_LINE - 2);
                assert_memory_equal(at, "t: xxx", 6);
                at += len + 1;
        }
        assert_int_equal(lines, 7);
}

static void write_storm(void)
{
        static struct log_site site;

        log_init("t", LOG_LEVEL_INFO);
        for (unsigned i = 0; i < 1000; i++)
                log_limited(LOG_LEVEL_INFO, "storm");
        site.written = LIMIT_LOG_BURST; /* a window that ended long ago, with 5 lines held back */
        site.suppressed = 5;
        log_write_limited(&site, LOG_LEVEL_INFO, "after");
        log_write_limited(&site, LOG_LEVEL_DEBUG, "too detailed");
}

static void a_storm_is_limited_and_what_was_held_back_is_counted(void **state)
{
        const char *text = captured(write_storm);
        const char *after = strstr(text, "t: after");

        (void)state;
        assert_non_null(after);
        assert_int_equal(after - text, LIMIT_LOG_BURST * strlen("t: storm\n"));
        assert_string_equal(after, "t: after suppressed=5\n");
}

static void write_with_long_tag(void)
{
        char tag[512];

        memset(tag, 'g', sizeof(tag));
        tag[sizeof(tag) - 1] = '\0';
        log_init(tag, LOG_LEVEL_INFO);
        log_info("x");
        log_init("t", LOG_LEVEL_INFO);
}

static void long_tags_are_cut(void **state)
{
        const char *text = captured(write_with_long_tag);

        (void)state;
        assert_int_equal(strspn(text, "g"), 127);
        assert_string_equal(text + 127, ": x\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(printable_ascii_stays_and_the_rest_becomes_hex),
            cmocka_unit_test(text_that_fits_exactly_is_whole_and_one_more_is_cut),
            cmocka_unit_test(tiny_rooms_are_never_overrun),
            cmocka_unit_test(a_site_writes_its_burst_and_then_counts),
            cmocka_unit_test(a_site_works_at_time_zero),
            cmocka_unit_test(lines_carry_tag_and_level_up_to_the_maximum),
            cmocka_unit_test(long_lines_are_cut_and_stay_one_line),
            cmocka_unit_test(a_storm_is_limited_and_what_was_held_back_is_counted),
            cmocka_unit_test(long_tags_are_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
