/* Makes seeds for fuzz_virtio_mmio: drivers that start, run, stop, break and start again. `seed_virtio_mmio FOLDER`.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <linux/virtio_mmio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/checked.h"

#define READ  0x03 /* 32 bits at 4 x offset */
#define WRITE 0x0b
#define EVENT 0x30

static FILE *file;

static void put(uint32_t at, uint32_t value)
{
        const uint8_t bytes[] = {WRITE,
                                 (uint8_t)(at / 4),
                                 (uint8_t)value,
                                 (uint8_t)(value >> 8),
                                 (uint8_t)(value >> 16),
                                 (uint8_t)(value >> 24)};

        fwrite(bytes, sizeof(bytes), 1, file);
}

static void get(uint32_t at)
{
        const uint8_t bytes[] = {READ, (uint8_t)(at / 4)};

        fwrite(bytes, sizeof(bytes), 1, file);
}

static void event(unsigned what)
{
        const uint8_t bytes[] = {EVENT, (uint8_t)what};

        fwrite(bytes, sizeof(bytes), 1, file);
}

static void config(uint8_t at, uint8_t value)
{
        const uint8_t bytes[] = {0x28, at, value, 0x20, at};

        fwrite(bytes, sizeof(bytes), 1, file);
}

static void negotiate(uint32_t page_1)
{
        put(VIRTIO_MMIO_STATUS, 0);
        put(VIRTIO_MMIO_STATUS, 1);
        put(VIRTIO_MMIO_STATUS, 3);
        for (uint32_t i = 0; i < 2; i++) {
                put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
                get(VIRTIO_MMIO_DEVICE_FEATURES);
                put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
                put(VIRTIO_MMIO_DRIVER_FEATURES, i ? page_1 : 1u << 29);
        }
        put(VIRTIO_MMIO_STATUS, 11);
        get(VIRTIO_MMIO_STATUS);
}

static void queue(uint32_t index, uint32_t size)
{
        put(VIRTIO_MMIO_QUEUE_SEL, index);
        get(VIRTIO_MMIO_QUEUE_READY);
        get(VIRTIO_MMIO_QUEUE_NUM_MAX);
        put(VIRTIO_MMIO_QUEUE_NUM, size);
        for (uint32_t at = VIRTIO_MMIO_QUEUE_DESC_LOW; at <= VIRTIO_MMIO_QUEUE_USED_LOW; at += 16) {
                put(at, 0x1000 * (index + at));
                put(at + 4, 1);
        }
        put(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void live(void)
{
        put(VIRTIO_MMIO_STATUS, 15);
        put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        get(VIRTIO_MMIO_INTERRUPT_STATUS);
        put(VIRTIO_MMIO_INTERRUPT_ACK, 3);
}

static void start(void)
{
        negotiate(1);
        queue(0, 64);
        queue(1, 256);
        live();
}

static void start_packed(void)
{
        negotiate(5);
        queue(2, 77);
        live();
}

static void stop(void)
{
        start();
        event(1);
        put(VIRTIO_MMIO_QUEUE_SEL, 0);
        put(VIRTIO_MMIO_QUEUE_READY, 0);
        get(VIRTIO_MMIO_QUEUE_READY);
        event(1);
        event(0);
        put(VIRTIO_MMIO_QUEUE_READY, 1);
        start();
}

static void configure(void)
{
        start();
        for (uint8_t i = 0; i < 70; i++)
                config(i % 60, i);
        event(6);
        event(0);
        event(7);
        event(0);
        get(VIRTIO_MMIO_CONFIG_GENERATION);
        event(4);
        start();
}

static void fail(void)
{
        start();
        event(5);
        get(VIRTIO_MMIO_STATUS);
        start();
        event(2);
        queue(3, 8);
        event(2);
        event(3);
        start();
}

static void shared(void)
{
        for (uint32_t i = 0; i < 3; i++) {
                put(VIRTIO_MMIO_SHM_SEL, i);
                for (uint32_t at = VIRTIO_MMIO_SHM_LEN_LOW; at <= VIRTIO_MMIO_SHM_BASE_HIGH; at += 4)
                        get(at);
        }
        put(VIRTIO_MMIO_STATUS, 0x81);
}

static void legacy_queue(uint32_t index, uint32_t size, uint32_t pfn)
{
        put(VIRTIO_MMIO_QUEUE_SEL, index);
        get(VIRTIO_MMIO_QUEUE_PFN);
        put(VIRTIO_MMIO_QUEUE_NUM, size);
        put(VIRTIO_MMIO_QUEUE_ALIGN, 4096);
        put(VIRTIO_MMIO_QUEUE_PFN, pfn);
}

/* As a driver that knows nothing else: a kick before DRIVER_OK, an end, and a choice that cannot be had. */
static void legacy(void)
{
        put(VIRTIO_MMIO_GUEST_PAGE_SIZE, 4096);
        for (uint32_t features = 1u << 29; features; features = features == 1 ? 0 : 1) {
                put(VIRTIO_MMIO_STATUS, 0);
                put(VIRTIO_MMIO_STATUS, 1);
                put(VIRTIO_MMIO_STATUS, 3);
                config(0, 1);
                put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
                put(VIRTIO_MMIO_DRIVER_FEATURES, features);
                legacy_queue(0, 128, 0x345);
                put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
                put(VIRTIO_MMIO_DRIVER_FEATURES, 0);
                legacy_queue(1, 8, 0xffffffff);
                put(VIRTIO_MMIO_STATUS, 7);
                put(VIRTIO_MMIO_QUEUE_PFN, 0);
                event(0);
                legacy_queue(1, 16, 7);
        }
}

static const struct {
        const char *name;
        void (*write)(void);
} seeds[] = {{"start", start},  {"start_packed", start_packed},
             {"stop", stop},    {"configure", configure},
             {"fail", fail},    {"shared", shared},
             {"legacy", legacy}};

int main(int argc, char **argv)
{
        char path[4096];

        for (unsigned i = 0; argc == 2 && i < array_size(seeds); i++) {
                snprintf(path, sizeof(path), "%s/%s", argv[1], seeds[i].name);
                file = fopen(path, "we");
                if (!file)
                        return EXIT_FAILURE;
                seeds[i].write();
                fclose(file);
        }
        return argc == 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
