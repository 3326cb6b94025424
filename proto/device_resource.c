/* How many descriptors of which kind a worker is given: one row a type.
 * Owns nothing; called by the spawner, the broker and `bulkhead audit`. TRUST: the configuration is judged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_resource.h"

#include <assert.h>

#include "proto/base/checked.h"
#include "proto/device/blk.h"
#include "proto/device/net.h"
#include "proto/device/console.h"

struct resource_row {
        struct resource_counts most;
        void (*count)(const struct device_config *device,
                      struct resource_counts *ret_counts);            /* NULL: always the most */
        const char *(*companion)(const struct device_config *device); /* NULL: none */
};

/* The image; and an eventfd that counts the transfers of a direct one. */
static void count_blk(const struct device_config *device, struct resource_counts *ret_counts)
{
        *ret_counts = (struct resource_counts){
            .of = {[RESOURCE_FILE] = 1, [RESOURCE_EVENT] = blk_options_read(&device->options).direct}};
}

/* A tap's queues or one stream; and the capture if there is one. */
static void count_net(const struct device_config *device, struct resource_counts *ret_counts)
{
        const struct net_options options = net_options_read(&device->options);
        bool tap = options.carrier == NET_CARRIER_TAP;

        *ret_counts = (struct resource_counts){.of = {[RESOURCE_TAP] = tap ? device->n_queues / 2 : 0,
                                                      [RESOURCE_STREAM] = tap ? 0 : 1,
                                                      [RESOURCE_FILE] = options.pcap[0] != '\0'}};
}

static const char *companion_of_net(const struct device_config *device)
{
        return net_options_read(&device->options).carrier == NET_CARRIER_PASST ? "passt" : NULL;
}

static const char *companion_of_vsock(const struct device_config *device)
{
        (void)device;
        return "vsock-proxy";
}

/* The kernel, and the initrd if there is one. */
static void count_loader(const struct device_config *device, struct resource_counts *ret_counts)
{
        *ret_counts =
            (struct resource_counts){.of = {[RESOURCE_FILE] = device->boot->initrd[0] == '\0' ? 1 : 2}};
}

/* A listening socket a port, and with logs two files; who connects, and who is sent away at once. */
static void count_console(const struct device_config *device, struct resource_counts *ret_counts)
{
        const struct console_options options = console_options_read(&device->options);
        const uint32_t files = options.log_dir[0] == '\0' ? 0 : 2;

        *ret_counts = (struct resource_counts){
            .of = {[RESOURCE_LISTENER] = options.n_ports, [RESOURCE_FILE] = files * options.n_ports},
            .born = options.n_ports + 1};
}

static const struct resource_row rows[] = {
    [DEVICE_TYPE_BLK] = {{.of = {[RESOURCE_FILE] = 1, [RESOURCE_EVENT] = 1}}, count_blk, NULL},
    [DEVICE_TYPE_RNG] = {{.of = {0}}, NULL, NULL},
    /* The directory; and memory that tells a successor what the guest knows. */
    [DEVICE_TYPE_FS] = {{.of = {[RESOURCE_FOLDER] = 1, [RESOURCE_MEMORY] = 1}, .born = LIMIT_FS_FDS},
                        NULL,
                        NULL},
    [DEVICE_TYPE_NET] =
        {{.of = {[RESOURCE_FILE] = 1, [RESOURCE_STREAM] = 1, [RESOURCE_TAP] = LIMIT_NET_PAIRS}},
         count_net,
         companion_of_net},
    [DEVICE_TYPE_CONSOLE] =
        {{.of = {[RESOURCE_LISTENER] = LIMIT_CONSOLE_PORTS, [RESOURCE_FILE] = 2 * LIMIT_CONSOLE_PORTS},
          .born = LIMIT_CONSOLE_PORTS + 1},
         count_console,
         NULL},
    [DEVICE_TYPE_VSOCK] = {{.of = {[RESOURCE_STREAM] = 1}}, NULL, companion_of_vsock},
    /* The file, locked; and once more, to be mapped: that one the broker keeps when the worker and its lock are gone. */
    [DEVICE_TYPE_PMEM] = {{.of = {[RESOURCE_FILE] = 2}}, NULL, NULL},
    [DEVICE_TYPE_SAMPLE] = {{.of = {0}}, NULL, NULL},
    /* Memory that tells a successor what the guest has attached and mapped. */
    [DEVICE_TYPE_IOMMU] = {{.of = {[RESOURCE_MEMORY] = 1}}, NULL, NULL},
    [DEVICE_TYPE_LOADER] = {{.of = {[RESOURCE_FILE] = 2}}, count_loader, NULL},
};

static_assert(array_size(rows) == WORKER_TYPE_COUNT_, "one row a type of worker");

void device_resources_count(const struct device_config *device, struct resource_counts *ret_counts)
{
        const struct resource_row *row = &rows[device->type];

        if (row->count)
                row->count(device, ret_counts);
        else
                *ret_counts = row->most;
}

const struct resource_counts *device_resources_most(enum device_type_id type)
{
        return &rows[type].most;
}

const char *device_companion(const struct device_config *device)
{
        const struct resource_row *row = &rows[device->type];

        return row->companion ? row->companion(device) : NULL;
}

uint32_t resource_counts_total(const struct resource_counts *counts)
{
        uint32_t n = 0;

        for (unsigned kind = 0; kind < RESOURCE_KIND_COUNT_; kind++)
                n += counts->of[kind];
        return n;
}

const char *resource_kind_name(enum resource_kind kind)
{
        static const char *const names[] = {
            [RESOURCE_FILE] = "file",     [RESOURCE_EVENT] = "eventfd", [RESOURCE_LISTENER] = "listener",
            [RESOURCE_STREAM] = "stream", [RESOURCE_TAP] = "tap",       [RESOURCE_FOLDER] = "folder",
            [RESOURCE_MEMORY] = "memory",
        };

        static_assert(array_size(names) == RESOURCE_KIND_COUNT_, "a name for each kind");
        return (unsigned)kind < array_size(names) ? names[kind] : "unknown";
}
