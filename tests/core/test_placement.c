/* Placement against made-up hosts (placement_bench.h), where lane and worker are together. Time is the test's.
 * TRUST: sees its own numbers only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/core/placement_bench.h"

static struct host host;

static void begin(unsigned n_cpus, uint64_t (*rate)(int place, uint64_t now_ns))
{
        host_begin(&host, n_cpus, rate);
}

/* ---- made-up hosts ---- */

static uint64_t first_is_best(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == 0 ? 28000 : place == PLACE_FREE ? 10000 : 6000;
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

static uint64_t cpus_are_somewhat_worse(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == PLACE_FREE ? 300000 : 270000;
}

static uint64_t a_little_better(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == 0 ? 10800 : 10000;
}

/* ... but not so much that the rest of a window is not waited for. */
static uint64_t first_is_better(int place, uint64_t now_ns)
{
        (void)now_ns;
        return place == 0 ? 28000 : place == PLACE_FREE ? 23000 : 6000;
}

static uint64_t light(int place, uint64_t now_ns)
{
        return first_is_best(place, now_ns) / 40; /* 250 a second */
}

/* A guest that waits for each request, and has something else to do in between. */
static uint64_t slow(int place, uint64_t now_ns)
{
        return first_is_best(place, now_ns) / 37; /* 270 */
}

#define CHANGE (1002 * SECOND)

static uint64_t first_gets_worse(int place, uint64_t now_ns)
{
        return place == 0 && now_ns >= CHANGE ? 5000 : first_is_best(place, now_ns);
}

static uint64_t first_gets_better(int place, uint64_t now_ns)
{
        return now_ns >= CHANGE ? first_is_best(place, now_ns) : all_are_alike(place, now_ns);
}

static uint64_t load_gets_heavier(int place, uint64_t now_ns)
{
        if (now_ns < CHANGE)
                return first_is_best(place, now_ns);
        return place == PLACE_FREE ? 300000 : 100000;
}

static uint64_t first_is_taken(int place, uint64_t now_ns)
{
        return place == 0 ? 0 : all_are_alike(place, now_ns);
}

static uint64_t twentieth_is_best(int place, uint64_t now_ns)
{
        return place == 19 ? 28000 : all_are_alike(place, now_ns);
}

/* ---- choosing ---- */

static void a_cpu_that_is_clearly_better_is_chosen_and_kept(void **state)
{
        (void)state;
        begin(2, first_is_best);
        host_load(&host, 100 * MS);
        assert_int_equal(host.placement.chosen, 0);
        assert_true(host_done_in(&host, 10 * SECOND) > 28000 * 10 * 97 / 100);
}

static void what_is_not_clearly_better_is_left_free(void **state)
{
        static uint64_t (*const hosts[])(int place, uint64_t now_ns) = {all_are_alike, cpus_are_bad,
                                                                        a_little_better};

        (void)state;
        for (size_t i = 0; i < array_size(hosts); i++) {
                begin(2, hosts[i]);
                host_load(&host, 10 * SECOND);
                assert_true(host.at_ns[1] < 10 * SECOND / 20);
                assert_true(host.requests > hosts[i](PLACE_FREE, 0) * 10 * 98 / 100);
        }
}

static void where_requests_take_turns_a_cpu_need_not_be_better_than_free(void **state)
{
        (void)state;
        begin(2, all_are_alike);
        placement_turns(&host.placement, true);
        host_load(&host, 10 * SECOND);
        assert_true(host.at_ns[1] > 9 * SECOND);
        begin(2, cpus_are_bad);
        placement_turns(&host.placement, true);
        host_load(&host, 10 * SECOND);
        assert_true(host.at_ns[1] < SECOND / 2);
}

/* A guest's that is emulated: a window takes 16 ms. */
static uint64_t slow_and_alike(int place, uint64_t now_ns)
{
        (void)place;
        (void)now_ns;
        return 4000;
}

/* To both CPUs and back is three moves. A load of which a trial is short is asked again soon. */
static void where_requests_take_turns_the_next_trial_waits_until_the_last_is_repaid(void **state)
{
        (void)state;
        begin(2, slow_and_alike);
        placement_turns(&host.placement, true);
        host_load(&host, SECOND / 2);
        assert_in_range(host.n_moves, 2, 3);
        host_load(&host, 10 * SECOND);
        assert_int_equal(host.placement.hold_ns, LIMIT_PLACE_HOLD_MAX_MS * MS); /* and no longer */
        begin(2, first_is_best);
        placement_turns(&host.placement, true);
        host_load(&host, 50 * MS);
        assert_int_equal(host.placement.state, PLACEMENT_HOLDING);
        assert_in_range(host.placement.hold_ns, 2 * LIMIT_PLACE_HOLD_MIN_MS * MS, 500 * MS);
}

/* Each seed is another story; the worst of them counts. */
static void noise_costs_little(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= 50; seed++) {
                begin(2, first_is_best);
                host.seed = seed;
                host.noise_percent = 40;
                host_load(&host, 5 * SECOND);
                assert_true(host.requests > 28000 * 5 * 88 / 100);
                begin(2, cpus_are_somewhat_worse);
                host.seed = seed;
                host.noise_percent = 40;
                host_load(&host, 5 * SECOND);
                assert_true(host.requests > 300000 * 5 * 80 / 100);
        }
}

