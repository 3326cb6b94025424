/* Which protocol features are offered, and why.
 * Owns nothing; called by the negotiation handlers. TRUST: sees no foreign bytes; a front end's answer is
 * masked with what these functions return.
 *
 * A front end agrees to whatever is offered, even to bits that it does not know (QEMU acknowledges `offered &
 * mask` with a mask that holds bits it never implemented). So a bit is offered only when it is served in
 * full.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/features.h"

#include <stddef.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"

enum offer {
        OFFER_NEVER = 0,
        OFFER_ALWAYS,
        OFFER_WITH_CONFIG, /* only for devices that have a config space */
};

struct protocol_bit {
        const char *name;
        enum offer offer;
        const char *reason;
};

uint64_t transport_features_offered(const struct device *device)
{
        return device_features(device) | VHOST_USER_F_PROTOCOL_FEATURES;
}

/* Every bit that is defined today; the index is the bit. */
static const struct protocol_bit protocol_bits[] = {
    [0] = {"MQ", OFFER_ALWAYS, "without it a front end assumes one queue"},
    [1] = {"LOG_SHMFD", OFFER_NEVER, "no dirty log yet: QEMU then blocks migration itself"},
    [2] = {"RARP", OFFER_NEVER, "network devices only"},
    [3] = {"REPLY_ACK", OFFER_ALWAYS, "memory changes are acknowledged when every lane has seen them"},
    [4] = {"MTU", OFFER_NEVER, "network devices only"},
    [5] = {"BACKEND_REQ", OFFER_ALWAYS, "carries CONFIG_CHANGE_MSG"},
    [6] = {"CROSS_ENDIAN", OFFER_NEVER, "VERSION_1 is required: rings are little endian"},
    [7] = {"CRYPTO_SESSION", OFFER_NEVER, "crypto devices only"},
    [8] = {"PAGEFAULT", OFFER_NEVER, "no post-copy: it would hand out fault handling of guest memory"},
    [9] = {"CONFIG", OFFER_WITH_CONFIG, "QEMU demands it of blk and warns about it for rng"},
    [10] = {"BACKEND_SEND_FD", OFFER_NEVER, "no request of ours carries a descriptor"},
    [11] = {"HOST_NOTIFIER", OFFER_NEVER, "a mapped doorbell by-passes the broker"},
    [12] = {"INFLIGHT_SHMFD", OFFER_NEVER, "a request table that the peer can write is hostile input"},
    [13] = {"RESET_DEVICE", OFFER_ALWAYS, "a guest reset must end what is outstanding"},
    [14] = {"INBAND_NOTIFICATIONS", OFFER_NEVER, "QEMU acknowledges it and never implemented it"},
    [15] = {"CONFIGURE_MEM_SLOTS", OFFER_ALWAYS, "more than 8 regions, and changes without a new table"},
    [16] = {"STATUS", OFFER_NEVER, "QEMU 7.2 sends status 0 before it stops the rings: stop is not reset"},
    [17] = {"XEN_MMAP", OFFER_NEVER, "QEMU acknowledges it and never implemented it"},
    [18] = {"SHARED_OBJECT", OFFER_NEVER, "no device shares dma-bufs"},
    [19] = {"DEVICE_STATE", OFFER_NEVER, "no migration yet"},
    [20] = {"GET_VRING_BASE_INFLIGHT", OFFER_NEVER, "its number meant SHMEM to older peers; needs bit 12"},
    [21] = {"GPA_ADDRESSES", OFFER_NEVER, "its number meant SHMEM to older peers"},
    [22] = {"SHMEM", OFFER_NEVER, "no device has a shared memory region yet"},
};

uint64_t protocol_features_offered(const struct device *device)
{
        uint64_t offered = 0;

        for (unsigned bit = 0; bit < array_size(protocol_bits); bit++) {
                enum offer offer = protocol_bits[bit].offer;

                if (offer == OFFER_ALWAYS || (offer == OFFER_WITH_CONFIG && device_config_size(device) > 0))
                        offered |= UINT64_C(1) << bit;
        }
        return offered;
}
