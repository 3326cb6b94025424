/* A guest for tests: a memory with every kind of edge, one ring in it, and a pen to write descriptors with.
 *
 *      0x00010000  rings      64 KiB, writable
 *      0x00020000  buffers    64 KiB, writable; adjacent to the guest, elsewhere on the host
 *      0x00030000  a hole
 *      0x00040000  read-only  4 KiB
 *      0x100000000 large      64 MiB, writable, sparse
 *      2^64 - 8192 top        4 KiB, writable
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/queue.h"

#define RINGS     UINT64_C(0x10000)
#define BUFFERS   UINT64_C(0x20000)
#define HOLE      UINT64_C(0x30000)
#define READ_ONLY UINT64_C(0x40000)
#define LARGE     UINT64_C(0x100000000)
#define TOP       UINT64_C(0xffffffffffffe000)

#define RING_DESC  RINGS
#define RING_AVAIL (RINGS + 0x4000)
#define RING_USED  (RINGS + 0x5000)
#define SCRATCH    (RINGS + 0x8000) /* 32 KiB up to BUFFERS */

/* Tests of split rings are built twice: with a modern guest, and with a big-endian one that has the legacy interface. */
#ifndef GUEST_BIG_ENDIAN
#define GUEST_BIG_ENDIAN 0
#endif

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u

struct guest_place {
        uint64_t start, len, offset; /* offset in the file */
        bool writable;
};
#define GUEST_PLACES 5
extern const struct guest_place guest_places[GUEST_PLACES];

#define RING_PAGES 16u /* of the rings' place */

struct guest {
        int fd;
        uint8_t *bytes; /* the whole file, for the guest's own pen */
        struct guest_memory *memory;
        struct queue_layout layout;
        struct queue_features features;
        struct queue queue;
        struct chain chain;
        struct segment segments[LIMIT_RING_SIZE + 1]; /* the last one is a canary */
        uint16_t avail_index;                         /* packed: the place, with its wrap counter */
        bool avail_wrap;
        unsigned mappings_before;
        bool scattered; /* each part of the ring begins at the end of a page */
};

/* Installs the fault handlers, so call it inside the test (cmocka puts its own in place before each). No
 * queue is started. guest_free fails when a mapping is left. */
struct guest *guest_new(void);
void guest_free(struct guest *guest);

/* A snapshot of the given places of `guest_places`, as a bit mask. */
struct guest_memory *guest_snapshot(const struct guest *guest, unsigned places);

/* Before the layout is made. The guest has an IOMMU: to its driver, whose addresses are I/O virtual from now on, and to `memory`, page i of the rings' place is
 * page order[i] of it. The rest is where it was. */
void guest_scatter(struct guest *guest, const uint8_t order[RING_PAGES]);
void guest_scatter_backwards(struct guest *guest);
/* The same of another snapshot; RING_PAGES: that page is not translated. A reference. */
struct guest_memory *guest_scattered(struct guest_memory *below, const uint8_t order[RING_PAGES]);

/* Where the guest sees this address; fails the test when there is nothing. The pen crosses regions. */
uint8_t *guest_at(const struct guest *guest, uint64_t at);
void guest_put(const struct guest *guest, uint64_t at, const void *bytes, uint64_t len);
void guest_get(const struct guest *guest, uint64_t at, void *bytes, uint64_t len);
void guest_put16(const struct guest *guest, uint64_t at, uint16_t value);
uint16_t guest_get16(const struct guest *guest, uint64_t at);

/* The ring with everything on; `base` is also put in both rings as the index so far. */
void guest_layout(struct guest *guest, uint16_t size);
void guest_start(struct guest *guest, uint16_t size, uint16_t base);

/* Descriptor i of the ring, or of an indirect table. */
void guest_describe(const struct guest *guest, uint16_t i, uint64_t addr, uint32_t len, unsigned flags,
                    uint16_t next);
void guest_describe_in(const struct guest *guest, uint64_t table, uint32_t i, uint64_t addr, uint32_t len,
                       unsigned flags, uint16_t next);
void guest_post(struct guest *guest, uint16_t head); /* one more in the available ring */

/* queue_pop into guest->chain with this much room; the canary behind the room must live. */
int guest_pop(struct guest *guest, uint16_t max_segments);

/* Posts this head with one readable byte, and the queue takes it. */
void guest_take(struct guest *guest, uint16_t head);

/* A cmocka test whose state is a guest. The guest is made inside the test: cmocka puts its own fault handlers
 * in place before each. */
void guest_run(void **state);
#define CASE(claim)                                                                                          \
        {                                                                                                    \
                .name = #claim, .test_func = guest_run, .initial_state = &(void (*)(void **))                \
                {                                                                                            \
                        claim                                                                                \
                }                                                                                            \
        }

/* Places in the rings, and what is there. */
uint64_t used_event_at(const struct guest *guest);
uint64_t avail_event_at(const struct guest *guest);
uint16_t used_index(const struct guest *guest);
void used_element(const struct guest *guest, uint16_t index, uint32_t *ret_id, uint32_t *ret_len);

/* Mappings of any test guest that this process still has. */
unsigned guest_count_mappings(void);

/* A small generator with a seed: the same sequence at each run. */
uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t n);
