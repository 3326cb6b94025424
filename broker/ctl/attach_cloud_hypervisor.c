/* cloud-hypervisor's arguments, one a line.
 * Owns nothing; called by verb_attach.c. TRUST: the configuration is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "broker/ctl/attach.h"
#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"

#define QUEUE_SIZE 128u /* its own default for disks */

/* What is common; without the line's end. */
static void print_head(struct attach *attach, const struct device_config *device, const char *option,
                       const char *first)
{
        fprintf(attach->out, "%s\nid=bulkhead-%s,%ssocket=", option, device->name, first);
        attach_print_socket(attach, device);
}

static int print_blk(struct attach *attach, const struct device_config *device)
{
        print_head(attach, device, "--disk", "vhost_user=on,");
        fprintf(attach->out, ",num_queues=%u\n", device->n_queues);
        return 0;
}

/* Counts both of a pair. */
static int print_net(struct attach *attach, const struct device_config *device)
{
        print_head(attach, device, "--net", "vhost_user=on,");
        fprintf(attach->out, ",num_queues=%u", 2 * attach_pairs(device));
        if (attach_text(device, "mac")[0])
                fprintf(attach->out, ",mac=%s", attach_text(device, "mac"));
        if (attach_is_given(device, "mtu"))
                fprintf(attach->out, ",mtu=%" PRIu64, attach_number(device, "mtu"));
        fprintf(attach->out, "\n");
        return 0;
}

static int print_fs(struct attach *attach, const struct device_config *device)
{
        const char *tag = attach_tag(device);

        if (!tag)
                return -EOPNOTSUPP;
        print_head(attach, device, "--fs", "");
        fprintf(attach->out, ",tag=%s,num_queues=%u,queue_size=%u\n", tag, MAX(device->n_queues, 2u) - 1,
                QUEUE_SIZE);
        return 0;
}

/* A device that it knows nothing of but the number: since version 52. */
static int print_generic(struct attach *attach, const struct device_config *device)
{
        print_head(attach, device, "--generic-vhost-user", "");
        fprintf(attach->out, ",virtio_id=%u,queue_sizes=[", device_types[device->type].virtio_id);
        for (uint32_t i = 0; i < device->n_queues; i++)
                fprintf(attach->out, "%s%u", i == 0 ? "" : ",", QUEUE_SIZE);
        fprintf(attach->out, "]\n");
        return 0;
}

static int print_cloud_hypervisor(struct attach *attach)
{
        char size[32];

        fprintf(attach->out, "--memory\nsize=%s,shared=on\n",
                config_value_size_text(attach->memory, size, sizeof(size)));
        return attach_devices(attach, &attach_cloud_hypervisor);
}

static const struct attach_row rows[] = {
    {"blk", print_blk, NULL},
    {"rng", print_generic, NULL},
    {"net", print_net, NULL},
    {"vsock", print_generic, NULL},
    {"console", print_generic, NULL},
    {"fs", print_fs, NULL},
    {"pmem", print_generic, NULL},
    {"sample", print_generic, NULL},
    {"iommu", NULL, "an IOMMU is a part of a VM of our own: say frontend: kvm"},
};

const struct attach_vmm attach_cloud_hypervisor = {"cloud-hypervisor", print_cloud_hypervisor, rows,
                                                   array_size(rows)};
