/* Messages between broker and spawner: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/spawn.h"

#include <errno.h>
#include <signal.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/spawn.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit_arena.h"

static uint8_t buf[1024];

static const struct spawn_to_broker spawned = {
    .kind = SPAWN_SPAWNED, .device = 3, .pid = 4711, .uid = 1879048193};
static const struct spawn_to_broker failed = {.kind = SPAWN_FAILED,
                                              .device = 3,
                                              .error = -EBUSY,
                                              .reason = "disk0: the image is in use: stop the other VM"};
static const struct spawn_to_broker exited = {.kind = SPAWN_EXITED, .device = 3, .pid = 4711, .code = 255};
static const struct spawn_to_broker explained = {.kind = SPAWN_EXITED,
                                                 .device = 3,
                                                 .pid = 4711,
                                                 .code = SIGSYS,
                                                 .signaled = true,
                                                 .cause = {.breach = SPAWN_BREACH_ARGUMENTS,
                                                           .have_call = true,
                                                           .nr = 257,
                                                           .arch = 0xc000003e,
                                                           .args = {1, 2, 3, 4, 5, UINT64_MAX},
                                                           .call = "openat",
                                                           .gate = SPAWN_GATE_RUN,
                                                           .ip = UINT64_MAX,
                                                           .oom = true}};
static const struct spawn_to_broker terminate = {.kind = SPAWN_TERMINATE};
static const struct spawn_to_broker renewed = {.kind = SPAWN_RENEWED, .device = 3};
static const struct spawn_to_broker companion = {
    .kind = SPAWN_COMPANION, .device = 3, .pid = 4712, .uid = 1879048194, .starts = UINT32_MAX};

static int to_broker(struct spawn_to_broker message, struct spawn_to_broker *ret)
{
        ssize_t n = spawn_make_to_broker(&message, buf, sizeof(buf));

        assert_true(n > 0);
        return spawn_check_to_broker(&arena, buf, (size_t)n, ret);
}

static void messages_come_back_as_they_were(void **state)
{
        const struct spawn_to_broker *up[] = {&spawned,   &failed,    &exited, &explained,
                                              &terminate, &companion, &renewed};
        struct spawn_to_broker got;
        struct spawn_to_spawner got_down;

        (void)state;
        for (size_t i = 0; i < array_size(up); i++) {
                assert_int_equal(to_broker(*up[i], &got), 0);
                assert_memory_equal(&got, up[i], sizeof(got));
        }
        for (enum spawn_kind_to_spawner kind = SPAWN_SPAWN; kind <= SPAWN_STOP; kind++) {
                struct spawn_to_spawner down = {.kind = kind,
                                                .device = kind == SPAWN_STOP ? 0 : LIMIT_WORKERS - 1};
                ssize_t n = spawn_make_to_spawner(&down, buf, sizeof(buf));

                assert_true(n > 0);
                assert_int_equal(spawn_check_to_spawner(&arena, buf, (size_t)n, &got_down), 0);
                assert_memory_equal(&got_down, &down, sizeof(down));
        }
}

static void the_broker_names_devices_inside_the_limit_only(void **state)
{
        struct spawn_to_spawner got = {.device = 77};

        (void)state;
        for (enum spawn_kind_to_spawner kind = SPAWN_SPAWN; kind <= SPAWN_REAP; kind++) {
                struct spawn_to_spawner down = {.kind = kind, .device = LIMIT_WORKERS};
                ssize_t n = spawn_make_to_spawner(&down, buf, sizeof(buf));

                assert_int_equal(spawn_check_to_spawner(&arena, buf, (size_t)n, &got), -EPROTO);
                assert_int_equal(got.device, 77);
        }
}

#define IS(expected, from, member, number)                                                                   \
        do {                                                                                                 \
                struct spawn_to_broker sent_ = (from), got_, before_;                                        \
                memset(&got_, 0x7e, sizeof(got_));                                                           \
                before_ = got_;                                                                              \
                sent_.member = (number);                                                                     \
                assert_int_equal(to_broker(sent_, &got_), (expected));                                       \
                if ((expected) != 0)                                                                         \
                        assert_memory_equal(&got_, &before_, sizeof(got_));                                  \
        } while (0)

static void numbers_end_at_their_limits(void **state)
{
        (void)state;
        IS(0, spawned, device, LIMIT_WORKERS - 1);
        IS(-EPROTO, spawned, device, LIMIT_WORKERS);
        IS(-EPROTO, failed, device, LIMIT_WORKERS);
        IS(-EPROTO, exited, device, LIMIT_WORKERS);
        IS(-EPROTO, spawned, pid, 0);
        IS(0, spawned, pid, 1);
        IS(0, spawned, pid, INT32_MAX);
        IS(-EPROTO, spawned, pid, (uint32_t)INT32_MAX + 1);
        IS(-EPROTO, spawned, pid, UINT32_MAX); /* -1: everybody */
        IS(-EPROTO, exited, pid, 0);
        IS(0, spawned, uid, UINT32_MAX - 1);
        IS(-EPROTO, spawned, uid, UINT32_MAX);
        IS(0, companion, pid, 0); /* it does not run */
        IS(0, companion, pid, INT32_MAX);
        IS(-EPROTO, companion, pid, (uint32_t)INT32_MAX + 1);
        IS(-EPROTO, companion, uid, UINT32_MAX);
        IS(0, companion, device, LIMIT_WORKERS - 1);
        IS(-EPROTO, companion, device, LIMIT_WORKERS);
        IS(0, renewed, device, LIMIT_WORKERS - 1);
        IS(-EPROTO, renewed, device, LIMIT_WORKERS);
        IS(-EPROTO, exited, code, 256);
        IS(-EPROTO, failed, error, 0); /* a failure without an error */
}