static void of_many_cpus_each_trial_has_a_few_and_the_good_one_is_found(void **state)
{
        (void)state;
        begin(LIMIT_PLACE_CPUS, twentieth_is_best);
        host_load(&host, 150 * MS);
        assert_true(__builtin_popcountll(host.tried) <= (int)LIMIT_PLACES);
        host_load(&host, 10 * SECOND);
        assert_int_equal(host.placement.chosen, 19);
}

static void a_trial_has_eight_cpus_and_a_host_with_one_more_has_two_trials(void **state)
{
        (void)state;
        for (unsigned n = LIMIT_PLACES - 1; n <= LIMIT_PLACES + 1; n++) {
                begin(n, all_are_alike);
                while (host.placement.hold_ns == LIMIT_PLACE_HOLD_MIN_MS * MS)
                        host_load(&host, MS);
                assert_int_equal(__builtin_popcountll(host.tried), MIN(n, LIMIT_PLACES));
                host_load(&host, 2 * SECOND);
                assert_int_equal(__builtin_popcountll(host.tried), n);
        }
}

/* ---- loads that are none, come, go and change ---- */

static void a_light_load_is_never_moved(void **state)
{
        (void)state;
        begin(2, light);
        host_load(&host, 10 * SECOND);
        assert_int_equal(host.n_moves, 0);
}

static void a_slow_load_is_placed_all_the_same(void **state)
{
        (void)state;
        begin(2, slow);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.chosen, 0);
        assert_true(host_done_in(&host, 5 * SECOND) > 28000 / 37 * 5 * 90 / 100);
}

static void a_few_requests_are_never_moved(void **state)
{
        (void)state;
        begin(2, first_is_best);
        for (unsigned i = 0; i < 1000; i++) {
                host_load(&host, 3 * MS); /* 30 of them */
                host_rest(&host, LIMIT_PLACE_WINDOW_MS * MS);
        }
        assert_int_equal(host.n_moves, 0);
}

static void what_has_become_worse_is_left_soon(void **state)
{
        (void)state;
        begin(2, first_gets_worse);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.place, 0);
        host_load(&host, 150 * MS);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
        assert_true(host_done_in(&host, 5 * SECOND) > 10000 * 5 * 96 / 100);
}

/* 280,000: a window of a trial has 8 ms of it, one while it is held 3. */
static uint64_t fast(int place, uint64_t now_ns)
{
        return 10 * first_is_best(place, now_ns);
}

/* The host has others' work on a CPU for 10 ms, wherever in a window that comes. */
static void stand_still(void)
{
        host.now_ns += 10 * MS;
        host.next_tick_ns = MAX(host.next_tick_ns, host.now_ns + 1);
}

