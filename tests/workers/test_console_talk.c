/* workers/console/console_talk: what a console tells its driver, in which order and how often; and its state, kept and hostile.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/console/console_talk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define PORTS 2u

static struct console_talk talk;
static struct console_facts facts[PORTS];

static void begin(void)
{
        talk = (struct console_talk){.n_ports = PORTS};
        facts[0] = (struct console_facts){.name = "console", .is_console = true, .open = true};
        facts[1] = (struct console_facts){.name = "agent"};
}

static bool hear(enum console_event event, uint32_t port, bool yes)
{
        const struct console_req req = {.event = event, .port = port, .yes = yes};

        return console_talk_hear(&talk, &req);
}

/* Tells all that is to be told, as "A0 A1 C0 ...": one letter and the port; closed in small letters. */
static const char *told(void)
{
        static const char letters[] = "?AR?CSON";
        static char text[256];
        struct console_message message;
        size_t n = 0;

        text[0] = '\0';
        for (uint32_t i = 0; i < PORTS; i++)
                while (console_talk_next(&talk, i, &facts[i], &message)) {
                        char letter = letters[message.event];

                        if (message.event == CONSOLE_PORT_OPEN && !message.value)
                                letter = 'o';
                        assert_int_equal(message.port, i);
                        assert_true(n + 4 < sizeof(text));
                        text[n++] = letter;
                        text[n++] = (char)('0' + i);
                        text[n] = '\0';
                        console_talk_told(&talk, &message);
                }
        return text;
}

static void greet(void)
{
        begin();
        hear(CONSOLE_DEVICE_READY, 0, true);
        assert_string_equal(told(), "A0A1");
        hear(CONSOLE_PORT_READY, 0, true);
        hear(CONSOLE_PORT_READY, 1, true);
}

static void nothing_is_told_before_the_driver_is_ready(void **state)
{
        (void)state;
        begin();
        assert_string_equal(told(), "");
        hear(CONSOLE_DEVICE_READY, 0, false);
        assert_string_equal(told(), "");
        hear(CONSOLE_DEVICE_READY, 0, true);
        assert_string_equal(told(), "A0A1");
        assert_string_equal(told(), "");
}

static void a_port_is_described_when_it_is_ready(void **state)
{
        (void)state;
        greet();
        facts[0].size = 80 | 24 << 16;
        assert_string_equal(told(), "C0N0S0O0N1");
        facts[1].open = true;
        assert_string_equal(told(), "O1");
        facts[1].open = false;
        assert_string_equal(told(), "o1");
        facts[0].size = 81 | 24 << 16;
        assert_string_equal(told(), "S0");
        assert_string_equal(told(), "");
}

static void a_port_without_a_name_is_told_none(void **state)
{
        (void)state;
        greet();
        facts[1].name = "";
        assert_string_equal(told(), "C0N0O0");
}

/* However often it says so: what waits is never more than each port's words. */
static void a_flood_of_ready_owes_each_word_once(void **state)
{
        (void)state;
        greet();
        told();
        for (unsigned i = 0; i < 100000; i++) {
                hear(CONSOLE_DEVICE_READY, 0, true);
                hear(CONSOLE_PORT_READY, 0, true);
        }
        assert_string_equal(told(), "A0A1");
        for (unsigned i = 0; i < 100000; i++)
                hear(CONSOLE_PORT_READY, 0, true);
        assert_string_equal(told(), "C0N0O0");
}

/* Its guest was reset, and nobody said so. */
static void a_driver_that_begins_anew_is_told_all_again(void **state)
{
        (void)state;
        greet();
        hear(CONSOLE_PORT_OPEN, 1, true);
        facts[1].open = true;
        assert_string_equal(told(), "C0N0O0N1O1");
        assert_false(hear(CONSOLE_DEVICE_READY, 0, false));
        assert_string_equal(told(), "");
        assert_true(hear(CONSOLE_DEVICE_READY, 0, true));
        assert_false(talk.lines[1].guest_open);
        assert_string_equal(told(), "A0A1");
        hear(CONSOLE_PORT_READY, 0, true);
        hear(CONSOLE_PORT_READY, 1, true);
        assert_string_equal(told(), "C0N0O0N1O1");
}

