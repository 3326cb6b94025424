/* What a guest with an IOMMU has told it: where its I/O virtual addresses are. Rings lie in one piece, IOVA_RINGS on; the pages of
 * buffers lie anywhere in guest memory, so that no two that are side by side for the device are so for the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/iotlb.h"
#include "tests/core/model_guest.h"

#define IOVA_RINGS   UINT64_C(0xfff0000000000) /* of MODEL_LOW */
#define IOVA_BUFFERS UINT64_C(0x7000000000)
#define IOVA_PAGES   ((unsigned)((MODEL_END - MODEL_BUFFERS) / LIMIT_IOTLB_PAGE))
#define IOVA_END     (IOVA_BUFFERS + (uint64_t)IOVA_PAGES * LIMIT_IOTLB_PAGE)

struct iova_space {
        const struct model_guest *guest;
        uint16_t page[IOVA_PAGES]; /* of guest memory, from MODEL_BUFFERS on */
        bool scattered;            /* rings do not lie in one piece */
};

void iova_space_init(struct iova_space *space, const struct model_guest *guest, uint64_t seed);

/* Before a queue starts: the pages of each ring lie the last one first, which its driver does not see, and each part is in two. */
void iova_scatter(struct iova_space *space, struct model_guest *guest);

struct queue_layout iova_layout(const struct iova_space *space, unsigned queue);

/* Where the guest's memory has the byte. */
uint64_t iova_gpa(const struct iova_space *space, uint64_t iova);
uint8_t *iova_at(const struct iova_space *space, uint64_t iova);

/* What is right to say of a page. */
struct iotlb_entry iova_entry(const struct iova_space *space, uint64_t iova, unsigned rights);

void iova_put(const struct iova_space *space, uint64_t iova, const void *bytes, uint64_t len);
bool iova_holds(const struct iova_space *space, uint64_t iova, const void *bytes, uint64_t len);
void iova_fill(const struct iova_space *space, uint64_t iova, uint64_t len, uint8_t byte);
bool iova_is(const struct iova_space *space, uint64_t iova, uint64_t len, uint8_t byte);
