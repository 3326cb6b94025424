/* What a judged message promises. Every element of every column is read, so that the sanitizer sees a wrong
 * length.
 * Owns nothing; called by unit sweeps and fuzz targets.
 * TRUST: messages that a check has accepted, which is what is in doubt here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/judged.h"

#include <string.h>

#include "proto/base/limits.h"
#include "proto/base/status.h"

static volatile uint64_t seen; /* what is read has to go somewhere */

static bool columns_inside(size_t n, const uint64_t *id, const uint32_t *offset, const uint32_t *len,
                           uint32_t min_len, uint64_t end, uint64_t *ret_total)
{
        uint64_t total = 0;

        for (size_t i = 0; i < n; i++) {
                seen ^= id[i];
                if (len[i] < min_len || (uint64_t)offset[i] + len[i] > end)
                        return false;
                total += len[i];
        }
        *ret_total = total;
        return total <= LIMIT_FRAME_PAYLOAD;
}

static bool judged_complete(const struct lane_complete *m, uint32_t payload_len)
{
        uint64_t total;

        if (m->n < 1 || m->n > LIMIT_WIRE_COLUMN ||
            !columns_inside(m->n, m->id, m->offset, m->len, 0, LIMIT_CHAIN_BYTES, &total))
                return false;
        for (size_t i = 0; i < m->n; i++)
                if ((m->status[i] != WIRE_STATUS_OK && m->status[i] != WIRE_STATUS_PROTOCOL &&
                     ((m->status[i] != WIRE_STATUS_CANCELED && m->status[i] != WIRE_STATUS_WAITING) ||
                      m->len[i] != 0 || (m->placed && m->placed[i] != 0))) ||
                    (m->placed && m->placed[i] > LIMIT_DIRECT_LEND))
                        return false;
        return total == payload_len;
}

static bool judged_raw(const struct lane_raw *m)
{
        uint64_t total = 0;

        if (m->n < 1 || m->n > LIMIT_MEM_SEGMENTS)
                return false;
        for (size_t i = 0; i < m->n; i++) {
                if (m->len[i] == 0 || m->at[i] + (m->len[i] - 1) < m->at[i])
                        return false;
                total += m->len[i];
        }
        return total == m->total && total <= LIMIT_FRAME_PAYLOAD;
}

bool judged_lane_to_broker(const struct lane_to_broker *message, uint32_t payload_len)
{
        const struct lane_mem_read *read = &message->mem_read;
        const struct lane_mem_write *write = &message->mem_write;
        uint64_t total;

        switch (message->kind) {
        case LANE_MEM_READ:
                return read->n >= 1 && read->n <= LIMIT_MEM_SEGMENTS &&
                       columns_inside(read->n, read->id, read->offset, read->len, 1, LIMIT_CHAIN_BYTES,
                                      &total) &&
                       total == read->total && payload_len == 0;
        case LANE_MEM_WRITE:
                return write->n >= 1 && write->n <= LIMIT_MEM_SEGMENTS && write->space <= LANE_SPACE_BOOT &&
                       columns_inside(write->n, write->id, write->offset, write->len, 1,
                                      write->space == LANE_SPACE_BOOT ? UINT64_C(1) << 32 : LIMIT_CHAIN_BYTES,
                                      &total) &&
                       total == payload_len;
        case LANE_COMPLETE:
                return judged_complete(&message->complete, payload_len);
        case LANE_ASK_REST:
                return payload_len == 0;
        case LANE_RAW_READ:
                return judged_raw(&message->raw) && payload_len == 0;
        case LANE_RAW_WRITE:
                return judged_raw(&message->raw) && payload_len == message->raw.total;
        case LANE_TAKEN:
                return message->taken.queue < LIMIT_QUEUES && message->taken.next < 65536 && payload_len == 0;
        }
        return false;
}

static bool judged_requests(const struct lane_requests *m, uint32_t payload_len)
{
        uint64_t total = 0;

        if (m->n < 1 || m->n > LIMIT_WIRE_COLUMN || m->spin_us > LIMIT_POLL_US)
                return false;
        for (size_t i = 0; i < m->n; i++) {
                seen ^= m->id[i] ^ m->attempt[i] ^ (m->out_at ? m->out_at[i] : 0);
                if (m->queue[i] >= LIMIT_QUEUES || m->must_fail[i] > 1 || m->inlined[i] > m->readable[i] ||
                    (uint64_t)m->readable[i] + m->writable[i] > LIMIT_CHAIN_BYTES)
                        return false;
                total += m->in_at && m->in_at[i] != 0 ? 0 : m->inlined[i];
        }
        return total == payload_len;
}

