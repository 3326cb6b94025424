/* virtio-mmio: the register table, and a device's time on the bus.
 * Owns the transport's state and the device's attachment; called by the KVM front end, and by vCPU threads (virtio_mmio_fast
 * only). It is an edge: one limited line for accesses that a driver may not make. TRUST: offsets, widths and values are a
 * guest's, and so is their order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/kvm/virtio_mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/guest_memory.h"
#include "broker/kvm/virtio_mmio_state.h"
#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"

#define MAGIC_VALUE 0x74726976u /* "virt" */
#define VERSION     2u
#define LEGACY      1u          /* virtio 1.3, 4.2.4 */
#define VENDOR_ID   0x6b6c7562u /* "bulk" */

#define CONFIG_AT      0x100u
#define REGISTER_BYTES 4u
_Static_assert(VIRTIO_MMIO_BYTES - CONFIG_AT == LIMIT_CONFIG_BYTES, "the whole configuration space");

#define INTERRUPT_STATUS_AT 0x060u
#define INTERRUPT_ACK_AT    0x064u

/* Phases, as a set. */
#define IN(phase)    (1u << MMIO_PHASE_##phase)
#define ANY_PHASE    ((1u << MMIO_PHASE_COUNT_) - 1)
#define QUEUE_PHASES (IN(OPEN) | IN(SETUP) | IN(LIVE))

/* In which interfaces a register is there, as a set. */
#define IF_MODERN 1u
#define IF_LEGACY 2u
#define IF_EITHER (IF_MODERN | IF_LEGACY)

enum mmio_phase mmio_phase(const struct virtio_mmio *mmio)
{
        if (mmio->status & (MMIO_NEEDS_RESET | MMIO_FAILED))
                return MMIO_PHASE_BROKEN;
        if (mmio->status & MMIO_DRIVER_OK)
                return MMIO_PHASE_LIVE;
        if (mmio->status & MMIO_FEATURES_OK)
                return MMIO_PHASE_SETUP;
        if (!(mmio->status & MMIO_DRIVER))
                return MMIO_PHASE_INIT;
        return mmio_is_legacy(mmio) ? MMIO_PHASE_OPEN : MMIO_PHASE_NEGOTIATING;
}

/* ---- registers that are read ---- */

static uint32_t read_magic(const struct virtio_mmio *mmio, unsigned which)
{
        (void)mmio;
        (void)which;
        return MAGIC_VALUE;
}

static uint32_t read_version(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio_is_legacy(mmio) ? LEGACY : VERSION;
}

static uint32_t read_device_id(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return device_virtio_id(mmio->device);
}

static uint32_t read_vendor_id(const struct virtio_mmio *mmio, unsigned which)
{
        (void)mmio;
        (void)which;
        return VENDOR_ID;
}

static uint32_t read_device_features(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio_device_features(mmio);
}

static uint32_t read_queue_num_max(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio_queue_num_max(mmio);
}

static uint32_t read_queue_ready(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio_queue_ready(mmio);
}

static uint32_t read_queue_pfn(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio_queue_pfn(mmio);
}

static uint32_t read_status(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio->status;
}

static uint32_t read_generation(const struct virtio_mmio *mmio, unsigned which)
{
        (void)which;
        return mmio->generation;
}

enum shm_word {
        SHM_LEN_LOW = 0,
        SHM_LEN_HIGH,
        SHM_BASE_LOW,
        SHM_BASE_HIGH,
};

/* Of an id that is not there, also before any was selected, length and base are all ones: Linux takes a region for absent
 * only by that. */
static uint32_t read_shm(const struct virtio_mmio *mmio, unsigned which)
{
        uint64_t len = UINT64_MAX, base = UINT64_MAX, value;

        for (unsigned i = 0; i < mmio->host.n_shm; i++) {
                const struct virtio_mmio_shm *shm = &mmio->host.shm[i];

                if (shm->id == mmio->shm_sel) {
                        len = shm->len;
                        base = shm->base;
                }
        }
        value = which == SHM_LEN_LOW || which == SHM_LEN_HIGH ? len : base;
        return (uint32_t)(which == SHM_LEN_HIGH || which == SHM_BASE_HIGH ? value >> 32 : value);
}

/* ---- registers that are written; false: the driver may not ---- */

