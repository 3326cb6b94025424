/* Messages of the admin socket: make, check, and what the check refuses.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/admin.h"

#include <errno.h>
#include <stdio.h>

#include "proto/base/checked.h"
#include "proto/base/limits.h"
#include "proto/base/status.h"
#include "proto/wire.h"
#include "schema/admin.pb-c.h"
#include "tests/unit/judged.h"
#include "tests/unit/unit.h"

static struct arena arena;
static uint8_t buf[LIMIT_FRAME_HEADER];

static int arena_setup(void **state)
{
        (void)state;
        return arena_init(&arena, LIMIT_ARENA);
}

static int arena_teardown(void **state)
{
        (void)state;
        arena_done(&arena);
        return 0;
}

static struct admin_to_client status_of(size_t n_devices)
{
        struct admin_to_client message = {.kind = ADMIN_STATUS};
        struct admin_status *status = &message.status;

        snprintf(status->vm, sizeof(status->vm), "demo");
        snprintf(status->version, sizeof(status->version), "0.1.0");
        status->broker_pid = 100;
        status->spawner_pid = 99;
        status->spawner_alive = true;
        status->stage = (enum admin_stage)(1 + n_devices % 3);
        status->loaded = UINT64_MAX - 3;
        status->n_devices = n_devices;
        for (size_t i = 0; i < n_devices && i < LIMIT_DEVICES; i++) {
                struct admin_device *device = &status->devices[i];

                memset(device->name, 'n', LIMIT_NAME - 3);
                snprintf(device->name + LIMIT_NAME - 3, 3, "%02zu", i);
                snprintf(device->type, sizeof(device->type), "blk");
                device->state = (enum admin_device_state)(1 + i % 6);
                device->pid = (uint32_t)i;
                device->uid = 1879048192u + (uint32_t)i;
                device->restarts = device->outstanding = UINT32_MAX;
                device->queues_running = LIMIT_QUEUES;
                device->requests = device->bytes_from_guest = device->bytes_to_guest = device->features =
                    UINT64_MAX;
                device->attached = i % 2;
                device->seccomp_log = i % 3 == 0;
                device->direct = i % 5 == 0;
                device->n_resources = LIMIT_RESOURCES;
                device->n_lanes = LIMIT_LANES;
                device->throttled = UINT64_MAX - 1;
                device->rate_ops = UINT32_MAX;
                device->rate_bytes = UINT64_MAX - 2;
                memset(device->why, '~', LIMIT_WHY - 1);
        }
        return message;
}

static int to_client(const struct admin_to_client *message, struct admin_to_client *ret)
{
        ssize_t n = admin_make_to_client(message, buf, sizeof(buf));

        assert_true(n > 0);
        return admin_check_to_client(&arena, buf, (size_t)n, ret);
}

static void questions_come_back_as_they_were(void **state)
{
        struct admin_to_broker sent = {.kind = ADMIN_GET_STATUS}, got = {0};
        ssize_t n = admin_make_to_broker(&sent, buf, sizeof(buf));

        (void)state;
        assert_true(n > 0);
        assert_int_equal(admin_check_to_broker(&arena, buf, (size_t)n, &got), 0);
        assert_int_equal(got.kind, ADMIN_GET_STATUS);
}

static void a_vm_full_of_devices_comes_back_as_it_was(void **state)
{
        static struct admin_to_client sent, got;

        (void)state;
        sent = status_of(LIMIT_DEVICES);
        assert_int_equal(to_client(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent = status_of(0);
        assert_int_equal(to_client(&sent, &got), 0);
        assert_memory_equal(&got, &sent, sizeof(got));
        sent.status.n_devices = LIMIT_DEVICES + 1;
        assert_int_equal(admin_make_to_client(&sent, buf, sizeof(buf)), -E2BIG);
}

#define IS(expected, member, number)                                                                         \
        do {                                                                                                 \
                static struct admin_to_client sent_, got_, before_;                                          \
                sent_ = status_of(2);                                                                        \
                memset(&got_, 0x7e, sizeof(got_));                                                           \
                before_ = got_;                                                                              \
                sent_.status.member = (number);                                                              \
                assert_int_equal(to_client(&sent_, &got_), (expected));                                      \
                if ((expected) != 0)                                                                         \
                        assert_memory_equal(&got_, &before_, sizeof(got_));                                  \
        } while (0)

static void numbers_and_names_end_at_their_limits(void **state)
{
        (void)state;
        IS(-EPROTO, vm[0], '\0');
        IS(-EPROTO, vm[1], '/');
        IS(-EPROTO, version[0], '\0');
        IS(-EPROTO, version[1], ' ');
        IS(-EPROTO, version[1], '\x1b');
        IS(-EPROTO, version[1], (char)0xff);
        IS(0, broker_pid, INT32_MAX);
        IS(-EPROTO, broker_pid, (uint32_t)INT32_MAX + 1);
        IS(-EPROTO, spawner_pid, UINT32_MAX);
        IS(-EPROTO, stage, (enum admin_stage)0);
        IS(0, stage, ADMIN_SERVING);
        IS(0, stage, ADMIN_GUEST_RUNS);
        IS(-EPROTO, stage, (enum admin_stage)4);
        IS(-EPROTO, devices[1].name[0], '.');
        IS(-EPROTO, devices[1].type[0], '\0');
        IS(-EPROTO, devices[1].type[1], '\n');
        IS(-EPROTO, devices[1].state, (enum admin_device_state)0);
        IS(-EPROTO, devices[1].state, (enum admin_device_state)7);
        IS(-EPROTO, devices[1].pid, UINT32_MAX);
        IS(-EPROTO, devices[1].queues_running, LIMIT_QUEUES + 1);
        IS(-EPROTO, devices[1].n_resources, LIMIT_RESOURCES + 1);
        IS(-EPROTO, devices[1].n_lanes, LIMIT_LANES + 1);
        IS(0, devices[1].why[0], '\0');
        IS(0, devices[1].why[0], ' ');
        IS(-EPROTO, devices[1].why[3], '\n');
        IS(-EPROTO, devices[1].why[3], '\x7f');
        IS(-EPROTO, devices[1].why[3], (char)0xc3);
}

static int forged_status(Bulkhead__Admin__Status *body)
{
        static struct admin_to_client got;
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        ssize_t n;

        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_STATUS;
        wire.status = body;
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_true(n > 0);
        return admin_check_to_client(&arena, buf, (size_t)n, &got);
}

static void flags_and_counts_are_refused_even_when_forged(void **state)
{
        Bulkhead__Admin__Status body = BULKHEAD__ADMIN__STATUS__INIT;
        Bulkhead__Admin__Device device = BULKHEAD__ADMIN__DEVICE__INIT;
        Bulkhead__Admin__Device *rows[LIMIT_DEVICES + 1];

        (void)state;
        device.name = device.type = (char[]){"d"};
        device.state = BULKHEAD__ADMIN__DEVICE_STATE__DEVICE_STATE_READY;
        for (size_t i = 0; i < array_size(rows); i++)
                rows[i] = &device;
        body.vm = body.version = (char[]){"v"};
        body.stage = BULKHEAD__ADMIN__STAGE__STAGE_RUNNING;
        body.device = rows;
        body.n_device = LIMIT_DEVICES;
        assert_int_equal(forged_status(&body), 0);
        body.n_device++;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.n_device = 1;
        body.rootless = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.rootless = 0;
        body.spawner_alive = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        body.spawner_alive = 1;
        device.attached = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.attached = 1;
        device.seccomp_log = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.seccomp_log = 1;
        device.direct = 2;
        assert_int_equal(forged_status(&body), -EPROTO);
        device.direct = 1;
        assert_int_equal(forged_status(&body), 0);
}

static void errors_carry_a_status_and_a_reason(void **state)
{
        static struct admin_to_client sent, got;
        Bulkhead__Admin__ToClient wire = BULKHEAD__ADMIN__TO_CLIENT__INIT;
        Bulkhead__Admin__Error body = BULKHEAD__ADMIN__ERROR__INIT;
        char reason[sizeof(sent.error.reason) + 1];
        ssize_t n;

        (void)state;
        sent = (struct admin_to_client){.kind = ADMIN_ERROR, .error = {-EACCES, "no"}};
        assert_int_equal(to_client(&sent, &got), 0);
        assert_int_equal(got.error.error, -EACCES);
        assert_string_equal(got.error.reason, "no");
        memset(reason, 'x', sizeof(reason));
        reason[sizeof(reason) - 1] = '\0';
        wire.kind_case = BULKHEAD__ADMIN__TO_CLIENT__KIND_ERROR;
        wire.error = &body;
        for (uint32_t s = 0; s <= WIRE_STATUS_COUNT_; s++) {
                body.status = s;
                body.reason = reason + 1; /* 255 bytes */
                n = wire_pack(&wire.base, buf, sizeof(buf));
                assert_int_equal(admin_check_to_client(&arena, buf, (size_t)n, &got),
                                 s > 0 && s < WIRE_STATUS_COUNT_ ? 0 : -EPROTO);
        }
        body.status = WIRE_STATUS_IO;
        body.reason = reason; /* 256 */
        n = wire_pack(&wire.base, buf, sizeof(buf));
        assert_int_equal(admin_check_to_client(&arena, buf, (size_t)n, &got), -EPROTO);
}