bool judged_lane_to_worker(const struct lane_to_worker *message, uint32_t payload_len)
{
        const struct lane_mem_read_reply *reply = &message->mem_read_reply;

        switch (message->kind) {
        case LANE_REQUESTS:
                return judged_requests(&message->requests, payload_len);
        case LANE_MEM_READ_REPLY:
                if (reply->n < 1 || reply->n > LIMIT_MEM_SEGMENTS)
                        return false;
                for (size_t i = 0; i < reply->n; i++)
                        if (reply->status[i] >= WIRE_STATUS_COUNT_)
                                return false;
                return payload_len >= reply->n;
        case LANE_MAY_REST:
        case LANE_WAKE:
                return payload_len == 0;
        case LANE_RECALL:
                return message->recall.queue < LIMIT_QUEUES && payload_len == 0;
        }
        return false;
}

/* Bits 24 to 49 are ring and transport features: never a device's. */
static bool own_features(uint64_t features)
{
        for (unsigned bit = 24; bit <= 49; bit++)
                if (features >> bit & 1)
                        return false;
        return true;
}

static bool judged_fields(const struct control_hello *hello)
{
        unsigned end = 0;

        if (hello->n_fields > LIMIT_CONFIG_FIELDS)
                return false;
        for (uint32_t i = 0; i < hello->n_fields; i++) {
                const struct control_field *f = &hello->fields[i];

                if (f->width != 1 && f->width != 2 && f->width != 4 && f->width != 8)
                        return false;
                if (f->offset < end || f->offset + f->width > (int)LIMIT_CONFIG_BYTES)
                        return false;
                if (f->width < 8 && f->value >= UINT64_C(1) << (8 * f->width))
                        return false;
                end = f->offset + (unsigned)f->width;
        }
        return true;
}

static bool judged_area(const struct control_area *area)
{
        if (area->len == 0)
                return area->at == 0 && area->lead == 0 && !area->out && !area->dense;
        return area->len % 4096 == 0 && area->len <= LIMIT_AREA && area->lead < 4096 &&
               area->at % 4096 == 0 && area->at + (uint64_t)area->len * LIMIT_LANES > area->at;
}

static bool judged_hello(const struct control_hello *hello)
{
        static const struct control_hello plain;

        if (hello->device_type == 0)
                return memcmp(hello, &plain, sizeof(plain)) == 0;
        if (hello->n_queues < 1 || hello->n_queues > LIMIT_QUEUES || !own_features(hello->features))
                return false;
        for (uint32_t i = 0; i < hello->n_queues; i++) {
                if (hello->queue_kind[i] != QUEUE_WORK && hello->queue_kind[i] != QUEUE_SUPPLY)
                        return false;
                if (hello->queue_replay[i] != REPLAY_IDEMPOTENT &&
                    hello->queue_replay[i] != REPLAY_AT_MOST_ONCE)
                        return false;
        }
        return hello->max_segments >= 1 && hello->max_segments <= LIMIT_CHAIN_SEGMENTS &&
               hello->credit_requests >= 1 && hello->credit_requests <= LIMIT_CREDITS &&
               hello->max_inline <= hello->credit_bytes && hello->credit_bytes <= LIMIT_FRAME_PAYLOAD &&
               hello->maps <= LIMIT_SHMEM_MAPPINGS && judged_fields(hello) && judged_area(&hello->area);
}

/* Reads a whole blob. */
static bool judged_blob(const struct control_blob *blob)
{

        if (blob->len > LIMIT_STATE_BYTES)
                return false;
        for (size_t i = 0; i < blob->len; i++)
                seen ^= blob->bytes[i];
        return true;
}

static bool judged_config_space(size_t n, const uint64_t *value)
{

        for (size_t i = 0; i < n; i++)
                seen ^= value[i];
        return n >= 1 && n <= LIMIT_CONFIG_FIELDS;
}

static bool judged_iommu_range(const struct control_iommu *iommu)
{
        return iommu->endpoint < LIMIT_DEVICES && iommu->iova % 4096 == 0 && iommu->len % 4096 == 0 &&
               (iommu->iova + iommu->len == 0 || iommu->iova + iommu->len >= iommu->iova);
}

