/* Control messages about shared memory regions, both ways.
 * Owns nothing; called by control_check.c and control_make.c. TRUST: of the wire, bytes of a worker (ShmemMap, ShmemUnmap) or of
 * the broker; of the structs, our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_shmem.h"

#include <errno.h>

#include "proto/base/status.h"
#include "proto/wire.h"

static int check_region(const Bulkhead__Control__Configure *wire, size_t i, struct control_configure *ret)
{
        const uint64_t len = wire->region_len[i];

        if (wire->region_id[i] > UINT8_MAX || (i > 0 && wire->region_id[i] <= wire->region_id[i - 1]))
                return -EPROTO;
        if (len == 0 || len > LIMIT_SHMEM_LEN || len % LIMIT_SHMEM_PAGE != 0)
                return -EPROTO;
        if (wire->region_source[i] < REGION_MEMORY || wire->region_source[i] >= REGION_SOURCE_END_)
                return -EPROTO;
        ret->regions[i] = (struct device_region){.shmid = (uint8_t)wire->region_id[i],
                                                 .len = len,
                                                 .source = (enum region_source)wire->region_source[i]};
        return 0;
}

int control_shmem_check_regions(const Bulkhead__Control__Configure *wire, struct control_configure *ret)
{
        const size_t n = wire->n_region_id;

        if (n > LIMIT_SHMEM_REGIONS || wire->n_region_len != n || wire->n_region_source != n)
                return -EPROTO;
        for (size_t i = 0; i < n; i++)
                if (check_region(wire, i, ret) < 0)
                        return -EPROTO;
        ret->n_regions = (uint32_t)n;
        return 0;
}

int control_shmem_check_map(const Bulkhead__Control__ShmemMap *wire, struct control_shmem *ret)
{
        struct control_shmem message = {
            .id = wire->id, .offset = wire->offset, .len = wire->len, .fd_offset = wire->fd_offset, .fd = -1};

        if (wire->shmid > UINT8_MAX || wire_flag(wire->writable, &message.writable) < 0)
                return -EPROTO;
        message.shmid = (uint8_t)wire->shmid;
        *ret = message;
        return 0;
}

int control_shmem_check_unmap(const Bulkhead__Control__ShmemUnmap *wire, struct control_shmem *ret)
{
        if (wire->shmid > UINT8_MAX)
                return -EPROTO;
        *ret = (struct control_shmem){.id = wire->id,
                                      .shmid = (uint8_t)wire->shmid,
                                      .offset = wire->offset,
                                      .len = wire->len,
                                      .fd = -1};
        return 0;
}

int control_shmem_check_answer(const Bulkhead__Control__ShmemAnswer *wire, struct control_to_worker *ret)
{
        if (wire->status >= WIRE_STATUS_COUNT_)
                return -EPROTO;
        ret->shmem_answer.id = wire->id;
        ret->shmem_answer.error = status_to_errno(wire->status);
        return 0;
}

void control_shmem_fill_regions(const struct control_configure *message, struct control_regions_wire *columns,
                                Bulkhead__Control__Configure *ret)
{
        for (uint32_t i = 0; i < message->n_regions; i++) {
                columns->id[i] = message->regions[i].shmid;
                columns->len[i] = message->regions[i].len;
                columns->source[i] = message->regions[i].source;
        }
        ret->n_region_id = ret->n_region_len = ret->n_region_source = message->n_regions;
        ret->region_id = columns->id;
        ret->region_len = columns->len;
        ret->region_source = columns->source;
}

ssize_t control_shmem_make_map(const struct control_shmem *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__ShmemMap body = BULKHEAD__CONTROL__SHMEM_MAP__INIT;

        body.id = message->id;
        body.shmid = message->shmid;
        body.writable = message->writable;
        body.offset = message->offset;
        body.len = message->len;
        body.fd_offset = message->fd_offset;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_MAP;
        wire.shmem_map = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_shmem_make_unmap(const struct control_shmem *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__ShmemUnmap body = BULKHEAD__CONTROL__SHMEM_UNMAP__INIT;

        body.id = message->id;
        body.shmid = message->shmid;
        body.offset = message->offset;
        body.len = message->len;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_SHMEM_UNMAP;
        wire.shmem_unmap = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_shmem_make_answer(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__ShmemAnswer body = BULKHEAD__CONTROL__SHMEM_ANSWER__INIT;

        body.id = message->shmem_answer.id;
        body.status = status_from_errno(message->shmem_answer.error);
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_SHMEM_ANSWER;
        wire.shmem_answer = &body;
        return wire_pack(&wire.base, buf, size);
}

/* The casts above rely on it. */
_Static_assert((int)REGION_MEMORY == (int)BULKHEAD__CONTROL__REGION_SOURCE__REGION_SOURCE_MEMORY &&
                   (int)REGION_FILES == (int)BULKHEAD__CONTROL__REGION_SOURCE__REGION_SOURCE_FILES,
               "sources");
