/* What a device counts, on its way to the broker: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/wire.h"
#include "schema/control.pb-c.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[LIMIT_FRAME_HEADER];

/* As many as no maker makes. */
static int stats_of(uint64_t *values, size_t n)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__Stats body = BULKHEAD__CONTROL__STATS__INIT;
        struct control_to_broker got;
        ssize_t len;

        body.n_counter = n;
        body.counter = values;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_STATS;
        wire.stats = &body;
        len = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(len > 0);
        return control_check_to_broker(&arena, buf, (size_t)len, &got);
}

static int to_broker(const struct control_to_broker *message, struct control_to_broker *ret)
{
        ssize_t n = control_make_to_broker(message, buf, sizeof(buf));

        assert_true(n > 0);
        return control_check_to_broker(&arena, buf, (size_t)n, ret);
}

static void counters_come_back_up_to_their_limit(void **state)
{
        static uint64_t values[LIMIT_COUNTERS + 1];
        static struct control_to_broker m, got;

        (void)state;
        for (size_t i = 0; i < array_size(values); i++)
                values[i] = UINT64_MAX - i;
        m = (struct control_to_broker){.kind = CONTROL_STATS, .stats = {LIMIT_COUNTERS, values}};
        assert_int_equal(to_broker(&m, &got), 0);
        assert_int_equal(got.stats.n, LIMIT_COUNTERS);
        assert_memory_equal(got.stats.counter, values, LIMIT_COUNTERS * sizeof(values[0]));
        m.stats.n = 0;
        assert_int_equal(to_broker(&m, &got), 0);
        m.stats.n = LIMIT_COUNTERS + 1;
        assert_int_equal(control_make_to_broker(&m, buf, sizeof(buf)), -E2BIG);
        assert_int_equal(stats_of(values, LIMIT_COUNTERS + 1), -EPROTO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(counters_come_back_up_to_their_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