bool judged_control_to_broker(const struct control_to_broker *message)
{
        switch (message->kind) {
        case CONTROL_HELLO:
                return judged_hello(&message->hello);
        case CONTROL_DONE:
                return message->done.error <= 0;
        case CONTROL_CONFIG_SPACE:
                return judged_config_space(message->config_space.n, message->config_space.value);
        case CONTROL_PUT_STATE:
                return judged_blob(&message->put_state);
        case CONTROL_LOG:
                return message->log.level <= 3 && strlen(message->log.text) < LIMIT_LOG_LINE;
        case CONTROL_STATS:
                return message->stats.n <= LIMIT_COUNTERS;
        case CONTROL_BOOTED:
                return message->booted.entry.mode >= KVM_BOOT_LINUX64 &&
                       message->booted.entry.mode <= KVM_BOOT_ARM64;
        case CONTROL_BOOT_FAILED:
                return message->boot_failed.reason[0] != 0 &&
                       strnlen(message->boot_failed.reason, LIMIT_BOOT_REASON) < LIMIT_BOOT_REASON;
        case CONTROL_SHMEM_MAP: /* what part of which region it is about is judged where these are known */
        case CONTROL_SHMEM_UNMAP:
                return message->shmem.fd == -1;
        case CONTROL_IOMMU_MAP:
                return judged_iommu_range(&message->iommu) && message->iommu.len > 0 &&
                       message->iommu.gpa % 4096 == 0 &&
                       message->iommu.gpa + message->iommu.len > message->iommu.gpa &&
                       message->iommu.rights >= 1 && message->iommu.rights <= 3;
        case CONTROL_IOMMU_UNMAP: /* nothing, from 0 on, is everything */
                return judged_iommu_range(&message->iommu) &&
                       (message->iommu.len > 0 || message->iommu.iova == 0);
        case CONTROL_TO_BROKER_COUNT_:
                break;
        }
        return false;
}

static bool judged_text(const char *text, uint64_t max)
{
        if (strlen(text) > max)
                return false;
        for (const char *c = text; *c; c++)
                if (*c < ' ' || *c > '~')
                        return false;
        return true;
}

/* Of any kind and type. A worker's have no paths. */
static bool judged_option(const struct option_row *row, const struct option_value *value, bool worker)
{
        const bool hidden = worker && (row->of_host || row->kind == OPTION_PATH);

        if (!value->text || strlen(value->text) >= 4096)
                return false;
        if (hidden)
                return value->number == 0 && value->text[0] == '\0';
        switch (row->kind) {
        case OPTION_FLAG:
                return value->number <= 1;
        case OPTION_NUMBER:
        case OPTION_SIZE:
                return value->number == row->preset ||
                       (value->number >= row->min && value->number <= row->max);
        case OPTION_CHOICE:
                for (uint64_t i = 0; i <= value->number; i++)
                        if (!row->choices[i])
                                return false;
                return true;
        case OPTION_TEXT:
                return row->ok || judged_text(value->text, row->max);
        case OPTION_TEXTS:
                return value->number <= row->max && (value->number == 0) == (value->text[0] == '\0');
        case OPTION_PATH:
                return value->text[0] == '/' || (value->text[0] == '\0' && !row->required);
        }
        return false;
}

static bool judged_options(enum device_type_id type, const struct option_set *set, bool worker)
{
        for (unsigned i = 0; i < device_types[type].n_options; i++)
                if (!judged_option(&device_types[type].options[i], &set->value[i], worker))
                        return false;
        return true;
}

static bool judged_pools(const struct boot_options *boot)
{
        uint64_t end = 0;

        if (boot->n_pools > boot->n_devices || (boot->n_pools > 0 && boot->arch != BOOT_ARCH_ARM64))
                return false;
        for (uint32_t i = 0; i < boot->n_pools; end = boot->pool[i].start + boot->pool[i].len, i++) {
                bool inside = false;

                for (uint32_t k = 0; k < boot->n_ram; k++)
                        inside |= boot->pool[i].start >= boot->ram[k].start &&
                                  boot->pool[i].start - boot->ram[k].start < boot->ram[k].len &&
                                  boot->pool[i].len <=
                                      boot->ram[k].len - (boot->pool[i].start - boot->ram[k].start);
                if (!inside || boot->pool[i].len == 0 ||
                    (boot->pool[i].start | boot->pool[i].len) % (2u << 20) != 0 || boot->pool[i].start < end)
                        return false;
        }
        for (uint32_t i = 0; i < boot->n_devices; i++)
                if (boot->device_pool[i] > boot->n_pools)
                        return false;
        return true;
}