static void words_out_of_order_change_nothing(void **state)
{
        (void)state;
        begin();
        assert_false(hear(CONSOLE_PORT_READY, 0, true)); /* of a port that it was not told of */
        assert_false(hear(CONSOLE_PORT_OPEN, 0, true));
        assert_false(hear(CONSOLE_PORT_READY, 1, false));
        hear(CONSOLE_DEVICE_READY, 0, true);
        assert_string_equal(told(), "A0A1");
        assert_false(hear(CONSOLE_PORT_OPEN, 1, true)); /* before it is ready */
        assert_true(hear(CONSOLE_PORT_READY, 1, true));
        assert_true(hear(CONSOLE_PORT_OPEN, 1, true));
        assert_false(hear(CONSOLE_PORT_OPEN, 1, true));
        assert_true(hear(CONSOLE_PORT_READY, 1, false)); /* which closes it */
        assert_false(talk.lines[1].guest_open);
        assert_string_equal(told(), "");
}

static void messages_are_as_the_driver_reads_them(void **state)
{
        static const struct {
                struct console_message message;
                uint8_t bytes[16];
                uint32_t len;
        } rows[] = {
            {{CONSOLE_DEVICE_ADD, 1, 1, NULL}, {1, 0, 0, 0, 1, 0, 1, 0}, 8},
            {{CONSOLE_CONSOLE_PORT, 0, 1, NULL}, {0, 0, 0, 0, 4, 0, 1, 0}, 8},
            {{CONSOLE_PORT_OPEN, 2, 0, NULL}, {2, 0, 0, 0, 6, 0, 0, 0}, 8},
            {{CONSOLE_PORT_NAME, 1, 1, "agent"}, {1, 0, 0, 0, 7, 0, 1, 0, 'a', 'g', 'e', 'n', 't'}, 13},
            {{CONSOLE_RESIZE, 0, 132 | 50 << 16, NULL}, {0, 0, 0, 0, 5, 0, 0, 0, 132, 0, 50, 0}, 12},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++) {
                uint8_t bytes[CONSOLE_MESSAGE_BYTES];

                assert_int_equal(console_message_make(&rows[i].message, bytes), rows[i].len);
                assert_memory_equal(bytes, rows[i].bytes, rows[i].len);
        }
}

/* ---- the state ---- */

static uint8_t saved[CONSOLE_STATE_BYTES];

static size_t save(void)
{
        memset(saved, 0xee, sizeof(saved));
        return console_talk_save(&talk, saved);
}

static void a_successor_tells_nothing_twice(void **state)
{
        size_t len;

        (void)state;
        greet();
        facts[0].size = 100 | 30 << 16;
        facts[1].open = true;
        told();
        hear(CONSOLE_PORT_OPEN, 1, true);
        len = save();
        assert_int_equal(len, 4 + 8 * PORTS);
        talk = (struct console_talk){.n_ports = PORTS};
        assert_int_equal(console_talk_restore(&talk, saved, len), 0);
        assert_string_equal(told(), "");
        assert_true(talk.lines[1].guest_open);
        facts[1].open = false; /* its client was the predecessor's */
        assert_string_equal(told(), "o1");
}

static void any_state_on_the_way_can_be_gone_on_with(void **state)
{
        static const struct {
                enum console_event event;
                uint32_t port;
                bool yes;
        } words[] = {{CONSOLE_DEVICE_READY, 0, true}, {CONSOLE_PORT_READY, 0, true},
                     {CONSOLE_PORT_READY, 1, true},   {CONSOLE_PORT_OPEN, 0, true},
                     {CONSOLE_PORT_OPEN, 1, true},    {CONSOLE_PORT_READY, 1, false},
                     {CONSOLE_PORT_OPEN, 0, false}};
        struct console_talk before;

        (void)state;
        begin();
        for (size_t i = 0; i <= array_size(words); i++) {
                before = talk;
                (void)save();
                talk = (struct console_talk){.n_ports = PORTS};
                assert_int_equal(console_talk_restore(&talk, saved, 4 + 8 * PORTS), 0);
                assert_memory_equal(&talk, &before, sizeof(talk));
                if (i < array_size(words))
                        hear(words[i].event, words[i].port, words[i].yes);
                told();
        }
}

