/* What a device is to the runtime. A worker is the runtime and one of these, called `device_ops`. What it waits for beside
 * requests: worker_watch.h.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/control.h"
#include "proto/device_type.h"
#include "workers/runtime/boot_memory.h"
#include "workers/runtime/request.h"

struct device_ops {
        enum device_type_id type;
        void *state; /* handed to every call */

        /* Before the jail closes: probes the resources (open descriptors, the device's from now on),
         * allocates what it needs for good, and fills *ret_hello, which is zero. Every incarnation must say
         * the same. 0, or negative errno after a worker_log that says why. */
        int (*init)(void *state, const struct control_configure *configure, const int *resources,
                    unsigned n_resources, struct control_hello *ret_hello);

        /* From here on: read and write what was there at init; no new descriptor, no memory, no thread. */

        /* The driver has accepted these of the offered bits. May come again. NULL: nothing to be done. */
        void (*set_features)(void *state, uint64_t features);

        /* The driver has written one of Hello's writable fields. 0 or negative errno. NULL: there are none.
         */
        int (*config_write)(void *state, uint32_t field, uint64_t value);

        /* The operator wants this of the device. 0, or negative errno: -EOPNOTSUPP where there is no such setting or index. NULL: it
         * has none. */
        int (*set)(void *state, const struct control_setting *setting);

        /* As many maps as Hello has announced (worker_shmem.h), at once. NULL: it announces none. */
        void (*map)(void *state);

        /* What became of a worker_shmem_map or worker_shmem_unmap: 0 or negative errno. NULL: it does neither. */
        void (*mapped)(void *state, uint32_t id, int error);

        /* Of an IOMMU: what became of a worker_iommu_map or worker_iommu_unmap (worker_iommu.h): 0 or negative errno. And: the device with
         * this endpoint ID, below LIMIT_DEVICES, has needed a page that is not mapped for it with these rights. NULL: it is none. */
        void (*iommu_answered)(void *state, uint32_t id, int error);
        void (*iommu_faulted)(void *state, uint32_t endpoint, uint64_t iova, unsigned rights);

        /* A blob of a predecessor: hostile input. 0 or negative errno. NULL: the device leaves none. */
        int (*restore_state)(void *state, const uint8_t *bytes, size_t len);

        /* Where a ring is that it walks itself (walk.h), before its first kick. 0 or negative errno. NULL: it walks none. */
        int (*start_ring)(void *state, const struct control_start_queue *ring);

        /* Answers the request, of a work queue, now or later. NULL: its Hello says that it has none. */
        void (*handle)(void *state, struct request *request);

        /* A supply queue has been lent more (supply.h); and: what this one was lent is taken back when this returns, and
         * what is lent afterwards is of its next start. Or a work queue is to stop, and what waits of it (request_wait) is to be
         * completed now. NULL: it has no such queue, and nothing that waits; it need not know. */
        void (*supplied)(void *state, uint32_t queue);
        void (*recalled)(void *state, uint32_t queue);

        /* Every request that waited on a lane has been handed over: what the device has put off, to do several
         * at once, is due; its answers leave afterwards. NULL: it puts nothing off. */
        void (*batch_end)(void *state);

        /* No request has come for LIMIT_DEVICE_REST_S, but since the last time there was one: memory that is only kept to be quick is
         * given back. NULL: there is none. */
        void (*rest)(void *state);

        /* The work of one that waits for no requests: once, after Hello. It ends with a last word (boot_memory.h). NULL: it
         * waits for requests. */
        void (*load)(void *state, struct boot_memory *memory);
};

extern const struct device_ops device_ops;
