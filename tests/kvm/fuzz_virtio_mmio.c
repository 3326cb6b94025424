/* libFuzzer: a sequence of a guest's accesses, and of events of the device, over a device that writes down what it is told.
 *
 * Input: records {what, offset, value...}. `what` bits 0 to 2: the width, less one; bit 3: a write; bits 4 and 5: 0, an access
 * at 4 x offset; 1, one at offset; 2, one at 0x100 + offset; 3, an event of the device named by the offset byte. A write
 * takes `width` bytes more. After each record everything that must hold does; at the end everything is closed, and the
 * lowest free descriptor must be what it was. Each input is played to both interfaces: the one of version 2, and the legacy one. TRUST: the input is hostile; it goes to the transport under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "tests/wire/fake_device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct device device;
static struct virtio_mmio *mmio;
static enum guest_format format;
static int irq;
static unsigned n_tied;
static int kick_error;

static const struct virtio_mmio_shm shm[] = {{1, UINT64_C(0x800000000), 0x100000}};

static int kick_open(void *context, unsigned queue, int *ret_fd)
{
        (void)context;
        assert(queue < FAKE_QUEUES);
        if (kick_error < 0)
                return kick_error;
        *ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert(*ret_fd >= 0);
        n_tied++;
        return 0;
}

static void kick_close(void *context, unsigned queue, int fd)
{
        (void)context;
        assert(queue < FAKE_QUEUES && fd >= 0 && n_tied > 0);
        n_tied--;
        close(fd);
}

static void on_failed(void *context, const char *why)
{
        (void)context;
        assert(why && *why);
}

static void event(uint8_t what)
{
        const struct device_front *front = &device.front;

        switch (what % 8) {
        case 0:
                fake_device_turn(&device);
                break;
        case 1:
                device.hold = !device.hold;
                break;
        case 2:
                device.start_error = device.start_error ? 0 : -EFAULT;
                break;
        case 3:
                kick_error = kick_error ? 0 : -EMFILE;
                break;
        case 4:
                front->config_changed(front->context);
                break;
        case 5:
                front->broken(front->context, what >> 4, QUEUE_FAULT_LOOP);
                break;
        case 6:
                device.write_result = device.write_result ? 0 : -EINVAL;
                break;
        case 7:
                device.write_error = device.write_error ? 0 : -EINVAL;
                break;
        }
}

static struct queue_layout layout_of(const struct mmio_queue *queue)
{
        struct queue_layout layout = {.size = queue->num,
                                      .desc = GPA(queue->address[MMIO_RING_DESC]),
                                      .avail = GPA(queue->address[MMIO_RING_DRIVER]),
                                      .used = GPA(queue->address[MMIO_RING_DEVICE])};

        if (format == GUEST_MODERN)
                return layout;
        assert(queue->pfn > 0 && queue->align > 0);
        layout.avail.v = layout.desc.v + 16u * queue->num;
        layout.used.v = layout.avail.v + 6 + 2u * queue->num + queue->align - 1;
        layout.used.v -= layout.used.v % queue->align;
        return layout;
}

/* What a queue of the transport says of the device's. */
static void queue_holds(unsigned i)
{
        const struct mmio_queue *queue = &mmio->queues[i];
        const struct fake_queue *fake = &device.queues[i];
        bool runs = queue->state == MMIO_QUEUE_RUNNING || queue->state == MMIO_QUEUE_STOPPING;

        assert(fake->running == runs);
        assert((queue->kick >= 0) == runs);
        assert((fake->stopped != NULL) == (queue->state == MMIO_QUEUE_STOPPING));
        if (queue->state != MMIO_QUEUE_IDLE)
                assert(queue->num > 0 && queue->num <= LIMIT_MMIO_QUEUE_SIZE);
        if (runs) {
                const struct queue_layout layout = layout_of(queue);

                assert(fake->layout.size == layout.size && fake->layout.desc.v == layout.desc.v &&
                       fake->layout.avail.v == layout.avail.v && fake->layout.used.v == layout.used.v);
        }
}

