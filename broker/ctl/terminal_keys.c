/* What a person's keys mean while a terminal is a guest's serial port. Pure.
 * Owns nothing; called by run_terminal.c. TRUST: bytes of whoever types; they are carried, and three are looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/terminal_keys.h"

size_t terminal_keys_take(struct terminal_keys *keys, uint8_t *bytes, size_t len,
                          enum terminal_action *ret_action)
{
        size_t n = 0;

        *ret_action = TERMINAL_NONE;
        for (size_t i = 0; i < len && *ret_action != TERMINAL_END; i++) {
                bool prefixed = keys->prefixed;

                keys->prefixed = !prefixed && bytes[i] == TERMINAL_PREFIX;
                if (prefixed && bytes[i] == 'x')
                        *ret_action = TERMINAL_END;
                else if (prefixed && bytes[i] == 'h')
                        *ret_action = TERMINAL_HELP;
                else if (!keys->prefixed && (!prefixed || bytes[i] == TERMINAL_PREFIX))
                        bytes[n++] = bytes[i];
        }
        return n;
}
