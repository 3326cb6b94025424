/* QEMU's arguments, one a line.
 * Owns nothing; called by verb_attach.c and attach_libvirt.c. TRUST: the configuration is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "broker/ctl/attach.h"
#include "broker/ctl/config_value.h"
#include "proto/base/checked.h"

#define TEST_DEVICE_SINCE    1002u /* QEMU 10.2: vhost-user-test-device-pci can be had by a user */
#define PMEM_CONFIG_BYTES    16u   /* virtio 1.3, 5.19.4 */
#define CONSOLE_CONFIG_BYTES 12u   /* virtio 1.3, 5.3.4 */

/* How a chardev is told to connect again. QEMU renamed the option: each name is an error to the other side. */
static const struct reconnect {
        uint32_t since; /* major * 100 + minor */
        const char *text;
} reconnects[] = {
    {902, ",reconnect-ms=1000"},
    {1, ",reconnect=1"},
};

const char *attach_qemu_reconnect(const struct attach *attach)
{
        for (size_t i = 0; i < array_size(reconnects); i++)
                if (attach->qemu_version >= reconnects[i].since)
                        return reconnects[i].text;
        return "";
}

/* Identifiers of QEMU begin with a letter; names of ours need not. Some models wait for their first connection. The others
 * take a socket that connects by itself for one that has failed, and QEMU ends: seen with vhost-user-rng-pci of 7.2 and
 * 11.1. */
static void print_chardev(struct attach *attach, const struct device_config *device, bool waits)
{
        fprintf(attach->out, "-chardev\nsocket,id=bulkhead-%s-socket,path=", device->name);
        attach_print_socket(attach, device);
        fprintf(attach->out, "%s\n", waits ? attach_qemu_reconnect(attach) : "");
}

/* Without what follows its chardev, and the line's end. */
static void print_model(struct attach *attach, const struct device_config *device)
{
        fprintf(attach->out, "-device\n%s,id=bulkhead-%s,chardev=bulkhead-%s-socket",
                device_types[device->type].qemu_device, device->name, device->name);
}

/* Without num-queues QEMU asks for a queue a vCPU and gives up when there are fewer. */
static int print_blk(struct attach *attach, const struct device_config *device)
{
        print_chardev(attach, device, true);
        print_model(attach, device);
        fprintf(attach->out, ",num-queues=%u\n", device->n_queues);
        return 0;
}

static int print_plain(struct attach *attach, const struct device_config *device)
{
        print_chardev(attach, device, false);
        print_model(attach, device);
        fprintf(attach->out, "\n");
        return 0;
}

/* Its configuration space is QEMU's own. */
static int print_net(struct attach *attach, const struct device_config *device)
{
        const uint32_t pairs = attach_pairs(device);

        print_chardev(attach, device, true);
        fprintf(attach->out, "-netdev\nvhost-user,id=bulkhead-%s-net,chardev=bulkhead-%s-socket,queues=%u\n",
                device->name, device->name, pairs);
        fprintf(attach->out, "-device\n%s,id=bulkhead-%s,netdev=bulkhead-%s-net",
                device_types[device->type].qemu_device, device->name, device->name);
        if (pairs > 1)
                fprintf(attach->out, ",mq=on");
        if (attach_text(device, "mac")[0])
                fprintf(attach->out, ",mac=%s", attach_text(device, "mac"));
        if (attach_is_given(device, "mtu"))
                fprintf(attach->out, ",host_mtu=%" PRIu64, attach_number(device, "mtu"));
        fprintf(attach->out, "\n");
        return 0;
}

/* So is its tag. The first queue is for forgetting. */
static int print_fs(struct attach *attach, const struct device_config *device)
{
        const char *tag = attach_tag(device);

        if (!tag)
                return -EOPNOTSUPP;
        print_chardev(attach, device, false);
        print_model(attach, device);
        fprintf(attach->out, ",tag=%s,num-request-queues=%u\n", tag, MAX(device->n_queues, 2u) - 1);
        return 0;
}

/* What QEMU has no model of: its user says what it is. */
static int print_any(struct attach *attach, const struct device_config *device, unsigned config_bytes)
{
        if (attach->qemu_version < TEST_DEVICE_SINCE)
                return attach_refuse(
                    device,
                    "QEMU can have such a device by vhost-user since 10.2 only: say --qemu-version 10.2 "
                    "or later if it is one, or run the VM with frontend: kvm");
        print_chardev(attach, device, false);
        print_model(attach, device);
        fprintf(attach->out, ",virtio-id=%u,num_vqs=%u,config_size=%u\n",
                device_types[device->type].virtio_id, device->n_queues, config_bytes);
        return 0;
}

static int print_console(struct attach *attach, const struct device_config *device)
{
        return print_any(attach, device, CONSOLE_CONFIG_BYTES);
}

/* Without virtio 1.3's feature of a region (Linux before 6.9) its driver would have to be told an address that is QEMU's own. */
static int print_pmem(struct attach *attach, const struct device_config *device)
{
        return print_any(attach, device, PMEM_CONFIG_BYTES);
}

static int print_sample(struct attach *attach, const struct device_config *device)
{
        return print_any(attach, device, 0);
}

int attach_qemu_device(struct attach *attach, const struct device_config *device)
{
        const struct attach_row *row = attach_find_row(&attach_qemu, device_types[device->type].name);

        return row->print(attach, device);
}

/* QEMU's memory must be one that can be shared, or the devices see nothing of it. */
static int print_qemu(struct attach *attach)
{
        char size[32];

        config_value_size_text(attach->memory, size, sizeof(size));
        fprintf(attach->out, "-m\n%s\n-object\nmemory-backend-memfd,id=bulkhead-memory,share=on,size=%s\n",
                size, size);
        fprintf(attach->out, "-machine\nmemory-backend=bulkhead-memory\n");
        return attach_devices(attach, &attach_qemu);
}

static const struct attach_row rows[] = {
    {"blk", print_blk, NULL},
    {"rng", print_plain, NULL},
    {"net", print_net, NULL},
    {"vsock", print_plain, NULL},
    {"console", print_console, NULL},
    {"fs", print_fs, NULL},
    {"pmem", print_pmem, NULL},
    {"sample", print_sample, NULL},
    {"iommu", NULL, "an IOMMU is a part of a VM of our own: say frontend: kvm"},
};

const struct attach_vmm attach_qemu = {"qemu", print_qemu, rows, array_size(rows)};