static void a_host_that_stands_still_for_a_moment_says_nothing_of_a_place(void **state)
{
        (void)state;
        for (uint64_t us = 100; us < 8000; us += 300) {
                begin(2, fast);
                while (host.placement.place != 0)
                        host_step(&host, UINT64_MAX);
                host_load(&host, us * MS / 1000);
                stand_still();
                while (host.placement.state == PLACEMENT_TRYING)
                        host_step(&host, UINT64_MAX);
                assert_int_equal(host.placement.chosen, 0);
                assert_in_range(host.placement.level / (2 * BLOCK), 270, 285);
        }
}

/* Three windows. */
static uint64_t first_is_slow_for_9_ms(int place, uint64_t now_ns)
{
        return now_ns >= CHANGE && now_ns < CHANGE + 9 * MS ? 50000 : fast(place, now_ns);
}

static uint64_t first_is_slow_for_16_ms(int place, uint64_t now_ns)
{
        return now_ns >= CHANGE && now_ns < CHANGE + 16 * MS ? 50000 : fast(place, now_ns);
}

static unsigned moves_after_change(uint64_t (*rate)(int place, uint64_t now_ns))
{
        begin(2, rate);
        host_load(&host, 2 * SECOND - MS);
        while (host.placement.state != PLACEMENT_HOLDING || host.now_ns < CHANGE - MS / 2)
                host_step(&host, CHANGE);
        assert_int_equal(host.placement.place, 0);
        host.placement.hold_end_ns = CHANGE + SECOND;
        host.n_moves = 0;
        host_load(&host, 30 * MS);
        return host.n_moves;
}

static void three_bad_windows_in_a_row_leave_no_place_and_four_do(void **state)
{
        (void)state;
        assert_int_equal(moves_after_change(first_is_slow_for_9_ms), 0);
        assert_true(moves_after_change(first_is_slow_for_16_ms) > 0);
}

static uint64_t second_is_next(int place, uint64_t now_ns)
{
        return place == 1 ? 20000 : first_gets_worse(place, now_ns);
}

/* A whole trial has to wait for its credit. */
static void what_has_become_worse_is_left_for_what_was_next_best(void **state)
{
        (void)state;
        begin(2, second_is_next);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.place, 0);
        host.placement.credit_ns = -(int64_t)(60 * MS);
        host_load(&host, 200 * MS);
        assert_int_equal(host.placement.chosen, 1);
        assert_true(host.placement.credit_ns < 0);
}

/* Another host: what was known of who is free says nothing. */
static uint64_t all_get_slower(int place, uint64_t now_ns)
{
        return first_is_best(place, now_ns) / (now_ns >= CHANGE ? 5 : 1);
}

static void who_is_free_without_credit_goes_back_to_where_it_was_if_that_is_better(void **state)
{
        (void)state;
        begin(2, all_get_slower);
        host_load(&host, 1900 * MS);
        assert_int_equal(host.placement.place, 0);
        host_rest(&host, 500 * MS);
        host.placement.credit_ns = -(int64_t)(60 * MS);
        host_load(&host, 200 * MS);
        assert_int_equal(host.placement.chosen, 0);
        assert_true(host.placement.credit_ns < 0);
}

/* ... or to what was next best. */
static uint64_t second_is_next_then_only_one(int place, uint64_t now_ns)
{
        return now_ns < CHANGE ? second_is_next(place, now_ns) : place == 1 ? 28000 : 2500;
}

static void or_to_what_was_next_best(void **state)
{
        (void)state;
        begin(2, second_is_next_then_only_one);
        host_load(&host, 1900 * MS);
        assert_int_equal(host.placement.place, 0);
        host_rest(&host, 500 * MS);
        host.placement.credit_ns = -(int64_t)(60 * MS);
        host_load(&host, 300 * MS);
        assert_int_equal(host.placement.chosen, 1);
        assert_true(host.placement.credit_ns < 0);
}

static void a_pause_of_the_load_that_is_short_leaves_no_place(void **state)
{
        (void)state;
        begin(2, first_is_best);
        host_load(&host, SECOND);
        host_rest(&host, (LIMIT_PLACE_REST_MS - LIMIT_PLACE_TICK_MS) * MS);
        assert_int_equal(host.placement.place, 0);
}

static void what_has_become_better_is_found_within_two_seconds(void **state)
{
        (void)state;
        begin(2, first_gets_better);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.chosen, 0);
}

