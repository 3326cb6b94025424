/* The effective configuration: what `check` prints.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "proto/vm_config.h"

/* Writes YAML that is a good configuration itself and means the same, every default spelled out.
 * 0, -ENOMEM or -EIO. */
int config_effective_print(const struct vm_config *config, FILE *out);