static void exits_by_signal_name_a_signal(void **state)
{
        struct spawn_to_broker by_signal = exited;

        (void)state;
        by_signal.signaled = true;
        IS(0, by_signal, code, SIGKILL);
        IS(-EPROTO, by_signal, code, 0);
        IS(0, by_signal, code, 1);
        IS(0, by_signal, code, NSIG - 1);
        IS(-EPROTO, by_signal, code, NSIG);
}

static void a_cause_is_whole_and_its_call_is_a_word(void **state)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Exited body = BULKHEAD__SPAWN__EXITED__INIT;
        uint64_t args[SPAWN_CALL_ARGS + 1] = {0};
        struct spawn_to_broker got;
        static char names[][40] = {"",
                                   "open at",
                                   "openat\n",
                                   "OPENAT",
                                   "openat(",
                                   "abcdefghijklmnopqrstuvwxyz01234",
                                   "abcdefghijklmnopqrstuvwxyz012345"};
        static const bool good[] = {true, false, false, false, false, true, false};

        (void)state;
        IS(0, explained, cause.breach, SPAWN_BREACH_COUNT_ - 1);
        IS(-EPROTO, explained, cause.breach, SPAWN_BREACH_COUNT_);
        IS(0, explained, cause.gate, SPAWN_GATE_COUNT_ - 1);
        IS(-EPROTO, explained, cause.gate, SPAWN_GATE_COUNT_);
        body.pid = body.code = 1;
        body.arg = args;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_EXITED;
        wire.exited = &body;
        for (body.have_call = 0; body.have_call < 3; body.have_call++)
                for (body.n_arg = 0; body.n_arg <= SPAWN_CALL_ARGS + 1; body.n_arg++) {
                        ssize_t n = wire_pack(&wire.base, buf, sizeof(buf));
                        bool whole = body.have_call < 2 && body.n_arg == SPAWN_CALL_ARGS * body.have_call;

                        assert_int_equal(spawn_check_to_broker(&arena, buf, (size_t)n, &got),
                                         whole ? 0 : -EPROTO);
                }
        body.have_call = 1;
        body.n_arg = SPAWN_CALL_ARGS;
        for (size_t i = 0; i < array_size(names); i++) {
                ssize_t n;

                body.call = names[i];
                n = wire_pack(&wire.base, buf, sizeof(buf));
                assert_int_equal(spawn_check_to_broker(&arena, buf, (size_t)n, &got), good[i] ? 0 : -EPROTO);
        }
}

