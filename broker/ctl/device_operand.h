/* A device on the command line: VM/DEVICE.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/base/limits.h"

struct device_operand {
        char vm[LIMIT_NAME], device[LIMIT_NAME]; /* good names both (vm_config_name_ok) */
};

/* 0 or -EINVAL. */
int device_operand_parse(const char *word, struct device_operand *ret_operand);
