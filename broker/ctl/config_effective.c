/* The effective configuration as YAML, by libcyaml and the schema that loads it.
 * Owns nothing beyond a call; called by `check`. TRUST: the configuration has been judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_effective.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/ctl/config_option.h"
#include "broker/ctl/config_schema.h"
#include "broker/ctl/config_value.h"
#include "proto/base/cleanup.h"

#define OPTIONS_BYTES (4 * LIMIT_CTL_CONFIG_BYTES) /* for options as texts: a file's own, and their list */

/* A device's limits and rate as texts and numbers; lives as long as the schema's view of it. */
struct effective_limits {
        char memory[32], cpu[32], read_bps[32], write_bps[32];
        uint32_t cpu_weight, io_weight, read_iops, write_iops;
        struct config_device_limits file;
        char bytes[32], bytes_burst[32];
        uint32_t ops, ops_burst;
        struct config_device_rate rate;
        char shmem_bytes[32];
        uint32_t shmem_mappings;
        enum config_shmem shmem;
        enum foreign_dma foreign_dma;
        struct config_shmem_limits shmem_limits;
        struct config_device_memory reach;
        struct config_device_window windows[LIMIT_WINDOWS];
        char window_start[LIMIT_WINDOWS][32], window_size[LIMIT_WINDOWS][32];
};

static const char *size_text(uint64_t size, char out[static 32])
{
        return size ? config_value_size_text(size, out, 32) : NULL;
}

static uint32_t *number(uint64_t value, uint32_t *place)
{
        *place = (uint32_t)value; /* judged: it fits */
        return value ? place : NULL;
}

/* NULL: the device has none of its own. */
static struct config_device_limits *fill_limits(const struct device_limits *limits,
                                                struct effective_limits *place)
{
        static const struct device_limits none;

        if (memcmp(limits, &none, sizeof(none)) == 0)
                return NULL;
        snprintf(place->cpu, sizeof(place->cpu), "%" PRIu64 "%%", limits->cpu);
        place->file =
            (struct config_device_limits){.memory = size_text(limits->memory, place->memory),
                                          .cpu = limits->cpu ? place->cpu : NULL,
                                          .cpu_weight = number(limits->cpu_weight, &place->cpu_weight),
                                          .io_weight = number(limits->io_weight, &place->io_weight),
                                          .read_bps = size_text(limits->read_bps, place->read_bps),
                                          .write_bps = size_text(limits->write_bps, place->write_bps),
                                          .read_iops = number(limits->read_iops, &place->read_iops),
                                          .write_iops = number(limits->write_iops, &place->write_iops)};
        return &place->file;
}

/* NULL: it has none. Bursts are shown as they will be. */
static struct config_device_rate *fill_rate(const struct device_rate *rate, struct effective_limits *place)
{
        if (rate->ops == 0 && rate->bytes == 0)
                return NULL;
        place->rate = (struct config_device_rate){.ops = number(rate->ops, &place->ops),
                                                  .bytes = size_text(rate->bytes, place->bytes)};
        if (rate->ops > 0)
                place->rate.ops_burst = number(vm_config_ops_burst(rate), &place->ops_burst);
        if (rate->bytes > 0)
                place->rate.bytes_burst = size_text(vm_config_bytes_burst(rate), place->bytes_burst);
        return &place->rate;
}

static void fill_shmem(const struct device_shmem *shmem, struct effective_limits *place,
                       struct config_device *ret)
{
        static const struct shmem_limits none;

        if (!shmem->map)
                return;
        place->shmem = CONFIG_SHMEM_MAP;
        ret->shmem = &place->shmem;
        if (memcmp(&shmem->limits, &none, sizeof(none)) == 0 && shmem->foreign_dma == FOREIGN_DMA_ALLOW)
                return;
        place->foreign_dma = shmem->foreign_dma;
        place->shmem_limits =
            (struct config_shmem_limits){.mappings = number(shmem->limits.mappings, &place->shmem_mappings),
                                         .bytes = size_text(shmem->limits.bytes, place->shmem_bytes),
                                         .foreign_dma = &place->foreign_dma};
        ret->shmem_limits = &place->shmem_limits;
}

