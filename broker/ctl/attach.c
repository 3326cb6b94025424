/* What connects a VMM to a VM's devices: what all VMMs have in common.
 * Owns nothing; called by verb_attach.c and attach_*.c. TRUST: the configuration is judged; names and paths in it need no
 * quotes, a tag may.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/ctl/attach.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"

static const struct attach_vmm *const vmms[] = {
    &attach_qemu,
    &attach_libvirt,
    &attach_cloud_hypervisor,
    &attach_crosvm,
};

const struct attach_vmm *attach_find(const char *name)
{
        for (size_t i = 0; i < array_size(vmms); i++)
                if (strcmp(vmms[i]->name, name) == 0)
                        return vmms[i];
        return NULL;
}

const struct attach_row *attach_find_row(const struct attach_vmm *vmm, const char *type)
{
        for (size_t i = 0; i < vmm->n_rows; i++)
                if (strcmp(vmm->rows[i].type, type) == 0)
                        return &vmm->rows[i];
        return NULL;
}

int attach_devices(struct attach *attach, const struct attach_vmm *vmm)
{
        int result = 0;

        for (size_t i = 0; i < attach->config->n_devices; i++) {
                const struct device_config *device = &attach->config->devices[i];
                const struct attach_row *row = attach_find_row(vmm, device_types[device->type].name);
                int r;

                if (row && row->print)
                        r = row->print(attach, device);
                else
                        r = attach_refuse(device,
                                          row ? row->cannot : "there is no way to attach it: leave it out");
                if (r < 0)
                        result = r;
        }
        return result;
}

int attach_refuse(const struct device_config *device, const char *why)
{
        fprintf(stderr, "bulkhead: attach: %s: %s\n", device->name, why);
        return -EOPNOTSUPP;
}

void attach_print_socket(struct attach *attach, const struct device_config *device)
{
        fprintf(attach->out, "%s/%s/%s.sock", attach->config->run_dir, attach->config->name, device->name);
}

static unsigned find(const struct device_config *device, const char *key, const struct option_row **ret_row)
{
        const struct device_type *type = &device_types[device->type];
        unsigned i = option_find(type, key);

        *ret_row = i < type->n_options ? &type->options[i] : NULL;
        return i;
}

const char *attach_text(const struct device_config *device, const char *key)
{
        const struct option_row *row;
        unsigned i = find(device, key, &row);

        return row && option_has_text(row) ? device->options.value[i].text : "";
}

uint64_t attach_number(const struct device_config *device, const char *key)
{
        const struct option_row *row;
        unsigned i = find(device, key, &row);

        return row ? device->options.value[i].number : 0;
}

bool attach_is_given(const struct device_config *device, const char *key)
{
        const struct option_row *row;
        unsigned i = find(device, key, &row);
        char room[LIMIT_NAME];
        struct option_value preset;

        if (!row)
                return false;
        preset = option_preset(row, device->name, room);
        if (option_has_text(row))
                return strcmp(device->options.value[i].text, preset.text) != 0;
        return device->options.value[i].number != preset.number;
}

uint32_t attach_pairs(const struct device_config *device)
{
        return MAX(device->n_queues / 2, 1u);
}

const char *attach_tag(const struct device_config *device)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+:@%";
        const char *tag = attach_text(device, "tag");

        if (tag[strspn(tag, plain)] == '\0')
                return tag;
        attach_refuse(
            device,
            "its tag would have to be quoted in arguments: use letters, digits and any of . _ - + : @ %");
        return NULL;
}