static void another_load_has_another_trial(void **state)
{
        (void)state;
        begin(2, load_gets_heavier);
        host_load(&host, 2 * SECOND);
        assert_int_equal(host.placement.place, 0);
        host_load(&host, 50 * MS);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
}

static void a_load_that_ends_is_free_soon_and_goes_back_without_a_trial(void **state)
{
        (void)state;
        begin(2, first_is_best);
        host_load(&host, SECOND);
        assert_int_equal(host.placement.place, 0);
        host_rest(&host, (LIMIT_PLACE_REST_MS + LIMIT_PLACE_TICK_MS) * MS);
        assert_int_equal(host.placement.place, PLACE_FREE);
        host_rest(&host, 500 * MS);
        host.tried = 0;
        host_load(&host, 20 * MS);
        assert_int_equal(host.placement.place, 0);
        assert_int_equal(host.tried, 1);
}

/* Each burst is shorter than what is held by then. */
static void a_load_of_bursts_is_tried_again_all_the_same(void **state)
{
        (void)state;
        begin(2, first_gets_better);
        while (host.now_ns < CHANGE + 6 * SECOND) {
                host_load(&host, 150 * MS);
                host_rest(&host, 450 * MS);
        }
        assert_int_equal(host.placement.chosen, 0);
}

/* In its first moments all is where its driver is. */
static uint64_t free_is_good_at_first(int place, uint64_t now_ns)
{
        return now_ns < 1000 * SECOND + 5 * MS ? 27000 : first_is_best(place, now_ns);
}

static void how_a_load_begins_is_not_believed(void **state)
{
        (void)state;
        begin(2, free_is_good_at_first);
        host_load(&host, 60 * MS);
        assert_int_equal(host.placement.chosen, 0);
}

static void what_was_long_ago_is_tried_anew(void **state)
{
        (void)state;
        begin(2, first_is_best);
        host_load(&host, SECOND);
        host_rest(&host, LIMIT_PLACE_MEMORY_MS * MS + SECOND);
        host.tried = 0;
        host_load(&host, 500 * MS);
        assert_int_equal(host.tried, 3);
}

static void the_end_of_the_load_is_free_at_once(void **state)
{
        (void)state;
        begin(2, first_is_best);
        host_load(&host, SECOND);
        placement_rest(&host.placement);
        assert_int_equal(host.placement.place, PLACE_FREE);
}

/* ---- what trials cost ---- */

static void trials_cost_two_percent_of_the_time(void **state)
{
        (void)state;
        begin(LIMIT_PLACES, cpus_are_bad);
        host_load(&host, SECOND); /* the credit that it begins with */
        assert_true(host_done_in(&host, 20 * SECOND) > 100000 * 20 * 979 / 1000);
}

static void bursts_that_are_too_short_for_a_trial_do_not_try_for_ever(void **state)
{
        (void)state;
        begin(LIMIT_PLACES, cpus_are_bad);
        host.requests = 0;
        for (unsigned i = 0; i < 500; i++) {
                host_load(&host, 8 * MS);
                host_rest(&host, 30 * MS);
        }
        assert_true(host.requests > 100000 * 4 * 96 / 100);
}

/* Wherever in the trial's free window it comes: the last requests before the window is full are behind it, too. */
static void a_pause_in_a_trial_is_not_its_loss(void **state)
{
        (void)state;
        for (unsigned looks = 0; looks < 5; looks++) {
                begin(2, first_is_better);
                host_load(&host, 200 * MS);
                while (host.placement.state != PLACEMENT_TRYING || host.placement.place != PLACE_FREE)
                        host_step(&host, UINT64_MAX);
                for (uint64_t begun = host.requests; host.requests < begun + looks * PLACE_LOOK;)
                        host_step(&host, UINT64_MAX);
                assert_int_equal(host.placement.place, PLACE_FREE);
                host.now_ns += 300 * MS; /* all is free: nobody ticks */
                host.next_tick_ns = host.now_ns;
                host_load(&host, 50 * MS);
                assert_true(host.placement.credit_ns > -(int64_t)(20 * MS));
                assert_int_equal(host.placement.chosen, 0);
        }
}