/* NULL: nothing but what every device has. */
static struct config_device_memory *fill_memory(struct device_memory *memory, struct effective_limits *place)
{
        if (!memory->iotlb && memory->n_windows == 0)
                return NULL;
        place->reach = (struct config_device_memory){.iotlb = memory->iotlb ? &memory->iotlb : NULL};
        if (memory->raw)
                place->reach.raw = place->windows;
        else if (memory->n_windows > 0)
                place->reach.windows = place->windows;
        place->reach.windows_count = memory->raw ? 0 : memory->n_windows;
        for (uint32_t i = 0; i < memory->n_windows; i++)
                place->windows[i] = (struct config_device_window){
                    .start = config_value_address_text(memory->windows[i].start, place->window_start[i],
                                                       sizeof(place->window_start[i])),
                    .size = size_text(memory->windows[i].size, place->window_size[i])};
        return &place->reach;
}

static int fill_device(struct device_config *config, struct config_device *ret,
                       struct effective_limits *place, struct arena *arena)
{
        *ret = (struct config_device){.name = config->name,
                                      .type = config->type,
                                      .queues = &config->n_queues,
                                      .lanes = &config->n_lanes,
                                      .request_timeout = &config->request_timeout,
                                      .copy = &config->copy,
                                      .poll_us = &config->poll_us,
                                      .placement = &config->placement};
        ret->limits = fill_limits(&config->limits, place);
        ret->rate = fill_rate(&config->rate, place);
        fill_shmem(&config->shmem, place, ret);
        ret->memory = fill_memory(&config->memory, place);
        ret->legacy = config->legacy != DEVICE_LEGACY_OFF ? &config->legacy : NULL;
        return config_option_show(config, arena, ret);
}

/* Only for a VM of our own. */
static void fill_kvm(struct vm_config *config, char memory[static 32], struct config_file *ret)
{
        if (config->frontend != VM_FRONTEND_KVM)
                return;
        ret->vcpus = &config->kvm.vcpus;
        ret->memory = config_value_size_text(config->kvm.memory, memory, 32);
        ret->serial = &config->kvm.serial;
        ret->kernel = config->boot.kernel;
        ret->initrd = config->boot.initrd[0] ? config->boot.initrd : NULL;
        ret->cmdline = config->boot.cmdline;
}

static int print(const struct config_file *file, FILE *out)
{
        const cyaml_config_t options = config_schema_options(NULL, NULL);
        char *text = NULL;
        size_t len;
        bool written;

        if (cyaml_save_data(&text, &len, &options, config_schema(), file, 0) != CYAML_OK)
                return -ENOMEM;
        written = fwrite(text, 1, len, out) == len;
        free(text); /* cyaml_mem is realloc and free */
        return written ? 0 : -EIO;
}

int config_effective_print(const struct vm_config *config, FILE *out)
{
        struct vm_config copy = *config; /* the schema's pointers are not const */
        _cleanup_free_ struct config_device *devices = calloc(copy.n_devices, sizeof(*devices));
        _cleanup_free_ struct effective_limits *places = calloc(copy.n_devices, sizeof(*places));
        _cleanup_(arena_done) struct arena arena = {0};
        char mode[16], group[64], memory[32], guest_memory[32];
        struct config_socket socket = {.mode = mode};
        struct config_uids uids = {.first = &copy.uid_first, .count = &copy.uid_count};
        struct config_limits limits = {.worker_memory = memory};
        struct config_file file = {
            .vm = copy.name,
            .frontend = copy.frontend,
            .run_dir = copy.run_dir,
            .socket = &socket,
            .uids = &uids,
            .limits = &limits,
            .devices = devices,
            .devices_count = (uint32_t)copy.n_devices,
        };

        if (!devices || !places)
                return -ENOMEM;
        snprintf(mode, sizeof(mode), "0%03o", copy.socket_mode);
        config_value_size_text(copy.worker_memory_max, memory, sizeof(memory));
        if (copy.socket_gid != VM_CONFIG_NO_GID)
                socket.group = config_value_group_text(copy.socket_gid, group, sizeof(group));
        fill_kvm(&copy, guest_memory, &file);
        if (arena_init(&arena, OPTIONS_BYTES) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < copy.n_devices; i++)
                if (fill_device(&copy.devices[i], &devices[i], &places[i], &arena) < 0)
                        return -ENOMEM;
        return print(&file, out);
}
