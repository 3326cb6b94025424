/* A guest for tests of lanes and devices: memory in a memfd, and a driver of split rings that is written from
 * the specification (virtio 1.3, 2.7) alone.
 *
 *      MODEL_LOW   4 MiB  rings (64 KiB each), then buffers
 *      MODEL_HIGH  4 MiB  buffers; adjacent to the guest, elsewhere on the host: what crosses has two spans
 *      behind it  nothing
 *
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/queue.h"
#include "tests/core/own_fds.h"

#define MODEL_PART    UINT64_C(0x400000)
#define MODEL_LOW     UINT64_C(0x100000)
#define MODEL_HIGH    (MODEL_LOW + MODEL_PART)
#define MODEL_END     (MODEL_HIGH + MODEL_PART)
#define MODEL_QUEUES  8u
#define MODEL_BUFFERS (MODEL_LOW + MODEL_QUEUES * 0x10000) /* free for buffers from here to MODEL_END */

struct model_queue {
        struct queue_layout layout;
        bool event_idx;
        uint16_t avail_index, used_seen;
        uint16_t next[LIMIT_RING_SIZE]; /* free list */
        uint16_t chain_len[LIMIT_RING_SIZE];
        uint16_t free_head, n_free;
        int kick, call; /* eventfds */
};

struct model_guest {
        int fd;
        uint8_t *bytes;  /* low part, high part */
        bool big_endian; /* it writes and reads its rings so; none has been used yet */
        struct guest_memory *memory;
        struct model_queue queues[MODEL_QUEUES];
};

struct model_buffer {
        uint64_t at;
        uint32_t len;
        bool write;
};

/* Installs the fault handlers, so call it inside the test. */
void model_guest_init(struct model_guest *guest, uint16_t ring_size, bool event_idx);
void model_guest_done(struct model_guest *guest);

/* A snapshot of its own: both parts, or the low one alone. */
struct guest_memory *model_guest_snapshot(const struct model_guest *guest, bool high);

/* Where the guest sees this byte. */
uint8_t *model_at(const struct model_guest *guest, uint64_t at);
void model_fill(const struct model_guest *guest, uint64_t at, uint64_t len, uint8_t byte);
void model_put(const struct model_guest *guest, uint64_t at, const void *bytes, uint64_t len);
void model_get(const struct model_guest *guest, uint64_t at, void *bytes, uint64_t len);
bool model_is(const struct model_guest *guest, uint64_t at, uint64_t len, uint8_t byte);

/* The driver forgets everything about a ring and clears it. */
void model_queue_reset(struct model_guest *guest, unsigned queue);

/* Posts a chain and returns its head. Kicks as the device asks for it (virtio 1.3, 2.7.10). */
uint16_t model_post(struct model_guest *guest, unsigned queue, const struct model_buffer *buffers,
                    unsigned n);

/* The next used element; false: none. */
bool model_reap(struct model_guest *guest, unsigned queue, uint16_t *ret_head, uint32_t *ret_len);

/* How often the queue was signaled since the last look. */
uint64_t model_signals(struct model_guest *guest, unsigned queue);

uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t n);
