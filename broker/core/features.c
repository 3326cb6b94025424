/* Feature bits: the table, and the sets that follow from it.
 * Owns nothing; called by device.c and the front ends. TRUST: `device_bits` are a worker's, what is wanted or chosen is a guest's
 * or a VMM's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/features.h"

#include <errno.h>

#include "proto/base/checked.h"

/* Device types own bits 0 to 23 and 50 upward (virtio 1.3, 2.2); the bits between are for rings and transports. */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))

#define NET     1u
#define BLK     2u
#define CONSOLE 3u
#define VSOCK   19u
#define IOMMU   23u
#define PMEM    27u

#define NET_CSUM       FEATURE_BIT(0)
#define NET_GUEST_CSUM FEATURE_BIT(1)
#define NET_GUEST_TSO  (FEATURE_BIT(7) | FEATURE_BIT(8))
#define NET_HOST_TSO   (FEATURE_BIT(11) | FEATURE_BIT(12))
#define NET_CTRL_VQ    FEATURE_BIT(17)

static bool row_has_format(const struct feature_row *row, enum guest_format format)
{
        switch (row->formats) {
        case FEATURE_EVERYWHERE:
                return true;
        case FEATURE_MODERN_ONLY:
                return format == GUEST_MODERN;
        case FEATURE_LEGACY_ONLY:
                return format != GUEST_MODERN;
        }
        return false;
}

/* Every bit of one owner. */
static uint64_t bits_of(enum feature_owner owner)
{
        const struct feature_row *row;
        uint64_t bits = 0;

        for (size_t i = 0; (row = features_row(i)); i++)
                if (row->owner == owner)
                        bits |= FEATURE_BIT(row->bit);
        return bits;
}

uint64_t features_of_type(uint32_t virtio_id)
{
        const struct feature_row *row;
        uint64_t bits = 0;

        for (size_t i = 0; (row = features_row(i)); i++)
                if (row->owner == FEATURE_OF_DEVICE && row->virtio_id == virtio_id)
                        bits |= FEATURE_BIT(row->bit);
        return bits;
}

uint64_t features_offered(uint32_t virtio_id, uint64_t device_bits, enum guest_format format)
{
        const struct feature_row *row;
        uint64_t offered = 0;

        for (size_t i = 0; (row = features_row(i)); i++) {
                if (!row_has_format(row, format))
                        continue;
                if (row->owner == FEATURE_OF_BROKER)
                        offered |= FEATURE_BIT(row->bit);
                else if (row->owner == FEATURE_OF_DEVICE && row->virtio_id == virtio_id)
                        offered |= device_bits & FEATURE_BIT(row->bit);
        }
        return offered;
}

uint64_t features_for_guest(uint64_t offered, uint64_t bits)
{
        return offered | (bits & bits_of(FEATURE_OF_TRANSPORT));
}

uint64_t features_for_vmm(uint64_t for_guest)
{
        return for_guest | bits_of(FEATURE_OF_VMM);
}

uint64_t features_for_device(uint64_t chosen)
{
        return chosen & (FEATURES_OF_DEVICES | bits_of(FEATURE_OF_BROKER));
}

uint64_t features_for_transport(uint64_t chosen)
{
        return chosen & (bits_of(FEATURE_OF_TRANSPORT) | bits_of(FEATURE_OF_VMM));
}

/* Without it another may lack what it needs in turn: so until nothing goes any more, once for each bit at most. */
uint64_t features_whole(uint32_t virtio_id, uint64_t features)
{
        const struct feature_row *row;
        uint64_t before;

        do {
                before = features;
                for (size_t i = 0; (row = features_row(i)); i++)
                        if (row->virtio_id == virtio_id && row->needs && !(features & row->needs))
                                features &= ~FEATURE_BIT(row->bit);
        } while (features != before);
        return features;
}

int features_commit(enum guest_format format, uint64_t offered, uint64_t wanted, uint64_t *ret_committed)
{
        uint64_t committed = offered & wanted;

        if (format == GUEST_MODERN && !(committed & FEATURE_BIT(VIRTIO_F_VERSION_1_BIT)))
                return -EPROTO;
        *ret_committed = committed;
        return 0;
}

uint64_t features_for_worker(uint64_t committed)
{
        return committed & FEATURES_OF_DEVICES;
}

const char *feature_owner_name(enum feature_owner owner)
{
        static const char *const names[FEATURE_OWNER_COUNT_] = {[FEATURE_OF_DEVICE] = "worker",
                                                                [FEATURE_OF_BROKER] = "broker",
                                                                [FEATURE_OF_TRANSPORT] = "transport",
                                                                [FEATURE_OF_VMM] = "vhost-user",
                                                                [FEATURE_OF_NOBODY] = "nobody"};

        return names[owner];
}