static bool judged_boot(const struct boot_options *boot)
{
        uint64_t end = 0;

        if ((boot->arch != BOOT_ARCH_X86_64 || boot->gic != 0) &&
            (boot->arch != BOOT_ARCH_ARM64 || (boot->gic != 2 && boot->gic != 3)))
                return false;
        if (boot->n_vcpus < 1 || boot->n_vcpus > LIMIT_VCPUS || boot->n_ram < 1 ||
            boot->n_ram > LIMIT_BOOT_RAM)
                return false;
        for (uint32_t i = 0; i < boot->n_ram; end = boot->ram[i].start + boot->ram[i].len, i++)
                if (boot->ram[i].start < end || boot->ram[i].len == 0 ||
                    (boot->ram[i].start | boot->ram[i].len) % 4096 != 0 ||
                    boot->ram[i].start + boot->ram[i].len < boot->ram[i].start)
                        return false;
        if (boot->n_devices > LIMIT_DEVICES || boot->devices_start % 4096 != 0 ||
            boot->devices_start + LIMIT_DEVICES * BOOT_DEVICE_WINDOW < boot->devices_start)
                return false;
        for (uint32_t i = 0; i < boot->n_devices; i++)
                if (boot->interrupt[i] >= LIMIT_BOOT_INTERRUPT)
                        return false;
        if (boot->iommu > boot->n_devices || (boot->iommu == 0 && boot->endpoints != 0))
                return false;
        for (uint32_t i = 0; i < LIMIT_DEVICES; i++)
                if ((boot->endpoints >> i & 1) && (i >= boot->n_devices || i + 1 == boot->iommu))
                        return false;
        return judged_pools(boot) && strnlen(boot->cmdline, LIMIT_CMDLINE) < LIMIT_CMDLINE;
}

static bool judged_regions(const struct control_configure *m)
{
        if (m->n_regions > LIMIT_SHMEM_REGIONS)
                return false;
        for (uint32_t i = 0; i < m->n_regions; i++) {
                const struct device_region *region = &m->regions[i];

                if (region->len < 4096 || region->len > UINT64_C(1) << 40 || region->len % 4096 != 0 ||
                    (region->source != REGION_MEMORY && region->source != REGION_FILES) ||
                    (i > 0 && region->shmid <= m->regions[i - 1].shmid))
                        return false;
        }
        return true;
}

static bool judged_configure(const struct control_configure *m)
{
        if (m->type == DEVICE_TYPE_LOADER && (m->n_queues != 0 || m->n_lanes != 1 || !judged_boot(&m->boot)))
                return false;
        if (m->type != DEVICE_TYPE_LOADER && m->n_lanes > m->n_queues)
                return false;
        if (!vm_config_name_ok(m->name) || m->n_lanes < 1 || m->n_lanes > LIMIT_LANES ||
            m->n_queues > LIMIT_QUEUES || m->max_payload < 1 || m->max_payload > LIMIT_FRAME_PAYLOAD ||
            m->area_len > LIMIT_AREA || m->area_len % 4096 != 0 || m->poll_us > 1000)
                return false;
        if (m->raw.size % 4096 != 0 || m->raw.start % 4096 != 0 ||
            m->raw.start + m->raw.size < m->raw.start || (m->raw.size > 0 && m->type != DEVICE_TYPE_SAMPLE) ||
            (m->raw.size == 0 && m->raw.start != 0))
                return false;
        if (!judged_regions(m) || (m->endpoints != 0 && m->type != DEVICE_TYPE_IOMMU))
                return false;
        return m->type < WORKER_TYPE_COUNT_ && judged_options(m->type, &m->options, true);
}

