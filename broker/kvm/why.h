/* One clause that says why, and the error that goes with it: what a refusal of this room returns.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* Writes the clause (cut to size) and returns the error. */
int kvm_why(int error, char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
