/* A front end that keeps translations. Owns its sockets and memory; called by the tests of translations. TRUST: sees bytes of the
 * session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/iotlb_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "broker/core/iotlb.h"
#include "proto/base/fd.h"

#define KEEPER_RAM (UINT64_C(1) << 20)

int keeper_setup(void **state)
{
        int r = fixture_setup(state);

        ((struct fixture *)*state)->device.may_translate = true;
        return r;
}

static void backend_opened(struct keeper *keeper)
{
        keeper->backend = (struct wire){.sock = keeper->front.backend,
                                        .pump = keeper->front.wire.pump,
                                        .pump_context = keeper->front.wire.pump_context,
                                        .deadline_ms = WIRE_DEADLINE_MS};
}

void keeper_attach(struct keeper *keeper, struct fixture *fixture)
{
        *keeper = (struct keeper){.fixture = fixture};
        fixture_negotiate(fixture, &keeper->front, FRONT_END_QEMU_11_1);
        backend_opened(keeper);
        assert_int_equal(guest_ram_init(&keeper->ram, KEEPER_RAM, 0), 0);
        keeper->ram.iova = KEEPER_IOVA;
        for (unsigned i = 0; i < 2; i++)
                split_ring_init(&keeper->rings[i], &keeper->ram, 64, true, true);
}

void keeper_start(struct keeper *keeper, uint64_t features)
{
        assert_int_equal(front_end_start(&keeper->front, features, &keeper->ram), 0);
        keeper_barrier(keeper);
}

void keeper_start_ring(struct keeper *keeper, unsigned index)
{
        assert_int_equal(front_end_start_ring(&keeper->front, index, &keeper->rings[index], 0), 0);
        keeper_barrier(keeper);
}

void keeper_stop_ring(struct keeper *keeper, unsigned index)
{
        uint16_t base;

        assert_int_equal(front_end_stop_ring(&keeper->front, index, &base), 0);
}

void keeper_attach_and_start(struct keeper *keeper, struct fixture *fixture)
{
        keeper_attach(keeper, fixture);
        keeper_start(keeper, KEEPER_BITS);
        keeper_start_ring(keeper, 0);
}

void keeper_detach(struct keeper *keeper)
{
        front_end_close(&keeper->front);
        guest_ram_done(&keeper->ram);
        fixture_settle(keeper->fixture);
        assert_false(keeper->fixture->device.iotlb.on);
        assert_int_equal(keeper->fixture->device.iotlb.n_open, 0);
}

void keeper_barrier(struct keeper *keeper)
{
        uint64_t features;

        assert_int_equal(front_end_get_u64(&keeper->front, VHOST_USER_GET_FEATURES, &features), 0);
}

uint64_t keeper_say(struct keeper *keeper, const struct vhost_user_iotlb *message)
{
        struct wire *wire = &keeper->front.wire;
        struct wire_message answer;
        uint64_t value;

        assert_int_equal(wire_send(wire, VHOST_USER_IOTLB_MSG, 9, message, sizeof(*message), NULL, 0), 0);
        assert_int_equal(wire_receive(wire, &answer), 0);
        assert_int_equal(answer.request, VHOST_USER_IOTLB_MSG);
        assert_int_equal(answer.flags, 5);
        assert_int_equal(answer.size, 8);
        memcpy(&value, answer.payload, sizeof(value));
        return value;
}

uint64_t keeper_iova(uint64_t page)
{
        return KEEPER_IOVA + page * KEEPER_PAGE;
}

uint64_t keeper_update(struct keeper *keeper, uint64_t page)
{
        return keeper_say(
            keeper, &(struct vhost_user_iotlb){.iova = keeper_iova(page),
                                               .size = KEEPER_PAGE,
                                               .user_address = keeper->ram.user_address + page * KEEPER_PAGE,
                                               .rights = IOTLB_READ | IOTLB_WRITE,
                                               .type = VHOST_USER_IOTLB_UPDATE});
}

/* As QEMU's: what the type does not need is whatever it was. */
uint64_t keeper_invalidate(struct keeper *keeper, uint64_t iova, uint64_t size)
{
        return keeper_say(keeper, &(struct vhost_user_iotlb){.iova = iova,
                                                             .size = size,
                                                             .user_address = UINT64_MAX,
                                                             .rights = 0xee,
                                                             .type = VHOST_USER_IOTLB_INVALIDATE,
                                                             .padding = {1, 2, 3, 4, 5, 6}});
}

void keeper_miss(struct keeper *keeper, uint64_t page)
{
        assert_true(fake_device_miss(&keeper->fixture->device, keeper_iova(page), (unsigned)(1 + page % 3)));
}

void keeper_expect_miss(struct keeper *keeper, uint64_t page)
{
        struct vhost_user_iotlb miss;
        struct wire_message message;

        assert_int_equal(wire_receive(&keeper->backend, &message), 0);
        assert_int_equal(message.request, VHOST_USER_BACKEND_IOTLB_MSG);
        assert_int_equal(message.flags, 9);
        assert_int_equal(message.size, sizeof(miss));
        memcpy(&miss, message.payload, sizeof(miss));
        assert_int_equal(miss.iova, keeper_iova(page));
        assert_int_equal(miss.size, KEEPER_PAGE);
        assert_int_equal(miss.user_address, 0);
        assert_int_equal(miss.rights, 1 + page % 3);
        assert_int_equal(miss.type, VHOST_USER_IOTLB_MISS);
        assert_memory_equal(miss.padding, "\0\0\0\0\0\0", 6);
}

void keeper_reply(struct keeper *keeper, uint64_t value)
{
        assert_int_equal(
            wire_send(&keeper->backend, VHOST_USER_BACKEND_IOTLB_MSG, 5, &value, sizeof(value), NULL, 0), 0);
        fixture_turn(keeper->fixture);
}

void keeper_reply_bytes(struct keeper *keeper, uint32_t request, uint32_t flags, uint32_t size)
{
        uint64_t bytes[2] = {0};

        assert_int_equal(wire_send(&keeper->backend, request, flags, bytes, size, NULL, 0), 0);
        for (int i = 0; i < 4; i++)
                fixture_turn(keeper->fixture);
}

bool keeper_silent(struct keeper *keeper)
{
        return wire_silent(&keeper->backend, 10);
}

void keeper_replace_channel(struct keeper *keeper)
{
        int pair[2];

        assert_int_equal(fd_stream_pair(pair), 0);
        assert_int_equal(
            front_end_set(&keeper->front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, true), 0);
        close(pair[1]);
        close(keeper->front.backend);
        keeper->front.backend = pair[0];
        backend_opened(keeper);
}