static void messages_of_no_kind_are_refused(void **state)
{
        static struct admin_to_client client = {.kind = (enum admin_kind_to_client)3};
        struct admin_to_broker broker = {.kind = (enum admin_kind_to_broker)2};

        (void)state;
        assert_int_equal(admin_check_to_broker(&arena, NULL, 0, &broker), -EPROTO);
        assert_int_equal(admin_check_to_client(&arena, NULL, 0, &client), -EPROTO);
        assert_int_equal(admin_make_to_broker(&broker, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(admin_make_to_client(&client, buf, sizeof(buf)), -EINVAL);
}

static void every_state_has_a_name(void **state)
{
        (void)state;
        assert_string_equal(admin_state_name(ADMIN_STARTING), "starting");
        assert_string_equal(admin_state_name(ADMIN_QUARANTINED), "quarantined");
        for (int s = ADMIN_STARTING; s <= ADMIN_QUARANTINED; s++)
                assert_string_not_equal(admin_state_name((enum admin_device_state)s), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state)0), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state)7), "unknown");
        assert_string_equal(admin_state_name((enum admin_device_state) - 1), "unknown");
}

static unsigned accepted;

static void sweep_to_client(const uint8_t *bytes, size_t n, void *context)
{
        static struct admin_to_client got;
        int r = admin_check_to_client(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        if (r < 0)
                return;
        accepted++;
        assert_true(judged_admin_to_client(&got));
}

static void sweep_to_broker(const uint8_t *bytes, size_t n, void *context)
{
        struct admin_to_broker got;
        int r = admin_check_to_broker(&arena, bytes, n, &got);

        (void)context;
        assert_true(r == 0 || r == -EPROTO);
        accepted += r == 0;
}

static void bit_flips_and_truncations_never_break_a_promise(void **state)
{
        static struct admin_to_client sent;
        struct admin_to_broker question = {.kind = ADMIN_GET_STATUS};

        (void)state;
        sent = status_of(2);
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_client(&sent, buf, sizeof(buf)), sweep_to_client, NULL);
        assert_true(accepted >= 64);
        sent = (struct admin_to_client){.kind = ADMIN_ERROR, .error = {-EACCES, "no"}};
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_client(&sent, buf, sizeof(buf)), sweep_to_client, NULL);
        assert_true(accepted >= 1);
        accepted = 0;
        unit_sweep(buf, (size_t)admin_make_to_broker(&question, buf, sizeof(buf)), sweep_to_broker, NULL);
        assert_int_equal(accepted, 1);
}

#define ADMIN_TEST(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            ADMIN_TEST(questions_come_back_as_they_were),
            ADMIN_TEST(a_vm_full_of_devices_comes_back_as_it_was),
            ADMIN_TEST(numbers_and_names_end_at_their_limits),
            ADMIN_TEST(flags_and_counts_are_refused_even_when_forged),
            ADMIN_TEST(errors_carry_a_status_and_a_reason),
            ADMIN_TEST(messages_of_no_kind_are_refused),
            ADMIN_TEST(every_state_has_a_name),
            ADMIN_TEST(bit_flips_and_truncations_never_break_a_promise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
