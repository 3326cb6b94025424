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

#include "broker/core/features.h"
#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"

enum offer {
        OFFER_NEVER = 0,
        OFFER_ALWAYS,
        OFFER_WITH_CONFIG, /* only for devices that have a config space which is not the VMM's */
        OFFER_WITH_SHMEM,  /* only for devices that have shared memory regions */
        OFFER_AT_REST,     /* only in VMs that have none */
};

struct protocol_bit {
        const char *name;
        enum offer offer;
        const char *reason;
};

uint64_t guest_features_offered(const struct device *device)
{
        uint64_t own = device_may_translate(device) ? FEATURE_BIT(VIRTIO_F_ACCESS_PLATFORM_BIT) : 0;

        return features_for_guest(device_features(device), own);
}

uint64_t transport_features_offered(const struct device *device)
{
        return features_for_vmm(guest_features_offered(device));
}

/* Every bit that is defined today; the index is the bit. */
static const struct protocol_bit protocol_bits[] = {
    [0] = {"MQ", OFFER_ALWAYS, "without it a front end assumes one queue"},
    [1] = {"LOG_SHMFD", OFFER_NEVER, "no dirty log yet: QEMU then blocks migration itself"},
    [2] = {"RARP", OFFER_NEVER, "network devices only"},
    [3] = {"REPLY_ACK", OFFER_ALWAYS, "memory changes are acknowledged when every lane has seen them"},
    [4] = {"MTU", OFFER_NEVER, "network devices only"},
    [5] = {"BACKEND_REQ", OFFER_ALWAYS, "carries CONFIG_CHANGE_MSG and misses of translations"},
    [6] = {"CROSS_ENDIAN", OFFER_NEVER, "VERSION_1 is required: rings are little endian"},
    [7] = {"CRYPTO_SESSION", OFFER_NEVER, "crypto devices only"},
    [8] = {"PAGEFAULT", OFFER_NEVER, "no post-copy: it would hand out fault handling of guest memory"},
    [9] = {"CONFIG", OFFER_WITH_CONFIG,
           "QEMU demands it of blk, warns about it for rng, and 7.1 to 8.0 end for fs"},
    [10] = {"BACKEND_SEND_FD", OFFER_NEVER, "of host notifiers; SHMEM_MAP has its descriptor by bit 22"},
    [11] = {"HOST_NOTIFIER", OFFER_NEVER, "a mapped doorbell by-passes the broker"},
    [12] = {"INFLIGHT_SHMFD", OFFER_NEVER, "a request table that the peer can write is hostile input"},
    [13] = {"RESET_DEVICE", OFFER_ALWAYS, "a guest reset must end what is outstanding"},
    [14] = {"INBAND_NOTIFICATIONS", OFFER_NEVER, "QEMU acknowledges it and never implemented it"},
    [15] =
        {"CONFIGURE_MEM_SLOTS", OFFER_AT_REST,
         "more than 8 regions, and changes without a new table; but QEMU 11.1 ends when a mapping has gone "
         "while a device stood still, which it would have to take back"},
    [16] = {"STATUS", OFFER_NEVER, "QEMU 7.2 sends status 0 before it stops the rings: stop is not reset"},
    [17] = {"XEN_MMAP", OFFER_NEVER, "QEMU acknowledges it and never implemented it"},
    [18] = {"SHARED_OBJECT", OFFER_NEVER, "no device shares dma-bufs"},
    [19] = {"DEVICE_STATE", OFFER_NEVER, "no migration yet"},
    [20] = {"GET_VRING_BASE_INFLIGHT", OFFER_NEVER, "its number meant SHMEM to older peers; needs bit 12"},
    [21] = {"GPA_ADDRESSES", OFFER_NEVER, "its number meant SHMEM to older peers"},
    [22] = {"SHMEM", OFFER_WITH_SHMEM,
            "shows the guest mappings; older peers knew it by 20 or 21 and see none"},
};

static bool has_config(const struct device *device)
{
        return device_config_size(device) > 0 && !device_config_is_vmms(device);
}

static bool is_offered(const struct device *device, enum offer offer, bool moving)
{
        switch (offer) {
        case OFFER_NEVER:
                return false;
        case OFFER_ALWAYS:
                return true;
        case OFFER_WITH_CONFIG:
                return has_config(device);
        case OFFER_WITH_SHMEM:
                return shmem_n_regions(device_shmem(device)) > 0;
        case OFFER_AT_REST:
                return !moving;
        }
        return false;
}

uint64_t protocol_features_offered(const struct device *device, bool moving)
{
        uint64_t offered = 0;

        for (unsigned bit = 0; bit < array_size(protocol_bits); bit++)
                if (is_offered(device, protocol_bits[bit].offer, moving))
                        offered |= UINT64_C(1) << bit;
        return offered;
}

bool protocol_features_may_map(uint64_t agreed)
{
        uint64_t needed = UINT64_C(1) << VHOST_USER_PROTOCOL_F_SHMEM |
                          UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ |
                          UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK;

        return (agreed & needed) == needed;
}

bool protocol_features_may_translate(uint64_t agreed)
{
        uint64_t needed =
            UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ | UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK;

        return (agreed & needed) == needed;
}
