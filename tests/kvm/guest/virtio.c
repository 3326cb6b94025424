/* The test guest's virtio-mmio driver.
 * Owns nothing; called by the bodies of tests, in ring 3. TRUST: it is the guest; a device that is wrong is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/virtio.h"

#include <stddef.h>

#define MAGIC      0x74726976u
#define SPIN_MAX   100000000u
#define DESC_NEXT  1u
#define DESC_WRITE 2u

/* As the platform hands them out. */
static const uint8_t gsis[] = {5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static uint32_t get(const struct virtio *device, uint32_t reg)
{
        return mmio_read(device->at + reg);
}

static void set(const struct virtio *device, uint32_t reg, uint32_t value)
{
        mmio_write(device->at + reg, value);
}

static void set64(const struct virtio *device, uint32_t reg, const volatile void *at)
{
        set(device, reg, (uint32_t)(uint64_t)at);
        set(device, reg + 4, (uint32_t)((uint64_t)at >> 32));
}

bool virtio_find(uint32_t type, uint32_t n, struct virtio *ret_device)
{
        uint64_t start = option("devices", 0xd0000000);

        for (uint32_t i = 0; i < sizeof(gsis) && mmio_read(start + i * 0x1000ull) == MAGIC; i++) {
                struct virtio device = {.at = start + i * 0x1000ull, .vector = VECTOR_DEVICES + i};

                if (get(&device, VIRTIO_DEVICE) != type || n-- > 0)
                        continue;
                apic_enable();
                apic_route(gsis[i], device.vector);
                *ret_device = device;
                return true;
        }
        return false;
}

bool virtio_reset(struct virtio *device, const char *name)
{
        set(device, VIRTIO_STATUS, 0);
        for (uint32_t spin = 0; get(device, VIRTIO_STATUS) != 0; spin++) {
                if (spin == SPIN_MAX) {
                        fail(name, "status after a reset", get(device, VIRTIO_STATUS));
                        return false;
                }
        }
        return true;
}

static void choose(struct virtio *device, uint64_t features)
{
        device->features = features;
        set(device, VIRTIO_DRIVER_FEATURES_SEL, 0);
        set(device, VIRTIO_DRIVER_FEATURES, (uint32_t)device->features);
        set(device, VIRTIO_DRIVER_FEATURES_SEL, 1);
        set(device, VIRTIO_DRIVER_FEATURES, (uint32_t)(device->features >> 32));
}

/* `by` NULL: `features`, as far as they are offered. */
static bool negotiate(struct virtio *device, const char *name, uint64_t features, virtio_negotiate by)
{
        uint64_t offered;

        set(device, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
        set(device, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        set(device, VIRTIO_DEVICE_FEATURES_SEL, 1);
        offered = (uint64_t)get(device, VIRTIO_DEVICE_FEATURES) << 32;
        set(device, VIRTIO_DEVICE_FEATURES_SEL, 0);
        offered |= get(device, VIRTIO_DEVICE_FEATURES);
        if (!by)
                choose(device, offered & (features | VIRTIO_F_VERSION_1));
        else if (!by(device, name, offered))
                return false;
        set(device, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
        if (get(device, VIRTIO_STATUS) & VIRTIO_FEATURES_OK)
                return true;
        fail(name, "features are not taken", device->features);
        return false;
}

static bool start_queue(struct virtio *device, const char *name, struct virtio_ring *ring)
{
        uint8_t *bytes = (uint8_t *)ring;

        for (uint32_t i = 0; i < sizeof(*ring); i++)
                bytes[i] = 0;
        device->ring = ring;
        device->seen = 0;
        set(device, VIRTIO_QUEUE_SEL, 0);
        if (get(device, VIRTIO_QUEUE_SIZE_MAX) < RING_SIZE || get(device, VIRTIO_QUEUE_READY) != 0) {
                fail(name, "queue 0: its largest size", get(device, VIRTIO_QUEUE_SIZE_MAX));
                return false;
        }
        set(device, VIRTIO_QUEUE_SIZE, RING_SIZE);
        set64(device, VIRTIO_QUEUE_DESC, ring->desc);
        set64(device, VIRTIO_QUEUE_DRIVER, &ring->avail);
        set64(device, VIRTIO_QUEUE_DEVICE, &ring->used);
        set(device, VIRTIO_QUEUE_READY, 1);
        if (get(device, VIRTIO_QUEUE_READY) == 1)
                return true;
        fail(name, "queue 0 is not ready", get(device, VIRTIO_QUEUE_READY));
        return false;
}

static bool begin(struct virtio *device, const char *name, uint64_t features, virtio_negotiate by,
                  struct virtio_ring *ring)
{
        if (get(device, VIRTIO_VERSION) != 2) {
                fail(name, "version", get(device, VIRTIO_VERSION));
                return false;
        }
        if (!virtio_reset(device, name) || !negotiate(device, name, features, by) ||
            !start_queue(device, name, ring))
                return false;
        set(device, VIRTIO_STATUS,
            VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
        return true;
}

bool virtio_begin(struct virtio *device, const char *name, uint64_t features, struct virtio_ring *ring)
{
        return begin(device, name, features, NULL, ring);
}

bool virtio_begin_by(struct virtio *device, const char *name, virtio_negotiate by, struct virtio_ring *ring)
{
        return begin(device, name, 0, by, ring);
}

/* Sleeps until the device has used what it has; every interrupt's status is read and acknowledged. */
static bool wait_used(struct virtio *device, const char *name)
{
        volatile uint32_t *came = &interrupts[device->vector];

        while (device->ring->used.idx == device->seen) {
                uint32_t seen = *came;

                if (device->ring->used.idx != device->seen)
                        break;
                wait_while(came, seen);
                set(device, VIRTIO_INTERRUPT_ACK, get(device, VIRTIO_INTERRUPT_STATUS));
                if (get(device, VIRTIO_STATUS) & VIRTIO_NEEDS_RESET) {
                        fail(name, "the device needs a reset", get(device, VIRTIO_STATUS));
                        return false;
                }
        }
        return true;
}

static uint64_t get64(const struct virtio *device, uint32_t reg)
{
        return get(device, reg) | (uint64_t)get(device, reg + 4) << 32;
}

bool virtio_region(const struct virtio *device, uint32_t shmid, uint64_t *ret_at, uint64_t *ret_len)
{
        set(device, VIRTIO_SHM_SEL, shmid);
        *ret_at = get64(device, VIRTIO_SHM_BASE);
        *ret_len = get64(device, VIRTIO_SHM_LEN);
        return *ret_len != UINT64_MAX;
}

uint32_t virtio_do(struct virtio *device, const char *name, const struct virtio_part *parts, uint32_t n)
{
        struct virtio_ring *ring = device->ring;
        uint32_t slot = device->seen % RING_SIZE;

        for (uint32_t i = 0; i < n; i++)
                ring->desc[i] = (struct virtio_desc){
                    .addr = (uint64_t)parts[i].at,
                    .len = parts[i].len,
                    .flags = (uint16_t)((parts[i].written ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0)),
                    .next = (uint16_t)(i + 1)};
        ring->avail.ring[ring->avail.idx % RING_SIZE] = 0;
        __atomic_store_n(&ring->avail.idx, (uint16_t)(ring->avail.idx + 1), __ATOMIC_SEQ_CST);
        set(device, VIRTIO_QUEUE_NOTIFY, 0);
        if (!wait_used(device, name))
                return UINT32_MAX;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        device->seen++;
        if (ring->used.idx != device->seen || ring->used.ring[slot].id != 0) {
                fail(name, "a used entry that was not asked for", ring->used.ring[slot].id);
                return UINT32_MAX;
        }
        return ring->used.ring[slot].len;
}
