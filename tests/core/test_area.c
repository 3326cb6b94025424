/* Pages of a worker's area: whole, apart, and the lowest first.
 * TRUST: the numbers it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/area.h"
#include "proto/base/checked.h"
#include "tests/core/model_guest.h"

static struct area area;

static struct area_span take(uint32_t n)
{
        struct area_span span = {0};

        assert_true(area_take(&area, n, &span));
        assert_int_equal(span.n, n);
        return span;
}

static void refuse(uint32_t n)
{
        struct area_span span = {.first = 77, .n = 0};

        assert_false(area_take(&area, n, &span));
        assert_int_equal(span.first, 77);
        assert_int_equal(span.n, 0);
}

static void an_area_of_no_page_has_none(void **state)
{
        (void)state;
        area_init(&area, 0);
        refuse(1);
        refuse(AREA_PAGES);
}

static void all_pages_are_taken_and_one_more_is_refused(void **state)
{
        struct area_span last;

        (void)state;
        area_init(&area, AREA_PAGES);
        refuse(AREA_PAGES + 1);
        for (uint32_t i = 0; i < AREA_PAGES - 1; i++)
                assert_int_equal(take(1).first, i);
        refuse(2);
        last = take(1);
        refuse(1);
        area_give(&area, &last);
        assert_int_equal(last.n, 0);
        assert_int_equal(take(1).first, AREA_PAGES - 1);
        area_init(&area, AREA_PAGES);
        assert_int_equal(take(AREA_PAGES).first, 0);
        refuse(1);
}

static void an_area_ends_where_it_was_said_to(void **state)
{
        static const uint32_t sizes[] = {1, 63, 64, 65, 127, 128, 512, AREA_PAGES - 1};

        (void)state;
        for (size_t i = 0; i < array_size(sizes); i++) {
                area_init(&area, sizes[i]);
                refuse(sizes[i] + 1);
                take(sizes[i]);
                refuse(1);
        }
}

static void the_lowest_pages_that_lie_together_are_taken(void **state)
{
        struct area_span a, b, c;

        (void)state;
        area_init(&area, AREA_PAGES);
        a = take(60);
        b = take(70); /* over the border of a word */
        c = take(3);
        assert_int_equal(b.first, 60);
        assert_int_equal(c.first, 130);
        area_give(&area, &a);
        assert_int_equal(take(61).first, 133);
        assert_int_equal(take(17).first, 0);
        area_give(&area, &b);
        assert_int_equal(take(113).first, 17); /* what was left of the first, and the second */
        area_give(&area, &c);
        assert_int_equal(take(3).first, 130);
}

static void an_empty_span_is_given_back_to_nobody(void **state)
{
        struct area_span none = {0};

        (void)state;
        area_init(&area, 2);
        take(2);
        area_give(&area, &none);
        refuse(1);
}

/* ---- where the used ones end ---- */

static void the_end_is_behind_the_last_that_is_used(void **state)
{
        static const uint32_t firsts[] = {0, 1, 62, 63, 64, 65, 127, 128, 129, 1000, AREA_PAGES - 1};

        (void)state;
        for (size_t i = 0; i < array_size(firsts); i++) {
                struct area_span low = {0}, between = {0}, high;

                area_init(&area, AREA_PAGES);
                assert_int_equal(area.end, 0);
                if (firsts[i] > 1)
                        low = take(1);
                if (firsts[i] > 0)
                        between = take(firsts[i] - low.n);
                high = take(1);
                assert_int_equal(area.end, firsts[i] + 1);
                area_give(&area, &between); /* not the last */
                assert_int_equal(area.end, firsts[i] + 1);
                area_give(&area, &between); /* which is empty now */
                assert_int_equal(area.end, firsts[i] + 1);
                area_give(&area, &high); /* and what was given before does not count */
                assert_int_equal(area.end, low.n);
                area_give(&area, &low);
                assert_int_equal(area.end, 0);
        }
}

static void so_many_are_to_be_had_as_was_said_last(void **state)
{
        struct area_span a, b;

        (void)state;
        area_init(&area, 0);
        area_resize(&area, 65);
        a = take(60);
        refuse(6);
        area_resize(&area, 60); /* no more than there are */
        refuse(1);
        area_resize(&area, 61);
        b = take(1);
        assert_int_equal(b.first, 60);
        refuse(1);
        area_give(&area, &a);
        refuse(61); /* what is free lies in front */
        assert_int_equal(take(60).first, 0);
        area_resize(&area, AREA_PAGES);
        assert_int_equal(take(AREA_PAGES - 61).first, 61);
        refuse(1);
}

static uint32_t end_of(const uint8_t *owner)
{
        uint32_t end = AREA_PAGES;

        while (end > 0 && owner[end - 1] == 0)
                end--;
        return end;
}

/* Against a map of who has which page. */
static void no_page_is_anybodys_twice(void **state)
{
        static uint8_t owner[AREA_PAGES];
        static struct area_span held[64];
        uint64_t seed = 11;

        (void)state;
        area_init(&area, AREA_PAGES);
        for (unsigned round = 0; round < 200000; round++) {
                uint32_t i = random_below(&seed, array_size(held));
                struct area_span *span = &held[i];

                assert_int_equal(area.end, end_of(owner));
                area_resize(&area, area.end + random_below(&seed, AREA_PAGES - area.end + 1));
                if (span->n > 0) {
                        memset(owner + span->first, 0, span->n);
                        area_give(&area, span);
                        continue;
                }
                if (!area_take(&area, 1 + random_below(&seed, round % 3 ? 20 : 300), span))
                        continue;
                for (uint32_t page = span->first; page < span->first + (uint32_t)span->n; page++) {
                        assert_int_equal(owner[page], 0);
                        assert_true(page < area.n_pages);
                        owner[page] = 1;
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_area_of_no_page_has_none),
            cmocka_unit_test(all_pages_are_taken_and_one_more_is_refused),
            cmocka_unit_test(an_area_ends_where_it_was_said_to),
            cmocka_unit_test(the_lowest_pages_that_lie_together_are_taken),
            cmocka_unit_test(an_empty_span_is_given_back_to_nobody),
            cmocka_unit_test(the_end_is_behind_the_last_that_is_used),
            cmocka_unit_test(so_many_are_to_be_had_as_was_said_last),
            cmocka_unit_test(no_page_is_anybodys_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