static void a_host_that_stood_still_in_a_trial_is_tried_again_within_seven_seconds(void **state)
{
        (void)state;
        begin(2, first_is_best);
        while (host.placement.place != 1)
                host_step(&host, UINT64_MAX);
        host.now_ns += 60 * SECOND;
        host.next_tick_ns = host.now_ns;
        host_load(&host, 100 * MS);
        assert_true(host.placement.credit_ns < 0);
        host.tried = 0;
        host_load(&host, 7 * SECOND);
        assert_int_equal(host.tried & 2, 2);
}

static void a_cpu_that_does_nothing_is_left_soon(void **state)
{
        (void)state;
        begin(2, first_is_taken);
        while (host.placement.place != 0)
                host_load(&host, MS);
        host_load(&host, (LIMIT_PLACE_STALL_MS + 2 * LIMIT_PLACE_TICK_MS) * MS);
        assert_int_not_equal(host.placement.place, 0);
        host_load(&host, 100 * MS);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
}

static void a_cpu_that_cannot_be_had_is_not_tried_for_a_while(void **state)
{
        (void)state;
        begin(2, first_is_best);
        while (host.placement.place != 0)
                host_load(&host, MS);
        placement_bar(&host.placement, host.now_ns, 0);
        assert_int_equal(host.placement.place, PLACE_FREE);
        host.tried = 0;
        host_load(&host, (LIMIT_PLACE_BARRED_MS - 10) * MS);
        assert_int_equal(host.tried & 1, 0);
        host_load(&host, 3 * SECOND);
        assert_int_equal(host.placement.chosen, 0);
}

/* ---- harm to others ---- */

static uint64_t gaps_ms;

static bool guard(struct placement *p, uint64_t own_ms, uint64_t idle0_ms, uint64_t idle1_ms)
{
        const uint64_t idle_ns[] = {idle0_ms * MS, idle1_ms * MS};
        const struct placement_use use = {
            .elapsed_ns = 1000 * MS, .own_ns = own_ms * MS, .gaps_ns = gaps_ms * MS, .idle_ns = idle_ns};

        return placement_guard(p, host.now_ns, &use);
}

static void hold_first(void)
{
        begin(2, first_is_best);
        host_load(&host, SECOND);
        while (host.placement.state != PLACEMENT_HOLDING)
                host_load(&host, MS);
        assert_int_equal(host.placement.place, 0);
}

static void a_cpu_of_which_others_need_more_than_half_is_left(void **state)
{
        (void)state;
        hold_first();
        assert_false(guard(&host.placement, 499, 1, 1000)); /* others: 500 */
        assert_int_equal(host.placement.place, 0);
        assert_true(guard(&host.placement, 499, 0, 1000)); /* 501 */
        assert_int_equal(host.placement.place, PLACE_FREE);
        host.tried = 0;
        host_load(&host, (LIMIT_PLACE_BARRED_MS - 10) * MS);
        assert_int_equal(host.tried & 1, 0);
}

static void where_requests_take_turns_what_others_use_in_the_gaps_is_no_harm(void **state)
{
        (void)state;
        gaps_ms = 600 - 62; /* and a sixteenth of the second */
        for (int turns = 0; turns < 2; turns++) {
                hold_first();
                placement_turns(&host.placement, turns);
                assert_int_equal(guard(&host.placement, 400, 0, 1000), !turns); /* others: 600 */
        }
        gaps_ms--;
        assert_true(guard(&host.placement, 400, 0, 1000));
        gaps_ms = 0;
}

static void it_is_kept_where_no_other_has_more_to_give(void **state)
{
        (void)state;
        hold_first();
        assert_false(guard(&host.placement, 200, 0, 200)); /* others there: 800; all elsewhere: 800 */
        assert_true(guard(&host.placement, 200, 0, 201));
}

static void clocks_that_contradict_each_other_do_no_harm(void **state)
{
        (void)state;
        hold_first();
        assert_false(guard(&host.placement, 2000, 0, 1000));
        assert_false(guard(&host.placement, 0, 5000, 5000));
        assert_int_equal(host.placement.place, 0);
}

