/* A guest's I/O virtual addresses. Owns nothing. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/iova_space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "proto/base/checked.h"

#define PAGE LIMIT_IOTLB_PAGE

void iova_space_init(struct iova_space *space, const struct model_guest *guest, uint64_t seed)
{
        space->guest = guest;
        space->scattered = false;
        for (unsigned i = 0; i < IOVA_PAGES; i++)
                space->page[i] = (uint16_t)i;
        for (unsigned i = IOVA_PAGES - 1; i > 0; i--) {
                unsigned other = random_below(&seed, i + 1);
                uint16_t page = space->page[i];

                space->page[i] = space->page[other];
                space->page[other] = page;
        }
}

#define RING_BYTES   0x10000u /* of one queue */
#define PART_ASTRIDE 0xfc0u

/* The driver's bytes are put together as a kernel's are, by a mapping. */
void iova_scatter(struct iova_space *space, struct model_guest *guest)
{
        space->scattered = true;
        for (uint64_t at = MODEL_LOW; at < MODEL_BUFFERS; at += PAGE)
                assert_true(
                    mmap(model_at(guest, at), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, guest->fd,
                         (off_t)(iova_gpa(space, at - MODEL_LOW + IOVA_RINGS) - MODEL_LOW)) != MAP_FAILED);
        for (unsigned i = 0; i < MODEL_QUEUES; i++) {
                guest->queues[i].layout.desc.v += PART_ASTRIDE;
                guest->queues[i].layout.avail.v += PART_ASTRIDE;
                guest->queues[i].layout.used.v += PART_ASTRIDE;
        }
}

struct queue_layout iova_layout(const struct iova_space *space, unsigned queue)
{
        struct queue_layout layout = space->guest->queues[queue].layout;

        layout.desc.v += IOVA_RINGS - MODEL_LOW;
        layout.avail.v += IOVA_RINGS - MODEL_LOW;
        layout.used.v += IOVA_RINGS - MODEL_LOW;
        return layout;
}

uint64_t iova_gpa(const struct iova_space *space, uint64_t iova)
{
        if (iova >= IOVA_RINGS && space->scattered)
                return (iova - IOVA_RINGS + MODEL_LOW) ^ (RING_BYTES - PAGE);
        if (iova >= IOVA_RINGS)
                return iova - IOVA_RINGS + MODEL_LOW;
        assert_true(iova >= IOVA_BUFFERS && iova < IOVA_END);
        return MODEL_BUFFERS + (uint64_t)space->page[(iova - IOVA_BUFFERS) / PAGE] * PAGE + iova % PAGE;
}

uint8_t *iova_at(const struct iova_space *space, uint64_t iova)
{
        if (iova >= IOVA_RINGS)
                return model_at(space->guest, iova - IOVA_RINGS + MODEL_LOW);
        return model_at(space->guest, iova_gpa(space, iova));
}

struct iotlb_entry iova_entry(const struct iova_space *space, uint64_t iova, unsigned rights)
{
        uint64_t page = iova & ~(uint64_t)(PAGE - 1);

        return (struct iotlb_entry){
            .iova = page, .len = PAGE, .gpa = iova_gpa(space, page), .rights = rights};
}

void iova_put(const struct iova_space *space, uint64_t iova, const void *bytes, uint64_t len)
{
        for (uint64_t done = 0, piece; done < len; done += piece) {
                piece = MIN(len - done, PAGE - (iova + done) % PAGE);
                memcpy(iova_at(space, iova + done), (const uint8_t *)bytes + done, piece);
        }
}

bool iova_holds(const struct iova_space *space, uint64_t iova, const void *bytes, uint64_t len)
{
        for (uint64_t done = 0, piece; done < len; done += piece) {
                piece = MIN(len - done, PAGE - (iova + done) % PAGE);
                if (memcmp(iova_at(space, iova + done), (const uint8_t *)bytes + done, piece) != 0)
                        return false;
        }
        return true;
}

void iova_fill(const struct iova_space *space, uint64_t iova, uint64_t len, uint8_t byte)
{
        for (uint64_t done = 0, piece; done < len; done += piece) {
                piece = MIN(len - done, PAGE - (iova + done) % PAGE);
                memset(iova_at(space, iova + done), byte, piece);
        }
}

bool iova_is(const struct iova_space *space, uint64_t iova, uint64_t len, uint8_t byte)
{
        for (uint64_t i = 0; i < len; i++)
                if (*iova_at(space, iova + i) != byte)
                        return false;
        return true;
}
