/* workers/console: a whole console, its guest and the people at its ports.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/console_guest.h"
#include "workers/console/console_port.h"

#define ALL     (CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT)
#define CONSOLE 0u
#define AGENT   1u
#define DATA    2u
#define IN(p)   console_input_queue(p)
#define OUT(p)  console_output_queue(p)

static struct console_guest guest;

static void begin(void)
{
        guest_begin(&guest, ALL, 4096);
        guest_greet(&guest);
}

/* ---- what is told ---- */

static void the_driver_is_told_of_all_ports_and_of_who_comes_and_goes(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        close(fd);
        guest_told(&guest, "o1");
        fd = host_connect(&guest, DATA);
        guest_told(&guest, "O2");
        close(fd);
        guest_told(&guest, "o2");
        guest_end(&guest);
}

static void words_wait_for_room(void **state)
{
        (void)state;
        guest_begin(&guest, ALL, 0);
        guest_say(&guest, UINT32_MAX, CONSOLE_DEVICE_READY, 1);
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 2);
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 2);
        guest_told(&guest, "A0 A1 A2");
        guest_end(&guest);
}

/* The guest must see that it was not the same one all the time. */
static void the_next_client_is_told_after_the_last_ones_end(void **state)
{
        int fd, next;

        (void)state;
        guest_begin(&guest, ALL, 0);
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 5);
        guest_say(&guest, 0, CONSOLE_DEVICE_READY, 1);
        guest_say(&guest, AGENT, CONSOLE_PORT_READY, 1);
        fd = host_connect(&guest, AGENT);
        host_send(fd, "first");
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_lend(&guest, IN(AGENT), 3);
        guest_came_text(&guest, IN(AGENT), "first"); /* so all room for words has been used */
        close(fd);
        next = host_connect(&guest, AGENT);
        host_send(next, "second");
        guest_settle(&guest);
        assert_true(guest_nothing_came(&guest, IN(AGENT)));
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 3);
        guest_told(&guest, "A0 A1 A2 N1 O1 o1 O1");
        guest_came_text(&guest, IN(AGENT), "second");
        guest_end(&guest);
        close(next);
}

static void a_size_is_told_by_the_config_space_and_a_word(void **state)
{
        struct control_to_worker message = {.kind = CONTROL_SET,
                                            .set = {.id = SETTING_SIZE, .value = 132 | 50 << 16}};
        const uint8_t *bytes;
        uint32_t len;

        (void)state;
        begin();
        assert_int_equal(guest.broker.hello.fields[CONSOLE_FIELD_COLS].value, 80);
        assert_int_equal(guest_ask(&guest, &message), 0);
        assert_int_equal(guest.n_config_spaces, 1);
        assert_int_equal(guest.config[CONSOLE_FIELD_COLS], 132);
        assert_int_equal(guest.config[CONSOLE_FIELD_ROWS], 50);
        assert_int_equal(guest.config[CONSOLE_FIELD_MAX_PORTS], GUEST_PORTS);
        bytes = guest_came(&guest, CONSOLE_QUEUE_CONTROL_IN, &len);
        assert_int_equal(len, 12);
        assert_memory_equal(bytes, ((uint8_t[]){0, 0, 0, 0, CONSOLE_RESIZE, 0, 0, 0, 132, 0, 50, 0}), 12);
        message.set.index = AGENT;
        assert_int_equal(guest_ask(&guest, &message), -EOPNOTSUPP);
        guest_told(&guest, "");
        guest_end(&guest);
}

/* ---- bytes ---- */

static void output_goes_to_the_client_and_to_the_log(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        guest_print(&guest, OUT(AGENT), "one ");
        guest_print(&guest, OUT(AGENT), "two");
        host_hears(fd, "one two");
        guest_log_holds(&guest, AGENT, "one two");
        guest_log_holds(&guest, DATA, "");
        close(fd);
        guest_end(&guest);
}

