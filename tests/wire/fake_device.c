/* A device without workers. Owns its copies of descriptors and memory, as a real one. TRUST: sees judged
 * values of the session under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/wire/fake_device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/base/checked.h"
#include "proto/base/cleanup.h"

#define FAKE_FEATURES (UINT64_C(1) << 32 | 1u << 29 | 1u << 28 | 1u << 9)

void fake_device_init(struct device *device)
{
        memset(device, 0, sizeof(*device));
        device->ready = true;
        if (shmem_new(NULL, 0, &(struct shmem_limits){0}, &device->shmem) < 0)
                abort();
        device->virtio_id = FAKE_VIRTIO_ID;
        device->features = FAKE_FEATURES;
        device->config_size = 60;
        for (unsigned i = 0; i < device->config_size; i++)
                device->config[i] = (uint8_t)(i * 3 + 1);
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                device->queues[i].kick = device->queues[i].call = -1;
}

/* ---- shared memory regions ---- */

void fake_device_add_regions(struct device *device)
{
        static const struct device_region regions[] = {{0, FAKE_REGION_0, REGION_FILES},
                                                       {3, FAKE_REGION_3, REGION_MEMORY}};
        static const struct shmem_limits limits = {LIMIT_SHMEM_MAPPINGS, FAKE_REGION_0};

        device->shmem = shmem_free(device->shmem);
        if (shmem_new(regions, array_size(regions), &limits, &device->shmem) < 0)
                abort();
}

/* Memory that cannot shrink, with no more rights than the mapping is to have. */
static int file_new(uint64_t len, bool writable)
{
        int fd = memfd_create("mapping", MFD_CLOEXEC | MFD_ALLOW_SEALING), reader;
        char path[32];

        if (fd < 0 || ftruncate(fd, (off_t)len) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
                abort();
        if (writable)
                return fd;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        reader = open(path, O_RDONLY | O_CLOEXEC);
        close(fd);
        return reader;
}

struct shmem_mapping *fake_device_map(struct device *device, uint64_t offset, uint64_t len, bool writable)
{
        const struct shmem_request request = {.writable = writable, .offset = offset, .len = len};
        struct shmem_mapping *mapping;
        int fd = file_new(len, writable);

        if (shmem_map(device->shmem, &request, fd, &mapping) < 0)
                abort();
        close(fd);
        return mapping;
}

struct shmem_mapping *fake_device_show(struct device *device, uint64_t offset, uint64_t len, bool *ret_shown)
{
        struct shmem_mapping *mapping = fake_device_map(device, offset, len, true);

        device->busy = true;
        *ret_shown = device->front.shmem_show(device->front.context, mapping);
        device->busy = false;
        return mapping;
}

void fake_device_hide(struct device *device, struct shmem_mapping *mapping)
{
        device->busy = true;
        if (device->front.shmem_hide)
                device->front.shmem_hide(device->front.context, mapping);
        device->busy = false;
        shmem_unmap(device->shmem, mapping);
}

static void fake_device_hide_all(struct device *device)
{
        while (shmem_n_mappings(device->shmem) > 0)
                fake_device_hide(device, shmem_mapping_at(device->shmem, 0));
}

const struct shmem *device_shmem(const struct device *device)
{
        return device->shmem;
}

/* What could not be shown is gone, as with a real device. */
void device_shmem_shown(struct device *device, struct shmem_mapping *mapping, int error)
{
        assert(!device->busy);
        device->shown++;
        device->last_told = mapping;
        device->last_error = error;
        if (error < 0)
                shmem_unmap(device->shmem, mapping);
        if (error < 0 && device->deaf)
                fake_device_hide_all(device);
}

static void fake_queue_forget(struct fake_queue *queue)
{
        cleanup_close(&queue->kick);
        cleanup_close(&queue->call);
        queue->kick = queue->call = -1;
        queue->running = false;
}

void fake_device_done(struct device *device)
{
        device->hold = false;
        fake_device_turn(device);
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                fake_queue_forget(&device->queues[i]);
        device->memory = guest_memory_unref(device->memory);
        fake_device_hide_all(device);
        device->shmem = shmem_free(device->shmem);
}

/* A split index is one of 16 bits; a packed base is left as it is. */
static uint32_t next_base(const struct device *device, const struct fake_queue *queue)
{
        uint32_t base = queue->base + FAKE_BASE_STEP;

        return device->committed & FAKE_PACKED ? base : (uint16_t)base;
}

void fake_device_turn(struct device *device)
{
        if (device->hold)
                return;
        if (device->written)
                take_ptr(device->written)(device->written_context, device->write_result);
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                struct fake_queue *queue = &device->queues[i];

                if (!queue->stopped)
                        continue;
                fake_queue_forget(queue);
                take_ptr(queue->stopped)(queue->stopped_context, next_base(device, queue));
        }
}

