/* How the judges of a configuration refuse: a part of vm_config*.c and of what device types say of their options.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define SHOWN_BYTES 72u /* of a bad name or path: enough to know it, and the remedy still fits */

/* Writes the sentence; returns -EINVAL. */
static inline int refuse(char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline int refuse(char *why, size_t why_size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(why, why_size, format, args);
        va_end(args);
        return -EINVAL;
}
