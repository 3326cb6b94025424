/* The broker's system calls on their way to the kernel: each is a place where its thread may be interrupted,
 * and where a stream may take or give less than was asked.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Chances of a run, each once in n calls; 0: never. */
struct wrap_odds {
        uint32_t short_io;  /* fewer bytes than there are, or than fit */
        uint32_t again;     /* EAGAIN although it would not block */
        uint32_t interrupt; /* EINTR */
};
void wrap_calls_start(const struct wrap_odds *odds);
