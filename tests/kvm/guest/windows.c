/* What the test guest does to a disk that is held to windows of its memory.
 * Owns a ring and a block; called by body.c, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#define F_ACCESS_PLATFORM (1ull << 33)
#define SPIN_MAX          1000000u /* looks at a register: an exit each */
#define DESC_WRITE        2u

static struct virtio_ring ring __attribute__((aligned(4096)));

static bool begin(const char *name, struct virtio_ring *at, struct virtio *ret_device)
{
        if (!virtio_find(VIRTIO_TYPE_BLK, 0, ret_device)) {
                fail(name, "no disk", 0);
                return false;
        }
        if (!virtio_begin(ret_device, name, F_ACCESS_PLATFORM, at))
                return false;
        if (!(ret_device->features & F_ACCESS_PLATFORM))
                fail(name, "its DMA API is not asked for", ret_device->features);
        return (ret_device->features & F_ACCESS_PLATFORM) != 0;
}

static bool await_broken(const struct virtio *device, const char *name)
{
        for (uint32_t spin = 0; spin < SPIN_MAX; spin++)
                if (mmio_read(device->at + VIRTIO_STATUS) & VIRTIO_NEEDS_RESET)
                        return true;
        fail(name, "the device is not broken", mmio_read(device->at + VIRTIO_STATUS));
        return false;
}

/* window=A: inside the disk works; a buffer at A, which is outside, breaks it; and after a reset it works again. */
void test_window(void)
{
        uint64_t outside = option("window", 0);
        struct virtio device;

        if (!begin("window", &ring, &device) || !blk_round(&device, 1, 4))
                return;
        ring.desc[0] = (struct virtio_desc){.addr = outside, .len = 4096, .flags = DESC_WRITE};
        ring.avail.ring[ring.avail.idx % RING_SIZE] = 0;
        __atomic_store_n(&ring.avail.idx, (uint16_t)(ring.avail.idx + 1), __ATOMIC_SEQ_CST);
        mmio_write(device.at + VIRTIO_QUEUE_NOTIFY, 0);
        if (await_broken(&device, "window") && begin("window", &ring, &device) && blk_round(&device, 2, 4))
                pass("window", 8);
}

/* window_ring=A: a ring at A, which is outside, breaks the disk before it has done anything; elsewhere it works. */
void test_window_ring(void)
{
        struct virtio device;

        if (begin("window_ring", (struct virtio_ring *)option("window_ring", 0), &device) &&
            await_broken(&device, "window_ring") && begin("window_ring", &ring, &device) &&
            blk_round(&device, 3, 4))
                pass("window_ring", 4);
}
