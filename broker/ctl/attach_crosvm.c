/* crosvm's arguments, one a line. Its memory can always be shared.
 * Owns nothing; called by verb_attach.c. TRUST: the configuration is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "broker/ctl/attach.h"
#include "proto/base/checked.h"

static int print_type(struct attach *attach, const struct device_config *device, const char *type)
{
        fprintf(attach->out, "--vhost-user\n%s,socket=", type);
        attach_print_socket(attach, device);
        fprintf(attach->out, "\n");
        return 0;
}

static int print_blk(struct attach *attach, const struct device_config *device)
{
        return print_type(attach, device, "block");
}

/* By the name that we have too. */
static int print_same(struct attach *attach, const struct device_config *device)
{
        return print_type(attach, device, device_types[device->type].name);
}

static int print_fs(struct attach *attach, const struct device_config *device)
{
        const char *tag = attach_tag(device);

        if (!tag)
                return -EOPNOTSUPP;
        fprintf(attach->out, "--vhost-user-fs\nsocket=");
        attach_print_socket(attach, device);
        fprintf(attach->out, ",tag=%s\n", tag);
        return 0;
}

static int print_crosvm(struct attach *attach)
{
        fprintf(attach->out, "--mem\n%" PRIu64 "\n", attach->memory >> 20);
        return attach_devices(attach, &attach_crosvm);
}

static const struct attach_row rows[] = {
    {"blk", print_blk, NULL},
    {"rng", print_same, NULL},
    {"net", print_same, NULL},
    {"vsock", print_same, NULL},
    {"console", print_same, NULL},
    {"fs", print_fs, NULL},
    {"pmem", print_same, NULL},
    {"sample", print_same, NULL},
    {"iommu", NULL, "an IOMMU is a part of a VM of our own: say frontend: kvm"},
};

const struct attach_vmm attach_crosvm = {"crosvm", print_crosvm, rows, array_size(rows)};
