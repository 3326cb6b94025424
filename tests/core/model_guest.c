/* A guest for tests. Owns its memory file and eventfds. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/model_guest.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/fault_safe.h"
#include "proto/base/checked.h"

static void add_part(const struct model_guest *guest, struct guest_memory **memory, uint64_t start,
                     uint64_t offset)
{
        struct guest_mapping *mapping;
        struct guest_memory *with;

        assert_int_equal(guest_mapping_new(guest->fd, offset, MODEL_PART, true, &mapping), 0);
        assert_int_equal(guest_memory_with(*memory,
                                           &(struct guest_region){.start = GPA(start),
                                                                  .len = MODEL_PART,
                                                                  .mapping = mapping,
                                                                  .writable = true},
                                           &with),
                         0);
        guest_mapping_unref(mapping);
        guest_memory_unref(*memory);
        *memory = with;
}

struct guest_memory *model_guest_snapshot(const struct model_guest *guest, bool high)
{
        struct guest_memory *memory = guest_memory_new();

        assert_non_null(memory);
        add_part(guest, &memory, MODEL_LOW, 0);
        if (high)
                add_part(guest, &memory, MODEL_HIGH, MODEL_PART);
        return memory;
}

void model_guest_init(struct model_guest *guest, uint16_t ring_size, bool event_idx)
{
        *guest = (struct model_guest){0};
        assert_int_equal(fault_safe_install(), 0);
        guest->fd = memfd_create("bulkhead-model-guest", MFD_CLOEXEC);
        assert_true(guest->fd >= 0);
        assert_int_equal(ftruncate(guest->fd, 2 * MODEL_PART), 0);
        guest->bytes = mmap(NULL, 2 * MODEL_PART, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
        assert_true(guest->bytes != MAP_FAILED);
        guest->memory = model_guest_snapshot(guest, true);
        for (unsigned i = 0; i < MODEL_QUEUES; i++) {
                struct model_queue *queue = &guest->queues[i];
                uint64_t base = MODEL_LOW + i * 0x10000;

                assert_true(ring_size <= 512);
                queue->layout = (struct queue_layout){.size = ring_size,
                                                      .desc = GPA(base),
                                                      .avail = GPA(base + 0x4000),
                                                      .used = GPA(base + 0x8000)};
                queue->event_idx = event_idx;
                queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                model_queue_reset(guest, i);
        }
}

void model_guest_done(struct model_guest *guest)
{
        guest->memory = guest_memory_unref(guest->memory);
        munmap(guest->bytes, 2 * MODEL_PART);
        close(guest->fd);
        for (unsigned i = 0; i < MODEL_QUEUES; i++) {
                close(guest->queues[i].kick);
                close(guest->queues[i].call);
        }
}

uint8_t *model_at(const struct model_guest *guest, uint64_t at)
{
        assert_true(at >= MODEL_LOW && at < MODEL_END);
        return guest->bytes + (at - MODEL_LOW); /* one piece here; two for the broker */
}

void model_fill(const struct model_guest *guest, uint64_t at, uint64_t len, uint8_t byte)
{
        memset(model_at(guest, at), byte, len);
}

void model_put(const struct model_guest *guest, uint64_t at, const void *bytes, uint64_t len)
{
        memcpy(model_at(guest, at), bytes, len);
}

void model_get(const struct model_guest *guest, uint64_t at, void *bytes, uint64_t len)
{
        memcpy(bytes, model_at(guest, at), len);
}

bool model_is(const struct model_guest *guest, uint64_t at, uint64_t len, uint8_t byte)
{
        for (uint64_t i = 0; i < len; i++)
                if (*model_at(guest, at + i) != byte)
                        return false;
        return true;
}

/* Indices are shared with lanes' threads: one access, acquire and release as a driver's. */
static uint16_t load16(const struct model_guest *guest, uint64_t at)
{
        uint16_t value = __atomic_load_n((uint16_t *)(void *)model_at(guest, at), __ATOMIC_ACQUIRE);

        return guest->big_endian ? be16toh(value) : le16toh(value);
}

static void store16(const struct model_guest *guest, uint64_t at, uint16_t value)
{
        value = guest->big_endian ? htobe16(value) : htole16(value);
        __atomic_store_n((uint16_t *)(void *)model_at(guest, at), value, __ATOMIC_RELEASE);
}

