/* Every message that is served, as a well-formed example with what it needs: the ground of generated hostile
 * tests and of the fuzzer's corpus. Written from the specification, not from the table under test.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/harness/wire.h"

enum message_fd {
        MESSAGE_FD_NONE = 0,
        MESSAGE_FD_EVENT,
        MESSAGE_FD_MEMORY,
        MESSAGE_FD_SOCKET,
};

struct message_example {
        uint32_t request;
        const char *name;
        uint32_t len;
        enum message_fd fd; /* exactly one, or none */
        bool fd_tolerated;  /* one may come where none is needed */
        bool needs_feature; /* a protocol feature must be agreed */
        bool needs_setup;   /* SET_FEATURES must have come */
        uint8_t payload[64];
};

extern const struct message_example message_examples[];
extern const size_t n_message_examples;

/* NULL: not served. */
const struct message_example *message_example_find(uint32_t request);

/* A new descriptor of the kind, sized for the examples; -1 for NONE. */
int message_fd_new(enum message_fd kind);
