/* What a front end has said about each ring. Owns each ring's descriptors; called by the session and its
 * handlers. TRUST: numbers, addresses and descriptors are the front end's, and most of them are the guest's
 * behind it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/rings.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

static const struct ring ring_empty = {.kick = -1, .call = -1, .err = -1};

static const uint8_t ring_next[RING_STATE_COUNT_] = {
    [RING_IDLE] = 1u << RING_RUNNING,
    [RING_RUNNING] = 1u << RING_STOPPING | 1u << RING_IDLE, /* at once: only by a device reset */
    [RING_STOPPING] = 1u << RING_IDLE,
};

static void ring_set_state(struct ring *ring, enum ring_state state)
{
        assert(ring_next[ring->state] & (1u << state));
        ring->state = state;
}

void rings_init(struct rings *rings, struct device *device, const struct memory_table *table)
{
        rings->device = device;
        rings->table = table;
        rings->always_enabled = false;
        rings->may_start = false;
        rings->packed = false;
        rings->translated = false;
        rings->n = MIN(device_n_queues(device), LIMIT_QUEUES);
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                rings->ring[i] = ring_empty;
}

static void fd_replace(int *slot, int fd)
{
        cleanup_close(slot);
        *slot = fd;
}

void rings_done(struct rings *rings)
{
        for (unsigned i = 0; i < LIMIT_QUEUES; i++) {
                struct ring *ring = &rings->ring[i];

                fd_replace(&ring->kick, -1);
                fd_replace(&ring->call, -1);
                fd_replace(&ring->err, -1);
                *ring = ring_empty;
        }
}

void rings_reset(struct rings *rings)
{
        for (unsigned i = 0; i < rings->n; i++) {
                struct ring *ring = &rings->ring[i];

                fd_replace(&ring->kick, -1);
                *ring = (struct ring){.kick = -1, .call = ring->call, .err = ring->err};
        }
        rings->may_start = false;
        rings->packed = false;
}

struct ring *rings_find(struct rings *rings, uint64_t index)
{
        return index < rings->n ? &rings->ring[index] : NULL;
}

unsigned rings_index(const struct rings *rings, const struct ring *ring)
{
        return (unsigned)(ring - rings->ring);
}

bool rings_any_running(const struct rings *rings)
{
        for (unsigned i = 0; i < rings->n; i++)
                if (rings->ring[i].state != RING_IDLE)
                        return true;
        return false;
}

void ring_tell_error(struct rings *rings, struct ring *ring)
{
        if (ring->err >= 0 && !device_signal(rings->device, ring->err))
                fd_replace(&ring->err, -1);
}

/* Event descriptors have no file type (an anonymous inode); pipes, sockets, files and character devices do,
 * and would let the peer make us wait. O_NONBLOCK for the same reason. */
static int event_check(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0)
                return -EBADF;
        return fd_set_nonblock(fd);
}

/* Judges fd and puts it in the slot, or closes it. */
static int event_set(int *slot, int fd)
{
        _cleanup_close_ int owned = fd;

        if (owned >= 0 && event_check(owned) < 0)
                return -EBADF;
        fd_replace(slot, take_fd(&owned));
        return 0;
}

int ring_set_kick(struct ring *ring, int fd)
{
        return event_set(&ring->kick, fd);
}

int ring_set_err(struct ring *ring, int fd)
{
        return event_set(&ring->err, fd);
}

int rings_set_call(struct rings *rings, struct ring *ring, int fd)
{
        int r = event_set(&ring->call, fd);

        if (r < 0 || ring->state == RING_IDLE)
                return r;
        return device_queue_set_call(rings->device, rings_index(rings, ring), ring->call);
}

void ring_stopping(struct ring *ring)
{
        ring_set_state(ring, RING_STOPPING);
}

void ring_set_base(struct ring *ring, uint32_t base)
{
        ring->base = base;
        ring->has_base = true;
}

uint32_t ring_base(const struct rings *rings, const struct ring *ring)
{
        if (ring->has_base)
                return ring->base;
        return rings->packed ? QUEUE_PACKED_BASE : 0;
}

void ring_stopped(struct ring *ring, uint32_t base)
{
        ring_set_state(ring, RING_IDLE);
        ring_set_base(ring, base);
}

static int ring_translate(const struct rings *rings, const struct ring *ring, struct queue_layout *ret_layout)
{
        struct queue_layout layout = {.size = (uint16_t)ring->num}; /* at most 32768: SET_VRING_NUM */
        struct queue_bytes bytes = queue_bytes(layout.size, rings->packed);

        if (rings->translated) {
                layout.desc = GPA(ring->desc);
                layout.avail = GPA(ring->avail);
                layout.used = GPA(ring->used);
                *ret_layout = layout;
                return 0;
        }
        if (memory_table_translate(rings->table, ring->desc, bytes.desc, &layout.desc) < 0 ||
            memory_table_translate(rings->table, ring->avail, bytes.avail, &layout.avail) < 0 ||
            memory_table_translate(rings->table, ring->used, bytes.used, &layout.used) < 0)
                return -EFAULT;
        *ret_layout = layout;
        return 0;
}

static int ring_start(struct rings *rings, struct ring *ring, enum ring_start *ret_start)
{
        struct queue_layout layout;
        int r;

        *ret_start = RING_START_REFUSED;
        if (!rings->may_start || ring->num == 0 || !ring->has_addr)
                return 0;
        if (ring_translate(rings, ring, &layout) < 0) {
                *ret_start = RING_START_UNSHARED;
                return 0;
        }
        r = device_queue_start(rings->device, rings_index(rings, ring), &layout, ring_base(rings, ring),
                               ring->kick, ring->call);
        if (r == -EINVAL || r == -EFAULT)
                return 0;
        if (r < 0)
                return r;
        ring_set_state(ring, RING_RUNNING);
        *ret_start = RING_START_STARTED;
        return 0;
}

int rings_try_start(struct rings *rings, struct ring *ring, enum ring_start *ret_start)
{
        enum ring_start start;
        int r;

        *ret_start = RING_START_NOTHING;
        if (ring->state != RING_IDLE || ring->kick < 0 || !(ring->enabled || rings->always_enabled))
                return 0;
        r = ring_start(rings, ring, &start);
        if (r < 0)
                return r;
        if (start != RING_START_STARTED)
                ring_tell_error(rings, ring);
        *ret_start = start;
        return 0;
}

int rings_try_start_all(struct rings *rings, enum ring_start *ret_start)
{
        enum ring_start worst = RING_START_NOTHING, start;

        for (unsigned i = 0; i < rings->n; i++) {
                int r = rings_try_start(rings, &rings->ring[i], &start);

                if (r < 0)
                        return r;
                worst = MAX(worst, start);
        }
        *ret_start = worst;
        return 0;
}
