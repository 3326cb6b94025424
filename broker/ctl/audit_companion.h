/* What a companion of a device's workers may be (sandbox/companion.h), as far as it differs from a worker.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct companion_rule {
        const char *name;
        const char *programs[2]; /* what it executes; NULL: there is no second */
        const char *policy;      /* whose filter it has */
        uint32_t filters;        /* of seccomp, at least */
        bool host_network;       /* it is in the host's network namespace */
        bool
            own_namespace; /* it makes a user namespace of its own, which gives it a full bounding set there: without a program to
                                  * execute and with no_new_privs nothing comes of that */
        bool has_folder; /* its root is a folder */
};

/* NULL: there is none of that name. */
const struct companion_rule *companion_rule_find(const char *name);
