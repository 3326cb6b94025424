/* A front end that is told of shared memory regions, for the tests of wire_vhost_user_shmem*: each step fails the test that does
 * not go as its name says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/vhost_user/message.h"
#include "tests/wire/fixture.h"

#define PEER_PAGE            UINT64_C(4096)
#define PEER_DRIVER_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28)

/* A front end with a running ring, and the other end of the channel. */
struct peer {
        struct fixture *fixture;
        struct front_end front;
        struct guest_ram ram;
        struct split_ring ring;
        struct wire backend;
};

/* cmocka setup: as fixture_setup, and the device has regions. */
int peer_setup(void **state);

/* What was sent before has been served. */
void wire_barrier(struct wire *wire);

/* Attaches; with _and_start: asks for the regions, and a ring runs. */
void peer_attach(struct peer *peer, struct fixture *fixture);
void peer_attach_and_start(struct peer *peer, struct fixture *fixture);
void peer_detach(struct peer *peer);
void peer_start(struct peer *peer);
void peer_stop(struct peer *peer);
/* front.backend is another. */
void peer_backend_opened(struct peer *peer);
void peer_replace_channel(struct peer *peer);

/* Negative errno: no answer comes. */
int peer_ask_config(struct peer *peer, struct vhost_user_shmem_config *ret_config);

/* The device maps a page and has it shown: what it is told at once; false is expected; and the front end maps it. */
struct shmem_mapping *peer_show(struct peer *peer, uint64_t page, bool *ret_shown);
struct shmem_mapping *peer_show_later(struct peer *peer, uint64_t page);
struct shmem_mapping *peer_show_now(struct peer *peer, uint64_t page);
void peer_hide(struct peer *peer, struct shmem_mapping *mapping);

/* What comes next on the channel; mapping: whose file it is, NULL: anybody's. */
void peer_expect_map(struct peer *peer, uint64_t page, const struct shmem_mapping *mapping);
void peer_expect_unmap(struct peer *peer, uint64_t page);
bool peer_silent(struct peer *peer); /* nothing does */
void peer_answer(struct peer *peer, uint32_t request, uint64_t value);
/* Both. */
void peer_map(struct peer *peer, uint64_t page, const struct shmem_mapping *mapping, uint64_t value);
void peer_unmap(struct peer *peer, uint64_t page, uint64_t value);
