/* libFuzzer target: any bytes as a request to an IOMMU. The input is u32 writable, request bytes. What is accepted must be sound.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/iommu/iommu_req.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

static void require_sound(uint32_t writable, const struct iommu_req *req)
{
        uint64_t end;

        require(req->op >= IOMMU_ATTACH && req->op <= IOMMU_PROBE);
        require(writable >=
                (req->op == IOMMU_PROBE ? IOMMU_PROBE_BYTES + IOMMU_TAIL_BYTES : IOMMU_TAIL_BYTES));
        if (req->op == IOMMU_MAP || req->op == IOMMU_UNMAP)
                require(req->start % IOMMU_PAGE == 0 && (req->end + 1) % IOMMU_PAGE == 0 &&
                        req->start < req->end);
        if (req->op == IOMMU_MAP) {
                require(req->phys % IOMMU_PAGE == 0 && req->flags >= 1 && req->flags <= 3);
                require(req->end - req->start != UINT64_MAX &&
                        checked_add_u64(req->phys, req->end - req->start + 1, &end));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct iommu_req req;
        uint32_t writable;
        uint8_t *bytes;
        size_t len;

        if (size < 4)
                return 0;
        memcpy(&writable, data, 4);
        writable = MAX(writable, IOMMU_TAIL_BYTES);
        len = MIN(size - 4, (size_t)IOMMU_REQ_BYTES);
        bytes = malloc(len + 1); /* its own block, so that one byte too far is seen */
        if (!bytes)
                return 0;
        memcpy(bytes, data + 4, len);
        if (iommu_req_check(bytes, (uint32_t)len, writable, &req) == IOMMU_OK)
                require_sound(writable, &req);
        free(bytes);
        return 0;
}
