/* Guest memory of a front end that has no guest: a memfd, mapped here, shared with the back-end.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct guest_ram {
        int fd;
        uint8_t *base;
        uint64_t size;
        uint64_t guest_address; /* of its first byte, as a guest would say */
        uint64_t iova;          /* ... as its driver says behind an IOMMU; without one: guest_address */
        uint64_t
            user_address; /* as the front end says to the back-end; not our pointer, so that a mix-up shows */
        uint64_t next;    /* bytes handed out */
};

/* 0 or negative errno. */
int guest_ram_init(struct guest_ram *ram, uint64_t size, uint64_t guest_address);
void guest_ram_done(struct guest_ram *ram);

/* The offset of `len` zeroed bytes; aborts when there are none left: a test's mistake. align is a power of
 * two. */
uint64_t guest_ram_alloc(struct guest_ram *ram, uint64_t len, uint64_t align);

/* Forgets all allocations and zeroes the memory. */
void guest_ram_clear(struct guest_ram *ram);
