/* What the hostile tests share.
 * Owns the second processor's state; called by them, in ring 3. TRUST: it is the guest, and means harm.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/hostile.h"

#define SPIN_MAX 2000000000u

volatile uint32_t hostile_job_ended;

uint64_t bus_read(uint64_t at, uint32_t width)
{
        uint64_t value = 0;

        if (width == 1)
                __asm__ volatile("movb (%1), %b0" : "+r"(value) : "r"(at) : "memory");
        else if (width == 2)
                __asm__ volatile("movw (%1), %w0" : "+r"(value) : "r"(at) : "memory");
        else if (width == 4)
                __asm__ volatile("movl (%1), %k0" : "+r"(value) : "r"(at) : "memory");
        else
                __asm__ volatile("movq (%1), %0" : "+r"(value) : "r"(at) : "memory");
        return value;
}

void bus_write(uint64_t at, uint32_t width, uint64_t value)
{
        if (width == 1)
                __asm__ volatile("movb %b0, (%1)" : : "r"(value), "r"(at) : "memory");
        else if (width == 2)
                __asm__ volatile("movw %w0, (%1)" : : "r"(value), "r"(at) : "memory");
        else if (width == 4)
                __asm__ volatile("movl %k0, (%1)" : : "r"(value), "r"(at) : "memory");
        else
                __asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(at) : "memory");
}

static void set(const struct virtio *device, uint32_t reg, uint64_t value)
{
        mmio_write(device->at + reg, (uint32_t)value);
}

static void set64(const struct virtio *device, uint32_t reg, uint64_t value)
{
        set(device, reg, value);
        set(device, reg + 4, value >> 32);
}

void hostile_status(const struct virtio *device, uint32_t status)
{
        set(device, VIRTIO_STATUS, status);
}

void hostile_begin(const struct virtio *device, uint64_t features, const struct hostile_ring *ring)
{
        hostile_status(device, 0);
        hostile_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
        features |= VIRTIO_F_VERSION_1;
        set(device, VIRTIO_DRIVER_FEATURES_SEL, 0);
        set(device, VIRTIO_DRIVER_FEATURES, features);
        set(device, VIRTIO_DRIVER_FEATURES_SEL, 1);
        set(device, VIRTIO_DRIVER_FEATURES, features >> 32);
        hostile_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
        set(device, VIRTIO_QUEUE_SEL, 0);
        set(device, VIRTIO_QUEUE_SIZE, ring->size);
        set64(device, VIRTIO_QUEUE_DESC, ring->desc);
        set64(device, VIRTIO_QUEUE_DRIVER, ring->driver);
        set64(device, VIRTIO_QUEUE_DEVICE, ring->device);
        set(device, VIRTIO_QUEUE_READY, 1);
        hostile_status(device, STATUS_ALL);
}

uint32_t hostile_random(uint32_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        return *state;
}

void hostile_job_start(void (*job)(void))
{
        hostile_job_ended = 0;
        processor_run(1, job);
}

void hostile_job_done(void)
{
        __atomic_store_n(&hostile_job_ended, 1, __ATOMIC_SEQ_CST);
}

bool hostile_job_wait(const char *name)
{
        for (uint32_t spin = 0; !hostile_job_ended; spin++) {
                if (spin == SPIN_MAX) {
                        fail(name, "the second processor does not end", spin);
                        return false;
                }
                __asm__ volatile("pause");
        }
        return true;
}

static void calm(void)
{
        put_text("calm\n");
        (void)get_char();
}

static bool all_serve(struct virtio *disks, uint32_t n_disks, uint32_t round)
{
        for (uint32_t i = 0; i < n_disks; i++)
                if (!blk_works(&disks[i], round + i))
                        return false;
        return true;
}

void hostile_test(const char *name, bool (*attack)(struct virtio *disks, uint32_t n_disks, uint64_t *ret_n))
{
        struct virtio disks[HOSTILE_DISKS];
        uint32_t n_disks = 0;
        uint64_t n = 0;

        while (n_disks < HOSTILE_DISKS && virtio_find(VIRTIO_TYPE_BLK, n_disks, &disks[n_disks]))
                n_disks++;
        if (n_disks == 0) {
                fail(name, "no disk", 0);
                return;
        }
        if (!all_serve(disks, n_disks, 0x10))
                return;
        calm();
        if (!attack(disks, n_disks, &n) || !all_serve(disks, n_disks, 0x20))
                return;
        calm();
        pass(name, n);
}
