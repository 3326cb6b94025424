/* The host's side of a serial port: order, bounds, and readers that do not read.
 * Owns pipes and sockets. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/kvm/serial.h"
#include "proto/base/limits.h"

#define WAIT_MS 20000

static atomic_uint n_inputs;

static void on_input(void *context)
{
        (void)context;
        atomic_fetch_add(&n_inputs, 1);
}

static struct serial *serial_make(int out, int in)
{
        struct serial_options options = {.out = out, .in = in, .input = on_input};
        struct serial *serial;

        atomic_store(&n_inputs, 0);
        assert_int_equal(serial_new(&options, &serial), 0);
        return serial;
}

static void read_exactly(int fd, uint8_t *to, size_t len)
{
        for (size_t at = 0; at < len;) {
                struct pollfd polled = {.fd = fd, .events = POLLIN};
                ssize_t n;

                assert_int_equal(poll(&polled, 1, WAIT_MS), 1);
                n = read(fd, to + at, len - at);
                assert_true(n > 0);
                at += (size_t)n;
        }
}

static struct serial_stats stats_of(struct serial *serial)
{
        struct serial_stats stats;

        serial_stats(serial, &stats);
        return stats;
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Looks until the count is there: there is no event for it. */
static void wait_for(struct serial *serial, bool (*is_so)(const struct serial_stats *stats))
{
        uint64_t end = now_ms() + WAIT_MS;

        for (;;) {
                struct serial_stats stats = stats_of(serial);

                if (is_so(&stats))
                        return;
                assert_true(now_ms() < end);
                poll(NULL, 0, 1);
        }
}

static void words_come_out_in_order(void **state)
{
        uint8_t bytes[100000];
        struct serial *serial;
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        serial = serial_make(ends[1], -1);
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t at = 0; at < sizeof(bytes); at += 1000) {
                for (uint32_t i = 0; i < 1000; i++)
                        serial_put(serial, (uint8_t)((at + i) * 7 % 251));
                read_exactly(ends[0], bytes + at, 1000);
        }
        for (uint32_t i = 0; i < sizeof(bytes); i++)
                assert_int_equal(bytes[i], i * 7 % 251);
        serial_free(serial);
        close(ends[0]);
        close(ends[1]);
}

static bool all_is_dropped(const struct serial_stats *stats)
{
        return stats->dropped == LIMIT_SERIAL_OUT + 10;
}

/* A full pipe: the buffer fills to its limit, the rest is dropped, put never waits, and free ends within its time. */
static void reader_that_does_not_read_costs_words_only(void **state)
{
        struct serial *serial;
        int ends[2];
        uint8_t page[4096];
        uint64_t begin;

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
        memset(page, 'f', sizeof(page));
        assert_int_equal(write(ends[1], page, sizeof(page)), sizeof(page));
        serial = serial_make(ends[1], -1);
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t i = 0; i < LIMIT_SERIAL_OUT; i++)
                serial_put(serial, 'a');
        assert_int_equal(stats_of(serial).dropped, 0);
        for (uint32_t i = 0; i < 10; i++)
                serial_put(serial, 'b');
        assert_int_equal(stats_of(serial).dropped, 10);
        read_exactly(ends[0], page, sizeof(page)); /* room again */
        read_exactly(ends[0], page, sizeof(page));
        assert_int_equal(page[0], 'a');
        begin = now_ms();
        serial_free(serial);
        assert_true(now_ms() - begin < WAIT_MS);
        close(ends[0]);
        close(ends[1]);
}

/* As a terminal that was stopped: the write itself blocks, since somebody else has taken the room. */
static void write_that_blocks_ends_with_the_port(void **state)
{
        struct serial *serial;
        int ends[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        serial = serial_make(ends[0], -1);
        assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){4608}, sizeof(int)), 0);
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t i = 0; i < LIMIT_SERIAL_OUT; i++)
                serial_put(serial, 'a');
        serial_free(serial);
        close(ends[0]);
        close(ends[1]);
}

