/* workers/console/console_req: good and malformed words of a guest, by name, and every bit and length of them.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_req.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define PORTS 3u
#define BAD   UINT32_MAX /* what Linux calls a port that it means none by */

static void put(uint8_t bytes[static CONSOLE_CONTROL_BYTES], uint32_t port, uint16_t event, uint16_t value)
{
        port = htole32(port);
        event = htole16(event);
        value = htole16(value);
        memcpy(bytes, &port, 4);
        memcpy(bytes + 4, &event, 2);
        memcpy(bytes + 6, &value, 2);
}

/* A refusal must leave the result alone. */
static int check(uint32_t readable, uint32_t writable, const uint8_t *bytes, size_t len,
                 struct console_req *ret_req)
{
        struct console_req before;
        int r;

        memset(ret_req, 0x5a, sizeof(*ret_req));
        before = *ret_req;
        r = console_req_check(PORTS, readable, writable, bytes, len, ret_req);
        if (r < 0)
                assert_memory_equal(&before, ret_req, sizeof(before));
        return r;
}

static int check_words(uint32_t port, uint16_t event, uint16_t value, struct console_req *ret_req)
{
        uint8_t bytes[CONSOLE_CONTROL_BYTES];

        put(bytes, port, event, value);
        return check(sizeof(bytes), 0, bytes, sizeof(bytes), ret_req);
}

static void the_drivers_three_words_are_taken(void **state)
{
        struct console_req req;

        (void)state;
        assert_int_equal(check_words(BAD, CONSOLE_DEVICE_READY, 1, &req), 0);
        assert_int_equal(req.event, CONSOLE_DEVICE_READY);
        assert_int_equal(req.port, 0);
        assert_true(req.yes);
        assert_int_equal(check_words(0, CONSOLE_DEVICE_READY, 0, &req), 0);
        assert_false(req.yes);
        for (uint32_t port = 0; port < PORTS; port++)
                for (uint16_t yes = 0; yes < 2; yes++) {
                        assert_int_equal(check_words(port, CONSOLE_PORT_READY, yes, &req), 0);
                        assert_int_equal(req.event, CONSOLE_PORT_READY);
                        assert_int_equal(req.port, port);
                        assert_int_equal(req.yes, yes);
                        assert_int_equal(check_words(port, CONSOLE_PORT_OPEN, yes, &req), 0);
                        assert_int_equal(req.event, CONSOLE_PORT_OPEN);
                        assert_int_equal(req.port, port);
                }
}

struct bad_words {
        const char *name;
        uint32_t port;
        uint16_t event, value;
};

/* Well formed, but nothing that a driver says: answered, and forgotten. */
static const struct bad_words bad_words[] = {
    {"ready of the device with value 2", BAD, 0, 2},
    {"ready of the device with value 255", 0, 0, 255},
    {"ready of the device with value 256", 0, 0, 256},
    {"ready of the device with value 65535", 0, 0, 65535},
    {"a port is added by the driver", 0, 1, 1},
    {"a port that is not there is added by the driver", 3, 1, 1},
    {"a port is removed by the driver", 0, 2, 1},
    {"a bad port is removed by the driver", BAD, 2, 0},
    {"a console port by the driver", 0, 4, 1},
    {"a console port by the driver, of value 0", 0, 4, 0},
    {"a size by the driver", 0, 5, 0},
    {"a size by the driver, with a value", 1, 5, 1},
    {"a name by the driver", 0, 7, 1},
    {"a name by the driver, of no port", BAD, 7, 1},
    {"the first unknown event", 0, 8, 1},
    {"the second unknown event", 0, 9, 0},
    {"event 255", 0, 255, 1},
    {"event 256, whose low byte is ready", 0, 256, 1},
    {"event 259, whose low byte is port ready", 0, 259, 1},
    {"event 262, whose low byte is port open", 0, 262, 1},
    {"event 32767", 1, 32767, 1},
    {"event 32768", 1, 32768, 1},
    {"event 65535", BAD, 65535, 65535},
    {"ready of the port behind the last", PORTS, 3, 1},
    {"not ready of the port behind the last", PORTS, 3, 0},
    {"ready of port 30, the specification's last", 30, 3, 1},
    {"ready of port 31", 31, 3, 1},
    {"ready of port 255", 255, 3, 1},
    {"ready of port 256, whose low byte is 0", 256, 3, 1},
    {"ready of port 65536, whose low half is 0", 65536, 3, 1},
    {"ready of port 2^31", 1u << 31, 3, 1},
    {"ready of port 2^31 + 1", (1u << 31) + 1, 3, 1},
    {"ready of the bad port", BAD, 3, 1},
    {"ready of a port with value 2", 0, 3, 2},
    {"ready of a port with value 256", 0, 3, 256},
    {"ready of a port with value 65535", 1, 3, 65535},
    {"open of the port behind the last", PORTS, 6, 1},
    {"closed of the port behind the last", PORTS, 6, 0},
    {"open of port 256, whose low byte is 0", 256, 6, 1},
    {"open of port 16777216, whose low bytes are 0", 1u << 24, 6, 1},
    {"open of port 2^31", 1u << 31, 6, 1},
    {"open of the bad port", BAD, 6, 1},
    {"open with value 2", 0, 6, 2},
    {"open with value 32768", 2, 6, 32768},
    {"open with value 65535", 2, 6, 65535},
};