bool fake_device_any_running(const struct device *device)
{
        for (unsigned i = 0; i < FAKE_QUEUES; i++)
                if (device->queues[i].running)
                        return true;
        return false;
}

/* ---- device.h ---- */

void device_attach(struct device *device, const struct device_front *front)
{
        device->front = front ? *front : (struct device_front){0};
}

const char *device_name(const struct device *device)
{
        (void)device;
        return "fake0";
}

uint32_t device_virtio_id(const struct device *device)
{
        return device->virtio_id;
}

bool device_is_ready(const struct device *device)
{
        return device->ready;
}

unsigned device_n_queues(const struct device *device)
{
        (void)device;
        return FAKE_QUEUES;
}

unsigned device_queue_groups(const struct device *device)
{
        return device->groups;
}

uint64_t device_features(const struct device *device)
{
        if (device->front.format != GUEST_MODERN)
                return device->features & UINT32_MAX;
        return device->features;
}

int device_commit_features(struct device *device, uint64_t features)
{
        if (device->front.format == GUEST_MODERN && !(features & UINT64_C(1) << 32))
                return -EPROTO;
        if (fake_device_any_running(device) && features != device->committed)
                return -EBUSY;
        device->committed = features & device->features;
        device->commits++;
        return 0;
}

void device_show_features(struct device *device, uint64_t offered, uint64_t agreed)
{
        device->shown_offered = offered;
        device->shown_agreed = agreed;
}

int device_config_read(const struct device *device, uint32_t offset, uint32_t len, uint8_t *ret_bytes)
{
        if (!range_inside(offset, len, LIMIT_CONFIG_BYTES))
                return -EINVAL;
        memcpy(ret_bytes, device->config + offset, len);
        return 0;
}

uint32_t device_config_size(const struct device *device)
{
        return device->config_size;
}

bool device_config_is_vmms(const struct device *device)
{
        return device->config_is_vmms;
}

int device_config_write(struct device *device, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        void (*done)(void *context, int error), void *context)
{
        if (device->write_error)
                return device->write_error;
        if (!range_inside(offset, len, device->config_size))
                return -EINVAL;
        if (device->written)
                return -EBUSY;
        memcpy(device->config + offset, bytes, len);
        device->writes++;
        device->written = done;
        device->written_context = context;
        return 0;
}

int device_set_memory(struct device *device, struct guest_memory *memory)
{
        if (device->memory_error)
                return device->memory_error;
        guest_memory_unref(device->memory);
        device->memory = memory ? guest_memory_ref(memory) : NULL;
        device->memory_changes++;
        return 0;
}

int device_queue_start(struct device *device, unsigned queue, const struct queue_layout *layout,
                       uint32_t base, int kick_fd, int call_fd)
{
        struct fake_queue *q = &device->queues[queue];

        if (device->start_error)
                return device->start_error;
        if (q->running || q->stopped)
                return -EBUSY;
        if (layout->size > LIMIT_RING_SIZE ||
            !(is_power_of_2(layout->size) || device->committed & FAKE_PACKED))
                return -EINVAL;
        q->layout = *layout;
        q->base = base;
        q->kick = fcntl(kick_fd, F_DUPFD_CLOEXEC, 0);
        q->call = call_fd < 0 ? -1 : fcntl(call_fd, F_DUPFD_CLOEXEC, 0);
        q->running = true;
        q->starts++;
        return 0;
}

int device_queue_set_call(struct device *device, unsigned queue, int call_fd)
{
        struct fake_queue *q = &device->queues[queue];

        cleanup_close(&q->call);
        q->call = call_fd < 0 ? -1 : fcntl(call_fd, F_DUPFD_CLOEXEC, 0);
        q->calls_set++;
        return 0;
}

bool device_signal(struct device *device, int fd)
{
        uint64_t one = 1;
        ssize_t n = write(fd, &one, sizeof(one));

        (void)device;
        return n >= 0 || errno != EINTR;
}

void device_queue_stop(struct device *device, unsigned queue, void (*stopped)(void *context, uint32_t base),
                       void *context)
{
        struct fake_queue *q = &device->queues[queue];

        q->stops++;
        q->stopped = stopped;
        q->stopped_context = context;
}

