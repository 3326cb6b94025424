/* One dispatch for every table.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc.h"

#include <errno.h>

#include "tests/unit/unit.h"

enum state { READY, RUNNING, STATES = 2 };

struct log {
        unsigned calls;
        const void *message;
        int answer;
};

static int note(void *context, const void *message)
{
        struct log *log = context;

        log->calls++;
        log->message = message;
        return log->answer;
}

static const struct rpc_row rows[] = {
    [1] = {"first", 4, 8, 1, 2, 1u << READY, false, note},
    [2] = {"once", 0, 0, 0, 0, 1u << READY | 1u << RUNNING, true, note},
    [4] = {"unserved", 0, 0, 0, 0, 1u << READY, false, NULL},
    [5] = {"agreed", 0, 0, 0, 0, 1u << READY, false, note, .needs = 5},
    [63] = {"last", 0, 0, 0, 0, 1u << READY, true, note},
};
static const struct rpc_table table = {rows, sizeof(rows) / sizeof(rows[0])};

static void what_is_in_the_table_reaches_its_handler(void **state)
{
        struct log log = {.answer = -EIO};
        struct rpc_peer peer = {0};
        int message = 0;

        (void)state;
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 1, 4, 1, &log, &message), -EIO);
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 1, 8, 2, &log, &message), -EIO);
        assert_int_equal(log.calls, 2);
        assert_ptr_equal(log.message, &message);
        assert_true(peer.seen == 0);
}

static void what_is_out_of_table_size_descriptors_or_state_never_does(void **state)
{
        static const struct {
                uint32_t state, kind;
                size_t len;
                unsigned n_fds;
        } bad[] = {
            {READY, 0, 0, 0},          {READY, 3, 0, 0}, {READY, 4, 0, 0},   {READY, 64, 0, 0},
            {READY, UINT32_MAX, 0, 0}, {READY, 1, 3, 1}, {READY, 1, 9, 1},   {READY, 1, SIZE_MAX, 1},
            {READY, 1, 4, 0},          {READY, 1, 4, 3}, {RUNNING, 1, 4, 1}, {READY, 2, 1, 0},
            {READY, 2, 0, 1},
        };
        struct log log = {0};
        struct rpc_peer peer = {0};

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(rpc_dispatch(&table, &peer, bad[i].state, bad[i].kind, bad[i].len,
                                              bad[i].n_fds, &log, NULL),
                                 -EPROTO);
        assert_int_equal(log.calls, 0);
        assert_true(peer.seen == 0);
}

static void what_comes_once_is_refused_the_second_time_in_any_state(void **state)
{
        struct log log = {0};
        struct rpc_peer peer = {0}, other = {0};

        (void)state;
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 2, 0, 0, &log, NULL), 0);
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 2, 0, 0, &log, NULL), -EPROTO);
        assert_int_equal(rpc_dispatch(&table, &peer, RUNNING, 2, 0, 0, &log, NULL), -EPROTO);
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 63, 0, 0, &log, NULL), 0);
        assert_int_equal(rpc_dispatch(&table, &peer, READY, 63, 0, 0, &log, NULL), -EPROTO);
        assert_int_equal(rpc_dispatch(&table, &other, READY, 2, 0, 0, &log, NULL), 0);
        assert_int_equal(log.calls, 3);
}

static void what_needs_agreement_waits_for_all_of_it(void **state)
{
        struct log log = {0};
        struct rpc_peer peer = {0};

        (void)state;
        for (peer.agreed = 0; peer.agreed < 16; peer.agreed++)
                assert_int_equal(rpc_dispatch(&table, &peer, READY, 5, 0, 0, &log, NULL),
                                 (peer.agreed & 5) == 5 ? 0 : -EPROTO);
        assert_int_equal(log.calls, 4);
}

static void names_are_known_for_rows_with_a_handler_only(void **state)
{
        (void)state;
        assert_string_equal(rpc_name(&table, 1), "first");
        assert_string_equal(rpc_name(&table, 0), "unknown");
        assert_string_equal(rpc_name(&table, 4), "unknown");
        assert_string_equal(rpc_name(&table, 64), "unknown");
        assert_string_equal(rpc_name(&table, UINT32_MAX), "unknown");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_is_in_the_table_reaches_its_handler),
            cmocka_unit_test(what_is_out_of_table_size_descriptors_or_state_never_does),
            cmocka_unit_test(what_comes_once_is_refused_the_second_time_in_any_state),
            cmocka_unit_test(what_needs_agreement_waits_for_all_of_it),
            cmocka_unit_test(names_are_known_for_rows_with_a_handler_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
