/* Placement against made-up hosts (placement_bench.h), where a CPU is the worker's alone.
 * TRUST: sees its own numbers only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/placement_bench.h"

#define ALONE(cpu) (PLACE_ALONE | (cpu))

static struct host host;

static void set_large(bool large)
{
        placement_large(&host.placement, large, host.now_ns, host.requests, host.requests * BLOCK);
}

static void set_deep(bool deep)
{
        placement_deep(&host.placement, deep, host.now_ns, host.requests, host.requests * BLOCK);
}

static void begin_deep(unsigned n_cpus, uint64_t (*rate)(int place, uint64_t now_ns))
{
        host_begin(&host, n_cpus, rate);
        set_deep(true);
}

static uint64_t all_are_alike(int place, uint64_t now_ns)
{
        (void)now_ns;
        (void)place;
        return 10000;
}

static uint64_t cpus_are_bad(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == PLACE_FREE ? 100000 : 20000;
}

static uint64_t first_is_best(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place != PLACE_FREE && place_cpu(place) == 0 ? 28000 : place == PLACE_FREE ? 10000 : 6000;
}

/* The driver is on CPU 0. Both with it do more than free, and the worker on the other CPU more than that. */
static uint64_t second_is_best_for_it_alone(int place, uint64_t now_ns)
{
        (void)now_ns;
        if (place == ALONE(1))
                return 42000;
        return place == 0 ? 28000 : place == PLACE_FREE ? 20000 : 8000;
}

/* ... but by less than a tenth. */
static uint64_t alone_is_a_little_better(int place, uint64_t now_ns)
{
        return place == ALONE(1) ? 29000 : second_is_best_for_it_alone(place, now_ns);
}

static uint64_t twentieth_is_best_for_it_alone(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == ALONE(19) ? 28000 : 10000;
}

/* ---- places ---- */

static void a_place_has_one_cpu_whoever_is_there(void **state)
{
        (void)state;
        for (int cpu = 0; cpu < 2048; cpu++) {
                assert_int_equal(place_cpu(cpu), cpu);
                assert_int_equal(place_cpu(ALONE(cpu)), cpu);
                assert_false(place_is_alone(cpu));
                assert_true(place_is_alone(ALONE(cpu)));
        }
        assert_false(place_is_alone(PLACE_FREE));
}

/* ---- large requests ---- */

static void where_small_ones_were_large_ones_are_never_tried(void **state)
{
        (void)state;
        host_begin(&host, 2, first_is_best);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.place, 0);
        set_large(true);
        host.tried = 0;
        host.placement.credit_ns = -(int64_t)(60 * MS);
        host_load(&host, 500 * MS);
        assert_int_equal(host.tried, 0);
}

static void where_requests_are_large_it_is_alone_on_a_cpu_that_is_not_worse_than_free(void **state)
{
        (void)state;
        host_begin(&host, 2, all_are_alike);
        set_large(true);
        host_load(&host, 10 * SECOND);
        assert_true(host.at_ns[1] > 9 * SECOND);
        assert_int_equal(host.tried, 0);
        host_begin(&host, 2, cpus_are_bad);
        set_large(true);
        host_load(&host, 10 * SECOND);
        assert_true(host.at_ns[1] < SECOND / 2);
        host_begin(&host, 1, all_are_alike); /* where would its lane be? */
        set_large(true);
        host_load(&host, 10 * SECOND);
        assert_true(host.at_ns[1] < SECOND / 2);
        assert_int_equal(host.tried_alone, 0);
}

static void large_requests_are_another_load_than_small_ones(void **state)
{
        (void)state;
        host_begin(&host, 2, first_is_best);
        host_load(&host, SECOND);
        assert_int_equal(host.placement.chosen, 0);
        set_large(true);
        assert_int_equal(host.placement.place, PLACE_FREE);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
        host_load(&host, SECOND);
        assert_int_equal(host.placement.chosen, ALONE(0));
        set_large(true); /* nothing new */
        set_deep(true);
        set_deep(false); /* nor that */
        assert_int_equal(host.placement.chosen, ALONE(0));
        set_large(false);
        assert_int_equal(host.placement.place, PLACE_FREE);
}

/* ---- many requests ---- */

static void where_many_are_under_way_it_is_alone_if_that_is_clearly_best(void **state)
{
        (void)state;
        begin_deep(2, second_is_best_for_it_alone);
        host_load(&host, 200 * MS);
        assert_int_equal(host.placement.place, ALONE(1));
        assert_true(host_done_in(&host, 10 * SECOND) > 42000 * 10 * 97 / 100);
        begin_deep(2, alone_is_a_little_better);
        host_load(&host, 10 * SECOND);
        assert_int_equal(host.placement.chosen, 0);
}

static uint64_t alone_ns; /* when it was last */

/* Who is freed runs on where he was, until somebody moves him. */
static uint64_t freed_runs_on(int place, uint64_t now_ns)
{
        if (place == ALONE(1))
                alone_ns = now_ns;
        return place == PLACE_FREE && now_ns < alone_ns + 20 * MS
                   ? 42000
                   : second_is_best_for_it_alone(place, now_ns);
}

