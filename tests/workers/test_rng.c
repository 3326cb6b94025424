/* workers/rng: how many bytes, and that they are not all the same.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fake_broker.h"

static struct fake_broker broker;
static uint8_t out[LIMIT_RNG_BYTES + 1000];

static void start(void)
{
        const struct control_configure configure = {.name = "rng0", .n_queues = 1, .type = DEVICE_TYPE_RNG};

        fake_start_ops(&broker, &device_ops, 1, NULL, 0);
        fake_configure(&broker, &configure);
        assert_int_equal(fake_start_queue(&broker, 0), 0);
}

static struct fake_request ask(uint32_t len, bool must_fail)
{
        struct fake_request r = {.id = 3, .writable = out, .n_writable = len, .must_fail = must_fail};

        memset(out, 0, sizeof(out));
        fake_send_requests(&broker, 0, &r, 1);
        fake_drain(&broker, 0);
        return r;
}

static void hello_is_that_of_an_entropy_device(void **state)
{
        (void)state;
        start();
        assert_int_equal(broker.hello.device_type, 4);
        assert_int_equal(broker.hello.features, 0);
        assert_int_equal(broker.hello.n_queues, 1);
        assert_int_equal(broker.hello.queue_kind[0], QUEUE_WORK);
        assert_int_equal(broker.hello.n_fields, 0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void the_answer_is_what_was_asked_for_up_to_the_limit(void **state)
{
        static const uint32_t lens[] = {1,
                                        64,
                                        255,
                                        256,
                                        257,
                                        4096,
                                        LIMIT_RNG_BYTES - 1,
                                        LIMIT_RNG_BYTES,
                                        LIMIT_RNG_BYTES + 1,
                                        LIMIT_RNG_BYTES + 1000};

        (void)state;
        start();
        for (size_t i = 0; i < array_size(lens); i++) {
                struct fake_request r = ask(lens[i], false);
                unsigned zeros = 0;

                assert_int_equal(r.status, WIRE_STATUS_OK);
                assert_int_equal(r.used, MIN(lens[i], LIMIT_RNG_BYTES));
                for (uint32_t j = 0; j < r.used; j++)
                        zeros += out[j] == 0;
                assert_true(zeros <= 4 + r.used / 64);
                for (uint32_t j = r.used; j < sizeof(out); j++)
                        assert_int_equal(out[j], 0);
        }
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void two_answers_differ(void **state)
{
        uint8_t first[64];

        (void)state;
        start();
        ask(64, false);
        memcpy(first, out, 64);
        ask(64, false);
        assert_memory_not_equal(first, out, 64);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_request_that_must_fail_gets_nothing(void **state)
{
        struct fake_request r;

        (void)state;
        start();
        r = ask(64, true);
        assert_int_equal(r.status, WIRE_STATUS_OK);
        assert_int_equal(r.used, 0);
        assert_true(fake_exited(fake_end(&broker), 0));
}

static void a_request_without_room_breaks_the_protocol(void **state)
{
        (void)state;
        start();
        assert_int_equal(ask(0, false).status, WIRE_STATUS_PROTOCOL);
        assert_int_equal(ask(0, true).status, WIRE_STATUS_PROTOCOL);
        assert_true(fake_exited(fake_end(&broker), 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hello_is_that_of_an_entropy_device),
            cmocka_unit_test(the_answer_is_what_was_asked_for_up_to_the_limit),
            cmocka_unit_test(two_answers_differ),
            cmocka_unit_test(a_request_that_must_fail_gets_nothing),
            cmocka_unit_test(a_request_without_room_breaks_the_protocol),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
