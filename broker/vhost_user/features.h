/* Which protocol features are offered, and why.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/device.h"

/* What GET_PROTOCOL_FEATURES answers for this device. */
uint64_t protocol_features_offered(const struct device *device);

/* What GET_FEATURES answers: the device's bits and the one transport bit. */
uint64_t transport_features_offered(const struct device *device);
