/* Filters that are kept are those that would be compiled, and nobody's but who asked for the same.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox/policy_cache.h"

static struct policy_cache cache;
static unsigned n_compiled;
static const struct policy_layout plain = {
    .n_lanes = 1, .n_resources = 1, .binary_fd = 7, .report_fd = 8, .go_fd = 9};

int __real_policy_compile(const struct policy *policy, enum policy_gate gate,
                          const struct policy_layout *layout, struct policy_program *ret_program);
int __wrap_policy_compile(const struct policy *policy, enum policy_gate gate,
                          const struct policy_layout *layout, struct policy_program *ret_program);

int __wrap_policy_compile(const struct policy *policy, enum policy_gate gate,
                          const struct policy_layout *layout, struct policy_program *ret_program)
{
        n_compiled++;
        return __real_policy_compile(policy, gate, layout, ret_program);
}

static int begin(void **state)
{
        (void)state;
        n_compiled = 0;
        return 0;
}

static int end(void **state)
{
        (void)state;
        policy_cache_done(&cache);
        return 0;
}

/* What comes from the cache is what is compiled now. How often that was compiled for it. */
static unsigned compiled_for(struct policy_cache *of, const char *type, enum policy_gate gate,
                             const struct policy_layout *layout)
{
        struct policy_program kept = {0}, fresh = {0};
        unsigned before = n_compiled, n;

        assert_int_equal(policy_cache_compile(of, policy_find(type), gate, layout, &kept), 0);
        n = n_compiled - before;
        assert_int_equal(__real_policy_compile(policy_find(type), gate, layout, &fresh), 0);
        assert_int_equal(kept.n, fresh.n);
        assert_memory_equal(kept.filter, fresh.filter, fresh.n * sizeof(*fresh.filter));
        memset(kept.filter, 0xff, kept.n * sizeof(*kept.filter)); /* it is ours */
        policy_program_done(&kept);
        policy_program_done(&fresh);
        return n;
}

static void the_same_is_compiled_once(void **state)
{
        (void)state;
        assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_RUN, &plain), 1);
        assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_START, &plain), 1);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_RUN, &plain), 0);
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_START, &plain), 0);
        }
}

static void whatever_differs_is_another_filter(void **state)
{
        struct policy_layout layouts[10];
        const size_t n = sizeof(layouts) / sizeof(layouts[0]);

        (void)state;
        for (size_t i = 0; i < n; i++)
                layouts[i] = plain;
        layouts[0].n_lanes++;
        layouts[1].n_resources++;
        layouts[2].resource_kinds[LIMIT_RESOURCES - 1]++;
        layouts[3].resources_rw++;
        layouts[4].n_born++;
        layouts[5].binary_fd++;
        layouts[6].report_fd++;
        layouts[7].go_fd = -1;
        layouts[8].self++;
        layouts[9].only_log = true;
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_START, &plain), i == 0);
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_START, &layouts[i]), 1);
                policy_cache_done(&cache);
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_START, &plain), 1);
        }
        assert_int_equal(compiled_for(&cache, "rng", POLICY_GATE_START, &plain), 1);
        assert_int_equal(compiled_for(&cache, "rng", POLICY_GATE_RUN, &plain), 1);
}

static void the_oldest_makes_room(void **state)
{
        struct policy_layout layout = plain;

        (void)state;
        for (unsigned i = 0; i <= POLICY_CACHE; i++) {
                layout.n_lanes = 1 + i;
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_RUN, &layout), 1);
        }
        for (unsigned i = POLICY_CACHE; i > 0; i--) {
                layout.n_lanes = 1 + i;
                assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_RUN, &layout), 0);
        }
        assert_int_equal(compiled_for(&cache, "blk", POLICY_GATE_RUN, &plain), 1);
}

static void without_a_cache_nothing_is_kept(void **state)
{
        (void)state;
        assert_int_equal(compiled_for(NULL, "blk", POLICY_GATE_RUN, &plain), 1);
        assert_int_equal(compiled_for(NULL, "blk", POLICY_GATE_RUN, &plain), 1);
}

static void what_is_refused_is_refused_each_time(void **state)
{
        struct policy_layout layout = plain;
        struct policy_program program = {0};

        (void)state;
        layout.n_lanes = LIMIT_LANES + 1;
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(
                    policy_cache_compile(&cache, policy_find("blk"), POLICY_GATE_RUN, &layout, &program),
                    -EINVAL);
        assert_null(program.filter);
        assert_int_equal(n_compiled, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(the_same_is_compiled_once, begin, end),
            cmocka_unit_test_setup_teardown(whatever_differs_is_another_filter, begin, end),
            cmocka_unit_test_setup_teardown(the_oldest_makes_room, begin, end),
            cmocka_unit_test_setup_teardown(without_a_cache_nothing_is_kept, begin, end),
            cmocka_unit_test_setup_teardown(what_is_refused_is_refused_each_time, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
