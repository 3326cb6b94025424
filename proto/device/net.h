/* The options of a network device.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/device_option.h"

#define NET_TAP_NAME  15u /* bytes of an interface's name (IFNAMSIZ, less its NUL) */
#define NET_FORWARDS  16u /* that one passt is given */
#define NET_MAC_BYTES 6u

enum net_option {
        NET_OPTION_BACKEND = 0,
        NET_OPTION_TAP,
        NET_OPTION_PATH,
        NET_OPTION_FORWARD,
        NET_OPTION_PCAP,
        NET_OPTION_PCAP_MAX,
        NET_OPTION_MAC,
        NET_OPTION_MTU,
        NET_OPTION_COUNT_,
};

/* What carries frames; the choices of `backend`, in this order. */
enum net_carrier {
        NET_CARRIER_PASST = 0,
        NET_CARRIER_TAP,
        NET_CARRIER_STREAM,
        NET_CARRIER_COUNT_,
};

/* Frames that went nowhere, to the guest (in) and from it (out): why stands beside enum net_drop of workers/net, in the
 * same order. */
enum net_counter {
        NET_COUNTER_IN_SHORT = 0,
        NET_COUNTER_IN_LONG,
        NET_COUNTER_IN_HEADER,
        NET_COUNTER_IN_OFFLOAD,
        NET_COUNTER_IN_ROOM,
        NET_COUNTER_IN_FILTERED,
        NET_COUNTER_IN_LINK,
        NET_COUNTER_IN_HOST,
        NET_COUNTER_IN_LOST,
        NET_COUNTER_OUT_SHORT,
        NET_COUNTER_OUT_LONG,
        NET_COUNTER_OUT_HEADER,
        NET_COUNTER_OUT_OFFLOAD,
        NET_COUNTER_OUT_ROOM,
        NET_COUNTER_OUT_FILTERED,
        NET_COUNTER_OUT_LINK,
        NET_COUNTER_OUT_HOST,
        NET_COUNTER_OUT_LOST,
        NET_COUNTER_COUNT_,
};

extern const char *const net_counter_names[NET_COUNTER_COUNT_];
extern const struct option_row net_option_rows[NET_OPTION_COUNT_];

/* The same as what they mean. Texts are the set's. */
struct net_options {
        enum net_carrier carrier;
        const char *tap, *path, *forward, *pcap; /* "" where there is none, and to a worker */
        uint64_t pcap_max;
        bool has_mac; /* else the driver makes one up, unless a VMM has one */
        uint8_t mac[NET_MAC_BYTES];
        uint32_t mtu;
};

struct net_options net_options_read(const struct option_set *set);

/* Is what each back-end needs there, and nothing that it does not take? As device_type's. */
int net_options_judge(const struct option_set *set, char *why, size_t why_size);
