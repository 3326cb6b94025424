/* What a person's keys mean while a terminal is a guest's serial port: all are the guest's but those behind Ctrl-A, as with
 * `qemu -nographic`.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TERMINAL_PREFIX 0x01u /* Ctrl-A */

enum terminal_action {
        TERMINAL_NONE,
        TERMINAL_HELP,
        TERMINAL_END, /* of the VM; what was typed behind it is nobody's */
};

struct terminal_keys {
        bool prefixed; /* the last byte was the prefix */
};

/* Takes bytes as they were typed. Those for the guest are moved to the front of `bytes`, in order; their number is
 * returned. */
size_t terminal_keys_take(struct terminal_keys *keys, uint8_t *bytes, size_t len,
                          enum terminal_action *ret_action);
