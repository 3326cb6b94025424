/* One person, or one script, at a port of a console.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct console_session_spec {
        const char *path;  /* of the port's socket */
        const char *title; /* "vm1/con0:console" */
        /* Tells the device the terminal's size; called in a child, which it may keep waiting. NULL: the port has none. */
        void (*resize)(void *context, unsigned columns, unsigned rows);
        void *context;
};

/* Carries bytes between our standard input and output and the port until the person leaves, by the detach key, or a script's
 * input has ended and the guest has closed its end; a connection that is lost is made again for as long as the VM is there.
 * Returns an exit code of `console`: 0, 1 after it has said why, or 128 + n when signal n came. */
int console_session(const struct console_session_spec *spec);
