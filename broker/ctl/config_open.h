/* A verb's way to a configuration: load it, or say on stderr what is wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "proto/vm_config.h"

struct config_wish {
        const char *run_dir;  /* --run-dir, or NULL */
        bool host;            /* look at images and programs too */
        bool in_use_is_error; /* an image that somebody else holds */
};

/* 0: the caller frees with vm_config_done. Negative errno: everything has been said. */
int config_open(const char *path, const struct config_wish *wish, struct vm_config *ret_config);
