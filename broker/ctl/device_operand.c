/* A device on the command line: VM/DEVICE.
 * Owns nothing; called by verbs about one device. TRUST: the word is the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/device_operand.h"

#include <errno.h>
#include <string.h>

#include "proto/vm_config.h"

int device_operand_parse(const char *word, struct device_operand *ret_operand)
{
        struct device_operand operand = {0};
        const size_t len = strcspn(word, "/");

        if (word[len] != '/' || len >= sizeof(operand.vm))
                return -EINVAL;
        memcpy(operand.vm, word, len);
        word += len + 1;
        if (!vm_config_name_ok(operand.vm) || !vm_config_name_ok(word))
                return -EINVAL;
        memcpy(operand.device, word, strlen(word));
        *ret_operand = operand;
        return 0;
}
