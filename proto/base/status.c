/* errno <-> wire status, one table.
 * Owns nothing; called where an error enters or leaves a message.
 * TRUST: numbers from any peer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/status.h"

#include <errno.h>
#include <stddef.h>

#include "proto/base/checked.h"

static const struct status_row {
        int error;
        const char *name;
} rows[] = {
    [WIRE_STATUS_OK] = {0, "ok"},
    [WIRE_STATUS_IO] = {EIO, "input/output error"},
    [WIRE_STATUS_INVALID] = {EINVAL, "invalid argument"},
    [WIRE_STATUS_NO_SPACE] = {ENOSPC, "no space left"},
    [WIRE_STATUS_NO_MEMORY] = {ENOMEM, "out of memory"},
    [WIRE_STATUS_ACCESS] = {EACCES, "permission denied"},
    [WIRE_STATUS_NOT_FOUND] = {ENOENT, "no such file"},
    [WIRE_STATUS_BUSY] = {EBUSY, "in use"},
    [WIRE_STATUS_FAULT] = {EFAULT, "guest memory is gone"},
    [WIRE_STATUS_NOT_SUPPORTED] = {EOPNOTSUPP, "not supported"},
    [WIRE_STATUS_PROTOCOL] = {EPROTO, "protocol broken"},
    [WIRE_STATUS_TIMED_OUT] = {ETIMEDOUT, "timed out"},
    [WIRE_STATUS_READ_ONLY] = {EROFS, "read-only"},
    [WIRE_STATUS_CANCELED] = {ECANCELED, "canceled"},
    [WIRE_STATUS_LIMIT] = {E2BIG, "over a limit"},
    [WIRE_STATUS_EXISTS] = {EEXIST, "there is one already"},
    [WIRE_STATUS_MEDIUM] = {EMEDIUMTYPE, "not a file that can be mapped"},
    [WIRE_STATUS_TOO_SHORT] = {ENXIO, "ends before"},
    [WIRE_STATUS_WAITING] = {EINPROGRESS, "waiting"},
};
_Static_assert(array_size(rows) == WIRE_STATUS_COUNT_, "one row a status");

uint32_t status_from_errno(int negative_errno)
{
        if (negative_errno == -EPERM)
                return WIRE_STATUS_ACCESS;
        for (uint32_t i = 0; i < array_size(rows); i++)
                if (-rows[i].error == negative_errno)
                        return i;
        return WIRE_STATUS_IO;
}

int status_to_errno(uint32_t status)
{
        return status < array_size(rows) ? -rows[status].error : -EPROTO;
}

const char *status_name(uint32_t status)
{
        return status < array_size(rows) ? rows[status].name : "unknown status";
}
