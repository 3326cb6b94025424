/* What a console says of itself.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/control.h"

#define CONSOLE_F_SIZE      (UINT64_C(1) << 0)
#define CONSOLE_F_MULTIPORT (UINT64_C(1) << 1)

#define CONSOLE_QUEUE_OUTPUT      1u /* of port 0 */
#define CONSOLE_QUEUE_CONTROL_IN  2u /* the guest's room for our words */
#define CONSOLE_QUEUE_CONTROL_OUT 3u /* the guest's words */

/* Of the config space (virtio 1.3, 5.3.4). */
enum console_field {
        CONSOLE_FIELD_COLS = 0,
        CONSOLE_FIELD_ROWS,
        CONSOLE_FIELD_MAX_PORTS,
        CONSOLE_FIELD_EMERG_WR, /* not offered */
        CONSOLE_FIELD_COUNT_,
};

void console_config_hello(uint32_t n_ports, struct control_hello *ret_hello);