static void one_that_is_alone_is_not_freed_because_it_would_run_on(void **state)
{
        (void)state;
        alone_ns = 0;
        begin_deep(2, freed_runs_on);
        host_load(&host, 200 * MS);
        assert_int_equal(host.placement.chosen, ALONE(1));
        assert_true(host_done_in(&host, 10 * SECOND) > 42000 * 10 * 97 / 100);
}

static void what_is_no_better_for_a_worker_alone_costs_two_percent(void **state)
{
        static uint64_t (*const hosts[])(int place, uint64_t now_ns) = {all_are_alike, cpus_are_bad};

        (void)state;
        for (size_t i = 0; i < array_size(hosts); i++) {
                begin_deep(2, hosts[i]);
                host_load(&host, 10 * SECOND);
                assert_int_equal(host.placement.chosen, PLACE_FREE);
                assert_true(host.requests > hosts[i](PLACE_FREE, 0) * 10 * 98 / 100);
        }
}

static void where_few_are_under_way_it_is_never_alone(void **state)
{
        (void)state;
        host_begin(&host, 2, second_is_best_for_it_alone);
        host_load(&host, 10 * SECOND);
        assert_int_equal(host.placement.chosen, 0);
        assert_int_equal(host.tried_alone, 0);
        begin_deep(1, second_is_best_for_it_alone);
        host_load(&host, SECOND);
        assert_int_equal(host.tried_alone, 0);
}

static void when_there_are_no_longer_many_it_is_another_load(void **state)
{
        (void)state;
        begin_deep(2, second_is_best_for_it_alone);
        host_load(&host, SECOND);
        assert_int_equal(host.placement.chosen, ALONE(1));
        set_deep(true); /* nothing new */
        assert_int_equal(host.placement.chosen, ALONE(1));
        set_deep(false);
        assert_int_equal(host.placement.place, PLACE_FREE);
        host_load(&host, SECOND);
        assert_int_equal(host.placement.chosen, 0);
        set_deep(true); /* the next trial has it */
        assert_int_equal(host.placement.chosen, 0);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.chosen, ALONE(1));
}

static void of_many_cpus_each_trial_has_two_for_it_alone_and_the_next_has_others(void **state)
{
        (void)state;
        begin_deep(LIMIT_PLACE_CPUS, all_are_alike);
        while (host.placement.state != PLACEMENT_TRYING)
                host_step(&host, UINT64_MAX);
        while (host.placement.state == PLACEMENT_TRYING)
                host_step(&host, UINT64_MAX);
        assert_int_equal(host.tried_alone, 3);
        assert_int_equal(__builtin_popcountll(host.tried), LIMIT_PLACES - LIMIT_PLACES_ALONE);
        while (host.placement.state != PLACEMENT_TRYING)
                host_step(&host, UINT64_MAX);
        while (host.placement.state == PLACEMENT_TRYING)
                host_step(&host, UINT64_MAX);
        assert_int_equal(host.tried_alone, 15);
        begin_deep(LIMIT_PLACE_CPUS, twentieth_is_best_for_it_alone);
        host_load(&host, 20 * SECOND);
        assert_int_equal(host.placement.chosen, ALONE(19));
}

/* ---- harm to others ---- */

static void a_cpu_that_others_need_is_left_and_tried_for_nobody(void **state)
{
        const uint64_t kept_ns[] = {1000 * MS, 100 * MS}, left_ns[] = {1000 * MS, 99 * MS};
        struct placement_use use = {.elapsed_ns = 1000 * MS, .own_ns = 400 * MS, .idle_ns = kept_ns};

        (void)state;
        begin_deep(2, second_is_best_for_it_alone);
        host_load(&host, SECOND);
        while (host.placement.state != PLACEMENT_HOLDING)
                host_load(&host, MS);
        assert_int_equal(host.placement.place, ALONE(1));
        assert_false(placement_guard(&host.placement, host.now_ns, &use)); /* others: 500 */
        use.idle_ns = left_ns;
        assert_true(placement_guard(&host.placement, host.now_ns, &use));
        assert_int_equal(host.placement.place, PLACE_FREE);
        host.tried = host.tried_alone = 0;
        host_load(&host, (LIMIT_PLACE_BARRED_MS - 10) * MS);
        assert_int_equal((host.tried | host.tried_alone) & 2, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_place_has_one_cpu_whoever_is_there),
            cmocka_unit_test(where_small_ones_were_large_ones_are_never_tried),
            cmocka_unit_test(where_requests_are_large_it_is_alone_on_a_cpu_that_is_not_worse_than_free),
            cmocka_unit_test(large_requests_are_another_load_than_small_ones),
            cmocka_unit_test(where_many_are_under_way_it_is_alone_if_that_is_clearly_best),
            cmocka_unit_test(one_that_is_alone_is_not_freed_because_it_would_run_on),
            cmocka_unit_test(what_is_no_better_for_a_worker_alone_costs_two_percent),
            cmocka_unit_test(where_few_are_under_way_it_is_never_alone),
            cmocka_unit_test(when_there_are_no_longer_many_it_is_another_load),
            cmocka_unit_test(of_many_cpus_each_trial_has_two_for_it_alone_and_the_next_has_others),
            cmocka_unit_test(a_cpu_that_others_need_is_left_and_tried_for_nobody),
        };

        return cmocka_run_group_tests_name("placement_alone", tests, NULL, NULL);
}
