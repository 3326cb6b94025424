/* What a vsock device says of itself (virtio 1.3, 5.10.3 and 5.10.4).
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/control.h"

void vsock_config_hello(uint64_t guest_cid, uint32_t n_queues, struct control_hello *ret_hello);
