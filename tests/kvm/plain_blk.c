/* A virtio-mmio disk in the plainest form.
 * Owns its registers and its bytes; called by a vCPU's thread through the bus. TRUST: the guest is our own; what it does wrong
 * is counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/plain_blk.h"

#include <string.h>
#include <unistd.h>

#include "tests/kvm/guest/virtio.h"

static uint64_t address(const struct plain_blk *blk, unsigned reg)
{
        return blk->registers[reg / 4] | (uint64_t)blk->registers[reg / 4 + 1] << 32;
}

static void *at(struct plain_blk *blk, uint64_t gpa, uint64_t len)
{
        static uint8_t nothing[RING_SIZE * 4096];
        void *bytes = guest_memory_ring(blk->memory, GPA(gpa), len, 1, true);

        blk->n_wrong += !bytes;
        return bytes ? bytes : nothing;
}

/* The status byte; *ret_written without it. */
static uint8_t transfer(struct plain_blk *blk, const struct virtio_desc *desc, const uint8_t *head,
                        uint32_t *ret_written)
{
        uint32_t type;
        uint64_t sector;

        memcpy(&type, head, 4);
        memcpy(&sector, head + 8, 8);
        *ret_written = 0;
        if (type == 4)
                return 0;
        if (sector * 512 + desc->len > PLAIN_BLK_BYTES)
                return 1;
        if (type == 1)
                memcpy(blk->disk + sector * 512, at(blk, desc->addr, desc->len), desc->len);
        else
                memcpy(at(blk, desc->addr, desc->len), blk->disk + sector * 512, desc->len);
        *ret_written = type == 1 ? 0 : desc->len;
        return 0;
}

static void serve(struct plain_blk *blk)
{
        const struct virtio_desc *desc = at(blk, address(blk, VIRTIO_QUEUE_DESC), RING_SIZE * sizeof(*desc));
        uint16_t *avail = at(blk, address(blk, VIRTIO_QUEUE_DRIVER), 4 + 2 * RING_SIZE);
        uint16_t *used = at(blk, address(blk, VIRTIO_QUEUE_DEVICE), 4 + 8 * RING_SIZE);

        while (blk->taken != __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE)) {
                unsigned slot = blk->taken % RING_SIZE, last = avail[2 + slot];
                const struct virtio_desc *head = &desc[last];
                uint32_t entry[2] = {last};

                while (desc[last].flags & 1)
                        last = desc[last].next % RING_SIZE;
                *(uint8_t *)at(blk, desc[last].addr, 1) =
                    transfer(blk, &desc[head->next], at(blk, head->addr, 16), &entry[1]);
                entry[1]++;
                memcpy((uint8_t *)used + 4 + 8 * slot, entry, 8);
                blk->n_requests++;
                __atomic_store_n(&used[1], ++blk->taken, __ATOMIC_RELEASE);
        }
        blk->registers[VIRTIO_INTERRUPT_STATUS / 4] |= 1;
        blk->n_wrong += write(blk->irq_fd, &(uint64_t){1}, 8) != 8;
}

static uint32_t read_register(const struct plain_blk *blk, uint64_t offset)
{
        switch (offset) {
        case VIRTIO_MAGIC:
                return 0x74726976;
        case VIRTIO_VERSION:
                return 2;
        case VIRTIO_DEVICE:
                return VIRTIO_TYPE_BLK;
        case VIRTIO_DEVICE_FEATURES:
                return blk->registers[VIRTIO_DEVICE_FEATURES_SEL / 4] ? 1 : 1u << 9;
        case VIRTIO_QUEUE_SIZE_MAX:
                return RING_SIZE;
        case VIRTIO_CONFIG:
                return PLAIN_BLK_BYTES / 512;
        default:
                return offset < VIRTIO_CONFIG ? blk->registers[offset / 4] : 0;
        }
}

static void write_register(struct plain_blk *blk, uint64_t offset, uint32_t value)
{
        switch (offset) {
        case VIRTIO_STATUS:
                if (value == 0) {
                        memset(blk->registers, 0, sizeof(blk->registers));
                        blk->taken = 0;
                        blk->n_resets++;
                }
                blk->registers[offset / 4] = value;
                break;
        case VIRTIO_INTERRUPT_ACK:
                blk->registers[VIRTIO_INTERRUPT_STATUS / 4] &= ~value;
                break;
        case VIRTIO_QUEUE_NOTIFY:
                blk->n_wrong += !(blk->registers[VIRTIO_STATUS / 4] & VIRTIO_DRIVER_OK) || value != 0;
                serve(blk);
                break;
        default:
                blk->registers[offset % 0x100 / 4] = value;
                break;
        }
}

void plain_blk_access(void *context, uint64_t offset, uint32_t len, bool write, uint8_t *bytes)
{
        struct plain_blk *blk = context;
        uint32_t value;

        if (len != 4 || offset % 4 != 0) {
                blk->n_wrong++;
                return;
        }
        if (write) {
                memcpy(&value, bytes, 4);
                write_register(blk, offset, value);
        } else {
                value = read_register(blk, offset);
                memcpy(bytes, &value, 4);
        }
}
