/* The capped arena.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include <errno.h>

#include "tests/unit/unit.h"

#define SIZE 256u

/* The sanitizers would stop at a malloc that fails, which is a case here. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
        return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
        return "allocator_may_return_null=1";
}

static void arena_gives_all_of_its_bytes_and_not_one_more(void **state)
{
        struct arena arena;

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE), 0);
        assert_null(arena_alloc(&arena, SIZE + 1));
        assert_int_equal(arena.used, 0);
        assert_non_null(arena_alloc(&arena, SIZE));
        assert_int_equal(arena.used, SIZE);
        assert_null(arena_alloc(&arena, 1));
        arena_done(&arena);
}

static void arena_refuses_what_only_rounding_makes_too_large(void **state)
{
        struct arena arena;

        (void)state;
        assert_int_equal(arena_init(&arena, 40), 0);
        assert_non_null(arena_alloc(&arena, 17)); /* takes 32 */
        assert_null(arena_alloc(&arena, 8));      /* 8 are left, 16 would be taken */
        assert_int_equal(arena.used, 32);
        arena_done(&arena);
}

static void arena_refuses_lengths_that_would_wrap(void **state)
{
        struct arena arena;

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE), 0);
        assert_non_null(arena_alloc(&arena, 1));
        for (size_t less = 0; less < 32; less++)
                assert_null(arena_alloc(&arena, SIZE_MAX - less));
        assert_int_equal(arena.used, 16);
        arena_done(&arena);
}

static void arena_blocks_are_aligned_and_do_not_overlap(void **state)
{
        struct arena arena;
        uint8_t *last = NULL;

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE), 0);
        for (size_t len = 0; len < 16; len++) {
                uint8_t *p = arena_alloc(&arena, len + 1);

                assert_non_null(p);
                assert_int_equal((uintptr_t)p % 16, 0);
                if (last)
                        assert_true(p >= last + len);
                memset(p, 0xaa, len + 1);
                last = p;
        }
        assert_null(arena_alloc(&arena, 1));
        arena_done(&arena);
}

static void arena_is_empty_after_reset_and_gives_the_same_bytes(void **state)
{
        struct arena arena;
        void *first;

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE), 0);
        first = arena_alloc(&arena, SIZE);
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
        assert_ptr_equal(arena_alloc(&arena, SIZE), first);
        arena_done(&arena);
}

static void arena_done_leaves_an_arena_that_gives_nothing(void **state)
{
        struct arena arena;

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE), 0);
        arena_done(&arena);
        assert_null(arena.base);
        assert_null(arena_alloc(&arena, 1));
        arena_done(&arena);
}

static void arena_init_reports_what_cannot_be_had(void **state)
{
        struct arena arena = {.size = 7};

        (void)state;
        assert_int_equal(arena_init(&arena, SIZE_MAX / 2), -ENOMEM);
        assert_int_equal(arena.size, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(arena_gives_all_of_its_bytes_and_not_one_more),
            cmocka_unit_test(arena_refuses_what_only_rounding_makes_too_large),
            cmocka_unit_test(arena_refuses_lengths_that_would_wrap),
            cmocka_unit_test(arena_blocks_are_aligned_and_do_not_overlap),
            cmocka_unit_test(arena_is_empty_after_reset_and_gives_the_same_bytes),
            cmocka_unit_test(arena_done_leaves_an_arena_that_gives_nothing),
            cmocka_unit_test(arena_init_reports_what_cannot_be_had),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