static void output_that_nobody_takes_is_in_the_log_alone(void **state)
{
        int fd;

        (void)state;
        begin();
        guest_print(&guest, OUT(CONSOLE), "boot ");
        guest_print(&guest, OUT(DATA), "lost");
        guest_settle(&guest);
        fd = host_connect(&guest, CONSOLE);
        /* Connected is not yet accepted: the console says nothing of it, so another port has to. */
        close(guest_open_agent(&guest));
        guest_told(&guest, "o1");
        guest_print(&guest, OUT(CONSOLE), "login: ");
        host_hears(fd, "login: ");
        guest_log_holds(&guest, CONSOLE, "boot login: ");
        guest_log_holds(&guest, DATA, "lost");
        close(fd);
        guest_end(&guest);
}

static void input_fills_room_in_its_order(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        host_send(fd, "early");
        guest_lend(&guest, IN(AGENT), 2);
        guest_came_text(&guest, IN(AGENT), "early");
        host_send(fd, "second");
        guest_came_text(&guest, IN(AGENT), "second");
        close(fd);
        guest_end(&guest);
}

static void input_longer_than_room_goes_on_in_the_next(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        host_send(fd, "abcdefgh");
        guest_lend_len(&guest, IN(AGENT), 3, 3);
        guest_came_text(&guest, IN(AGENT), "abc");
        guest_came_text(&guest, IN(AGENT), "def");
        guest_came_text(&guest, IN(AGENT), "gh");
        close(fd);
        guest_end(&guest);
}

static void input_waits_until_the_guest_has_opened_the_port(void **state)
{
        int fd;

        (void)state;
        begin();
        guest_lend(&guest, IN(AGENT), 2);
        fd = host_connect(&guest, AGENT);
        host_send(fd, "early");
        guest_told(&guest, "O1");
        assert_true(guest_nothing_came(&guest, IN(AGENT)));
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_came_text(&guest, IN(AGENT), "early");
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 0);
        host_send(fd, "late");
        guest_told(&guest, "");
        assert_true(guest_nothing_came(&guest, IN(AGENT)));
        close(fd);
        guest_end(&guest);
}

static void a_driver_without_multiport_has_the_console(void **state)
{
        int fd;

        (void)state;
        guest_begin(&guest, CONSOLE_F_SIZE, 0);
        fd = host_connect(&guest, CONSOLE);
        host_send(fd, "typed");
        guest_lend(&guest, IN(CONSOLE), 1);
        guest_came_text(&guest, IN(CONSOLE), "typed");
        guest_print(&guest, OUT(CONSOLE), "printed");
        host_hears(fd, "printed");
        guest_lend(&guest, CONSOLE_QUEUE_CONTROL_IN, 1);
        guest_say(&guest, 0, CONSOLE_DEVICE_READY, 1);
        guest_told(&guest, "");
        close(fd);
        guest_end(&guest);
}

/* ---- who is there ---- */

static void who_comes_second_is_sent_away(void **state)
{
        int fd, second;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        for (unsigned i = 0; i < 20; i++) {
                second = host_connect(&guest, AGENT);
                host_hears_end(second);
                close(second);
        }
        guest_print(&guest, OUT(AGENT), "still");
        host_hears(fd, "still");
        guest_told(&guest, "");
        close(fd);
        guest_end(&guest);
}

static void clients_come_in_turn(void **state)
{
        (void)state;
        begin();
        guest_lend(&guest, IN(AGENT), 10);
        for (unsigned i = 0; i < 10; i++) {
                int fd = host_connect(&guest, AGENT);

                host_send(fd, "hello");
                guest_told(&guest, "O1");
                if (i == 0)
                        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
                guest_came_text(&guest, IN(AGENT), "hello");
                close(fd);
                guest_told(&guest, "o1");
        }
        guest_end(&guest);
}