bool device_queue_running(const struct device *device, unsigned queue)
{
        return device->queues[queue].running;
}

/* ---- translations ---- */

static void fake_iotlb_forget(struct device *device)
{
        device->iotlb.n_entries = 0;
        device->iotlb.n_open = 0;
}

/* Answers the open question at i. */
static void fake_iotlb_close(struct fake_iotlb *iotlb, unsigned i)
{
        iotlb->open[i] = iotlb->open[--iotlb->n_open];
}

bool fake_device_miss(struct device *device, uint64_t iova, unsigned rights)
{
        struct fake_iotlb *iotlb = &device->iotlb;

        for (unsigned i = 0; i < iotlb->n_open; i++)
                if (iotlb->open[i] == iova)
                        return false;
        if (iotlb->n_open == LIMIT_IOTLB_MISSES || !iotlb->on)
                return false;
        iotlb->open[iotlb->n_open++] = iova;
        device->front.iotlb_miss(device->front.context, iova, rights);
        return true;
}

bool device_is_behind(const struct device *device)
{
        (void)device;
        return false;
}

bool device_may_translate(const struct device *device)
{
        return device->may_translate;
}

int device_translate(struct device *device, bool on)
{
        if (on == device->iotlb.on)
                return 0;
        if (fake_device_any_running(device))
                return -EBUSY;
        device->iotlb.on = on;
        fake_iotlb_forget(device);
        return 0;
}

static bool is_entry(const struct iotlb_entry *entry)
{
        return entry->len > 0 && (entry->iova | entry->len | entry->gpa) % LIMIT_IOTLB_PAGE == 0 &&
               entry->len - 1 <= UINT64_MAX - entry->iova && entry->rights >= 1 && entry->rights <= 3;
}

/* Returns how many questions it answers. */
static unsigned fake_iotlb_answer(struct fake_iotlb *iotlb, const struct iotlb_entry *entry)
{
        unsigned n = iotlb->n_open;

        for (unsigned i = n; i-- > 0;)
                if (iotlb->open[i] >= entry->iova && iotlb->open[i] - entry->iova < entry->len)
                        fake_iotlb_close(iotlb, i);
        return n - iotlb->n_open;
}

int device_iotlb_update(struct device *device, const struct iotlb_entry *entry)
{
        struct fake_iotlb *iotlb = &device->iotlb;

        if (!iotlb->on)
                return -EPERM;
        if (!is_entry(entry))
                return -EINVAL;
        if (iotlb->n_updates++ == iotlb->update_error_at && iotlb->update_error) {
                iotlb->n_missed += fake_iotlb_answer(iotlb, entry);
                return iotlb->update_error;
        }
        iotlb->entries[iotlb->n_entries++ % FAKE_ENTRIES] = *entry;
        (void)fake_iotlb_answer(iotlb, entry);
        return 0;
}

int device_iotlb_invalidate(struct device *device, uint64_t iova, uint64_t len)
{
        struct fake_iotlb *iotlb = &device->iotlb;

        if (!iotlb->on)
                return -EPERM;
        if ((iova | len) % LIMIT_IOTLB_PAGE != 0 || (len > 0 && len - 1 > UINT64_MAX - iova))
                return -EINVAL;
        iotlb->n_invalidations++;
        iotlb->last_iova = iova;
        iotlb->last_len = len;
        if (len == 0)
                iotlb->n_entries = 0;
        return 0;
}

/* What nobody has asked is not answered. */
void device_iotlb_missed(struct device *device, uint64_t iova)
{
        struct fake_iotlb *iotlb = &device->iotlb;
        unsigned i = 0;

        if (!iotlb->on)
                return;
        while (i < iotlb->n_open && iotlb->open[i] != iova)
                i++;
        assert(i < iotlb->n_open);
        fake_iotlb_close(iotlb, i);
        iotlb->n_missed++;
        iotlb->last_missed = iova;
}

/* What was pending is canceled. */
void device_reset(struct device *device)
{
        for (unsigned i = 0; i < FAKE_QUEUES; i++) {
                device->queues[i].stopped = NULL;
                fake_queue_forget(&device->queues[i]);
        }
        device->written = NULL;
        device->committed = 0;
        device->resets++;
        device->iotlb.n_entries = 0; /* questions stay open: whoever was asked owes an answer */
        fake_device_hide_all(device);
}
