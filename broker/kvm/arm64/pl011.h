/* A PL011 UART: what a console driver needs of one. Bytes leave at once, whatever the baud rate says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/kvm/serial.h"

struct pl011;

struct pl011_options {
        int out, in; /* as serial_options */
        int irq_fd;  /* an eventfd, written at each edge of the interrupt; stays the caller's */
};

int pl011_new(const struct pl011_options *options, struct pl011 **ret_uart);
int pl011_start(struct pl011 *uart);          /* the serial port's thread */
struct pl011 *pl011_free(struct pl011 *uart); /* returns NULL; accepts NULL */

/* A kvm_bus_handler of KVM_ARM64_SERIAL_LEN bytes; any thread. */
void pl011_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes);

void pl011_stats(struct pl011 *uart, struct serial_stats *ret_stats);