static int restore(const uint8_t *bytes, size_t len)
{
        struct console_talk before;
        int r;

        begin();
        before = talk;
        r = console_talk_restore(&talk, bytes, len);
        if (r < 0)
                assert_memory_equal(&before, &talk, sizeof(before));
        return r;
}

static void a_state_of_a_wrong_length_is_none(void **state)
{
        size_t len;

        (void)state;
        greet();
        len = save();
        for (size_t n = 0; n < sizeof(saved); n++)
                assert_int_equal(restore(saved, n), n == len ? 0 : -EPROTO);
}

/* Taken only if it is what this very program could have saved. */
static void every_bit_of_a_state_is_judged(void **state)
{
        uint8_t good[4 + 8 * PORTS], again[CONSOLE_STATE_BYTES];
        unsigned n_taken = 0;

        (void)state;
        greet();
        told();
        assert_int_equal(save(), sizeof(good));
        memcpy(good, saved, sizeof(good));
        for (unsigned bit = 0; bit < 8 * sizeof(good); bit++) {
                good[bit / 8] ^= (uint8_t)(1u << bit % 8);
                if (restore(good, sizeof(good)) == 0) {
                        n_taken++;
                        assert_int_equal(console_talk_save(&talk, again), sizeof(good));
                        assert_memory_equal(again, good, sizeof(good));
                }
                good[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(n_taken > 0);
}

static void impossible_states_are_none(void **state)
{
        static const struct {
                const char *name;
                uint8_t bytes[4 + 8 * PORTS];
        } rows[] = {
            {"version 0", {0, 0, PORTS}},
            {"version 2", {2, 0, PORTS}},
            {"ready is 2", {1, 2, PORTS}},
            {"fewer ports", {1, 0, PORTS - 1}},
            {"more ports", {1, 0, PORTS + 1}},
            {"255 ports", {1, 0, 255}},
            {"something in the head's last byte", {1, 0, PORTS, 1}},
            {"an unknown bit", {1, 1, PORTS, 0, 1 | 64}},
            {"another unknown bit", {1, 1, PORTS, 0, 1 | 128}},
            {"something between bits and size", {1, 1, PORTS, 0, 1, 1}},
            {"a port before the driver was ready", {1, 0, PORTS, 0, 1}},
            {"ready without having been added", {1, 1, PORTS, 0, 16}},
            {"opened by the guest before it was ready", {1, 1, PORTS, 0, 1 | 32}},
            {"named before it was ready", {1, 1, PORTS, 0, 1 | 4}},
            {"open before it was ready", {1, 1, PORTS, 0, 1 | 8}},
            {"a size before it was ready", {1, 1, PORTS, 0, 1, 0, 0, 0, 80}},
        };

        (void)state;
        for (size_t i = 0; i < array_size(rows); i++)
                if (restore(rows[i].bytes, sizeof(rows[i].bytes)) != -EPROTO)
                        fail_msg("%s is taken", rows[i].name);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(nothing_is_told_before_the_driver_is_ready),
            cmocka_unit_test(a_port_is_described_when_it_is_ready),
            cmocka_unit_test(a_port_without_a_name_is_told_none),
            cmocka_unit_test(a_flood_of_ready_owes_each_word_once),
            cmocka_unit_test(a_driver_that_begins_anew_is_told_all_again),
            cmocka_unit_test(words_out_of_order_change_nothing),
            cmocka_unit_test(messages_are_as_the_driver_reads_them),
            cmocka_unit_test(a_successor_tells_nothing_twice),
            cmocka_unit_test(any_state_on_the_way_can_be_gone_on_with),
            cmocka_unit_test(a_state_of_a_wrong_length_is_none),
            cmocka_unit_test(every_bit_of_a_state_is_judged),
            cmocka_unit_test(impossible_states_are_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
