/* The effective configuration as YAML, by libcyaml and the schema that loads it.
 * Owns nothing beyond a call; called by `check`. TRUST: the configuration has been judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/config_effective.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "broker/ctl/config_schema.h"
#include "broker/ctl/config_value.h"
#include "proto/base/cleanup.h"

static void fill_device(struct device_config *config, struct config_device *ret)
{
        *ret = (struct config_device){.name = config->name,
                                      .type = config->type,
                                      .queues = &config->n_queues,
                                      .request_timeout = &config->request_timeout};
        if (config->type != DEVICE_TYPE_BLK)
                return;
        ret->path = config->blk.path;
        ret->read_only = &config->blk.read_only;
        ret->serial = config->blk.serial;
        ret->block_size = &config->blk.block_size;
}

static int print(const struct config_file *file, FILE *out)
{
        const cyaml_config_t options = config_schema_options(NULL, NULL);
        char *text = NULL;
        size_t len;
        bool written;

        if (cyaml_save_data(&text, &len, &options, &config_schema, file, 0) != CYAML_OK)
                return -ENOMEM;
        written = fwrite(text, 1, len, out) == len;
        free(text); /* cyaml_mem is realloc and free */
        return written ? 0 : -EIO;
}

int config_effective_print(const struct vm_config *config, FILE *out)
{
        struct vm_config copy = *config; /* the schema's pointers are not const */
        _cleanup_free_ struct config_device *devices = calloc(copy.n_devices, sizeof(*devices));
        char mode[16], group[64], memory[32];
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

        if (!devices)
                return -ENOMEM;
        snprintf(mode, sizeof(mode), "0%03o", copy.socket_mode);
        config_value_size_text(copy.worker_memory_max, memory, sizeof(memory));
        if (copy.socket_gid != VM_CONFIG_NO_GID)
                socket.group = config_value_group_text(copy.socket_gid, group, sizeof(group));
        for (size_t i = 0; i < copy.n_devices; i++)
                fill_device(&copy.devices[i], &devices[i]);
        return print(&file, out);
}