/* As `echo reboot | socat - UNIX:...` does, before anybody in the guest listens. */
static void last_words_of_one_who_has_gone_are_heard(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = host_connect(&guest, AGENT);
        host_send(fd, "last words");
        close(fd);
        guest_told(&guest, "O1");
        guest_lend(&guest, IN(AGENT), 2);
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_came_text(&guest, IN(AGENT), "last words");
        guest_told(&guest, "o1");
        guest_end(&guest);
}

static void last_words_that_nobody_hears_keep_nobody_out(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = host_connect(&guest, AGENT);
        host_send(fd, "unheard");
        close(fd);
        guest_told(&guest, "O1");
        fd = host_connect(&guest, AGENT);
        host_send(fd, "heard");
        guest_told(&guest, "o1 O1");
        guest_lend(&guest, IN(AGENT), 2);
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_came_text(&guest, IN(AGENT), "heard");
        close(fd);
        guest_end(&guest);
}

static void one_who_says_no_more_still_hears(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        guest_lend(&guest, IN(AGENT), 2);
        host_send(fd, "question");
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        guest_came_text(&guest, IN(AGENT), "question");
        guest_print(&guest, OUT(AGENT), "answer");
        host_hears(fd, "answer");
        guest_told(&guest, "");
        close(fd);
        guest_told(&guest, "o1");
        guest_end(&guest);
}

/* As a script does that asks and waits for the answer. */
static void one_who_has_asked_is_let_go_when_the_guest_has_closed(void **state)
{
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        guest_lend(&guest, IN(AGENT), 2);
        host_send(fd, "question");
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        guest_came_text(&guest, IN(AGENT), "question");
        guest_print(&guest, OUT(AGENT), "answer");
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 0);
        host_hears(fd, "answer");
        host_hears_end(fd);
        close(fd);
        guest_told(&guest, "o1");
        fd = host_connect(&guest, AGENT); /* one that may say more stays */
        guest_told(&guest, "O1");
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 0);
        guest_say(&guest, AGENT, CONSOLE_PORT_OPEN, 1);
        guest_print(&guest, OUT(AGENT), "still");
        host_hears(fd, "still");
        guest_told(&guest, "");
        close(fd);
        guest_end(&guest);
}

static void a_removed_socket_leaves_its_client(void **state)
{
        char path[96];
        int fd;

        (void)state;
        begin();
        fd = guest_open_agent(&guest);
        snprintf(path, sizeof(path), "%s/%u.sock", guest.dir, AGENT);
        assert_int_equal(unlink(path), 0);
        guest_print(&guest, OUT(AGENT), "on");
        host_hears(fd, "on");
        close(fd);
        guest_told(&guest, "o1");
        guest_end(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_driver_is_told_of_all_ports_and_of_who_comes_and_goes),
            cmocka_unit_test(words_wait_for_room),
            cmocka_unit_test(the_next_client_is_told_after_the_last_ones_end),
            cmocka_unit_test(a_size_is_told_by_the_config_space_and_a_word),
            cmocka_unit_test(output_goes_to_the_client_and_to_the_log),
            cmocka_unit_test(output_that_nobody_takes_is_in_the_log_alone),
            cmocka_unit_test(input_fills_room_in_its_order),
            cmocka_unit_test(input_longer_than_room_goes_on_in_the_next),
            cmocka_unit_test(input_waits_until_the_guest_has_opened_the_port),
            cmocka_unit_test(a_driver_without_multiport_has_the_console),
            cmocka_unit_test(who_comes_second_is_sent_away),
            cmocka_unit_test(clients_come_in_turn),
            cmocka_unit_test(last_words_of_one_who_has_gone_are_heard),
            cmocka_unit_test(last_words_that_nobody_hears_keep_nobody_out),
            cmocka_unit_test(one_who_says_no_more_still_hears),
            cmocka_unit_test(one_who_has_asked_is_let_go_when_the_guest_has_closed),
            cmocka_unit_test(a_removed_socket_leaves_its_client),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
