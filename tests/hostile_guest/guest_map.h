/* The guest memory that every hostile session shares: regions that touch, a hole, a read-only one, a large one
 * and one at the end of the address space. Addresses are constants, so that a case is a row of numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/harness/guest_ram.h"

/* Guest addresses. MAIN and NEXT touch in guest addresses and not in user addresses; behind NEXT is a hole. */
#define MAIN       UINT64_C(0x100000)
#define MAIN_SIZE  UINT64_C(0x400000)
#define NEXT       (MAIN + MAIN_SIZE)
#define NEXT_SIZE  UINT64_C(0x100000)
#define HOLE       (NEXT + NEXT_SIZE)
#define FIXED      UINT64_C(0x700000) /* read-only */
#define FIXED_SIZE UINT64_C(0x10000)
#define LARGE      UINT64_C(0x100000000)
#define LARGE_SIZE                                                                                           \
        UINT64_C(                                                                                            \
            0x100010000) /* over 4 GiB, so that a sum that wraps is in memory; never touched as a whole */
#define HIGH      UINT64_C(0xfffffffffff00000)
#define HIGH_SIZE UINT64_C(0xff000) /* ends a page before 2^64 */
#define HIGH_END  (HIGH + HIGH_SIZE)

/* What lies where in MAIN. The first SCRATCH bytes are cleared for every case. */
#define RING(i)       (MAIN + 0x10000 * (i)) /* descriptors, available at 0x8000, used at 0xa000 */
#define RING_AVAIL(i) (RING(i) + 0x8000)
#define RING_USED(i)  (RING(i) + 0xa000)
#define HEADER        (MAIN + 0x20000)
#define STATUS        (MAIN + 0x21000)
#define DATA          (MAIN + 0x22000)
#define TABLE         (MAIN + 0x40000)
#define PARTNER       (MAIN + 0x50000) /* what the second ring of a device uses */
#define SCRATCH       UINT64_C(0x60000)

enum guest_region { REGION_MAIN = 0, REGION_NEXT, REGION_FIXED, REGION_LARGE, REGION_HIGH, REGION_COUNT_ };

struct guest_map {
        struct guest_ram regions[REGION_COUNT_];
};

/* 0 or negative errno. */
int guest_map_init(struct guest_map *map);
void guest_map_done(struct guest_map *map);

/* Are the bytes in one region? */
bool guest_map_has(const struct guest_map *map, uint64_t address, size_t len);

/* Where the bytes are; aborts when they are not in one region: a mistake of the test. */
void *guest_map_at(const struct guest_map *map, uint64_t address, size_t len);

/* The address that the front end tells the back-end for a guest address. */
uint64_t guest_map_user(const struct guest_map *map, uint64_t address);

/* Clears what cases write. */
void guest_map_clear(struct guest_map *map);