enum selector {
        SEL_DEVICE_FEATURES = 0,
        SEL_DRIVER_FEATURES,
        SEL_QUEUE,
        SEL_SHM,
};

/* Any value: what it selects is looked up when it is used. */
static bool write_selector(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        uint32_t *const selectors[] = {[SEL_DEVICE_FEATURES] = &mmio->device_features_sel,
                                       [SEL_DRIVER_FEATURES] = &mmio->driver_features_sel,
                                       [SEL_QUEUE] = &mmio->queue_sel,
                                       [SEL_SHM] = &mmio->shm_sel};

        *selectors[which] = value;
        return true;
}

static bool write_driver_features(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_driver_features_write(mmio, value);
}

static bool write_queue_num(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_queue_num_write(mmio, value);
}

static bool write_queue_ready(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_queue_ready_write(mmio, value);
}

static bool write_page_size(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_page_size_write(mmio, value);
}

static bool write_queue_align(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_queue_align_write(mmio, value);
}

static bool write_queue_pfn(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_queue_pfn_write(mmio, value);
}

static bool write_queue_notify(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_queue_notify(mmio, value);
}

static bool write_status(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        (void)which;
        return mmio_status_write(mmio, value);
}

#define ADDRESS(part, high) ((unsigned)(MMIO_RING_##part) << 1 | (high))

static bool write_queue_address(struct virtio_mmio *mmio, unsigned which, uint32_t value)
{
        return mmio_queue_address_write(mmio, (enum mmio_ring_part)(which >> 1), which & 1, value);
}

/* ---- the table ---- */

/* One register, all of 32 bits (virtio 1.3, 4.2.2.2). Reading changes nothing and is permitted in any phase. */
struct mmio_register {
        const char *name;
        uint32_t (*read)(const struct virtio_mmio *mmio, unsigned which); /* NULL: it may not be read */
        bool (*write)(struct virtio_mmio *mmio, unsigned which, uint32_t value);
        unsigned write_phases; /* in which it may be written; elsewhere it is ignored */
        unsigned which;        /* for functions that serve several registers */
        unsigned interfaces;   /* that have it */
};

/* virtio 1.3, 4.2.2, "MMIO Device Register Layout", and 4.2.4, "MMIO Device Legacy Register Layout", whose names for what both have are
 * older ones. No offset means two things. InterruptStatus and InterruptACK have rows for their names alone:
 * virtio_mmio_fast serves them. QueueReset (0x0c0) needs RING_RESET, which is not offered. */
