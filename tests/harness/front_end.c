/* A vhost-user front end of our own. Owns its socket, the back-end channel and each ring's event
 * descriptors; rings and memory are the test's. TRUST: answers are the back-end's, which is under test:
 * they are judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/front_end.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/vhost_user/message.h"
#include "proto/base/checked.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

/* What the dialects know: QEMU acknowledges every offered bit of its mask, served or not. */
static const uint64_t protocol_mask[FRONT_END_DIALECT_COUNT_] = {
    [FRONT_END_QEMU_7_2] = 0x1ffff,
    [FRONT_END_QEMU_11_1] = 0x7fffff,
    [FRONT_END_CROSVM] = 1u << VHOST_USER_PROTOCOL_F_CONFIG | 1u << VHOST_USER_PROTOCOL_F_MQ |
                         1u << VHOST_USER_PROTOCOL_F_BACKEND_REQ | 1u << VHOST_USER_PROTOCOL_F_RESET_DEVICE,
};

static bool agreed(const struct front_end *front, unsigned bit)
{
        return front->protocol & UINT64_C(1) << bit;
}

static int receive_u64(struct front_end *front, uint32_t request, uint64_t *ret_value)
{
        struct wire_message answer;
        int r = wire_receive(&front->wire, &answer);

        if (r < 0)
                return r;
        if (answer.request != request || answer.flags != VHOST_USER_REPLY_FLAGS ||
            answer.size != sizeof(uint64_t))
                return -EPROTO;
        memcpy(ret_value, answer.payload, sizeof(uint64_t));
        return 0;
}

int front_end_get_u64(struct front_end *front, uint32_t request, uint64_t *ret_value)
{
        int r = wire_send(&front->wire, request, WIRE_VERSION, NULL, 0, NULL, 0);

        return r < 0 ? r : receive_u64(front, request, ret_value);
}

int front_end_set(struct front_end *front, uint32_t request, const void *payload, uint32_t len,
                  const int *fds, unsigned n_fds, bool need_reply)
{
        uint64_t result = 0;
        int r;

        need_reply = need_reply && agreed(front, VHOST_USER_PROTOCOL_F_REPLY_ACK);
        r = wire_send(&front->wire, request, WIRE_VERSION | (need_reply ? WIRE_NEED_REPLY : 0), payload, len,
                      fds, n_fds);
        if (r == 0 && need_reply)
                r = receive_u64(front, request, &result);
        return r < 0 ? r : result == 0 ? 0 : -EIO;
}

static int set_u64(struct front_end *front, uint32_t request, uint64_t value)
{
        return front_end_set(front, request, &value, sizeof(value), NULL, 0, false);
}

static int set_state(struct front_end *front, uint32_t request, uint32_t index, uint32_t num, bool need_reply)
{
        struct vhost_user_vring_state state = {.index = index, .num = num};

        return front_end_set(front, request, &state, sizeof(state), NULL, 0, need_reply);
}

static int set_ring_fd(struct front_end *front, uint32_t request, uint64_t index, int fd)
{
        uint64_t value = index | (fd < 0 ? VHOST_USER_VRING_NOFD : 0);
        bool need_reply = front->dialect == FRONT_END_QEMU_11_1 && request != VHOST_USER_SET_VRING_ERR;

        return front_end_set(front, request, &value, sizeof(value), &fd, fd < 0 ? 0 : 1, need_reply);
}

/* ---- negotiation ---- */

