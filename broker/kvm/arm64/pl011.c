/* A PL011 UART (Arm DDI 0183: register numbers and bits are its).
 * Owns its registers and the host's side of the port. Called by vCPU threads through the bus and, for input, by the
 * serial thread. TRUST: offsets, lengths and bytes are the guest's.
 *
 * The transmitter is always empty: a byte is in the host's buffer when the write returns, and that is a cause of an
 * interrupt until the guest clears it. The interrupt line is an edge into the kernel's controller: it is raised when a cause
 * appears that the guest has enabled while there was none, and when an access to the data register leaves one, since a driver
 * may stop in the middle and wait for the next.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/arm64/pl011.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        DR = 0x000,
        FR = 0x018,
        IBRD = 0x024,
        FBRD = 0x028,
        LCRH = 0x02c,
        CR = 0x030,
        IFLS = 0x034,
        IMSC = 0x038,
        RIS = 0x03c,
        MIS = 0x040,
        ICR = 0x044,
        DMACR = 0x048,
        ID = 0xfe0, /* eight registers of a byte each */
};

enum {
        FR_INPUT_EMPTY = 0x10,
        FR_OUTPUT_EMPTY = 0x80,
        INT_INPUT = 0x10,
        INT_OUTPUT = 0x20,
        INT_TIMEOUT = 0x40, /* of the receiver: there is input, however little */
        INT_ALL = 0x7ff,
};

static const uint8_t id_bytes[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

struct pl011 {
        pthread_mutex_t mutex; /* the registers; taken before the serial port's own */
        struct serial *serial;
        int irq_fd;
        uint32_t ibrd, fbrd, lcrh, cr, ifls, imsc, dmacr;
        bool sent;   /* INT_OUTPUT */
        bool raised; /* the line, as the last look found it */
};

static uint32_t raw_status(const struct pl011 *uart)
{
        uint32_t input = serial_has_input(uart->serial) ? INT_INPUT | INT_TIMEOUT : 0;

        return input | (uart->sent ? INT_OUTPUT : 0);
}

static void update(struct pl011 *uart, bool data)
{
        bool raise = (raw_status(uart) & uart->imsc) != 0;

        if (raise && (data || !uart->raised))
                (void)!write(uart->irq_fd, &(uint64_t){1}, sizeof(uint64_t));
        uart->raised = raise;
}

/* The register that only holds what was written; NULL: none such. */
static uint32_t *plain_register(struct pl011 *uart, uint64_t offset)
{
        switch (offset) {
        case IBRD:
                return &uart->ibrd;
        case FBRD:
                return &uart->fbrd;
        case LCRH:
                return &uart->lcrh;
        case CR:
                return &uart->cr;
        case IFLS:
                return &uart->ifls;
        case IMSC:
                return &uart->imsc;
        case DMACR:
                return &uart->dmacr;
        default:
                return NULL;
        }
}

static uint32_t read_register(struct pl011 *uart, uint64_t offset)
{
        const uint32_t *plain = plain_register(uart, offset);
        uint8_t byte = 0;

        if (plain)
                return *plain;
        if (offset >= ID)
                return offset % 4 == 0 ? id_bytes[(offset - ID) / 4] : 0;
        switch (offset) {
        case DR:
                serial_get(uart->serial, &byte);
                return byte;
        case FR:
                return FR_OUTPUT_EMPTY | (serial_has_input(uart->serial) ? 0 : FR_INPUT_EMPTY);
        case RIS:
                return raw_status(uart);
        case MIS:
                return raw_status(uart) & uart->imsc;
        default:
                return 0;
        }
}

static void write_register(struct pl011 *uart, uint64_t offset, uint32_t value)
{
        uint32_t *plain = plain_register(uart, offset);

        if (plain) {
                *plain = offset == IMSC ? value & INT_ALL : value & 0xffff;
        } else if (offset == DR) {
                serial_put(uart->serial, (uint8_t)value);
                uart->sent = true;
        } else if (offset == ICR) {
                uart->sent &= !(value & INT_OUTPUT);
        }
}

/* Any width, at a register's own offset: the bytes that are not said are zeros. */
void pl011_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct pl011 *uart = context;
        uint32_t value = 0;

        pthread_mutex_lock(&uart->mutex);
        if (write) {
                memcpy(&value, bytes, len < sizeof(value) ? len : sizeof(value));
                write_register(uart, offset, value);
        } else {
                value = read_register(uart, offset);
                memset(bytes, 0, len);
                memcpy(bytes, &value, len < sizeof(value) ? len : sizeof(value));
        }
        update(uart, offset == DR);
        pthread_mutex_unlock(&uart->mutex);
}

static void on_input(void *context)
{
        struct pl011 *uart = context;

        pthread_mutex_lock(&uart->mutex);
        update(uart, true);
        pthread_mutex_unlock(&uart->mutex);
}

int pl011_new(const struct pl011_options *options, struct pl011 **ret_uart)
{
        struct pl011 *uart = calloc(1, sizeof(*uart));
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

int pl011_start(struct pl011 *uart)
{
        return serial_start(uart->serial);
}

struct pl011 *pl011_free(struct pl011 *uart)
{
        if (!uart)
                return NULL;
        serial_free(uart->serial);
        pthread_mutex_destroy(&uart->mutex);
        free(uart);
        return NULL;
}

void pl011_stats(struct pl011 *uart, struct serial_stats *ret_stats)
{
        serial_stats(uart->serial, ret_stats);
}