static const struct mmio_register registers[CONFIG_AT / REGISTER_BYTES] = {
    [0x000 / 4] = {"MagicValue", read_magic, NULL, 0, 0, IF_EITHER},
    [0x004 / 4] = {"Version", read_version, NULL, 0, 0, IF_EITHER},
    [0x008 / 4] = {"DeviceID", read_device_id, NULL, 0, 0, IF_EITHER},
    [0x00c / 4] = {"VendorID", read_vendor_id, NULL, 0, 0, IF_EITHER},
    [0x010 / 4] = {"DeviceFeatures", read_device_features, NULL, 0, 0, IF_EITHER},
    [0x014 / 4] = {"DeviceFeaturesSel", NULL, write_selector, ANY_PHASE, SEL_DEVICE_FEATURES, IF_EITHER},
    [0x020 / 4] = {"DriverFeatures", NULL, write_driver_features, IN(NEGOTIATING) | IN(OPEN), 0, IF_EITHER},
    [0x024 / 4] = {"DriverFeaturesSel", NULL, write_selector, ANY_PHASE, SEL_DRIVER_FEATURES, IF_EITHER},
    [0x028 / 4] = {"GuestPageSize", NULL, write_page_size, ANY_PHASE & ~IN(LIVE), 0, IF_LEGACY},
    [0x030 / 4] = {"QueueSel", NULL, write_selector, ANY_PHASE, SEL_QUEUE, IF_EITHER},
    [0x034 / 4] = {"QueueNumMax", read_queue_num_max, NULL, 0, 0, IF_EITHER},
    [0x038 / 4] = {"QueueNum", NULL, write_queue_num, QUEUE_PHASES, 0, IF_EITHER},
    [0x03c / 4] = {"QueueAlign", NULL, write_queue_align, QUEUE_PHASES, 0, IF_LEGACY},
    [0x040 / 4] = {"QueuePFN", read_queue_pfn, write_queue_pfn, ANY_PHASE, 0, IF_LEGACY},
    [0x044 / 4] = {"QueueReady", read_queue_ready, write_queue_ready, ANY_PHASE, 0, IF_MODERN},
    [0x050 / 4] = {"QueueNotify", NULL, write_queue_notify, IN(LIVE) | IN(OPEN), 0, IF_EITHER},
    [0x060 / 4] = {"InterruptStatus", NULL, NULL, 0, 0, IF_EITHER},
    [0x064 / 4] = {"InterruptACK", NULL, NULL, 0, 0, IF_EITHER},
    [0x070 / 4] = {"Status", read_status, write_status, ANY_PHASE, 0, IF_EITHER},
    [0x080 / 4] = {"QueueDescLow", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DESC, 0), IF_MODERN},
    [0x084 / 4] = {"QueueDescHigh", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DESC, 1), IF_MODERN},
    [0x090 / 4] = {"QueueDriverLow", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DRIVER, 0), IF_MODERN},
    [0x094 / 4] = {"QueueDriverHigh", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DRIVER, 1), IF_MODERN},
    [0x0a0 / 4] = {"QueueDeviceLow", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DEVICE, 0), IF_MODERN},
    [0x0a4 / 4] = {"QueueDeviceHigh", NULL, write_queue_address, QUEUE_PHASES, ADDRESS(DEVICE, 1), IF_MODERN},
    [0x0ac / 4] = {"SHMSel", NULL, write_selector, ANY_PHASE, SEL_SHM, IF_MODERN},
    [0x0b0 / 4] = {"SHMLenLow", read_shm, NULL, 0, SHM_LEN_LOW, IF_MODERN},
    [0x0b4 / 4] = {"SHMLenHigh", read_shm, NULL, 0, SHM_LEN_HIGH, IF_MODERN},
    [0x0b8 / 4] = {"SHMBaseLow", read_shm, NULL, 0, SHM_BASE_LOW, IF_MODERN},
    [0x0bc / 4] = {"SHMBaseHigh", read_shm, NULL, 0, SHM_BASE_HIGH, IF_MODERN},
    [0x0fc / 4] = {"ConfigGeneration", read_generation, NULL, 0, 0, IF_MODERN},
};

/* ---- accesses ---- */

