/* Fields at the front of a request that are in the guest's order.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct lane;
struct request;

/* Widths of the fields with which the readable bytes of each request begin, up to the first 0 (struct device_type, legacy_head); must
 * outlive the lane. Before a worker is attached. */
void lane_set_head(struct lane *lane, const uint8_t *widths);

/* Takes the head of a request off a big-endian ring: from now on its first bytes are the broker's copy, in little endian, whoever
 * asks for them and how often (memory_service.h). Fields that are not there whole stay as they are. If its memory is gone the request
 * must fail. */
void lane_head_take(const struct lane *lane, struct request *request);
