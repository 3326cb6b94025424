/* A configuration file, read, judged and turned into what the broker is given.
 * Owns nothing beyond a call; called by the verbs run, check and attach.
 *
 * How it works: bytes -> tree with positions (config_document.c) -> shape, keys, types (config_walk.c) ->
 * values (config_judge.c). Only a file without mistakes goes to libcyaml, which loads it by the same schema;
 * the result is judged once more as a whole. The order matters: libcyaml stops at its first mistake.
 *
 * TRUST: bytes of the operator's file, at most LIMIT_CTL_CONFIG_BYTES.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/ctl/config_document.h"
#include "broker/ctl/config_host.h"
#include "broker/ctl/config_option.h"
#include "broker/ctl/config_schema.h"
#include "broker/ctl/config_value.h"
#include "broker/ctl/config_walk.h"
#include "proto/base/cleanup.h"
#include "proto/base/fd.h"

static void loaded_free(struct config_file *file)
{
        const cyaml_config_t options = config_schema_options(NULL, NULL);

        cyaml_free(&options, config_schema(), file, 0);
}
DEFINE_CLEANUP(struct config_file, loaded, loaded_free)

/* The library's last words, when it refuses what we have found good: its reasons must not get lost. */
static void loader_log(cyaml_log_t level, void *context, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void loader_log(cyaml_log_t level, void *context, const char *format, va_list args)
{
        char text[256];

        (void)level;
        vsnprintf(text, sizeof(text), format, args);
        text[strcspn(text, "\n")] = '\0';
        mistakes_add(context, MISTAKE_ERROR, 0, 0, "refused by the YAML loader: %s", text);
}

static void fill_limits(const struct config_device_limits *file, struct device_limits *ret)
{
        if (!file)
                return;
        if (file->memory)
                config_value_size(file->memory, &ret->memory);
        if (file->cpu)
                config_value_percent(file->cpu, &ret->cpu);
        if (file->read_bps)
                config_value_size(file->read_bps, &ret->read_bps);
        if (file->write_bps)
                config_value_size(file->write_bps, &ret->write_bps);
        ret->cpu_weight = file->cpu_weight ? *file->cpu_weight : 0;
        ret->io_weight = file->io_weight ? *file->io_weight : 0;
        ret->read_iops = file->read_iops ? *file->read_iops : 0;
        ret->write_iops = file->write_iops ? *file->write_iops : 0;
}

static void fill_rate(const struct config_device_rate *file, struct device_rate *ret)
{
        if (!file)
                return;
        ret->ops = file->ops ? *file->ops : 0;
        ret->ops_burst = file->ops_burst ? *file->ops_burst : 0;
        if (file->bytes)
                config_value_size(file->bytes, &ret->bytes);
        if (file->bytes_burst)
                config_value_size(file->bytes_burst, &ret->bytes_burst);
}

static void fill_shmem(const struct config_device *file, struct device_shmem *ret)
{
        const struct config_shmem_limits *limits = file->shmem_limits;

        ret->map = file->shmem && *file->shmem == CONFIG_SHMEM_MAP;
        if (!limits)
                return;
        ret->foreign_dma = limits->foreign_dma ? *limits->foreign_dma : FOREIGN_DMA_ALLOW;
        ret->limits.mappings = limits->mappings ? *limits->mappings : 0;
        if (limits->bytes)
                config_value_size(limits->bytes, &ret->limits.bytes);
}

static void fill_memory(const struct config_device_memory *file, struct device_memory *ret)
{
        if (!file)
                return;
        ret->iotlb = file->iotlb && *file->iotlb;
        ret->n_windows = file->windows_count;
        for (uint32_t i = 0; i < file->windows_count; i++) {
                config_value_address(file->windows[i].start, &ret->windows[i].start);
                config_value_size(file->windows[i].size, &ret->windows[i].size);
        }
        if (!file->raw || ret->n_windows == LIMIT_WINDOWS) /* refused: it is the only one */
                return;
        config_value_address(file->raw->start, &ret->windows[ret->n_windows].start);
        config_value_size(file->raw->size, &ret->windows[ret->n_windows].size);
        ret->n_windows++;
        ret->raw = true;
}

static int fill_device(struct config_device *file, enum vm_frontend frontend,
                       const struct config_context *context, struct arena *arena, struct device_config *ret)
{
        int r;

        *ret = (struct device_config){
            .type = file->type,
            .n_queues = file->queues ? *file->queues
                                     : device_type_default_queues(&device_types[file->type],
                                                                  frontend == VM_FRONTEND_KVM),
            .n_lanes = file->lanes ? *file->lanes : 1,
            .request_timeout = file->request_timeout ? *file->request_timeout : VM_CONFIG_REQUEST_TIMEOUT,
            .copy = file->copy ? *file->copy : DEVICE_COPY_AUTO,
            .poll_us = file->poll_us ? *file->poll_us : config_host_poll_us(),
            .placement = file->placement ? *file->placement : DEVICE_PLACEMENT_AUTO,
            .legacy = file->legacy ? *file->legacy : DEVICE_LEGACY_OFF,
        };
        snprintf(ret->name, sizeof(ret->name), "%s", file->name);
        fill_limits(file->limits, &ret->limits);
        fill_rate(file->rate, &ret->rate);
        fill_shmem(file, &ret->shmem);
        fill_memory(file->memory, &ret->memory);
        r = config_option_load(file, context->folder, arena, ret);
        if (r == 0 && !file->queues && device_types[file->type].queues)
                ret->n_queues = device_types[file->type].queues(&ret->options);
        return r;
}

/* What config_judge has found good of a VM of our own. */
static void fill_kvm(const struct config_file *file, const struct config_context *context,
                     struct vm_config *ret)
{
        if (file->frontend != VM_FRONTEND_KVM)
                return;
        ret->kvm = (struct kvm_config){.vcpus = file->vcpus ? *file->vcpus : 1,
                                       .memory = VM_CONFIG_GUEST_MEMORY,
                                       .serial = file->serial ? *file->serial : VM_SERIAL_STDIO};
        if (file->memory)
                config_value_size(file->memory, &ret->kvm.memory);
        config_value_path(file->kernel, context->folder, ret->boot.kernel);
        if (file->initrd)
                config_value_path(file->initrd, context->folder, ret->boot.initrd);
        snprintf(ret->boot.cmdline, sizeof(ret->boot.cmdline), "%s", file->cmdline ? file->cmdline : "");
}

/* Every text here has been judged: nothing is cut and nothing fails. */
static void fill_vm(const struct config_file *file, const struct config_context *context,
                    struct vm_config *ret)
{
        uint64_t memory = VM_CONFIG_MEMORY_MAX;

        *ret = (struct vm_config){
            .frontend = file->frontend,
            .socket_mode = 0660,
            .socket_gid = VM_CONFIG_NO_GID,
            .uid_first = file->uids && file->uids->first ? *file->uids->first : VM_CONFIG_UID_FIRST,
            .uid_count = file->uids && file->uids->count ? *file->uids->count : VM_CONFIG_UID_COUNT,
        };
        snprintf(ret->name, sizeof(ret->name), "%s", file->vm);
        snprintf(ret->worker_dir, sizeof(ret->worker_dir), "%s", context->worker_dir);
        snprintf(ret->run_dir, sizeof(ret->run_dir), "%s", context->run_dir);
        if (file->run_dir && !context->run_dir_given)
                config_value_path(file->run_dir, context->folder, ret->run_dir);
        if (file->socket && file->socket->mode)
                config_value_mode(file->socket->mode, &ret->socket_mode);
        if (file->socket && file->socket->group)
                config_value_group(file->socket->group, &ret->socket_gid);
        if (file->limits && file->limits->worker_memory)
                config_value_size(file->limits->worker_memory, &memory);
        ret->worker_memory_max = (uint32_t)memory;
        fill_kvm(file, context, ret);
}

static int fill(const struct config_file *file, const struct config_context *context,
                struct mistakes *mistakes, struct vm_config *ret_config)
{
        _cleanup_(vm_config_done) struct vm_config config = {0};
        _cleanup_(arena_done) struct arena arena = {0};
        char why[512];

        fill_vm(file, context, &config);
        config.devices = calloc(file->devices_count, sizeof(*config.devices));
        if (!config.devices || arena_init(&arena, LIMIT_ARENA) < 0)
                return -ENOMEM;
        config.n_devices = file->devices_count; /* those that are still zero have nothing to free */
        for (uint32_t i = 0; i < file->devices_count; i++)
                if (fill_device(&file->devices[i], config.frontend, context, &arena, &config.devices[i]) < 0)
                        return -ENOMEM;
        if (vm_config_judge(&config, why, sizeof(why)) < 0) {
                mistakes_add(mistakes, MISTAKE_ERROR, 0, 0, "%s", why);
                return -EINVAL;
        }
        *ret_config = config;
        config = (struct vm_config){0}; /* the caller's now */
        return 0;
}

static int find_mistakes(const char *text, size_t len, const struct config_context *context,
                         struct mistakes *mistakes)
{
        yaml_document_t document;
        int r;

        r = config_document_load(text, len, mistakes, &document);
        if (r < 0)
                return r;
        config_walk(&document, config_schema(), mistakes);
        r = config_judge(&document, context, mistakes);
        yaml_document_delete(&document);
        if (r < 0)
                return r;
        return mistakes->n_errors > 0 ? -EINVAL : 0;
}

int config_parse(const char *text, size_t len, const struct config_context *context,
                 struct mistakes *mistakes, struct vm_config *ret_config)
{
        const cyaml_config_t options = config_schema_options(loader_log, mistakes);
        _cleanup_(cleanup_loaded) struct config_file *file = NULL;
        cyaml_err_t error;
        int r;

        r = find_mistakes(text, len, context, mistakes);
        if (r < 0)
                return r;
        error = cyaml_load_data((const uint8_t *)text, len, &options, config_schema(), (cyaml_data_t **)&file,
                                NULL);
        if (error != CYAML_OK) {
                mistakes_add(mistakes, MISTAKE_ERROR, 0, 0, "refused by the YAML loader: %s",
                             cyaml_strerror(error));
                return -EINVAL;
        }
        return fill(file, context, mistakes, ret_config);
}

/* Reads at most LIMIT_CTL_CONFIG_BYTES. -EFBIG: there is more. */
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *text = malloc(LIMIT_CTL_CONFIG_BYTES + 1);
        size_t len = 0;

        if (fd < 0)
                return -errno;
        if (!text)
                return -ENOMEM;
        while (len <= LIMIT_CTL_CONFIG_BYTES) {
                ssize_t n = read(fd, text + len, LIMIT_CTL_CONFIG_BYTES + 1 - len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        *ret_text = take_ptr(text);
                        *ret_len = len;
                        return 0;
                }
                len += (size_t)n;
        }
        return -EFBIG;
}