static void count(atomic_uint_fast64_t *counter)
{
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

bool virtio_mmio_fast(struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write, uint8_t *bytes)
{
        if (len != REGISTER_BYTES)
                return false;
        if (offset == INTERRUPT_STATUS_AT && !write) {
                bytes_store32(bytes, atomic_load(&mmio->interrupt_status));
                count(&mmio->interrupt_reads);
        } else if (offset == INTERRUPT_ACK_AT && write) {
                atomic_fetch_and(&mmio->interrupt_status, ~bytes_load32(bytes));
                count(&mmio->interrupt_acks);
        } else {
                return false;
        }
        count(&mmio->accesses);
        return true;
}

static bool register_access(struct virtio_mmio *mmio, const struct mmio_register *row, bool write,
                            uint8_t *bytes)
{
        if (!(row->interfaces & (mmio_is_legacy(mmio) ? IF_LEGACY : IF_MODERN)))
                return false;
        if (!write && row->read) {
                bytes_store32(bytes, row->read(mmio, row->which));
                return true;
        }
        if (!write || !row->write || !(row->write_phases & (1u << mmio_phase(mmio))))
                return false;
        return row->write(mmio, row->which, bytes_load32(bytes));
}

/* Its fields may be read before FEATURES_OK (virtio 1.3, 2.5.2), but not written (3.1.1), where there is one (3.1.2). */
static bool config_access(struct virtio_mmio *mmio, uint32_t offset, unsigned len, bool write, uint8_t *bytes)
{
        if (!write)
                return mmio_config_read(mmio, offset, len, bytes);
        if (!(QUEUE_PHASES & (1u << mmio_phase(mmio))))
                return false;
        return mmio_config_write(mmio, offset, len, bytes);
}

/* What is permitted is done. False: it is not. */
static bool access_judged(struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write, uint8_t *bytes)
{
        if (offset >= VIRTIO_MMIO_BYTES)
                return false;
        if (offset >= CONFIG_AT)
                return config_access(mmio, (uint32_t)offset - CONFIG_AT, len, write, bytes);
        if (len != REGISTER_BYTES || offset % REGISTER_BYTES != 0)
                return false;
        return register_access(mmio, &registers[offset / REGISTER_BYTES], write, bytes);
}

static void log_refused(const struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write)
{
        const char *name = offset < CONFIG_AT ? registers[offset / REGISTER_BYTES].name : "config";

        log_limited(LOG_LEVEL_INFO,
                    "guest's %s is ignored dev=%s register=%s offset=0x%llx len=%u status=0x%x",
                    write ? "write" : "read", device_name(mmio->device), name ? name : "none",
                    (unsigned long long)offset, len, mmio->status);
}

void virtio_mmio_access(struct virtio_mmio *mmio, uint64_t offset, unsigned len, bool write, uint8_t *bytes)
{
        uint8_t data[8] = {0};
        size_t n = MIN(len, (unsigned)sizeof(data));

        if (virtio_mmio_fast(mmio, offset, len, write, bytes))
                return;
        count(&mmio->accesses);
        if (write)
                memcpy(data, bytes, n);
        if (!access_judged(mmio, offset, len, write, data)) {
                count(&mmio->refused);
                log_refused(mmio, offset, len, write);
        }
        if (!write)
                memcpy(bytes, data, n);
}

/* ---- a device's time on the bus ---- */

static void on_broken(void *context, unsigned queue, enum queue_fault fault)
{
        (void)queue;
        (void)fault;
        mmio_break(context, NULL); /* the device has said why */
}

static bool on_shmem_show(void *context, struct shmem_mapping *mapping)
{
        const struct virtio_mmio *mmio = context;

        return mmio->host.shmem_show(mmio->host.context, mapping);
}

static void on_shmem_hide(void *context, struct shmem_mapping *mapping)
{
        const struct virtio_mmio *mmio = context;

        mmio->host.shmem_hide(mmio->host.context, mapping);
}

int virtio_mmio_new(struct device *device, const struct virtio_mmio_host *host, struct guest_memory *memory,
                    struct virtio_mmio **ret_mmio)
{
        struct virtio_mmio *mmio;
        int r;

        if (!device_is_ready(device))
                return -EAGAIN;
        mmio = calloc(1, sizeof(*mmio));
        if (!mmio)
                return -ENOMEM;
        mmio->device = device;
        mmio->host = *host;
        mmio->n_queues = MIN(device_n_queues(device), LIMIT_QUEUES);
        for (unsigned i = 0; i < LIMIT_QUEUES; i++)
                mmio->queues[i] = (struct mmio_queue){.mmio = mmio, .kick = -1};
        r = device_set_memory(device, memory);
        if (r < 0) {
                free(mmio);
                return r;
        }
        device_attach(device, &(struct device_front){.context = mmio,
                                                     .config_changed = mmio_config_changed,
                                                     .broken = on_broken,
                                                     .interrupt_status = &mmio->interrupt_status,
                                                     .iotlb_persists = host->translated,
                                                     .shmem_show = host->shmem_show ? on_shmem_show : NULL,
                                                     .shmem_hide = host->shmem_hide ? on_shmem_hide : NULL,
                                                     .format = host->format});
        r = device_translate(device, host->translated); /* no queue runs */
        if (r < 0) {
                virtio_mmio_free(mmio);
                return r;
        }
        *ret_mmio = mmio;
        return 0;
}

struct virtio_mmio *virtio_mmio_free(struct virtio_mmio *mmio)
{
        if (!mmio)
                return NULL;
        mmio_reset(mmio);
        device_attach(mmio->device, NULL);
        (void)device_set_memory(mmio->device, NULL); /* nothing runs: it cannot fail */
        free(mmio);
        return NULL;
}

void virtio_mmio_count(const struct virtio_mmio *mmio, struct virtio_mmio_counters *ret_counters)
{
        *ret_counters = (struct virtio_mmio_counters){.accesses = atomic_load(&mmio->accesses),
                                                      .refused = atomic_load(&mmio->refused),
                                                      .interrupt_reads = atomic_load(&mmio->interrupt_reads),
                                                      .interrupt_acks = atomic_load(&mmio->interrupt_acks),
                                                      .notifies = mmio->notifies,
                                                      .resets = mmio->resets,
                                                      .status = mmio->status};
}
