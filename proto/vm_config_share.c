/* What may not lie in a shared folder.
 * Owns nothing; called by vm_config_judge. TRUST: paths are the operator's, whole and judged one by one. They are compared as
 * they are written: this finds a mistake, it is no wall.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm_config_share.h"

#include <string.h>

#include "proto/device/fs.h"
#include "proto/refuse.h"

static bool is_below(const char *path, const char *folder)
{
        size_t len = strlen(folder);

        while (len > 0 && folder[len - 1] == '/')
                len--;
        return strncmp(path, folder, len) == 0 && path[len] == '/' && path[len + 1] != '\0';
}

static bool ids_overlap(uint32_t a, uint32_t n_a, uint32_t b, uint32_t n_b)
{
        return a < b ? b - a < n_a : a - b < n_b;
}

static int judge_paths(const struct device_config *device, const struct device_config *share,
                       const char *folder, char *why, size_t why_size)
{
        const struct device_type *type = &device_types[device->type];

        for (unsigned i = 0; i < type->n_options; i++)
                if (type->options[i].kind == OPTION_PATH && is_below(device->options.value[i].text, folder))
                        return refuse(
                            why, why_size,
                            "device %s: %s lies in what %s shares with its guest, who could put a link "
                            "there: move it, or make that read_only",
                            device->name, type->options[i].key, share->name);
        return 0;
}

static int judge_share(const struct vm_config *config, const struct device_config *share, char *why,
                       size_t why_size)
{
        const struct fs_options options = fs_options_read(&share->options);

        if (options.n_owners > 0 &&
            ids_overlap(options.first_owner, options.n_owners, config->uid_first, config->uid_count))
                return refuse(why, why_size,
                              "device %s: owners has ids of the range %u to %u, in which our processes run: "
                              "choose others",
                              share->name, config->uid_first, config->uid_first + config->uid_count - 1);
        if (options.read_only)
                return 0;
        if (is_below(config->boot.kernel, options.path) || is_below(config->boot.initrd, options.path))
                return refuse(why, why_size,
                              "kernel or initrd lies in what %s shares with its guest, who could put a link "
                              "there: move it, "
                              "or make that read_only",
                              share->name);
        for (size_t i = 0; i < config->n_devices; i++)
                if (judge_paths(&config->devices[i], share, options.path, why, why_size) < 0)
                        return -EINVAL;
        return 0;
}

int vm_config_judge_shares(const struct vm_config *config, char *why, size_t why_size)
{
        for (size_t i = 0; i < config->n_devices; i++)
                if (config->devices[i].type == DEVICE_TYPE_FS &&
                    judge_share(config, &config->devices[i], why, why_size) < 0)
                        return -EINVAL;
        return 0;
}
