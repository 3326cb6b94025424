/* A configuration file, read, judged and turned into what the broker is given.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "broker/ctl/config_judge.h"
#include "broker/ctl/mistakes.h"
#include "proto/vm_config.h"

/* A text of `len` bytes. 0: the caller frees with vm_config_done; warnings may have been added.
 * -EINVAL: mistakes were added. -ENOMEM. */
int config_parse(const char *text, size_t len, const struct config_context *context,
                 struct mistakes *mistakes, struct vm_config *ret_config);

/* The same from a file; context->folder is filled in from its path. A file that cannot be read is a mistake
 * of the whole file. */
int config_load(const char *path, const struct config_context *context, struct mistakes *mistakes,
                struct vm_config *ret_config);