static void what_no_driver_says_is_answered_and_forgotten(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(bad_words); i++) {
                const struct bad_words *bad = &bad_words[i];
                struct console_req req;

                if (check_words(bad->port, bad->event, bad->value, &req) != -EINVAL)
                        fail_msg("%s is taken", bad->name);
        }
}

static void a_word_that_is_cut_is_none(void **state)
{
        uint8_t bytes[CONSOLE_CONTROL_BYTES];
        struct console_req req;

        (void)state;
        put(bytes, 0, CONSOLE_PORT_OPEN, 1);
        for (uint32_t len = 0; len < sizeof(bytes); len++) {
                assert_int_equal(check(len, 0, bytes, len, &req), -EPROTO);
                assert_int_equal(check(sizeof(bytes), 0, bytes, len, &req), -EPROTO);
        }
        assert_int_equal(check(7, 0, bytes, 8, &req), -EPROTO);
        assert_int_equal(check(8, 0, bytes, 8, &req), 0);
}

static void what_is_behind_a_word_says_nothing(void **state)
{
        static const uint32_t lens[] = {9, 40, 4096, UINT32_MAX};
        uint8_t bytes[CONSOLE_CONTROL_BYTES];
        struct console_req req;

        (void)state;
        put(bytes, 2, CONSOLE_PORT_OPEN, 1);
        for (size_t i = 0; i < array_size(lens); i++)
                assert_int_equal(check(lens[i], 0, bytes, 8, &req), 0);
}

static void a_word_with_room_in_it_is_none(void **state)
{
        static const uint32_t rooms[] = {1, 8, 4096, UINT32_MAX};
        uint8_t bytes[CONSOLE_CONTROL_BYTES];
        struct console_req req;

        (void)state;
        put(bytes, BAD, CONSOLE_DEVICE_READY, 1);
        for (size_t i = 0; i < array_size(rooms); i++)
                assert_int_equal(check(8, rooms[i], bytes, 8, &req), -EPROTO);
}

/* Each bit of a good word turned over: taken as something else that is good, or not at all. */
static void every_bit_is_looked_at(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++) {
                uint8_t bytes[CONSOLE_CONTROL_BYTES];
                struct console_req req;
                int r;

                put(bytes, 1, CONSOLE_PORT_OPEN, 1);
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                r = check(8, 0, bytes, 8, &req);
                if (bit == 48)
                        assert_true(r == 0 && !req.yes); /* value 0 */
                else if (bit == 0)
                        assert_true(r == 0 && req.port == 0);
                else
                        assert_int_equal(r, -EINVAL);
        }
}

static void output_has_no_room_and_an_end(void **state)
{
        (void)state;
        assert_true(console_output_ok(0, 0));
        assert_true(console_output_ok(1, 0));
        assert_true(console_output_ok(LIMIT_CONSOLE_OUTPUT, 0));
        assert_false(console_output_ok(LIMIT_CONSOLE_OUTPUT + 1, 0));
        assert_false(console_output_ok(UINT32_MAX, 0));
        assert_false(console_output_ok(1, 1));
        assert_false(console_output_ok(0, UINT32_MAX));
}

static void input_is_room_alone(void **state)
{
        (void)state;
        assert_true(console_input_ok(0, 1));
        assert_true(console_input_ok(0, UINT32_MAX));
        assert_false(console_input_ok(0, 0));
        assert_false(console_input_ok(1, 1));
        assert_false(console_input_ok(UINT32_MAX, 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_drivers_three_words_are_taken),
            cmocka_unit_test(what_no_driver_says_is_answered_and_forgotten),
            cmocka_unit_test(a_word_that_is_cut_is_none),
            cmocka_unit_test(what_is_behind_a_word_says_nothing),
            cmocka_unit_test(a_word_with_room_in_it_is_none),
            cmocka_unit_test(every_bit_is_looked_at),
            cmocka_unit_test(output_has_no_room_and_an_end),
            cmocka_unit_test(input_is_room_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
