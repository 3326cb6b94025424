/* One clause that says why, and the error that goes with it.
 * Owns nothing. Called by whatever refuses in this room, before the VM runs.
 * TRUST: only our own numbers and names, and those of the kernel, are printed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/why.h"

#include <stdarg.h>
#include <stdio.h>

int kvm_why(int error, char *why, size_t why_size, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(why, why_size, format, arguments);
        va_end(arguments);
        return error;
}