static int negotiate_channel(struct front_end *front)
{
        int pair[2], r;

        if (!agreed(front, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
                return 0;
        r = fd_stream_pair(pair);
        if (r < 0)
                return r;
        r = front_end_set(front, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1, true);
        close(pair[1]);
        front->backend = pair[0];
        return r;
}

static int negotiate_protocol(struct front_end *front)
{
        uint64_t offered = 0, n_rings = 1;
        int r = front_end_get_u64(front, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);

        front->protocol = offered & protocol_mask[front->dialect];
        if (!front->has_config)
                front->protocol &= ~(UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG);
        if (r == 0)
                r = set_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES, front->protocol);
        if (r == 0 && agreed(front, VHOST_USER_PROTOCOL_F_MQ))
                r = front_end_get_u64(front, VHOST_USER_GET_QUEUE_NUM, &n_rings);
        if (r == 0 && agreed(front, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
                r = front_end_get_u64(front, VHOST_USER_GET_MAX_MEM_SLOTS, &front->max_slots);
        front->n_rings = (unsigned)n_rings;
        front->n_used = MIN(front->n_rings, FRONT_END_RINGS);
        return r;
}

static int give_ring_fds(struct front_end *front)
{
        int r = 0;

        for (unsigned i = 0; i < front->n_used && r == 0; i++) {
                struct front_end_ring *ring = &front->rings[i];

                ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (ring->kick < 0 || ring->call < 0 || ring->err < 0)
                        return -errno;
                r = set_ring_fd(front, VHOST_USER_SET_VRING_CALL, i, ring->call);
                if (r == 0)
                        r = set_ring_fd(front, VHOST_USER_SET_VRING_ERR, i, ring->err);
        }
        return r;
}

int front_end_negotiate(struct front_end *front, enum front_end_dialect dialect, bool has_config)
{
        bool owner_first = dialect == FRONT_END_CROSVM;
        int r;

        front->dialect = dialect;
        front->has_config = has_config;
        front->backend = -1;
        front->memory_shared = false;
        front->opened = true;
        front->protocol = 0;
        for (unsigned i = 0; i < FRONT_END_RINGS; i++)
                front->rings[i] = (struct front_end_ring){.kick = -1, .call = -1, .err = -1};
        r = front_end_get_u64(front, VHOST_USER_GET_FEATURES, &front->offered);
        if (r == 0 && owner_first)
                r = front_end_set(front, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0, false);
        if (r == 0 && owner_first)
                r = set_u64(front, VHOST_USER_SET_FEATURES, VHOST_USER_F_PROTOCOL_FEATURES);
        if (r == 0)
                r = negotiate_protocol(front);
        if (r == 0)
                r = negotiate_channel(front);
        if (r == 0 && !owner_first)
                r = front_end_set(front, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0, false);
        if (r == 0 && !owner_first)
                r = front_end_get_u64(front, VHOST_USER_GET_FEATURES, &front->offered);
        return r == 0 ? give_ring_fds(front) : r;
}

void front_end_close(struct front_end *front)
{
        if (!front->opened)
                return;
        front->opened = false;
        wire_close(&front->wire);
        cleanup_close(&front->backend);
        front->backend = -1;
        for (unsigned i = 0; i < FRONT_END_RINGS; i++) {
                cleanup_close(&front->rings[i].kick);
                cleanup_close(&front->rings[i].call);
                cleanup_close(&front->rings[i].err);
                front->rings[i] = (struct front_end_ring){.kick = -1, .call = -1, .err = -1};
        }
}

/* ---- memory ---- */

static struct vhost_user_memory_region region_of(const struct guest_ram *ram)
{
        return (struct vhost_user_memory_region){
            .guest_address = ram->guest_address, .size = ram->size, .user_address = ram->user_address};
}

int front_end_add_region(struct front_end *front, const struct guest_ram *ram)
{
        struct vhost_user_single_region single = {.region = region_of(ram)};

        return front_end_set(front, VHOST_USER_ADD_MEM_REG, &single, sizeof(single), &ram->fd, 1, true);
}

int front_end_remove_region(struct front_end *front, const struct guest_ram *ram)
{
        struct vhost_user_single_region single = {.region = region_of(ram)};

        return front_end_set(front, VHOST_USER_REM_MEM_REG, &single, sizeof(single), NULL, 0, true);
}

static int share_table(struct front_end *front, const struct guest_ram *ram)
{
        struct vhost_user_memory_table table = {.n_regions = 1, .regions = {region_of(ram)}};

        return front_end_set(front, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, &ram->fd, 1, true);
}

/* With slots only what has changed is told; a table is told at every start. */
static int share_memory(struct front_end *front, const struct guest_ram *ram)
{
        int r;

        if (!agreed(front, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
                return share_table(front, ram);
        if (front->memory_shared)
                return 0;
        r = front_end_add_region(front, ram);
        front->memory_shared = r == 0;
        return r;
}

int front_end_start(struct front_end *front, uint64_t driver_features, const struct guest_ram *ram)
{
        int r;

        front->features = driver_features & front->offered;
        r = set_u64(front, VHOST_USER_SET_FEATURES, front->features | VHOST_USER_F_PROTOCOL_FEATURES);
        if (r == 0 && front->dialect != FRONT_END_CROSVM)
                r = set_u64(front, VHOST_USER_SET_FEATURES, front->features | VHOST_USER_F_PROTOCOL_FEATURES);
        return r == 0 ? share_memory(front, ram) : r;
}

/* ---- rings ---- */

int front_end_kick(struct front_end *front, unsigned index)
{
        uint64_t one = 1;

        return write(front->rings[index].kick, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

/* A ring of either layout, as the messages name its parts. */
struct ring_place {
        const struct guest_ram *ram;
        uint16_t size;
        uint32_t base;
        uint64_t desc, avail, used; /* offsets in the ram */
};

static int start_addresses(struct front_end *front, unsigned index, const struct ring_place *ring)
{
        uint64_t start =
            front->features & FRONT_END_ACCESS_PLATFORM ? ring->ram->iova : ring->ram->user_address;
        struct vhost_user_vring_addr addr = {.index = index,
                                             .descriptor = start + ring->desc,
                                             .available = start + ring->avail,
                                             .used = start + ring->used,
                                             .log = ring->ram->guest_address + ring->used};

        return front_end_set(front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, false);
}

static int start_ring(struct front_end *front, unsigned index, const struct ring_place *ring)
{
        bool acks = front->dialect == FRONT_END_QEMU_11_1;
        int r = set_state(front, VHOST_USER_SET_VRING_NUM, index, ring->size, false);

        if (r == 0)
                r = set_state(front, VHOST_USER_SET_VRING_BASE, index, ring->base, false);
        if (r == 0)
                r = start_addresses(front, index, ring);
        if (r == 0)
                r = set_ring_fd(front, VHOST_USER_SET_VRING_KICK, index, front->rings[index].kick);
        if (r == 0 && acks)
                r = front_end_kick(front, index);
        if (r == 0)
                r = set_state(front, VHOST_USER_SET_VRING_ENABLE, index, 1, acks);
        front->rings[index].started = r == 0;
        return r;
}

int front_end_start_ring(struct front_end *front, unsigned index, const struct split_ring *ring,
                         uint16_t base)
{
        return start_ring(front, index,
                          &(struct ring_place){.ram = ring->ram,
                                               .size = ring->size,
                                               .base = base,
                                               .desc = ring->desc,
                                               .avail = ring->avail,
                                               .used = ring->used});
}

int front_end_start_packed_ring(struct front_end *front, unsigned index, const struct packed_ring *ring,
                                uint32_t base)
{
        return start_ring(front, index,
                          &(struct ring_place){.ram = ring->ram,
                                               .size = ring->size,
                                               .base = base,
                                               .desc = ring->desc,
                                               .avail = ring->driver,
                                               .used = ring->device});
}

int front_end_stop_packed_ring(struct front_end *front, unsigned index, uint32_t *ret_base)
{
        struct vhost_user_vring_state state = {.index = index};
        struct wire_message answer;
        int r = 0;

        if (front->dialect != FRONT_END_CROSVM)
                r = set_state(front, VHOST_USER_SET_VRING_ENABLE, index, 0,
                              front->dialect == FRONT_END_QEMU_11_1);
        if (r == 0)
                r = wire_send(&front->wire, VHOST_USER_GET_VRING_BASE, WIRE_VERSION, &state, sizeof(state),
                              NULL, 0);
        if (r == 0)
                r = wire_receive(&front->wire, &answer);
        if (r < 0)
                return r;
        if (answer.request != VHOST_USER_GET_VRING_BASE || answer.flags != VHOST_USER_REPLY_FLAGS ||
            answer.size != sizeof(state))
                return -EPROTO;
        memcpy(&state, answer.payload, sizeof(state));
        if (state.index != index)
                return -EPROTO;
        front->rings[index].started = false;
        *ret_base = state.num;
        return 0;
}

int front_end_stop_ring(struct front_end *front, unsigned index, uint16_t *ret_base)
{
        uint32_t base;
        int r = front_end_stop_packed_ring(front, index, &base);

        if (r < 0)
                return r;
        if (base > UINT16_MAX)
                return -EPROTO;
        *ret_base = (uint16_t)base;
        return 0;
}

int front_end_reset_device(struct front_end *front)
{
        return front_end_set(front, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0, false);
}

/* ---- config space ---- */

int front_end_get_config(struct front_end *front, uint32_t offset, uint32_t len, void *ret_bytes)
{
        struct vhost_user_config config = {.offset = offset, .size = len};
        struct wire_message answer;
        int r = wire_send(&front->wire, VHOST_USER_GET_CONFIG, WIRE_VERSION, &config, 12 + len, NULL, 0);

        if (r == 0)
                r = wire_receive(&front->wire, &answer);
        if (r < 0)
                return r;
        if (answer.request != VHOST_USER_GET_CONFIG || answer.flags != VHOST_USER_REPLY_FLAGS)
                return -EPROTO;
        if (answer.size != 12 + len)
                return answer.size == 0 ? -EINVAL : -EPROTO;
        memcpy(ret_bytes, answer.payload + 12, len);
        return 0;
}

int front_end_set_config(struct front_end *front, uint32_t offset, uint32_t len, const void *bytes)
{
        struct vhost_user_config config = {.offset = offset, .size = len};

        if (len > sizeof(config.bytes))
                return -EINVAL;
        memcpy(config.bytes, bytes, len);
        return front_end_set(front, VHOST_USER_SET_CONFIG, &config, 12 + len, NULL, 0, true);
}
