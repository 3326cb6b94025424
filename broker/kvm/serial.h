/* The host's side of a serial port: bytes out to one descriptor, bytes in from another, by a thread of its own, so
 * that neither a vCPU nor the main thread ever waits for a terminal, pipe or socket.
 *
 * Out: a buffer of LIMIT_SERIAL_OUT bytes; what does not fit is dropped and counted. In: one of LIMIT_SERIAL_IN; while
 * it is full nothing is read. The descriptors keep their flags (others may share the open file): the thread waits until
 * one is ready and then writes little enough; should a write block all the same, only this thread does.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct serial;

struct serial_options {
        int out, in; /* stay the caller's and open; -1: none */
        /* Input has come into an empty buffer, or room into a full one; the serial thread, which holds no lock. */
        void (*input)(void *context);
        void *context;
};

int serial_new(const struct serial_options *options, struct serial **ret_serial); /* no thread yet */
int serial_start(struct serial *serial);                                          /* once */

/* Ends the thread, after it has written what is left, but at most LIMIT_SERIAL_FLUSH_MS. Accepts NULL, returns NULL. */
struct serial *serial_free(struct serial *serial);

/* Any thread; never waits. */
void serial_put(struct serial *serial, uint8_t byte);
bool serial_get(struct serial *serial, uint8_t *ret_byte); /* false: none */
bool serial_has_input(struct serial *serial);

struct serial_stats {
        uint64_t written, dropped, read; /* bytes */
};
void serial_stats(struct serial *serial, struct serial_stats *ret_stats);
