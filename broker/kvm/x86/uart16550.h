/* A 16550A: what a console driver needs of one. Bytes leave at once, whatever the baud rate says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/serial.h"

#define UART16550_PORTS 8u

struct uart16550;

struct uart16550_options {
        int out, in; /* as serial_options */
        int irq_fd;  /* an eventfd, written at each edge of the interrupt; stays the caller's */
};

int uart16550_new(const struct uart16550_options *options, struct uart16550 **ret_uart);
int uart16550_start(struct uart16550 *uart);              /* the serial port's thread */
struct uart16550 *uart16550_free(struct uart16550 *uart); /* returns NULL; accepts NULL */

/* A kvm_bus_handler of UART16550_PORTS ports; any thread. */
void uart16550_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes);

void uart16550_stats(struct uart16550 *uart, struct serial_stats *ret_stats);
