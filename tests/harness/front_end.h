/* A vhost-user front end of our own: it says what QEMU 7.2, QEMU 11.1 and crosvm say, in their order, without
 * a VMM. Used by the wire tests against the session alone, by the end-to-end tests against a running broker,
 * and by the benchmarks.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/harness/guest_ram.h"
#include "tests/harness/packed_ring.h"
#include "tests/harness/split_ring.h"
#include "tests/harness/wire.h"

#define FRONT_END_RINGS 16u
#define FRONT_END_ACCESS_PLATFORM                                                                            \
        (UINT64_C(1) << 33) /* taken in front_end_start: rings are told by their I/O virtual addresses */

enum front_end_dialect {
        FRONT_END_QEMU_7_2 = 0, /* owner late, acknowledgements for memory only */
        FRONT_END_QEMU_11_1,    /* acknowledgements for KICK, CALL and ENABLE too; kicks right after KICK */
        FRONT_END_CROSVM,       /* owner first, a memory table, no acknowledgements */
        FRONT_END_DIALECT_COUNT_,
};

struct front_end_ring {
        int kick, call, err; /* ours; -1: none */
        bool started;
};

struct front_end {
        struct wire wire;
        enum front_end_dialect dialect;
        uint64_t offered, features; /* device features: of the back-end, and agreed */
        uint64_t protocol;          /* agreed protocol features */
        uint64_t max_slots;
        unsigned n_rings;   /* of the back-end */
        unsigned n_used;    /* that are given descriptors at the start; at most FRONT_END_RINGS */
        int backend;        /* our end of the back-end channel, -1: none */
        bool has_config;    /* the driver asks for a config space (not for rng) */
        bool wants_packed;  /* the test's: blk_front takes RING_PACKED where it is offered */
        bool opened;        /* front_end_negotiate has begun: descriptors are -1 or ours */
        bool memory_shared; /* slots stay over a stop */
        struct front_end_ring rings[FRONT_END_RINGS];
};

/* Everything up to the guest's driver: negotiation, descriptors of the rings, config space. The socket is
 * front_end.wire's (wire_connect, or set by the test). All functions: 0 or negative errno. */
int front_end_negotiate(struct front_end *front, enum front_end_dialect dialect, bool has_config);
void front_end_close(struct front_end *front);

/* The driver's features (masked with the offer), then memory. */
int front_end_start(struct front_end *front, uint64_t driver_features, const struct guest_ram *ram);

int front_end_start_ring(struct front_end *front, unsigned index, const struct split_ring *ring,
                         uint16_t base);
int front_end_stop_ring(struct front_end *front, unsigned index, uint16_t *ret_base);
/* The same for a packed ring, whose base says where the available and the used side are (PACKED_RING_BASE for
 * a fresh one). VIRTIO_F_RING_PACKED is the caller's to ask for in front_end_start. */
int front_end_start_packed_ring(struct front_end *front, unsigned index, const struct packed_ring *ring,
                                uint32_t base);
int front_end_stop_packed_ring(struct front_end *front, unsigned index, uint32_t *ret_base);
int front_end_reset_device(struct front_end *front);

int front_end_kick(struct front_end *front, unsigned index);

int front_end_get_config(struct front_end *front, uint32_t offset, uint32_t len, void *ret_bytes);
int front_end_set_config(struct front_end *front, uint32_t offset, uint32_t len, const void *bytes);

/* Single steps, for tests that mix them. `set` with need_reply waits for the acknowledgement and fails with
 * -EIO when it is not zero. */
int front_end_get_u64(struct front_end *front, uint32_t request, uint64_t *ret_value);
int front_end_set(struct front_end *front, uint32_t request, const void *payload, uint32_t len,
                  const int *fds, unsigned n_fds, bool need_reply);
int front_end_add_region(struct front_end *front, const struct guest_ram *ram);
int front_end_remove_region(struct front_end *front, const struct guest_ram *ram);