static const char *read_remedy(int negative_errno)
{
        switch (negative_errno) {
        case -ENOENT:
                return ": name a configuration file that exists";
        case -EACCES:
                return ": run as a user who may read it";
        case -EISDIR:
                return ": name a file";
        case -EFBIG:
                return ": a configuration has at most 1 MiB";
        default:
                return "";
        }
}

/* The folder that a file stands in, absolute and without links. */
static int file_folder(const char *path, char ret_folder[static PATH_MAX])
{
        char whole[PATH_MAX];
        char *slash;

        if (!realpath(path, whole))
                return -errno;
        slash = strrchr(whole, '/');
        slash[slash == whole ? 1 : 0] = '\0';
        memcpy(ret_folder, whole, strlen(whole) + 1);
        return 0;
}

int config_load(const char *path, const struct config_context *context, struct mistakes *mistakes,
                struct vm_config *ret_config)
{
        struct config_context here = *context;
        _cleanup_free_ char *text = NULL;
        char folder[PATH_MAX];
        size_t len = 0;
        int r;

        r = read_file(path, &text, &len);
        if (r == 0)
                r = file_folder(path, folder);
        if (r < 0) {
                mistakes_add(mistakes, MISTAKE_ERROR, 0, 0, "cannot be read: %s%s", strerror(-r),
                             read_remedy(r));
                return -EINVAL;
        }
        here.folder = folder;
        return config_parse(text, len, &here, mistakes, ret_config);
}
