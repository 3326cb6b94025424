/* The table of device types.
 * Owns nothing; called by the configuration, the spawner, the broker and `bulkhead`.
 * TRUST: names are the operator's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device_type.h"

#include <stddef.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/device/blk.h"
#include "proto/device/fs.h"
#include "proto/device/iommu.h"
#include "proto/device/net.h"
#include "proto/device/pmem.h"
#include "proto/device/sample.h"
#include "proto/device/vsock.h"
#include "proto/device/console.h"

static const struct device_type *type_find(const char *name, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(device_types[i].name, name) == 0)
                        return &device_types[i];
        return NULL;
}

const struct device_type *device_type_find(const char *name)
{
        return type_find(name, DEVICE_TYPE_COUNT_);
}

const struct device_type *device_type_find_worker(const char *name)
{
        return type_find(name, WORKER_TYPE_COUNT_);
}

uint32_t device_type_default_queues(const struct device_type *type, bool own_vmm)
{
        return type->default_queues + (own_vmm ? type->own_queues : 0);
}

bool device_type_queues_ok(const struct device_type *type, bool own_vmm, uint32_t n_queues)
{
        uint32_t own = own_vmm ? type->own_queues : 0, group = MAX(type->queue_group, 1u);

        return n_queues > own && n_queues <= type->max_queues && (n_queues - own) % group == 0;
}

/* struct fuse_out_header (virtio 1.3, 5.11.6): its length, -EIO, and no number: a guest knows by its ring which it is. */
#define FUSE_EIO                                                                                             \
        {                                                                                                    \
                16, 0, 0, 0, 0xfb, 0xff, 0xff, 0xff                                                          \
        }

#define NET_ERR         1 /* VIRTIO_NET_ERR, before what a command's result would be (virtio 1.3, 5.1.6.5) */
#define PMEM_RESP_ERROR 1
#define IOMMU_S_DEVERR  3 /* VIRTIO_IOMMU_S_DEVERR, in struct virtio_iommu_req_tail (virtio 1.3, 5.13.6) */
#define BLK_S_IOERR     1 /* VIRTIO_BLK_S_IOERR, in a request's last byte (virtio 1.3, 5.2.6) */

const struct device_type device_types[WORKER_TYPE_COUNT_] = {
    [DEVICE_TYPE_BLK] = {.name = "blk",
                         .program = "bulkhead-worker-blk",
                         .virtio_id = 2,
                         .max_queues = 16,
                         .default_queues = 1,
                         .qemu_device = "vhost-user-blk-pci",
                         .error_tail = {BLK_S_IOERR},
                         .error_tail_len = 1,
                         .options = blk_option_rows,
                         .n_options = BLK_OPTION_COUNT_,
                         .legacy = true,
                         .legacy_head = {4, 4, 8}, /* struct virtio_blk_req (virtio 1.3, 5.2.6.4) */
                         .turns = true},
    [DEVICE_TYPE_RNG] = {.name = "rng",
                         .program = "bulkhead-worker-rng",
                         .virtio_id = 4,
                         .max_queues = 1,
                         .default_queues = 1,
                         .legacy = true,
                         .qemu_device = "vhost-user-rng-pci"},
    [DEVICE_TYPE_FS] = {.name = "fs",
                        .program = "bulkhead-worker-fs",
                        .virtio_id = 26,
                        .max_queues = 17, /* of forgets, and of requests */
                        .default_queues = 2,
                        .vmm_config = true,
                        .error_tail = FUSE_EIO,
                        .error_tail_len = 16,
                        .error_first = true,
                        .error_quiet = true,
                        .qemu_device = "vhost-user-fs-pci",
                        .options = fs_option_rows,
                        .n_options = FS_OPTION_COUNT_,
                        .judge = fs_options_judge,
                        .regions = fs_regions,
                        .regions_asked = true},
    [DEVICE_TYPE_NET] = {.name = "net",
                         .program = "bulkhead-worker-net",
                         .virtio_id = 1,
                         .max_queues = 2 * LIMIT_NET_PAIRS + 1,
                         .default_queues = 2,
                         .queue_group = 2,
                         .own_queues = 1,
                         .vmm_config = true,
                         .error_tail = {NET_ERR},
                         .error_tail_len = 1,
                         .error_first = true,
                         .error_quiet = true,
                         .qemu_device = "virtio-net-pci",
                         .counters = net_counter_names,
                         .n_counters = NET_COUNTER_COUNT_,
                         .options = net_option_rows,
                         .n_options = NET_OPTION_COUNT_,
                         .judge = net_options_judge},
    [DEVICE_TYPE_CONSOLE] = {.name = "console",
                             .program = "bulkhead-worker-console",
                             .virtio_id = 3,
                             .max_queues = 2 * (LIMIT_CONSOLE_PORTS + 1),
                             .default_queues = 4,
                             .error_quiet = true,
                             .legacy =
                                 true, /* without CONSOLE_F_MULTIPORT: its control queues are not used */
                             .legacy_queues = 4,
                             .qemu_device = "vhost-user-test-device-pci",
                             .options = console_option_rows,
                             .n_options = CONSOLE_OPTION_COUNT_,
                             .judge = console_options_judge,
                             .queues = console_options_queues},
    [DEVICE_TYPE_VSOCK] = {.name = "vsock",
                           .program = "bulkhead-worker-vsock",
                           .virtio_id = 19,
                           .max_queues = 3,
                           .default_queues = 3,
                           .error_quiet = true,
                           .qemu_device = "vhost-user-vsock-pci",
                           .options = vsock_option_rows,
                           .n_options = VSOCK_OPTION_COUNT_,
                           .judge = vsock_options_judge},
    [DEVICE_TYPE_PMEM] = {.name = "pmem",
                          .program = "bulkhead-worker-pmem",
                          .virtio_id = 27,
                          .max_queues = 1,
                          .default_queues = 1,
                          .qemu_device = "vhost-user-test-device-pci",
                          .error_tail = {PMEM_RESP_ERROR},
                          .error_tail_len = 4, /* struct virtio_pmem_resp (virtio 1.3, 5.19.6): le32, not 0 */
                          .error_first = true,
                          .options = pmem_option_rows,
                          .n_options = PMEM_OPTION_COUNT_,
                          .judge = pmem_options_judge,
                          .regions = pmem_regions,
                          .regions_needed = true},
    [DEVICE_TYPE_SAMPLE] = {.name = "sample",
                            .program = "bulkhead-worker-sample",
                            .virtio_id = 22, /* reserved for a store of crash messages: nobody drives it */
                            .max_queues = 1,
                            .default_queues = 1,
                            .qemu_device = "vhost-user-test-device-pci",
                            .error_tail = {SAMPLE_FAILED},
                            .error_tail_len = 1,
                            .error_first = true,
                            .options = sample_option_rows,
                            .n_options = SAMPLE_OPTION_COUNT_,
                            .regions = sample_regions,
                            .raw = true},
    [DEVICE_TYPE_IOMMU] = {.name = "iommu",
                           .program = "bulkhead-worker-iommu",
                           .virtio_id = 23,
                           .max_queues = 2, /* of requests, and of buffers for faults */
                           .default_queues = 2,
                           .qemu_device = "virtio-iommu-pci", /* its own: none attaches to ours */
                           .error_tail = {IOMMU_S_DEVERR},    /* and three reserved bytes */
                           .error_tail_len = 4,
                           .error_quiet = true,
                           .counters = iommu_counter_names,
                           .n_counters = IOMMU_COUNTER_COUNT_},
    [DEVICE_TYPE_LOADER] = {.name = "loader", .program = "bulkhead-worker-loader"},
};
