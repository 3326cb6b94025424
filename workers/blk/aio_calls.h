/* The kernel's asynchronous reads and writes (io_setup(2)), by its own structs. The C library has no names for
 * these calls.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/aio_abi.h>

/* A context for `n_events` transfers under way. 0 or negative errno; -EAGAIN: fs.aio-max-nr is used up. */
int aio_setup(unsigned n_events, aio_context_t *ret_context);

/* Begins the first of `n` transfers: how many, at least one, or negative errno: the first cannot be begun. */
int aio_submit(aio_context_t context, long n, struct iocb **iocbs);

#define AIO_EVENTS 64 /* of one call: the run policy names this number */

/* Waits for `min` (0 or 1) ends of transfers. How many *ret_events has, or negative errno. */
int aio_getevents(aio_context_t context, long min, struct io_event ret_events[static AIO_EVENTS]);