/* What there is of features, and what may run by them. */
static void features_hold(uint32_t status)
{
        bool legacy = format != GUEST_MODERN;

        assert(!(status & MMIO_FEATURES_OK) || ((status & MMIO_DRIVER) && !legacy));
        assert(!(status & MMIO_DRIVER_OK) || (status & (legacy ? MMIO_DRIVER : MMIO_FEATURES_OK)));
        if (!legacy)
                assert(mmio->committed == !!(status & MMIO_FEATURES_OK));
        if (legacy && (status & MMIO_DRIVER_OK) && !(status & MMIO_NEEDS_RESET))
                assert(mmio->committed);
        if (mmio->committed)
                assert(device.committed == mmio->driver_features && !(device.committed & ~device.features) &&
                       (!legacy || device.committed <= UINT32_MAX));
        if (!(legacy ? mmio->committed : (status & MMIO_DRIVER_OK)))
                assert(!fake_device_any_running(&device));
        if (!(status & MMIO_DRIVER_OK))
                assert(atomic_load(&mmio->interrupt_status) == 0);
}

static void everything_holds(void)
{
        uint32_t status = mmio->status;
        unsigned tied = 0;

        assert((status & ~(uint32_t)(MMIO_ACKNOWLEDGE | MMIO_DRIVER | MMIO_FEATURES_OK | MMIO_DRIVER_OK |
                                     MMIO_NEEDS_RESET | MMIO_FAILED)) == 0);
        assert(!(status & MMIO_DRIVER) || (status & MMIO_ACKNOWLEDGE));
        features_hold(status);
        assert(atomic_load(&mmio->interrupt_status) <= 3);
        assert(mmio->n_writes <= LIMIT_MMIO_CONFIG_WRITES);
        assert(mmio->n_writes == 0 || device.written);
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                queue_holds(i);
                tied += mmio->queues[i].kick >= 0;
        }
        assert(tied == n_tied);
}

/* Refused reads are zeros, and whatever is read is no wider than was asked for. */
static void access_one(uint64_t offset, unsigned len, bool write, const uint8_t *value)
{
        _cleanup_free_ uint8_t *bytes = malloc(len); /* no byte more: a sanitizer sees who goes further */
        uint64_t refused = atomic_load(&mmio->refused);

        assert(bytes);
        memset(bytes, 0x5a, len);
        if (write)
                memcpy(bytes, value, len);
        virtio_mmio_access(mmio, offset, len, write, bytes);
        for (unsigned i = 0; i < len && !write && atomic_load(&mmio->refused) > refused; i++)
                assert(bytes[i] == 0);
}

/* One record; returns the bytes of input that it took. */
static size_t run_record(const uint8_t *data, size_t size)
{
        static const unsigned kinds[] = {0, 0, 0x100, 0};
        unsigned kind = (data[0] >> 4) & 3, len = (data[0] & 7) + 1;
        bool write = data[0] & 8;
        uint64_t offset = kinds[kind] + (uint64_t)data[1] * (kind == 0 ? 4 : 1);

        if (kind == 3) {
                event(data[1]);
                return 2;
        }
        if (write && size < 2 + (size_t)len)
                return size;
        access_one(offset, len, write, data + 2);
        return 2 + (write ? (size_t)len : 0);
}

static void begin(void)
{
        const struct virtio_mmio_host host = {.kick_open = kick_open,
                                              .kick_close = kick_close,
                                              .irq_fd = irq,
                                              .failed = on_failed,
                                              .shm = shm,
                                              .n_shm = 1,
                                              .format = format};
        struct guest_memory *memory = guest_memory_new();

        kick_error = 0;
        fake_device_init(&device);
        device.features |= FAKE_PACKED;
        assert(virtio_mmio_new(&device, &host, memory, &mmio) == 0);
        guest_memory_unref(memory);
}

static void play(const uint8_t *data, size_t size)
{
        int lowest, after;

        log_init("fuzz", LOG_LEVEL_ERROR);
        lowest = dup(0);
        close(lowest);
        irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        begin();
        while (size >= 2) {
                size_t taken = run_record(data, size);

                everything_holds();
                data += taken;
                size -= taken;
        }
        access_one(0x070, 4, true, (const uint8_t[4]){0}); /* the next driver */
        everything_holds();
        assert(mmio->status == 0 && n_tied == 0);
        mmio = virtio_mmio_free(mmio);
        assert(!device.memory && !device.front.context);
        fake_device_done(&device);
        close(irq);
        after = dup(0);
        close(after);
        assert(after == lowest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        for (format = GUEST_MODERN; format <= GUEST_LEGACY_BIG; format++)
                play(data, size);
        return 0;
}
