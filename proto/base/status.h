/* errno <-> wire status. errno numbers differ between architectures; the wire's do not.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum wire_status {
        WIRE_STATUS_OK = 0,
        WIRE_STATUS_IO = 1,
        WIRE_STATUS_INVALID = 2,
        WIRE_STATUS_NO_SPACE = 3,
        WIRE_STATUS_NO_MEMORY = 4,
        WIRE_STATUS_ACCESS = 5,
        WIRE_STATUS_NOT_FOUND = 6,
        WIRE_STATUS_BUSY = 7,
        WIRE_STATUS_FAULT = 8,
        WIRE_STATUS_NOT_SUPPORTED = 9,
        WIRE_STATUS_PROTOCOL = 10, /* the guest broke its device's protocol: the device becomes broken */
        WIRE_STATUS_TIMED_OUT = 11,
        WIRE_STATUS_READ_ONLY = 12,
        WIRE_STATUS_CANCELED = 13,
        WIRE_STATUS_LIMIT = 14,
        WIRE_STATUS_EXISTS = 15,
        WIRE_STATUS_MEDIUM = 16,
        WIRE_STATUS_TOO_SHORT = 17,
        WIRE_STATUS_WAITING = 18, /* not done: somebody is waited for who may never come */
        WIRE_STATUS_COUNT_,
};

/* 0 or negative errno -> status; what has no row becomes WIRE_STATUS_IO. */
uint32_t status_from_errno(int negative_errno);

/* status -> 0 or negative errno; -EPROTO for a number that is not in the table. */
int status_to_errno(uint32_t status);

const char *status_name(uint32_t status);
