/* Options in messages: made, read back, and what no maker of ours would say.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/option_wire.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "tests/unit/odd_options.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct option_wire wire;

static int setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static int teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static int check(size_t n, enum option_wire_reader reader, struct option_set *ret)
{
        return option_wire_check(&arena, &odd_type, "device", wire.row, n, reader, ret);
}

static void same(const struct option_value *a, const struct option_value *b)
{
        assert_int_equal(a->number, b->number);
        assert_string_equal(a->text, b->text);
}

static void a_set_comes_back_as_it_was(void **state)
{
        struct option_set got;
        size_t n = option_wire_make(&odd_type, "device", &odd_set, OPTION_WIRE_ALL, &wire);

        (void)state;
        assert_int_equal(n, ODD_COUNT_);
        assert_int_equal(check(n, OPTION_WIRE_ALL, &got), 0);
        for (unsigned i = 0; i < ODD_COUNT_; i++)
                same(&got.value[i], &odd_set.value[i]);
}

static void a_worker_is_told_nothing_of_the_host(void **state)
{
        static const struct option_value hidden = {.text = ""};
        struct option_set got;
        size_t n = option_wire_make(&odd_type, "device", &odd_set, OPTION_WIRE_WORKER, &wire);

        (void)state;
        assert_int_equal(n, ODD_COUNT_ - 3);
        assert_int_equal(check(n, OPTION_WIRE_WORKER, &got), 0);
        for (unsigned i = 0; i < ODD_COUNT_; i++)
                same(&got.value[i], option_for_worker(&odd_rows[i]) ? &odd_set.value[i] : &hidden);
        assert_true(option_wire_judge(&odd_type, &got, OPTION_WIRE_WORKER)); /* though its path is none */
        assert_false(option_wire_judge(&odd_type, &got, OPTION_WIRE_ALL));
}

static void what_has_its_preset_is_left_out_and_comes_back(void **state)
{
        char rooms[ODD_COUNT_][LIMIT_NAME];
        struct option_set set = odd_set, got;
        size_t n;

        (void)state;
        for (unsigned i = 0; i < ODD_COUNT_; i++)
                if (!odd_rows[i].required)
                        set.value[i] = option_preset(&odd_rows[i], "device", rooms[i]);
        set.value[ODD_NEEDED].number = 3;
        n = option_wire_make(&odd_type, "device", &set, OPTION_WIRE_ALL, &wire);
        assert_int_equal(n, 3); /* what is required is always said */
        assert_int_equal(check(n, OPTION_WIRE_ALL, &got), 0);
        memset(rooms, '#', sizeof(rooms));
        assert_string_equal(got.value[ODD_NAME].text, "devi");
        set.value[ODD_NAME].text = "devi";
        for (unsigned i = 0; i < ODD_COUNT_; i++)
                same(&got.value[i], &set.value[i]);
}

static void forge(unsigned i, const char *key, uint64_t number, const char *text)
{
        bulkhead__option__option__init(&wire.option[i]);
        wire.option[i].key = (char *)key;
        wire.option[i].number = number;
        wire.option[i].text = (char *)text;
        wire.row[i] = &wire.option[i];
}

static void what_no_maker_says_is_refused(void **state)
{
        struct option_set got;
        const struct option_value *untouched = (memset(&got, 0x7e, sizeof(got)), got.value);

        (void)state;
        forge(0, "path", 0, "/p");
        forge(1, "must", 0, "m");
        forge(2, "needed", 5, "");
        assert_int_equal(check(2, OPTION_WIRE_ALL, &got), -EPROTO); /* needed is missing */
        assert_int_equal(check(0, OPTION_WIRE_ALL, &got), -EPROTO);
        forge(3, "flags", 0, "");
        assert_int_equal(check(4, OPTION_WIRE_ALL, &got), -EPROTO); /* there is none such */
        forge(3, "", 0, "");
        assert_int_equal(check(4, OPTION_WIRE_ALL, &got), -EPROTO);
        forge(3, "needed", 5, "");
        assert_int_equal(check(4, OPTION_WIRE_ALL, &got), -EPROTO); /* twice */
        forge(3, "flag", 0, "yes");
        assert_int_equal(check(4, OPTION_WIRE_ALL, &got), -EPROTO); /* a number has no text */
        forge(3, "text", 1, "x");
        assert_int_equal(check(4, OPTION_WIRE_ALL, &got), -EPROTO); /* a text has no number */
        assert_true(untouched[0].number == UINT64_C(0x7e7e7e7e7e7e7e7e));
        assert_int_equal(check(3, OPTION_WIRE_ALL, &got), 0);
}

static void a_worker_takes_nothing_of_the_hosts(void **state)
{
        struct option_set got;

        (void)state;
        forge(0, "needed", 5, "");
        forge(1, "must", 0, "m");
        assert_int_equal(check(2, OPTION_WIRE_WORKER, &got), 0);
        forge(2, "host", 3, "");
        assert_int_equal(check(3, OPTION_WIRE_WORKER, &got), -EPROTO);
        forge(2, "log", 0, "/l");
        assert_int_equal(check(3, OPTION_WIRE_WORKER, &got), -EPROTO);
}

/* Values are judged apart from shape. */
static void values_are_judged_by_their_rows(void **state)
{
        struct option_set got;

        (void)state;
        forge(0, "needed", 8, "");
        forge(1, "must", 0, "m");
        assert_int_equal(check(2, OPTION_WIRE_WORKER, &got), 0);
        assert_false(option_wire_judge(&odd_type, &got, OPTION_WIRE_WORKER));
}

static void a_cut_name_needs_room_in_the_arena(void **state)
{
        struct arena small;
        struct option_set got;

        (void)state;
        forge(0, "needed", 3, "");
        forge(1, "must", 0, "m");
        assert_int_equal(arena_init(&small, 1), 0);
        assert_int_equal(
            option_wire_check(&small, &odd_type, "device", wire.row, 2, OPTION_WIRE_WORKER, &got), -ENOMEM);
        arena_done(&small);
}

#define WIRE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            WIRE_TEST(a_set_comes_back_as_it_was),
            WIRE_TEST(a_worker_is_told_nothing_of_the_host),
            WIRE_TEST(what_has_its_preset_is_left_out_and_comes_back),
            WIRE_TEST(what_no_maker_says_is_refused),
            WIRE_TEST(a_worker_takes_nothing_of_the_hosts),
            WIRE_TEST(values_are_judged_by_their_rows),
            WIRE_TEST(a_cut_name_needs_room_in_the_arena),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
