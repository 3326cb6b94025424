/* A front end that is told of shared memory regions. Owns its sockets and memory; called by the tests of regions. TRUST: sees bytes
 * of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/shmem_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/fd.h"

int peer_setup(void **state)
{
        int r = fixture_setup(state);
        struct fixture *fixture = *state;

        fake_device_add_regions(&fixture->device);
        vhost_user_listener_set_family(fixture->listener, &fixture->family, true);
        return r;
}

void wire_barrier(struct wire *wire)
{
        struct wire_message answer;

        assert_int_equal(wire_send(wire, VHOST_USER_GET_FEATURES, 1, NULL, 0, NULL, 0), 0);
        assert_int_equal(wire_receive(wire, &answer), 0);
        assert_int_equal(answer.request, VHOST_USER_GET_FEATURES);
}

void peer_backend_opened(struct peer *peer)
{
        peer->backend = (struct wire){.sock = peer->front.backend,
                                      .pump = peer->front.wire.pump,
                                      .pump_context = peer->front.wire.pump_context,
                                      .deadline_ms = WIRE_DEADLINE_MS};
}

int peer_ask_config(struct peer *peer, struct vhost_user_shmem_config *ret_config)
{
        struct wire_message answer;
        int r = wire_send(&peer->front.wire, VHOST_USER_GET_SHMEM_CONFIG, 1, NULL, 0, NULL, 0);

        if (r == 0)
                r = wire_receive(&peer->front.wire, &answer);
        if (r < 0)
                return r;
        assert_int_equal(answer.request, VHOST_USER_GET_SHMEM_CONFIG);
        assert_int_equal(answer.flags, 5);
        assert_int_equal(answer.size, 2056);
        memcpy(ret_config, answer.payload, sizeof(*ret_config));
        return 0;
}

void peer_start(struct peer *peer)
{
        assert_int_equal(front_end_start(&peer->front, PEER_DRIVER_FEATURES, &peer->ram), 0);
        assert_int_equal(front_end_start_ring(&peer->front, 0, &peer->ring, 0), 0);
        wire_barrier(&peer->front.wire);
}

void peer_stop(struct peer *peer)
{
        uint16_t base;

        assert_int_equal(front_end_stop_ring(&peer->front, 0, &base), 0);
}

void peer_attach(struct peer *peer, struct fixture *fixture)
{
        *peer = (struct peer){.fixture = fixture};
        fixture_negotiate(fixture, &peer->front, FRONT_END_QEMU_11_1);
        peer_backend_opened(peer);
        assert_int_equal(guest_ram_init(&peer->ram, 1 << 20, 0), 0);
        split_ring_init(&peer->ring, &peer->ram, 64, true, true);
}

void peer_attach_and_start(struct peer *peer, struct fixture *fixture)
{
        struct vhost_user_shmem_config config;

        peer_attach(peer, fixture);
        assert_int_equal(peer_ask_config(peer, &config), 0);
        peer_start(peer);
}

void peer_detach(struct peer *peer)
{
        front_end_close(&peer->front);
        guest_ram_done(&peer->ram);
        fixture_settle(peer->fixture);
}

struct shmem_mapping *peer_show(struct peer *peer, uint64_t page, bool *ret_shown)
{
        return fake_device_show(&peer->fixture->device, page * PEER_PAGE, PEER_PAGE, ret_shown);
}

/* Is put off. */
struct shmem_mapping *peer_show_later(struct peer *peer, uint64_t page)
{
        bool shown;
        struct shmem_mapping *mapping = peer_show(peer, page, &shown);

        assert_false(shown);
        return mapping;
}

void peer_answer(struct peer *peer, uint32_t request, uint64_t value)
{
        assert_int_equal(wire_send(&peer->backend, request, 5, &value, sizeof(value), NULL, 0), 0);
        fixture_turn(peer->fixture);
}

bool peer_silent(struct peer *peer)
{
        return wire_silent(&peer->backend, 10);
}

static void expect_place(struct peer *peer, uint32_t request, uint64_t page,
                         const struct shmem_mapping *mapping)
{
        struct fd_set_owned fds;
        struct wire_message message;
        struct vhost_user_mmap mmap;

        assert_int_equal(wire_receive_fds(&peer->backend, &message, &fds), 0);
        assert_int_equal(message.request, request);
        assert_int_equal(message.flags, 9);
        assert_int_equal(message.size, sizeof(mmap));
        assert_int_equal(fds.n, request == VHOST_USER_BACKEND_SHMEM_MAP);
        memcpy(&mmap, message.payload, sizeof(mmap));
        assert_int_equal(mmap.shmid, 0);
        assert_memory_equal(mmap.padding, "\0\0\0\0\0\0\0", 7);
        assert_int_equal(mmap.fd_offset, 0);
        assert_int_equal(mmap.shm_offset, page * PEER_PAGE);
        assert_int_equal(mmap.len, PEER_PAGE);
        assert_int_equal(mmap.flags, 1);
        if (mapping) {
                struct stat st;

                assert_int_equal(fstat(fds.fds[0], &st), 0);
                assert_int_equal(st.st_ino, mapping->ino);
        }
        fd_set_close(&fds);
}

void peer_expect_map(struct peer *peer, uint64_t page, const struct shmem_mapping *mapping)
{
        expect_place(peer, VHOST_USER_BACKEND_SHMEM_MAP, page, mapping);
}

void peer_expect_unmap(struct peer *peer, uint64_t page)
{
        expect_place(peer, VHOST_USER_BACKEND_SHMEM_UNMAP, page, NULL);
}

void peer_map(struct peer *peer, uint64_t page, const struct shmem_mapping *mapping, uint64_t value)
{
        peer_expect_map(peer, page, mapping);
        peer_answer(peer, VHOST_USER_BACKEND_SHMEM_MAP, value);
}

void peer_unmap(struct peer *peer, uint64_t page, uint64_t value)
{
        peer_expect_unmap(peer, page);
        peer_answer(peer, VHOST_USER_BACKEND_SHMEM_UNMAP, value);
}

struct shmem_mapping *peer_show_now(struct peer *peer, uint64_t page)
{
        struct shmem_mapping *mapping = peer_show_later(peer, page);

        peer_map(peer, page, mapping, 0);
        assert_int_equal(peer->fixture->device.last_error, 0);
        assert_ptr_equal(peer->fixture->device.last_told, mapping);
        return mapping;
}

void peer_hide(struct peer *peer, struct shmem_mapping *mapping)
{
        fake_device_hide(&peer->fixture->device, mapping);
}

void peer_replace_channel(struct peer *peer)
{
        int pair[2];

        assert_int_equal(fd_stream_pair(pair), 0);
        assert_int_equal(
            front_end_set(&peer->front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, true), 0);
        close(pair[1]);
        close(peer->front.backend);
        peer->front.backend = pair[0];
        peer_backend_opened(peer);
}