static void last_words_are_written_before_the_end(void **state)
{
        static const char words[] = "reboot: Power down";
        uint8_t bytes[sizeof(words)];
        struct serial *serial;
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        serial = serial_make(ends[1], -1);
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t i = 0; i < sizeof(words); i++)
                serial_put(serial, (uint8_t)words[i]);
        serial_free(serial);
        assert_int_equal(read(ends[0], bytes, sizeof(bytes)), sizeof(bytes));
        assert_memory_equal(bytes, words, sizeof(words));
        close(ends[0]);
        close(ends[1]);
}

/* SIGPIPE would end the test. */
static void reader_that_has_gone_is_no_signal(void **state)
{
        struct serial *serial;
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        close(ends[0]);
        serial = serial_make(ends[1], -1);
        for (uint32_t i = 0; i < LIMIT_SERIAL_OUT; i++)
                serial_put(serial, 'a');
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t i = 0; i < 10; i++)
                serial_put(serial, 'b');
        wait_for(serial, all_is_dropped);
        assert_int_equal(stats_of(serial).written, 0);
        serial_free(serial);
        close(ends[1]);
}

static bool a_buffer_is_read(const struct serial_stats *stats)
{
        return stats->read == LIMIT_SERIAL_IN;
}

/* What was typed too early stays in the pipe until there is room. */
static void what_is_typed_waits_for_the_guest(void **state)
{
        uint8_t typed[3 * LIMIT_SERIAL_IN], byte;
        struct serial *serial;
        uint64_t end = now_ms() + WAIT_MS;
        int ends[2];

        (void)state;
        for (uint32_t i = 0; i < sizeof(typed); i++)
                typed[i] = (uint8_t)(i % 251);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        serial = serial_make(-1, ends[0]);
        assert_false(serial_has_input(serial));
        assert_int_equal(write(ends[1], typed, sizeof(typed)), sizeof(typed));
        assert_int_equal(serial_start(serial), 0);
        wait_for(serial, a_buffer_is_read);
        for (uint32_t i = 0; i < sizeof(typed);) {
                if (serial_get(serial, &byte))
                        assert_int_equal(byte, typed[i++]);
                assert_true(now_ms() < end);
        }
        assert_true(atomic_load(&n_inputs) >= 1);
        assert_false(serial_get(serial, &byte));
        serial_free(serial);
        close(ends[0]);
        close(ends[1]);
}

static void port_without_ends_takes_and_gives_nothing(void **state)
{
        struct serial *serial = serial_make(-1, -1);
        uint8_t byte;

        (void)state;
        assert_int_equal(serial_start(serial), 0);
        serial_put(serial, 'a');
        assert_false(serial_get(serial, &byte));
        assert_int_equal(stats_of(serial).dropped, 1);
        serial_free(serial);
        serial_free(serial_make(-1, -1)); /* never started */
}

/* /dev/null and files are always ready. */
static void files_serve_as_ends(void **state)
{
        int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
        struct serial *serial = serial_make(out, in);

        (void)state;
        assert_int_equal(serial_start(serial), 0);
        for (uint32_t i = 0; i < 10000; i++)
                serial_put(serial, 'a');
        serial_free(serial);
        assert_int_equal(lseek(out, 0, SEEK_END), 10000);
        close(in);
        close(out);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(words_come_out_in_order),
            cmocka_unit_test(reader_that_does_not_read_costs_words_only),
            cmocka_unit_test(write_that_blocks_ends_with_the_port),
            cmocka_unit_test(last_words_are_written_before_the_end),
            cmocka_unit_test(reader_that_has_gone_is_no_signal),
            cmocka_unit_test(what_is_typed_waits_for_the_guest),
            cmocka_unit_test(port_without_ends_takes_and_gives_nothing),
            cmocka_unit_test(files_serve_as_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
