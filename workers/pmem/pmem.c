/* Persistent memory (virtio 1.3, 5.19): a file that the guest has mapped, and a queue by which it asks that what it wrote be on
 * stable storage. The smallest device that is of use by a shared memory region.
 * Owns the file's two descriptors; called by the runtime. TRUST: the one thing that a guest says is "flush", and a wrong word is
 * answered as a failure. The file's bytes are the guest's and pass by here.
 *
 * How it works: the file is mapped before anything is served, by every incarnation at the same place, so that a guest goes on
 * while its worker is replaced. A flush whose worker died is done again: that changes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/device/pmem.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/worker_log.h"
#include "workers/runtime/worker_shmem.h"

#define F_SHMEM_REGION (UINT64_C(1) << 0) /* VIRTIO_PMEM_F_SHMEM_REGION (5.19.3): it lies in region 0 */
#define FLUSH          0u                 /* VIRTIO_PMEM_REQ_TYPE_FLUSH (5.19.6) */
#define REQUEST_BYTES  4u                 /* struct virtio_pmem_req: le32 type */
#define RESPONSE_BYTES 4u                 /* struct virtio_pmem_resp: le32 ret, 0 is success */
#define PMEM_CREDITS   64u
#define MAP_ID         1u

struct pmem {
        uint64_t size;
        int flushed, mapped;
};

static struct pmem pmem;

static int pmem_probe(struct pmem *self)
{
        struct stat st;

        if (worker_region_files(PMEM_SHMID) != self->size) {
                worker_log(LOG_LEVEL_ERROR, "there is no region for the file: say shmem: map");
                return -EINVAL;
        }
        if (fstat(self->mapped, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size < self->size) {
                worker_log(LOG_LEVEL_ERROR, "the file has become shorter than its size of %" PRIu64,
                           self->size);
                return -EINVAL;
        }
        return 0;
}

static int pmem_init(void *state, const struct control_configure *configure, const int *resources,
                     unsigned n_resources, struct control_hello *ret_hello)
{
        struct pmem *self = state;
        int r;

        if (configure->n_queues != 1 || n_resources != 2)
                return -EINVAL;
        *self = (struct pmem){.size = pmem_options_read(&configure->options).size,
                              .flushed = resources[0],
                              .mapped = resources[1]};
        r = pmem_probe(self);
        if (r < 0)
                return r;
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_PMEM].virtio_id,
            .features = F_SHMEM_REGION,
            .n_queues = 1,
            .queue_kind = {QUEUE_WORK},
            .queue_replay = {REPLAY_IDEMPOTENT},
            .max_segments = LIMIT_CHAIN_SEGMENTS,
            .credit_requests = PMEM_CREDITS,
            .credit_bytes = PMEM_CREDITS * REQUEST_BYTES,
            .max_inline = REQUEST_BYTES,
            .n_fields = 2,
            .fields = {{.offset = 0, .width = 8, .region = PMEM_SHMID + 1}, /* start */
                       {.offset = 8, .width = 8, .value = self->size}},
            .maps = 1,
        };
        return 0;
}

static void pmem_map(void *state)
{
        const struct pmem *self = state;
        const struct worker_map map = {.shmid = PMEM_SHMID, .writable = true, .len = self->size};

        worker_shmem_map(MAP_ID, &map, self->mapped);
}

/* Without its file the device is nothing: the broker tries another worker, and at last none. */
static void pmem_mapped(void *state, uint32_t id, int error)
{
        (void)state;
        (void)id;
        if (error == 0)
                return;
        worker_log(LOG_LEVEL_ERROR, "the file cannot be mapped for the guest: errno=%d", -error);
        exit(EXIT_FAILURE);
}

static bool pmem_flush(const struct pmem *self, struct request *request)
{
        uint8_t type[REQUEST_BYTES];

        if (request_must_fail(request) || request_readable(request) < sizeof(type) ||
            request_read(request, 0, type, sizeof(type)) < 0 || bytes_load32(type) != FLUSH)
                return false;
        request_push(request); /* answers of others do not wait for the disk */
        return fdatasync(self->flushed) == 0;
}

static void pmem_handle(void *state, struct request *request)
{
        bool flushed;

        if (request_writable(request) < RESPONSE_BYTES) {
                request_refuse(request);
                return;
        }
        flushed = pmem_flush(state, request);
        bytes_store32(request_reserve(request, RESPONSE_BYTES), flushed ? 0 : 1);
        request_complete(request, 0, RESPONSE_BYTES);
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_PMEM,
    .state = &pmem,
    .init = pmem_init,
    .map = pmem_map,
    .mapped = pmem_mapped,
    .handle = pmem_handle,
};
