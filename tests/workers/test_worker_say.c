/* workers/runtime/worker_say: what a device says unasked, and what an operator sets, in a whole runtime.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/worker_say.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "tests/workers/fake_broker.h"

enum {
        FIELD_COLUMNS,
        FIELD_ROWS,
        FIELD_DRIVERS, /* the driver's to write */
        FIELDS,
};

/* ---- the device: a terminal whose state is its last size ---- */

static int own_set(void *state, const struct control_setting *setting)
{
        (void)state;
        if (setting->id != SETTING_SIZE || setting->index != 0)
                return -EOPNOTSUPP;
        worker_config_set(FIELD_COLUMNS, setting->value & 0xffff);
        worker_config_set(FIELD_ROWS, setting->value >> 16);
        worker_config_push();
        worker_state_put(&setting->value, sizeof(setting->value));
        return 0;
}

/* 9 is a device that errs: a field that is not there; 8: a value that is too wide. */
static int own_config_write(void *state, uint32_t field, uint64_t value)
{
        (void)state;
        (void)field;
        if (value == 9)
                worker_config_set(FIELDS, 0);
        if (value == 8)
                worker_config_set(FIELD_ROWS, 0x10000);
        return value == 7 ? -EINVAL : 0;
}

static int own_init(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        (void)resources;
        (void)n_resources;
        *ret_hello =
            (struct control_hello){.device_type = 4,
                                   .n_queues = 1,
                                   .queue_kind = {QUEUE_WORK},
                                   .queue_replay = {REPLAY_IDEMPOTENT},
                                   .max_segments = 8,
                                   .credit_requests = 4,
                                   .n_fields = FIELDS,
                                   .fields = {{0, 2, false, 80}, {2, 2, false, 25}, {8, 1, true, 0}}};
        return 0;
}

static void own_handle(void *state, struct request *request)
{
        (void)state;
        request_complete(request, 0, 0);
}

static const struct device_ops own_ops = {.type = DEVICE_TYPE_RNG,
                                          .init = own_init,
                                          .config_write = own_config_write,
                                          .set = own_set,
                                          .handle = own_handle};
static const struct device_ops plain_ops = {.type = DEVICE_TYPE_RNG, .init = own_init, .handle = own_handle};
static const struct control_configure own_configure = {
    .name = "t", .n_queues = 1, .n_lanes = 1, .type = DEVICE_TYPE_RNG};

/* ---- the broker ---- */

static struct fake_broker broker;
static struct control_to_broker said;

static void start(const struct device_ops *ops)
{
        fake_start_ops(&broker, ops, 1, NULL, 0);
        fake_configure(&broker, &own_configure);
}

static void set(enum control_setting_id id, uint32_t index, uint64_t value)
{
        fake_send_control(
            &broker, &(struct control_to_worker){.kind = CONTROL_SET, .seq = 77, .set = {id, index, value}});
}

static void next_is(enum control_kind_to_broker kind)
{
        assert_true(fake_next_control(&broker, &said));
        assert_int_equal(said.kind, kind);
}

static void done_is(int error)
{
        next_is(CONTROL_DONE);
        assert_int_equal(said.done.seq, 77);
        assert_int_equal(said.done.error, error);
}

static void a_setting_changes_what_the_guest_reads(void **state)
{
        (void)state;
        start(&own_ops);
        assert_int_equal(fake_config_write(&broker, FIELD_DRIVERS, 3), 0);
        set(SETTING_SIZE, 0, 132 | 43 << 16);
        next_is(CONTROL_CONFIG_SPACE);
        assert_int_equal(said.config_space.n, FIELDS);
        assert_int_equal(said.config_space.value[FIELD_COLUMNS], 132);
        assert_int_equal(said.config_space.value[FIELD_ROWS], 43);
        assert_int_equal(said.config_space.value[FIELD_DRIVERS], 3); /* as the driver has it */
        next_is(CONTROL_PUT_STATE);
        assert_int_equal(said.put_state.len, 8);
        done_is(0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void what_the_device_did_not_take_is_not_in_its_config_space(void **state)
{
        (void)state;
        start(&own_ops);
        assert_int_equal(fake_config_write(&broker, FIELD_DRIVERS, 7), -EINVAL);
        set(SETTING_SIZE, 0, 1 | 1 << 16);
        next_is(CONTROL_CONFIG_SPACE);
        assert_int_equal(said.config_space.value[FIELD_DRIVERS], 0);
        next_is(CONTROL_PUT_STATE);
        done_is(0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_setting_that_a_device_has_not_is_refused(void **state)
{
        (void)state;
        start(&own_ops);
        set(SETTING_LINK, 0, 1);
        done_is(-EOPNOTSUPP);
        set(SETTING_SIZE, 1, 80 | 25 << 16);
        done_is(-EOPNOTSUPP);
        assert_true(fake_exited(fake_end(&broker), 0));
        start(&plain_ops);
        set(SETTING_LINK, 0, 1);
        done_is(-EOPNOTSUPP);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_field_that_is_not_there_or_too_narrow_traps(void **state)
{
        (void)state;
        for (uint64_t value = 8; value <= 9; value++) {
                start(&own_ops);
                fake_send_control(&broker,
                                  &(struct control_to_worker){.kind = CONTROL_CONFIG_WRITE,
                                                              .seq = 1,
                                                              .config_write = {FIELD_DRIVERS, value}});
                assert_true(fake_trapped(fake_await(&broker)));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_setting_changes_what_the_guest_reads),
            cmocka_unit_test(what_the_device_did_not_take_is_not_in_its_config_space),
            cmocka_unit_test(a_setting_that_a_device_has_not_is_refused),
            cmocka_unit_test(a_field_that_is_not_there_or_too_narrow_traps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