void model_queue_reset(struct model_guest *guest, unsigned index)
{
        struct model_queue *queue = &guest->queues[index];
        uint16_t size = queue->layout.size;

        model_fill(guest, queue->layout.desc.v, 0x10000, 0);
        queue->avail_index = queue->used_seen = 0;
        queue->free_head = 0;
        queue->n_free = size;
        for (uint16_t i = 0; i < size; i++)
                queue->next[i] = (uint16_t)(i + 1);
}

static void describe(const struct model_guest *guest, const struct model_queue *queue, uint16_t i,
                     const struct model_buffer *buffer, bool more)
{
        uint16_t flags = (uint16_t)((more ? 1 : 0) | (buffer->write ? 2 : 0)), next = queue->next[i];
        bool big = guest->big_endian;
        struct {
                uint64_t addr;
                uint32_t len;
                uint16_t flags, next;
        } descriptor = {big ? htobe64(buffer->at) : htole64(buffer->at),
                        big ? htobe32(buffer->len) : htole32(buffer->len),
                        big ? htobe16(flags) : htole16(flags), big ? htobe16(next) : htole16(next)};

        model_put(guest, queue->layout.desc.v + 16u * i, &descriptor, sizeof(descriptor));
}

static bool wants_kick(const struct model_guest *guest, const struct model_queue *queue)
{
        if (!queue->event_idx)
                return (load16(guest, queue->layout.used.v) & 1) == 0;
        return load16(guest, queue->layout.used.v + 4 + 8u * queue->layout.size) ==
               (uint16_t)(queue->avail_index - 1);
}

uint16_t model_post(struct model_guest *guest, unsigned index, const struct model_buffer *buffers, unsigned n)
{
        struct model_queue *queue = &guest->queues[index];
        uint16_t head = queue->free_head;
        uint64_t one = 1;

        assert_true(n > 0 && n <= queue->n_free);
        for (unsigned i = 0; i < n; i++) {
                describe(guest, queue, queue->free_head, &buffers[i], i + 1 < n);
                queue->free_head = queue->next[queue->free_head];
        }
        queue->n_free = (uint16_t)(queue->n_free - n);
        queue->chain_len[head] = (uint16_t)n;
        store16(guest, queue->layout.avail.v + 4 + 2u * (queue->avail_index % queue->layout.size), head);
        queue->avail_index++;
        store16(guest, queue->layout.avail.v + 2, queue->avail_index);
        __sync_synchronize(); /* the index before the look at the device's wish */
        if (wants_kick(guest, queue))
                assert_int_equal(write(queue->kick, &one, sizeof(one)), sizeof(one));
        return head;
}

/* The chain's descriptors are free again. */
static void give_back(struct model_queue *queue, uint16_t head)
{
        uint16_t last = head;

        assert_true(queue->chain_len[head] > 0); /* it was posted, and not given back before */
        for (uint16_t i = 1; i < queue->chain_len[head]; i++)
                last = queue->next[last];
        queue->next[last] = queue->free_head;
        queue->free_head = head;
        queue->n_free = (uint16_t)(queue->n_free + queue->chain_len[head]);
        queue->chain_len[head] = 0;
}

bool model_reap(struct model_guest *guest, unsigned index, uint16_t *ret_head, uint32_t *ret_len)
{
        struct model_queue *queue = &guest->queues[index];
        uint32_t element[2];

        if (load16(guest, queue->layout.used.v + 2) == queue->used_seen)
                return false;
        model_get(guest, queue->layout.used.v + 4 + 8u * (queue->used_seen % queue->layout.size), element,
                  sizeof(element));
        queue->used_seen++;
        if (queue->event_idx)
                store16(guest, queue->layout.avail.v + 4 + 2u * queue->layout.size, queue->used_seen);
        for (unsigned i = 0; i < 2; i++)
                element[i] = guest->big_endian ? be32toh(element[i]) : le32toh(element[i]);
        assert_true(element[0] < queue->layout.size);
        *ret_head = (uint16_t)element[0];
        *ret_len = element[1];
        give_back(queue, *ret_head);
        return true;
}

uint64_t model_signals(struct model_guest *guest, unsigned index)
{
        uint64_t n = 0;

        return read(guest->queues[index].call, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint64_t random_next(uint64_t *state)
{
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

uint32_t random_below(uint64_t *state, uint32_t n)
{
        return (uint32_t)((random_next(state) >> 32) * n >> 32);
}
