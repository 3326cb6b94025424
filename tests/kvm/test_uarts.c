/* The two serial ports, as drivers use them: identification, interrupts, loop, and values that no driver writes.
 * Owns a port and two pipes a test. TRUST: none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kvm/arm64/pl011.h"
#include "broker/kvm/bus.h"
#include "broker/kvm/x86/uart16550.h"
#include "proto/base/limits.h"

#define WAIT_MS 20000

struct port {
        kvm_bus_handler *access;
        void *uart;
        int irq, to_guest[2], from_guest[2];
};

static void port_pipes(struct port *port)
{
        port->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_int_equal(pipe2(port->to_guest, O_CLOEXEC), 0);
        assert_int_equal(pipe2(port->from_guest, O_CLOEXEC), 0);
}

static void port_done(struct port *port)
{
        for (unsigned i = 0; i < 2; i++) {
                close(port->to_guest[i]);
                close(port->from_guest[i]);
        }
        close(port->irq);
}

static uint32_t in(struct port *port, uint64_t offset, uint32_t len)
{
        uint8_t bytes[8];
        uint32_t value = 0;

        memset(bytes, 0xff, sizeof(bytes));
        port->access(port->uart, offset, len, false, bytes);
        memcpy(&value, bytes, len < 4 ? len : 4);
        return value;
}

static void out(struct port *port, uint64_t offset, uint32_t len, uint32_t value)
{
        uint8_t bytes[8] = {0};

        memcpy(bytes, &value, 4);
        port->access(port->uart, offset, len, true, bytes);
}

/* Edges since the last look. */
static uint64_t edges(const struct port *port)
{
        uint64_t n = 0;

        return read(port->irq, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void wait_edge(const struct port *port)
{
        struct pollfd polled = {.fd = port->irq, .events = POLLIN};

        assert_int_equal(poll(&polled, 1, WAIT_MS), 1);
        assert_true(edges(port) > 0);
}

static void expect_words(const struct port *port, const char *words)
{
        struct pollfd polled = {.fd = port->from_guest[0], .events = POLLIN};
        char byte;

        for (; *words; words++) {
                assert_int_equal(poll(&polled, 1, WAIT_MS), 1);
                assert_int_equal(read(polled.fd, &byte, 1), 1);
                assert_int_equal(byte, *words);
        }
}

/* ---- 16550 ---- */

static void uart_open(struct port *port)
{
        struct uart16550_options options;
        struct uart16550 *uart;

        port_pipes(port);
        options = (struct uart16550_options){
            .out = port->from_guest[1], .in = port->to_guest[0], .irq_fd = port->irq};
        assert_int_equal(uart16550_new(&options, &uart), 0);
        assert_int_equal(uart16550_start(uart), 0);
        port->uart = uart;
        port->access = uart16550_access;
}

static void uart_close(struct port *port)
{
        uart16550_free(port->uart);
        port_done(port);
}

/* As Linux's driver looks for one (8250_port.c, autoconfig). */
static void uart16550_is_found_as_one(void **state)
{
        struct port p;

        (void)state;
        uart_open(&p);
        out(&p, 1, 1, 0);
        assert_int_equal(in(&p, 1, 1) & 0x0f, 0);
        out(&p, 1, 1, 0x0f);
        assert_int_equal(in(&p, 1, 1) & 0x0f, 0x0f);
        out(&p, 1, 1, 0);
        out(&p, 4, 1, 0x10 | 0x0a); /* loop: RTS and OUT2 come back as CTS and DCD */
        assert_int_equal(in(&p, 6, 1) & 0xf0, 0x90);
        out(&p, 4, 1, 0);
        out(&p, 2, 1, 1);
        assert_int_equal(in(&p, 2, 1) >> 6, 3); /* a 16550A's FIFO */
        out(&p, 7, 1, 0xa5);
        assert_int_equal(in(&p, 7, 1), 0xa5);
        out(&p, 3, 1, 0x83); /* the divisor is apart from data and IER */
        out(&p, 0, 1, 0x0c);
        out(&p, 1, 1, 0x01);
        assert_int_equal(in(&p, 0, 1), 0x0c);
        assert_int_equal(in(&p, 1, 1), 0x01);
        out(&p, 3, 1, 0x03);
        assert_int_equal(in(&p, 1, 1), 0);
        assert_int_equal(in(&p, 5, 1), 0x60);
        uart_close(&p);
}

static void uart16550_tells_an_empty_transmitter_once(void **state)
{
        struct port p;

        (void)state;
        uart_open(&p);
        assert_int_equal(in(&p, 2, 1), 0x01);
        assert_int_equal(edges(&p), 0);
        out(&p, 1, 1, 0x02);
        assert_int_equal(edges(&p), 1);
        assert_int_equal(in(&p, 2, 1), 0x02);
        assert_int_equal(in(&p, 2, 1), 0x01); /* the look was the acknowledgement */
        out(&p, 0, 1, 'a');
        assert_int_equal(edges(&p), 1);
        out(&p, 0, 1, 'b'); /* the cause is there already */
        assert_int_equal(edges(&p), 0);
        assert_int_equal(in(&p, 2, 1), 0x02);
        out(&p, 1, 1, 0);
        out(&p, 0, 1, 'c'); /* nobody wants to know */
        assert_int_equal(edges(&p), 0);
        expect_words(&p, "abc");
        uart_close(&p);
}

static void uart16550_interrupts_for_input(void **state)
{
        struct port p;

        (void)state;
        uart_open(&p);
        out(&p, 1, 1, 0x01);
        assert_int_equal(write(p.to_guest[1], "xy", 2), 2);
        wait_edge(&p);
        assert_int_equal(in(&p, 2, 1), 0x04);
        assert_int_equal(in(&p, 5, 1), 0x61);
        assert_int_equal(in(&p, 0, 1), 'x');
        assert_int_equal(in(&p, 2, 1), 0x04);
        assert_int_equal(in(&p, 0, 1), 'y');
        assert_int_equal(in(&p, 2, 1), 0x01);
        assert_int_equal(in(&p, 5, 1), 0x60);
        assert_int_equal(in(&p, 0, 1), 0); /* nothing */
        assert_int_equal(write(p.to_guest[1], "z", 1), 1);
        wait_edge(&p);
        uart_close(&p);
}

static void uart16550_loops_to_itself_alone(void **state)
{
        struct port p;

        (void)state;
        uart_open(&p);
        out(&p, 4, 1, 0x10);
        out(&p, 0, 1, 'l');
        assert_int_equal(in(&p, 5, 1), 0x61);
        assert_int_equal(in(&p, 0, 1), 'l');
        assert_int_equal(in(&p, 5, 1), 0x60);
        out(&p, 0, 1, 'm');
        out(&p, 4, 1, 0); /* what was on its way is gone */
        assert_int_equal(in(&p, 5, 1), 0x60);
        out(&p, 0, 1, 'n');
        expect_words(&p, "n");
        uart_close(&p);
}

/* Every register, width and value: it lives, and still serves. */
static void uart16550_survives_everything(void **state)
{
        struct port p;

        (void)state;
        uart_open(&p);
        srand(16550);
        for (unsigned i = 0; i < 200000; i++) {
                uint64_t offset = (uint64_t)rand() % 8;
                uint32_t len = 1 + (uint32_t)rand() % 8;

                if (offset == 0)
                        offset = 2; /* its words would be in our way */
                if (rand() % 2)
                        out(&p, offset, len, (uint32_t)rand());
                else if (len != 1)
                        assert_int_equal(in(&p, offset, len) & 0xff, 0xff);
                else
                        in(&p, offset, len);
        }
        out(&p, 3, 1, 0);
        out(&p, 4, 1, 0);
        out(&p, 0, 1, '!');
        expect_words(&p, "!");
        uart_close(&p);
}

/* ---- PL011 ---- */

enum { DR = 0x00, FR = 0x18, IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44 };

static void pl011_open(struct port *port)
{
        struct pl011_options options;
        struct pl011 *uart;

        port_pipes(port);
        options =
            (struct pl011_options){.out = port->from_guest[1], .in = port->to_guest[0], .irq_fd = port->irq};
        assert_int_equal(pl011_new(&options, &uart), 0);
        assert_int_equal(pl011_start(uart), 0);
        port->uart = uart;
        port->access = pl011_access;
}

static void pl011_close(struct port *port)
{
        pl011_free(port->uart);
        port_done(port);
}

static void pl011_is_found_as_one(void **state)
{
        static const uint8_t id[] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
        struct port p;

        (void)state;
        pl011_open(&p);
        for (unsigned i = 0; i < 8; i++)
                assert_int_equal(in(&p, 0xfe0 + i * 4, 4), id[i]);
        assert_int_equal(in(&p, FR, 4), 0x90);
        for (unsigned reg = 0x24; reg <= 0x34; reg += 4) {
                out(&p, reg, 4, 0xabcd1234);
                assert_int_equal(in(&p, reg, 4), 0x1234);
        }
        pl011_close(&p);
}

static void pl011_interrupts_for_output_and_input(void **state)
{
        struct port p;

        (void)state;
        pl011_open(&p);
        out(&p, DR, 1, 'a');
        assert_int_equal(in(&p, RIS, 4), 0x20);
        assert_int_equal(in(&p, MIS, 4), 0);
        assert_int_equal(edges(&p), 0);
        out(&p, IMSC, 2, 0x20);
        assert_int_equal(edges(&p), 1);
        assert_int_equal(in(&p, MIS, 2), 0x20);
        assert_int_equal(edges(&p), 0);
        out(&p, DR, 4, 'b'); /* a driver may stop here and wait */
        assert_int_equal(edges(&p), 1);
        out(&p, ICR, 4, 0x20);
        assert_int_equal(in(&p, RIS, 4), 0);
        out(&p, IMSC, 4, 0x50);
        assert_int_equal(write(p.to_guest[1], "x", 1), 1);
        wait_edge(&p);
        assert_int_equal(in(&p, MIS, 4), 0x50);
        assert_int_equal(in(&p, FR, 4), 0x80);
        out(&p, ICR, 4, 0x50); /* the byte is still there */
        assert_int_equal(in(&p, MIS, 4), 0x50);
        assert_int_equal(in(&p, DR, 4), 'x');
        assert_int_equal(in(&p, MIS, 4), 0);
        expect_words(&p, "ab");
        pl011_close(&p);
}

static void pl011_survives_everything(void **state)
{
        struct port p;

        (void)state;
        pl011_open(&p);
        srand(11);
        for (unsigned i = 0; i < 200000; i++) {
                uint64_t offset = 4 + (uint64_t)rand() % (0x1000 - 4 - 8);
                uint32_t len = 1 + (uint32_t)rand() % 8;

                if (rand() % 2)
                        out(&p, offset, len, (uint32_t)rand());
                else
                        in(&p, offset, len);
        }
        out(&p, DR, 1, '!');
        expect_words(&p, "!");
        pl011_close(&p);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(uart16550_is_found_as_one),
            cmocka_unit_test(uart16550_tells_an_empty_transmitter_once),
            cmocka_unit_test(uart16550_interrupts_for_input),
            cmocka_unit_test(uart16550_loops_to_itself_alone),
            cmocka_unit_test(uart16550_survives_everything),
            cmocka_unit_test(pl011_is_found_as_one),
            cmocka_unit_test(pl011_interrupts_for_output_and_input),
            cmocka_unit_test(pl011_survives_everything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
