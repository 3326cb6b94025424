/* A device whose memory is translated: what is asked of whoever keeps the translations, and what lanes are shown of the answers.
 * Contracts of what front ends call are in device.h.
 *
 * How it works: the table (iotlb.h) is worked into one snapshot of memory for all lanes. An invalidation does that before it
 * returns. Updates come in numbers, so they are worked in together, when the loop comes round (device_iotlb_step). After each
 * snapshot, and when a lane reports a miss, the lanes are asked what they want (lane_miss.h): what is not asked for yet is, as
 * far as LIMIT_IOTLB_MISSES go. So a question that has become pointless is forgotten by being answered, and one for which there
 * was no room is found again.
 *
 * Who owns what, and for how long: the table is the device's, and ends with its front end (device_attach), when it translates no
 * more (device_translate), and at a reset, but for that only where front.iotlb_persists. A question stays open until it is
 * answered, over a reset, too: so a guest that resets again and again has no more of them than any other.
 * A device behind an IOMMU of the VM's own (device_iommu.h) asks nobody: its table is all there is, nothing is put out of it to make
 * room, and what is missing is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/core/device.h"
#include "broker/core/iotlb.h"
#include "broker/core/miss_list.h"

struct admin_translations;

struct device_iotlb {
        bool on;
        bool changed; /* the lanes have not been shown the table as it is now */
        struct iotlb table;
        struct guest_memory *memory; /* the front end's, not translated; a reference; NULL: none */
        unsigned n_open;
        struct device_question {
                uint64_t iova;
                unsigned rights;
        } open[LIMIT_IOTLB_MISSES]; /* one a page */
        bool hurried;               /* the lanes have been told so */
        bool starved;               /* the table is full of what is needed */
        atomic_bool missing;        /* written by lanes: there is something to collect */
        /* In all the device's life; n_updates and n_invalidations of the tables before this one. */
        uint64_t n_asked, n_refused, n_updates, n_invalidations;
};

/* Takes a reference, shows it to the lanes, translated or not. */
void device_iotlb_set_memory(struct device *device, struct guest_memory *memory);

/* What has come is shown to the lanes, and what they miss is asked for. */
void device_iotlb_step(struct device *device);

/* Queues of the device are to stop, or have: nothing is waited for, or asked, meanwhile. */
void device_iotlb_hurry(struct device *device, bool hurried);

void device_iotlb_reset(struct device *device); /* of the device */
void device_iotlb_end(struct device *device);   /* it translates no more; the next front end begins anew */
void device_iotlb_done(struct device *device);  /* its lanes are gone */
void device_iotlb_status(const struct device *device, struct admin_translations *ret_status);