static void an_exit_was_by_signal_or_was_not(void **state)
{
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__Exited body = BULKHEAD__SPAWN__EXITED__INIT;
        struct spawn_to_broker got;

        (void)state;
        body.pid = body.code = 1;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_EXITED;
        wire.exited = &body;
        for (body.signaled = 0; body.signaled < 4; body.signaled++) {
                ssize_t n = wire_pack(&wire.base, buf, sizeof(buf));

                assert_int_equal(spawn_check_to_broker(&arena, buf, (size_t)n, &got),
                                 body.signaled < 2 ? 0 : -EPROTO);
        }
}

static void reasons_fit_their_place(void **state)
{
        struct spawn_to_broker sent = failed, got;
        Bulkhead__Spawn__ToBroker wire = BULKHEAD__SPAWN__TO_BROKER__INIT;
        Bulkhead__Spawn__SpawnFailed body = BULKHEAD__SPAWN__SPAWN_FAILED__INIT;
        char reason[sizeof(sent.reason) + 1];
        ssize_t n;

        (void)state;
        memset(reason, 'x', sizeof(reason));
        reason[sizeof(reason) - 2] = '\0';
        memcpy(sent.reason, reason, sizeof(sent.reason));
        assert_int_equal(to_broker(sent, &got), 0);
        assert_string_equal(got.reason, reason);
        reason[sizeof(reason) - 2] = 'x';
        reason[sizeof(reason) - 1] = '\0';
        body.status = WIRE_STATUS_IO;
        body.reason = reason;
        wire.kind_case = BULKHEAD__SPAWN__TO_BROKER__KIND_SPAWN_FAILED;
        wire.spawn_failed = &body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(spawn_check_to_broker(&arena, buf, (size_t)n, &got), -EPROTO);
        body.reason[0] = '\0';
        body.status = WIRE_STATUS_COUNT_;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(spawn_check_to_broker(&arena, buf, (size_t)n, &got), -EPROTO);
}

static void messages_of_no_kind_are_refused(void **state)
{
        struct spawn_to_broker up = {.kind = SPAWN_TO_BROKER_COUNT_};
        struct spawn_to_spawner down = {.kind = (enum spawn_kind_to_spawner)9};

        (void)state;
        assert_int_equal(spawn_check_to_broker(&arena, NULL, 0, &up), -EPROTO);
        assert_int_equal(spawn_check_to_spawner(&arena, NULL, 0, &down), -EPROTO);
        assert_int_equal(spawn_make_to_broker(&up, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(spawn_make_to_spawner(&down, buf, sizeof(buf)), -EINVAL);
}

static unsigned accepted;

static void sweep_to_broker(const uint8_t *bytes, size_t n, void *context)
{
        struct spawn_to_broker got;
        int r = spawn_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_spawn_to_broker(&got));
}

static void sweep_to_spawner(const uint8_t *bytes, size_t n, void *context)
{
        struct spawn_to_spawner got;
        int r = spawn_check_to_spawner(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_spawn_to_spawner(&got));
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        const struct spawn_to_broker *up[] = {&spawned,   &failed,    &exited, &explained,
                                              &terminate, &companion, &renewed};

        (void)state;
        for (size_t i = 0; i < array_size(up); i++) {
                accepted = 0;
                unit_sweep(buf, (size_t)spawn_make_to_broker(up[i], buf, sizeof(buf)), sweep_to_broker, NULL);
                assert_true(accepted >= 1);
        }
        for (enum spawn_kind_to_spawner kind = SPAWN_SPAWN; kind <= SPAWN_STOP; kind++) {
                struct spawn_to_spawner down = {.kind = kind, .device = 1};

                accepted = 0;
                unit_sweep(buf, (size_t)spawn_make_to_spawner(&down, buf, sizeof(buf)), sweep_to_spawner,
                           NULL);
                assert_true(accepted >= 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            UNIT_ARENA_TEST(messages_come_back_as_they_were),
            UNIT_ARENA_TEST(the_broker_names_devices_inside_the_limit_only),
            UNIT_ARENA_TEST(numbers_end_at_their_limits),
            UNIT_ARENA_TEST(exits_by_signal_name_a_signal),
            UNIT_ARENA_TEST(a_cause_is_whole_and_its_call_is_a_word),
            UNIT_ARENA_TEST(an_exit_was_by_signal_or_was_not),
            UNIT_ARENA_TEST(reasons_fit_their_place),
            UNIT_ARENA_TEST(messages_of_no_kind_are_refused),
            UNIT_ARENA_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
