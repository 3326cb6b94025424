/* The options of a vsock device: the one place that knows them all.
 * Owns nothing; called by what judges and carries configurations, by the spawner's resources and by the worker.
 * TRUST: a set has been judged by these rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct vsock_options vsock_options_read(const struct option_set *set)
{
        return (struct vsock_options){.cid = set->value[VSOCK_OPTION_CID].number,
                                      .path = set->value[VSOCK_OPTION_PATH].text};
}

int vsock_options_judge(const struct option_set *set, char *why, size_t why_size)
{
        const char *path = vsock_options_read(set).path;
        const char *slash = strrchr(path, '/');
        size_t len = slash ? strlen(slash + 1) : 0;

        if (len > 0 && len <= VSOCK_NAME_MAX)
                return 0;
        snprintf(why, why_size,
                 "path: its last part is the name of a socket and has %zu bytes: give it 1 to %u", len,
                 VSOCK_NAME_MAX);
        return -EINVAL;
}

const struct option_row vsock_option_rows[VSOCK_OPTION_COUNT_] = {
    [VSOCK_OPTION_CID] = {.key = "cid",
                          .kind = OPTION_NUMBER,
                          .required = true,
                          .min = VSOCK_CID_MIN,
                          .max = VSOCK_CID_MAX,
                          .form = "the guest's address, 3 to 4294967294"},
    [VSOCK_OPTION_PATH] = {.key = "path", .kind = OPTION_PATH, .required = true},
};
