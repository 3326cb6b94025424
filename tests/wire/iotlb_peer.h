/* A front end that keeps translations, for the tests of wire_vhost_user_iotlb*: each step fails the test that does not go as its name
 * says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/vhost_user/message.h"
#include "tests/wire/fixture.h"

#define KEEPER_PAGE  UINT64_C(4096)
#define KEEPER_IOVA  UINT64_C(0xfff000000000) /* of the guest's first byte */
#define KEEPER_PLAIN (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)
#define KEEPER_BITS  (KEEPER_PLAIN | FRONT_END_ACCESS_PLATFORM)

struct keeper {
        struct fixture *fixture;
        struct front_end front;
        struct guest_ram ram;
        struct split_ring rings[2];
        struct wire backend; /* the other end of the channel */
};

/* cmocka setup: as fixture_setup, and a VMM may translate. */
int keeper_setup(void **state);

/* Attaches; with _and_start: a ring runs, by I/O virtual addresses. */
void keeper_attach(struct keeper *keeper, struct fixture *fixture);
void keeper_attach_and_start(struct keeper *keeper, struct fixture *fixture);
void keeper_start(struct keeper *keeper, uint64_t features);
void keeper_start_ring(struct keeper *keeper, unsigned index);
void keeper_stop_ring(struct keeper *keeper, unsigned index);
void keeper_detach(struct keeper *keeper);
void keeper_barrier(struct keeper *keeper); /* what was sent before has been served */

/* Says it, and returns the answer, which comes always. */
uint64_t keeper_say(struct keeper *keeper, const struct vhost_user_iotlb *message);
/* The page at this place of the guest's memory, by its own address there; and the opposite. */
uint64_t keeper_update(struct keeper *keeper, uint64_t page);
uint64_t keeper_invalidate(struct keeper *keeper, uint64_t iova, uint64_t size);
uint64_t keeper_iova(uint64_t page);

/* The device misses the page and asks; what comes next on the channel is that question; and the reply to the oldest. */
void keeper_miss(struct keeper *keeper, uint64_t page);
void keeper_expect_miss(struct keeper *keeper, uint64_t page);
void keeper_reply(struct keeper *keeper, uint64_t value);
void keeper_reply_bytes(struct keeper *keeper, uint32_t request, uint32_t flags, uint32_t size);
bool keeper_silent(struct keeper *keeper); /* nothing is asked */
void keeper_replace_channel(struct keeper *keeper);
