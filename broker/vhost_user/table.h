/* The table of messages that are served.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/rpc.h"

/* Indexed by request number; states are enum session_state, `needs` are protocol features. */
extern const struct rpc_table message_table;
