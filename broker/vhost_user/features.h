/* Which protocol features are offered, and why.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"

/* What GET_PROTOCOL_FEATURES answers for this device. `moving`: some device of its VM has shared memory regions. */
uint64_t protocol_features_offered(const struct device *device, bool moving);

/* Of what was agreed: can mappings be shown? They need a channel, and to be answered. */
bool protocol_features_may_map(uint64_t agreed);

/* ... can the VMM translate? Misses need a channel, and replies. */
bool protocol_features_may_translate(uint64_t agreed);

/* The first set of broker/core/features.h: what the VMM may show to its guest. */
uint64_t guest_features_offered(const struct device *device);

/* What GET_FEATURES answers: the second set. */
uint64_t transport_features_offered(const struct device *device);
