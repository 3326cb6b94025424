/* What a judged message promises, said a second time and independently of the checks: unit sweeps and fuzz
 * targets hold every accepted message against it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/admin.h"
#include "proto/control.h"
#include "proto/lane.h"
#include "proto/spawn.h"
#include "proto/vm_config.h"

bool judged_lane_to_broker(const struct lane_to_broker *message, uint32_t payload_len);
bool judged_lane_to_worker(const struct lane_to_worker *message, uint32_t payload_len);
bool judged_control_to_broker(const struct control_to_broker *message);
bool judged_control_to_worker(const struct control_to_worker *message);
bool judged_spawn_to_broker(const struct spawn_to_broker *message);
bool judged_spawn_to_spawner(const struct spawn_to_spawner *message);
bool judged_admin_to_broker(const struct admin_to_broker *message);
bool judged_admin_to_client(const struct admin_to_client *message);
bool judged_vm_config(const struct vm_config *config);
