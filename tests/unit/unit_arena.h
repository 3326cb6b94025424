/* The arena that a test of messages unpacks into: fresh before each test.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "tests/unit/unit.h"

static struct arena arena;

static inline int unit_arena_setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static inline int unit_arena_teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

#define UNIT_ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, unit_arena_setup, unit_arena_teardown)