static void what_is_free_is_not_guarded(void **state)
{
        (void)state;
        begin(2, all_are_alike);
        assert_false(guard(&host.placement, 0, 0, 1000));
        host_load(&host, SECOND);
        assert_int_equal(host.placement.chosen, PLACE_FREE);
        assert_false(guard(&host.placement, 0, 0, 1000));
}

/* Two devices want the first CPU, each uses 40 percent of it, their drivers another 20: each sees 60 of others. */
static void two_lanes_that_fill_one_cpu_do_not_stay_there_both(void **state)
{
        static struct host other;
        struct host *const both[] = {&host, &other};

        (void)state;
        hold_first();
        host_begin(&other, 2, first_is_best);
        host_load(&other, SECOND);
        while (other.placement.state != PLACEMENT_HOLDING)
                host_load(&other, MS);
        for (unsigned i = 0; i < array_size(both); i++) {
                bool together = host.placement.place == 0 && other.placement.place == 0;

                guard(&both[i]->placement, 400, together ? 0 : 400, 1000);
        }
        assert_int_equal(host.placement.place, PLACE_FREE);
        assert_int_equal(other.placement.place, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_cpu_that_is_clearly_better_is_chosen_and_kept),
            cmocka_unit_test(what_is_not_clearly_better_is_left_free),
            cmocka_unit_test(where_requests_take_turns_a_cpu_need_not_be_better_than_free),
            cmocka_unit_test(where_requests_take_turns_the_next_trial_waits_until_the_last_is_repaid),
            cmocka_unit_test(noise_costs_little),
            cmocka_unit_test(of_many_cpus_each_trial_has_a_few_and_the_good_one_is_found),
            cmocka_unit_test(a_trial_has_eight_cpus_and_a_host_with_one_more_has_two_trials),
            cmocka_unit_test(a_light_load_is_never_moved),
            cmocka_unit_test(a_slow_load_is_placed_all_the_same),
            cmocka_unit_test(a_few_requests_are_never_moved),
            cmocka_unit_test(what_has_become_worse_is_left_soon),
            cmocka_unit_test(a_host_that_stands_still_for_a_moment_says_nothing_of_a_place),
            cmocka_unit_test(three_bad_windows_in_a_row_leave_no_place_and_four_do),
            cmocka_unit_test(what_has_become_worse_is_left_for_what_was_next_best),
            cmocka_unit_test(who_is_free_without_credit_goes_back_to_where_it_was_if_that_is_better),
            cmocka_unit_test(or_to_what_was_next_best),
            cmocka_unit_test(a_pause_of_the_load_that_is_short_leaves_no_place),
            cmocka_unit_test(what_has_become_better_is_found_within_two_seconds),
            cmocka_unit_test(another_load_has_another_trial),
            cmocka_unit_test(a_load_that_ends_is_free_soon_and_goes_back_without_a_trial),
            cmocka_unit_test(a_load_of_bursts_is_tried_again_all_the_same),
            cmocka_unit_test(how_a_load_begins_is_not_believed),
            cmocka_unit_test(what_was_long_ago_is_tried_anew),
            cmocka_unit_test(the_end_of_the_load_is_free_at_once),
            cmocka_unit_test(trials_cost_two_percent_of_the_time),
            cmocka_unit_test(bursts_that_are_too_short_for_a_trial_do_not_try_for_ever),
            cmocka_unit_test(a_pause_in_a_trial_is_not_its_loss),
            cmocka_unit_test(a_host_that_stood_still_in_a_trial_is_tried_again_within_seven_seconds),
            cmocka_unit_test(a_cpu_that_does_nothing_is_left_soon),
            cmocka_unit_test(a_cpu_that_cannot_be_had_is_not_tried_for_a_while),
            cmocka_unit_test(a_cpu_of_which_others_need_more_than_half_is_left),
            cmocka_unit_test(where_requests_take_turns_what_others_use_in_the_gaps_is_no_harm),
            cmocka_unit_test(it_is_kept_where_no_other_has_more_to_give),
            cmocka_unit_test(clocks_that_contradict_each_other_do_no_harm),
            cmocka_unit_test(what_is_free_is_not_guarded),
            cmocka_unit_test(two_lanes_that_fill_one_cpu_do_not_stay_there_both),
        };

        return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
