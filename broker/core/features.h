/* Feature bits: one table of who may offer each bit and who may see it, and the three sets that follow from it. Each transport and
 * each device passes through here (docs/FEATURES.md is this table). virtio 1.3, 2.2 and 6.
 *
 * The sets, which are never the same one:
 *   offered to the guest     the device type's bits of its worker's Hello, the broker's own, the transport's
 *   agreed with the VMM      over vhost-user: those, and the bits that only a VMM and a back-end have
 *   told to the worker       the device type's bits alone
 * A bit that one set shares with another may mean another thing there: ACCESS_PLATFORM tells a guest to use its DMA
 * API, and a vhost-user back-end to expect translations.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEATURE_BIT(n) (UINT64_C(1) << (n))

#define VIRTIO_F_LOG_ALL_BIT           26
#define VIRTIO_F_ANY_LAYOUT_BIT        27
#define VIRTIO_F_INDIRECT_DESC_BIT     28
#define VIRTIO_F_EVENT_IDX_BIT         29
#define VIRTIO_F_PROTOCOL_FEATURES_BIT 30
#define VIRTIO_F_VERSION_1_BIT         32
#define VIRTIO_F_ACCESS_PLATFORM_BIT   33
#define VIRTIO_F_RING_PACKED_BIT       34

/* What the broker's own walk of a ring serves: a device whose worker walks its rings has none of it. */
#define FEATURES_OF_WALKERS                                                                                  \
        (FEATURE_BIT(VIRTIO_F_INDIRECT_DESC_BIT) | FEATURE_BIT(VIRTIO_F_EVENT_IDX_BIT) |                     \
         FEATURE_BIT(VIRTIO_F_RING_PACKED_BIT))

/* Who may offer a bit, and so who sees it. */
enum feature_owner {
        FEATURE_OF_DEVICE = 0, /* its type, by a worker's Hello; guest, VMM and worker see it */
        FEATURE_OF_BROKER,     /* the broker, for every device; never a worker */
        FEATURE_OF_TRANSPORT,  /* a front end whose configuration says so; never a worker */
        FEATURE_OF_VMM,        /* vhost-user alone; never a guest nor a worker */
        FEATURE_OF_NOBODY,     /* not served, so never offered and never on */
        FEATURE_OWNER_COUNT_,
};

/* Which register interface the driver has; the configuration says so, no bit does. */
enum guest_format {
        GUEST_MODERN = 0,    /* everything is little endian; VERSION_1 is required */
        GUEST_LEGACY_LITTLE, /* rings and configuration space in the guest's order; there is no VERSION_1 */
        GUEST_LEGACY_BIG,
};

enum feature_formats {
        FEATURE_EVERYWHERE = 0,
        FEATURE_MODERN_ONLY,
        FEATURE_LEGACY_ONLY,
};

struct feature_row {
        uint32_t virtio_id; /* of the device type; 0: of every device */
        uint8_t bit;
        enum feature_owner owner;
        enum feature_formats formats;
        const char *name;
        const char *turns_on; /* of nobody's: why it is not served */
        uint64_t needs;       /* one of these must be there, too; 0: nothing */
        const char *clause;   /* of virtio 1.3, or the protocol that has it */
};

/* The table, row by row; NULL behind the last. */
const struct feature_row *features_row(size_t i);
const char *feature_owner_name(enum feature_owner owner);

/* Every bit that a worker of this type may offer: its Hello may have no other. */
uint64_t features_of_type(uint32_t virtio_id);

/* What the device offers: of a Hello's bits those of its type, and the broker's own. No bit of a transport. */
uint64_t features_offered(uint32_t virtio_id, uint64_t device_bits, enum guest_format format);

/* What a transport offers to the guest: that, and of `bits` those that are a transport's to offer. */
uint64_t features_for_guest(uint64_t offered, uint64_t bits);

/* What is offered over vhost-user: all that the guest may be offered, and the VMM's own bits. */
uint64_t features_for_vmm(uint64_t for_guest);

/* Of what a guest or a VMM has chosen: what is the device's to commit; and what is a transport's or a VMM's, which is for the front end alone. */
uint64_t features_for_device(uint64_t chosen);
uint64_t features_for_transport(uint64_t chosen);

/* What is left without the bits whose needs are not among them: nothing of the kind may be offered, or chosen (virtio 1.3, 2.2.1 and
 * 2.2.2), where the broker is the whole device. Over vhost-user the VMM may serve what a bit needs. */
uint64_t features_whole(uint32_t virtio_id, uint64_t features);

/* What is on after the driver's choice: nothing that was not offered. -EPROTO: VERSION_1 is missing, and the driver's interface is
 * modern: over vhost-user always, since nothing there can say which format is in use (docs/VHOST_USER.md). */
int features_commit(enum guest_format format, uint64_t offered, uint64_t wanted, uint64_t *ret_committed);

/* What a worker is told: the device's own bits. */
uint64_t features_for_worker(uint64_t committed);