bool judged_control_to_worker(const struct control_to_worker *message)
{
        switch (message->kind) {
        case CONTROL_CONFIGURE:
                return judged_configure(&message->configure);
        case CONTROL_SET_FEATURES:
                return own_features(message->set_features.features);
        case CONTROL_CONFIG_WRITE:
                return message->config_write.field < LIMIT_CONFIG_FIELDS;
        case CONTROL_START_QUEUE:
                return message->start_queue.queue < LIMIT_QUEUES && message->start_queue.size >= 1 &&
                       message->start_queue.size <= LIMIT_RING_SIZE && message->start_queue.desc % 16 == 0 &&
                       message->start_queue.avail % 2 == 0 && message->start_queue.used % 4 == 0 &&
                       message->start_queue.next < 65536;
        case CONTROL_RESTORE_STATE:
                return judged_blob(&message->restore_state);
        case CONTROL_SHUTDOWN:
                return true;
        case CONTROL_SET:
                if (message->set.id == SETTING_LINK)
                        return message->set.index == 0 && message->set.value < 2;
                return message->set.id == SETTING_SIZE && message->set.index < LIMIT_PORTS &&
                       message->set.value % 65536 >= 1 && message->set.value / 65536 >= 1 &&
                       message->set.value / 65536 <= 65535;
        case CONTROL_SHMEM_ANSWER:
                return message->shmem_answer.error <= 0;
        case CONTROL_IOMMU_ANSWER:
                return message->iommu_answer.error <= 0;
        case CONTROL_IOMMU_FAULT:
                return message->iommu_fault.endpoint < LIMIT_DEVICES &&
                       message->iommu_fault.iova % 4096 == 0 && message->iommu_fault.rights >= 1 &&
                       message->iommu_fault.rights <= 3;
        }
        return false;
}

bool judged_spawn_to_broker(const struct spawn_to_broker *message)
{
        if (message->device >= LIMIT_WORKERS || message->pid > INT32_MAX)
                return false;
        switch (message->kind) {
        case SPAWN_SPAWNED:
                return message->pid >= 1 && message->uid != UINT32_MAX;
        case SPAWN_FAILED:
                return message->error < 0 && strnlen(message->reason, sizeof(message->reason)) < 256;
        case SPAWN_EXITED:
                return message->pid >= 1 && message->code <= 255 &&
                       !(message->signaled && message->code == 0) &&
                       message->cause.breach < SPAWN_BREACH_COUNT_ &&
                       message->cause.gate < SPAWN_GATE_COUNT_ &&
                       strnlen(message->cause.call, SPAWN_CALL_NAME) < SPAWN_CALL_NAME;
        case SPAWN_COMPANION:
                return message->uid != UINT32_MAX;
        case SPAWN_RENEWED:
        case SPAWN_TERMINATE:
                return true;
        case SPAWN_TO_BROKER_COUNT_:
                break;
        }
        return false;
}

bool judged_spawn_to_spawner(const struct spawn_to_spawner *message)
{
        return message->device < LIMIT_WORKERS && message->kind >= SPAWN_SPAWN && message->kind <= SPAWN_STOP;
}

bool judged_admin_to_broker(const struct admin_to_broker *message)
{
        if (message->kind == ADMIN_SET)
                return vm_config_name_ok(message->device) && control_setting_ok(&message->set.setting);
        if (message->kind == ADMIN_GET_SHMEM)
                return vm_config_name_ok(message->device);
        return message->kind == ADMIN_GET_STATUS;
}

bool judged_admin_to_client(const struct admin_to_client *message)
{
        const struct admin_status *status = &message->status;

        if (message->kind == ADMIN_TAKEN)
                return true;
        if (message->kind == ADMIN_ERROR)
                return message->error.error < 0 && strnlen(message->error.reason, 256) < 256;
        if (message->kind == ADMIN_SHMEM)
                return message->shmem.n <= ADMIN_MAPS;
        if (message->kind != ADMIN_STATUS || !vm_config_name_ok(status->vm) ||
            status->n_devices > LIMIT_DEVICES)
                return false;
        for (size_t i = 0; i < status->n_devices; i++) {
                const struct admin_device *device = &status->devices[i];

                if (!vm_config_name_ok(device->name) || strnlen(device->type, LIMIT_NAME) == LIMIT_NAME ||
                    device->state < ADMIN_STARTING || device->state > ADMIN_QUARANTINED ||
                    device->n_counters > LIMIT_COUNTERS || device->regions.n > LIMIT_SHMEM_REGIONS ||
                    device->regions.mappings > ADMIN_MAPS ||
                    device->regions.mapped_bytes > device->regions.bytes ||
                    device->regions.memory_bytes > device->regions.bytes ||
                    device->translations.held > (device->translations.on ? LIMIT_IOTLB_ENTRIES : 0) ||
                    device->translations.open > (device->translations.on ? LIMIT_IOTLB_MISSES : 0))
                        return false;
                for (const char *c = device->why; *c; c++)
                        if (*c < ' ' || *c > '~' || c == &device->why[LIMIT_WHY - 1])
                                return false;
        }
        return strnlen(status->version, LIMIT_NAME) < LIMIT_NAME;
}