/* ---- the table ---- */

#define DEVICE_MODERN(id, bit, name, turns_on, clause)                                                       \
        {                                                                                                    \
                id, bit, FEATURE_OF_DEVICE, FEATURE_MODERN_ONLY, name, turns_on, 0, clause                   \
        }
#define DEVICE(id, bit, name, turns_on, needs, clause)                                                       \
        {                                                                                                    \
                id, bit, FEATURE_OF_DEVICE, FEATURE_EVERYWHERE, name, turns_on, needs, clause                \
        }
#define EVERY(bit, owner, formats, name, turns_on, clause)                                                   \
        {                                                                                                    \
                0, bit, FEATURE_OF_##owner, FEATURE_##formats, name, turns_on, 0, clause                     \
        }

/* What is not listed is never offered, never on. */
static const struct feature_row feature_rows[] = {
    DEVICE(NET, 0, "NET_F_CSUM", "frames of the guest may want a checksum", 0, "5.1.3"),
    DEVICE(NET, 1, "NET_F_GUEST_CSUM", "frames for the guest may want a checksum", 0, "5.1.3"),
    DEVICE(NET, 3, "NET_F_MTU", "config: mtu", 0, "5.1.4"),
    DEVICE(NET, 5, "NET_F_MAC", "config: mac", 0, "5.1.4"),
    DEVICE(NET, 7, "NET_F_GUEST_TSO4", "long TCP frames for the guest", NET_GUEST_CSUM, "5.1.3.1"),
    DEVICE(NET, 8, "NET_F_GUEST_TSO6", "long TCP frames for the guest", NET_GUEST_CSUM, "5.1.3.1"),
    DEVICE(NET, 9, "NET_F_GUEST_ECN", "long frames with ECN for the guest", NET_GUEST_TSO, "5.1.3.1"),
    DEVICE(NET, 11, "NET_F_HOST_TSO4", "long TCP frames of the guest", NET_CSUM, "5.1.3.1"),
    DEVICE(NET, 12, "NET_F_HOST_TSO6", "long TCP frames of the guest", NET_CSUM, "5.1.3.1"),
    DEVICE(NET, 13, "NET_F_HOST_ECN", "long frames with ECN of the guest", NET_HOST_TSO, "5.1.3.1"),
    DEVICE(NET, 15, "NET_F_MRG_RXBUF", "a frame may fill several buffers", 0, "5.1.6.3"),
    DEVICE(NET, 16, "NET_F_STATUS", "config: status", 0, "5.1.4"),
    DEVICE(NET, 17, "NET_F_CTRL_VQ", "the control queue", 0, "5.1.6.5"),
    DEVICE(NET, 18, "NET_F_CTRL_RX", "commands for promiscuous mode and MAC lists", NET_CTRL_VQ, "5.1.6.5.1"),
    DEVICE(NET, 19, "NET_F_CTRL_VLAN", "commands for VLANs, which are filtered", NET_CTRL_VQ, "5.1.6.5.3"),
    DEVICE(NET, 20, "NET_F_CTRL_RX_EXTRA", "four further receive modes", NET_CTRL_VQ, "5.1.6.5.1"),
    DEVICE(NET, 21, "NET_F_GUEST_ANNOUNCE", "the guest is asked to announce itself", NET_CTRL_VQ,
           "5.1.6.5.4"),
    DEVICE(NET, 22, "NET_F_MQ", "more than one pair of queues; config: max_virtqueue_pairs", NET_CTRL_VQ,
           "5.1.6.5.5"),
    DEVICE(NET, 23, "NET_F_CTRL_MAC_ADDR", "the command for the MAC", NET_CTRL_VQ, "5.1.6.5.2"),
    DEVICE(BLK, 1, "BLK_F_SIZE_MAX", "config: size_max", 0, "5.2.3"),
    DEVICE(BLK, 2, "BLK_F_SEG_MAX", "config: seg_max", 0, "5.2.3"),
    DEVICE(BLK, 5, "BLK_F_RO", "no writes", 0, "5.2.3"),
    DEVICE(BLK, 6, "BLK_F_BLK_SIZE", "config: blk_size", 0, "5.2.3"),
    DEVICE(BLK, 9, "BLK_F_FLUSH", "flush; without it each write is flushed", 0, "5.2.6.2"),
    DEVICE(BLK, 10, "BLK_F_TOPOLOGY", "config: topology", 0, "5.2.3"),
    DEVICE(BLK, 11, "BLK_F_CONFIG_WCE", "config: writeback, which may be written", 0, "5.2.5"),
    DEVICE(BLK, 12, "BLK_F_MQ", "more than one queue; config: num_queues", 0, "5.2.3"),
    DEVICE(BLK, 13, "BLK_F_DISCARD", "discard; config: its limits", 0, "5.2.6"),
    DEVICE(BLK, 14, "BLK_F_WRITE_ZEROES", "write zeroes; config: its limits", 0, "5.2.6"),
    DEVICE(CONSOLE, 0, "CONSOLE_F_SIZE", "config: cols and rows", 0, "5.3.3"),
    DEVICE_MODERN(CONSOLE, 1, "CONSOLE_F_MULTIPORT", "ports and their control queues; config: max_nr_ports",
                  "5.3.3"),
    DEVICE(VSOCK, 0, "VSOCK_F_STREAM", "stream sockets", 0, "5.10.3"),
    DEVICE(VSOCK, 1, "VSOCK_F_SEQPACKET", "sockets with messages", 0, "5.10.3"),
    DEVICE(IOMMU, 2, "IOMMU_F_MAP_UNMAP", "requests to map and to unmap", 0, "5.13.3"),
    DEVICE(IOMMU, 4, "IOMMU_F_PROBE", "the request to probe; config: probe_size", 0, "5.13.3"),
    DEVICE(PMEM, 0, "PMEM_F_SHMEM_REGION", "the file lies in shared memory region 0", 0, "5.19.3"),
    EVERY(24, NOBODY, EVERYWHERE, "NOTIFY_ON_EMPTY", "EVENT_IDX says it better", "6.3"),
    EVERY(VIRTIO_F_LOG_ALL_BIT, NOBODY, EVERYWHERE, "LOG_ALL",
          "vhost-user: no dirty log; a VMM then blocks migration itself", "vhost-user"),
    EVERY(VIRTIO_F_ANY_LAYOUT_BIT, BROKER, LEGACY_ONLY, "ANY_LAYOUT",
          "descriptors as long as the driver likes, as always", "6.3"),
    EVERY(VIRTIO_F_INDIRECT_DESC_BIT, BROKER, EVERYWHERE, "INDIRECT_DESC", "indirect tables in the walker",
          "2.7.5.3"),
    EVERY(VIRTIO_F_EVENT_IDX_BIT, BROKER, EVERYWHERE, "EVENT_IDX", "kick and signal thresholds in the walker",
          "2.7.7"),
    EVERY(VIRTIO_F_PROTOCOL_FEATURES_BIT, VMM, EVERYWHERE, "PROTOCOL_FEATURES",
          "vhost-user: protocol features, and rings that are enabled one by one", "vhost-user"),
    EVERY(VIRTIO_F_VERSION_1_BIT, BROKER, MODERN_ONLY, "VERSION_1",
          "little-endian rings and config; required", "6.1"),
    EVERY(VIRTIO_F_ACCESS_PLATFORM_BIT, TRANSPORT, MODERN_ONLY, "ACCESS_PLATFORM",
          "guest: it uses its DMA API; vhost-user: translations come by IOTLB messages", "6.1"),
    EVERY(VIRTIO_F_RING_PACKED_BIT, BROKER, MODERN_ONLY, "RING_PACKED",
          "the packed layout, for all queues of the device", "2.8"),
    EVERY(35, NOBODY, EVERYWHERE, "IN_ORDER", "workers complete in the order in which their hosts answer",
          "6"),
    EVERY(36, NOBODY, EVERYWHERE, "ORDER_PLATFORM", "memory is ordinary memory of the host's processors",
          "6"),
    EVERY(37, NOBODY, EVERYWHERE, "SR_IOV", "no device has virtual functions", "6"),
    EVERY(38, NOBODY, EVERYWHERE, "NOTIFICATION_DATA", "a kick is an event without data", "6"),
    EVERY(39, NOBODY, EVERYWHERE, "NOTIF_CONFIG_DATA", "a kick is an event without data", "6"),
    EVERY(40, NOBODY, EVERYWHERE, "RING_RESET",
          "a VMM may pass it to a guest and tell no back-end of the reset", "2.6.1"),
    EVERY(41, NOBODY, EVERYWHERE, "ADMIN_VQ", "no device has an administration queue", "6"),
};

const struct feature_row *features_row(size_t i)
{
        return i < array_size(feature_rows) ? &feature_rows[i] : NULL;
}
