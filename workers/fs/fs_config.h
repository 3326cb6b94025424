/* What a shared directory says of itself: features and configuration space (virtio 1.3, 5.11.3 and 5.11.4).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/control.h"

#define FS_QUEUE_FORGETS 0u /* the high priority queue: forgets, which must not wait */
#define FS_QUEUES_MIN    2u /* that one, and one of requests */

/* Depends on the configuration alone, so every incarnation says the same. `tag` is at most LIMIT_FS_TAG bytes. */
void fs_config_hello(const struct control_configure *configure, const char *tag,
                     struct control_hello *ret_hello);
