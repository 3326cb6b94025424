/* What a network device says of itself, and what its operator has chosen.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "workers/net/net_req.h"

/* Fields of the config space, in the order of Hello (virtio 1.3, 5.1.4). */
enum net_field {
        NET_FIELD_MAC = 0, /* NET_MAC fields of a byte each */
        NET_FIELD_STATUS = NET_MAC,
        NET_FIELD_MAX_PAIRS,
        NET_FIELD_MTU,
        NET_FIELD_COUNT_,
};

struct net_shape {
        uint32_t n_pairs;
        bool has_control; /* the driver speaks to us, and not to a VMM */
        bool offloads;    /* a tap's */
        bool has_mac;
        uint8_t mac[NET_MAC];
        uint32_t mtu;
};

void net_config_hello(const struct net_shape *shape, struct control_hello *ret_hello);
