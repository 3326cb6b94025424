/* What a network device says of itself.
 * Owns nothing; called by net.c. TRUST: the operator's options, judged before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/net/net_config.h"

#include "proto/base/checked.h"
#include "proto/device_type.h"
#include "workers/runtime/request.h"

#define NET_MAX_SEGMENTS                                                                                     \
        256u /* of any request: a frame of the longest kind in pages is 17, or 35 with halves of them */
#define NET_CREDIT_BYTES                                                                                     \
        (1u << 20) /* fifteen of the longest frames, or all that a lane holds of usual ones */
#define NET_LINK_UP 1u

/* What a tap does for the driver, and the driver for a tap. */
#define NET_OFFLOADS                                                                                         \
        (NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN | NET_F_GUEST_CSUM |                \
         NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN)

/* What a driver may say through a control queue. */
#define NET_CONTROLS                                                                                         \
        (NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_VLAN | NET_F_CTRL_RX_EXTRA | NET_F_CTRL_MAC_ADDR)

/* GUEST_ANNOUNCE and MQ need a control queue (5.1.3.1): without one of ours they are for the VMM that has it. */
static uint64_t net_features(const struct net_shape *shape)
{
        uint64_t features = NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_MTU | NET_F_GUEST_ANNOUNCE;

        if (shape->offloads)
                features |= NET_OFFLOADS;
        if (shape->has_control)
                features |= NET_CONTROLS;
        if (shape->has_mac)
                features |= NET_F_MAC;
        if (shape->n_pairs > 1)
                features |= NET_F_MQ;
        return features;
}

static void net_fields(const struct net_shape *shape, struct control_field *fields)
{
        for (uint8_t i = 0; i < NET_MAC; i++)
                fields[NET_FIELD_MAC + i] =
                    (struct control_field){.offset = i, .width = 1, .value = shape->mac[i]};
        fields[NET_FIELD_STATUS] = (struct control_field){.offset = 6, .width = 2, .value = NET_LINK_UP};
        fields[NET_FIELD_MAX_PAIRS] =
            (struct control_field){.offset = 8, .width = 2, .value = shape->n_pairs};
        fields[NET_FIELD_MTU] = (struct control_field){.offset = 10, .width = 2, .value = shape->mtu};
}

void net_config_hello(const struct net_shape *shape, struct control_hello *ret_hello)
{
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_NET].virtio_id,
            .features = net_features(shape),
            .n_queues = 2 * shape->n_pairs + shape->has_control,
            .max_segments = NET_MAX_SEGMENTS,
            .credit_requests = LIMIT_CREDITS,
            .credit_bytes = NET_CREDIT_BYTES,
            .max_inline = NET_BUFFER,
            .n_fields = NET_FIELD_COUNT_,
        };
        for (uint32_t i = 0; i < 2 * shape->n_pairs; i++) {
                ret_hello->queue_kind[i] = i % 2 == 0 ? QUEUE_SUPPLY : QUEUE_WORK;
                ret_hello->queue_replay[i] = REPLAY_AT_MOST_ONCE;
        }
        if (shape->has_control) { /* its commands say how things are to be: saying so twice changes nothing */
                ret_hello->queue_kind[2 * shape->n_pairs] = QUEUE_WORK;
                ret_hello->queue_replay[2 * shape->n_pairs] = REPLAY_IDEMPOTENT;
        }
        net_fields(shape, ret_hello->fields);
}