static bool judged_limit(uint64_t value, uint64_t min, uint64_t max)
{
        return value == 0 || (value >= min && value <= max);
}

static bool judged_limits(const struct device_config *device)
{
        const struct device_limits *l = &device->limits;

        if (device->type != DEVICE_TYPE_BLK &&
            (l->io_weight | l->read_bps | l->write_bps | l->read_iops | l->write_iops) != 0)
                return false;
        return judged_limit(l->memory, 8u << 20, UINT32_MAX) && judged_limit(l->cpu, 1, 100) &&
               judged_limit(l->cpu_weight, 1, 10000) && judged_limit(l->io_weight, 1, 10000) &&
               judged_limit(l->read_bps, 1u << 20, INT64_MAX) &&
               judged_limit(l->write_bps, 1u << 20, INT64_MAX) &&
               judged_limit(l->read_iops, 10, UINT32_MAX) && judged_limit(l->write_iops, 10, UINT32_MAX);
}

static bool judged_rate_of(uint64_t rate, uint64_t burst, uint64_t min, uint64_t max)
{
        if (rate == 0)
                return burst == 0;
        return rate >= min && rate <= max && (burst == 0 || (burst >= (rate + 99) / 100 && burst <= max));
}

static bool judged_rate(const struct device_rate *rate)
{
        return judged_rate_of(rate->ops, rate->ops_burst, 10, UINT32_MAX) &&
               judged_rate_of(rate->bytes, rate->bytes_burst, 1u << 20, UINT64_C(16) << 30);
}

static bool judged_kvm(const struct vm_config *config)
{
        const struct kvm_config *kvm = &config->kvm;
        const struct boot_config *boot = &config->boot;

        if (config->frontend == VM_FRONTEND_VHOST_USER)
                return kvm->vcpus == 0 && kvm->memory == 0 && kvm->serial == 0 && boot->kernel[0] == '\0' &&
                       boot->initrd[0] == '\0' && boot->cmdline[0] == '\0';
        return config->frontend == VM_FRONTEND_KVM && kvm->vcpus >= 1 && kvm->vcpus <= 64 &&
               kvm->memory >= 16u << 20 && kvm->memory >> 46 <= 1 && kvm->memory % (1u << 20) == 0 &&
               kvm->serial < VM_SERIAL_COUNT_ && boot->kernel[0] == '/' &&
               (boot->initrd[0] == '/' || boot->initrd[0] == '\0') && strlen(boot->cmdline) < 2048 &&
               config->uid_count >= config->n_devices + 2;
}

bool judged_vm_config(const struct vm_config *config)
{
        if (!vm_config_name_ok(config->name) || config->run_dir[0] != '/' || config->worker_dir[0] != '/' ||
            config->n_devices < 1 || config->n_devices > LIMIT_DEVICES ||
            config->worker_memory_max < 8u << 20 || config->uid_first < 1000 ||
            config->uid_count <= config->n_devices || !judged_kvm(config))
                return false;
        for (size_t i = 0; i < config->n_devices; i++) {
                const struct device_config *device = &config->devices[i];

                if (!vm_config_name_ok(device->name) || device->type >= DEVICE_TYPE_COUNT_ ||
                    device->n_queues < 1 || device->n_queues > device_types[device->type].max_queues ||
                    device->n_lanes < 1 || device->n_lanes > device->n_queues ||
                    vm_config_memory(config, device) >> 20 < 6 + 2 * device->n_lanes ||
                    device->request_timeout < 1 || device->request_timeout > 3600 ||
                    device->copy >= DEVICE_COPY_COUNT_ || device->poll_us > 1000 ||
                    device->placement >= DEVICE_PLACEMENT_COUNT_)
                        return false;
                if (device->legacy >= DEVICE_LEGACY_COUNT_ ||
                    (device->legacy != DEVICE_LEGACY_OFF &&
                     (config->frontend != VM_FRONTEND_KVM || !device_types[device->type].legacy)))
                        return false;
                if (config->frontend == VM_FRONTEND_VHOST_USER &&
                    strlen(config->run_dir) + strlen(config->name) + strlen(device->name) + 7 > 107)
                        return false;
                if (!judged_limits(device) || !judged_rate(&device->rate))
                        return false;
                if (!judged_options(device->type, &device->options, false))
                        return false;
        }
        return true;
}
