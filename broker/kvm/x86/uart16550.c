/* A 16550A UART (National Semiconductor PC16550D, 1995: register numbers and bits are its).
 * Owns its registers and the host's side of the port. Called by vCPU threads through the bus and, for input, by the
 * serial thread. TRUST: offsets, lengths and bytes are the guest's.
 *
 * The transmitter is always empty: a byte is in the host's buffer when the write returns. The interrupt line is an edge
 * into the kernel's interrupt controller: it is raised when a cause appears that the guest has enabled while there was
 * none before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/x86/uart16550.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum {
        DATA, /* with DLAB: divisor, low byte */
        IER,  /* with DLAB: divisor, high byte */
        IIR_FCR,
        LCR,
        MCR,
        LSR,
        MSR,
        SCR
};

enum {
        IER_INPUT = 0x01,
        IER_EMPTY = 0x02,
        IER_ALL = 0x0f,
        IIR_NONE = 0x01,
        IIR_EMPTY = 0x02,
        IIR_INPUT = 0x04,
        IIR_FIFO = 0xc0,
        FCR_ENABLE = 0x01,
        LCR_DLAB = 0x80,
        MCR_OUT2 = 0x08, /* on a PC: connects the interrupt */
        MCR_LOOP = 0x10,
        MCR_ALL = 0x1f,
        LSR_INPUT = 0x01,
        LSR_EMPTY = 0x60, /* holding register and transmitter */
        MSR_READY = 0xb0, /* CTS, DSR, DCD */
};

struct uart16550 {
        pthread_mutex_t mutex; /* the registers; taken before the serial port's own */
        struct serial *serial;
        int irq_fd;
        uint8_t ier, lcr, mcr, scr, fcr;
        uint8_t divisor[2];
        bool empty_pending; /* the transmitter has become empty since IIR said so */
        bool raised;        /* the line, as the last look found it */
        bool looped;        /* MCR_LOOP: a byte that was sent to ourselves ... */
        uint8_t loop;       /* ... this one */
};

static bool has_input(const struct uart16550 *uart)
{
        return uart->mcr & MCR_LOOP ? uart->looped : serial_has_input(uart->serial);
}

static uint8_t cause(const struct uart16550 *uart)
{
        if (uart->ier & IER_INPUT && has_input(uart))
                return IIR_INPUT;
        if (uart->ier & IER_EMPTY && uart->empty_pending)
                return IIR_EMPTY;
        return IIR_NONE;
}

/* Looks at the line after any change. OUT2 is not asked for: Linux sets it before it enables a cause, and others forget. */
static void update(struct uart16550 *uart)
{
        bool raise = cause(uart) != IIR_NONE;

        if (raise && !uart->raised)
                (void)!write(uart->irq_fd, &(uint64_t){1}, sizeof(uint64_t));
        uart->raised = raise;
}

static void write_data(struct uart16550 *uart, uint8_t value)
{
        if (uart->mcr & MCR_LOOP) {
                uart->loop = value;
                uart->looped = true;
        } else {
                serial_put(uart->serial, value);
        }
        uart->empty_pending = true;
}

static uint8_t read_data(struct uart16550 *uart)
{
        uint8_t value = 0;

        if (uart->mcr & MCR_LOOP) {
                value = uart->loop;
                uart->looped = false;
        } else {
                serial_get(uart->serial, &value);
        }
        return value;
}

static uint8_t read_iir(struct uart16550 *uart)
{
        uint8_t value = cause(uart);

        if (value == IIR_EMPTY)
                uart->empty_pending = false;
        return value | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static void write_ier(struct uart16550 *uart, uint8_t value)
{
        uart->empty_pending |= (value & ~uart->ier & IER_EMPTY) != 0;
        uart->ier = value & IER_ALL;
}

/* In loop mode the modem's inputs are our own outputs. */
static uint8_t read_msr(const struct uart16550 *uart)
{
        uint8_t m = uart->mcr;

        if (!(m & MCR_LOOP))
                return MSR_READY;
        return (uint8_t)((m & 0x02) << 3 | (m & 0x01) << 5 | (m & 0x04) << 4 | (m & 0x08) << 4);
}

static uint8_t read_register(struct uart16550 *uart, uint64_t offset)
{
        switch (offset) {
        case DATA:
                return uart->lcr & LCR_DLAB ? uart->divisor[0] : read_data(uart);
        case IER:
                return uart->lcr & LCR_DLAB ? uart->divisor[1] : uart->ier;
        case IIR_FCR:
                return read_iir(uart);
        case LCR:
                return uart->lcr;
        case MCR:
                return uart->mcr;
        case LSR:
                return LSR_EMPTY | (has_input(uart) ? LSR_INPUT : 0);
        case MSR:
                return read_msr(uart);
        default:
                return uart->scr;
        }
}

static void write_register(struct uart16550 *uart, uint64_t offset, uint8_t value)
{
        switch (offset) {
        case DATA:
                if (uart->lcr & LCR_DLAB)
                        uart->divisor[0] = value;
                else
                        write_data(uart, value);
                break;
        case IER:
                if (uart->lcr & LCR_DLAB)
                        uart->divisor[1] = value;
                else
                        write_ier(uart, value);
                break;
        case IIR_FCR:
                uart->fcr = value;
                break;
        case LCR:
                uart->lcr = value;
                break;
        case MCR:
                uart->mcr = value & MCR_ALL;
                uart->looped &= (value & MCR_LOOP) != 0;
                break;
        case SCR:
                uart->scr = value;
                break;
        default: /* LSR and MSR only say */
                break;
        }
}

void uart16550_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct uart16550 *uart = context;

        if (len != 1)
                return; /* byte-wide registers */
        pthread_mutex_lock(&uart->mutex);
        if (write)
                write_register(uart, offset, *bytes);
        else
                *bytes = read_register(uart, offset);
        update(uart);
        pthread_mutex_unlock(&uart->mutex);
}

static void on_input(void *context)
{
        struct uart16550 *uart = context;

        pthread_mutex_lock(&uart->mutex);
        update(uart);
        pthread_mutex_unlock(&uart->mutex);
}

int uart16550_new(const struct uart16550_options *options, struct uart16550 **ret_uart)
{
        struct uart16550 *uart = calloc(1, sizeof(*uart));
        struct serial_options host = {
            .out = options->out, .in = options->in, .input = on_input, .context = uart};
        int r = uart ? serial_new(&host, &uart->serial) : -ENOMEM;

        if (r < 0) {
                free(uart);
                return r;
        }
        pthread_mutex_init(&uart->mutex, NULL);
        uart->irq_fd = options->irq_fd;
        *ret_uart = uart;
        return 0;
}

int uart16550_start(struct uart16550 *uart)
{
        return serial_start(uart->serial);
}

struct uart16550 *uart16550_free(struct uart16550 *uart)
{
        if (!uart)
                return NULL;
        serial_free(uart->serial);
        pthread_mutex_destroy(&uart->mutex);
        free(uart);
        return NULL;
}

void uart16550_stats(struct uart16550 *uart, struct serial_stats *ret_stats)
{
        serial_stats(uart->serial, ret_stats);
}
