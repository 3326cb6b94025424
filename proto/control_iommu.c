/* Control messages of an IOMMU, both ways.
 * Owns nothing; called by control_check.c and control_make.c. TRUST: of the wire, bytes of a worker (IommuMap, IommuUnmap) or of the
 * broker; of the structs, our own. Only their form is judged here: who may send them, and of what, device_iommu.c knows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_iommu.h"

#include <errno.h>

#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "proto/wire.h"

#define RIGHTS (CONTROL_IOMMU_READ | CONTROL_IOMMU_WRITE)

_Static_assert(LIMIT_DEVICES <= 64, "a bit each");

int control_iommu_check_endpoints(const Bulkhead__Control__Configure *wire, struct control_configure *ret)
{
        if (wire->endpoints != 0 && ret->type != DEVICE_TYPE_IOMMU)
                return -EPROTO;
        ret->endpoints = wire->endpoints;
        return 0;
}

static bool is_whole(uint64_t v)
{
        return v % LIMIT_IOTLB_PAGE == 0;
}

static bool rights_ok(uint32_t rights)
{
        return rights != 0 && (rights & ~RIGHTS) == 0;
}

/* Whole pages that do not go on at 0. */
static bool range_ok(uint64_t iova, uint64_t len)
{
        return len > 0 && is_whole(iova) && is_whole(len) && len - 1 <= UINT64_MAX - iova;
}

int control_iommu_check_map(const Bulkhead__Control__IommuMap *wire, struct control_iommu *ret)
{
        uint64_t end;

        if (wire->endpoint >= LIMIT_DEVICES || !range_ok(wire->iova, wire->len) || !is_whole(wire->gpa) ||
            !checked_add_u64(wire->gpa, wire->len, &end) || !rights_ok(wire->rights))
                return -EPROTO;
        *ret = (struct control_iommu){.id = wire->id,
                                      .endpoint = wire->endpoint,
                                      .iova = wire->iova,
                                      .len = wire->len,
                                      .gpa = wire->gpa,
                                      .rights = wire->rights};
        return 0;
}

int control_iommu_check_unmap(const Bulkhead__Control__IommuUnmap *wire, struct control_iommu *ret)
{
        const bool everything = wire->iova == 0 && wire->len == 0;

        if (wire->endpoint >= LIMIT_DEVICES || !(everything || range_ok(wire->iova, wire->len)))
                return -EPROTO;
        *ret = (struct control_iommu){
            .id = wire->id, .endpoint = wire->endpoint, .iova = wire->iova, .len = wire->len};
        return 0;
}

int control_iommu_check_answer(const Bulkhead__Control__IommuAnswer *wire, struct control_to_worker *ret)
{
        if (wire->status >= WIRE_STATUS_COUNT_)
                return -EPROTO;
        ret->iommu_answer.id = wire->id;
        ret->iommu_answer.error = status_to_errno(wire->status);
        return 0;
}

int control_iommu_check_fault(const Bulkhead__Control__IommuFault *wire, struct control_to_worker *ret)
{
        if (wire->endpoint >= LIMIT_DEVICES || !is_whole(wire->iova) || !rights_ok(wire->rights))
                return -EPROTO;
        ret->iommu_fault.endpoint = wire->endpoint;
        ret->iommu_fault.iova = wire->iova;
        ret->iommu_fault.rights = wire->rights;
        return 0;
}

ssize_t control_iommu_make_map(const struct control_iommu *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__IommuMap body = BULKHEAD__CONTROL__IOMMU_MAP__INIT;

        body.id = message->id;
        body.endpoint = message->endpoint;
        body.iova = message->iova;
        body.len = message->len;
        body.gpa = message->gpa;
        body.rights = message->rights;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_IOMMU_MAP;
        wire.iommu_map = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_iommu_make_unmap(const struct control_iommu *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToBroker wire = BULKHEAD__CONTROL__TO_BROKER__INIT;
        Bulkhead__Control__IommuUnmap body = BULKHEAD__CONTROL__IOMMU_UNMAP__INIT;

        body.id = message->id;
        body.endpoint = message->endpoint;
        body.iova = message->iova;
        body.len = message->len;
        wire.kind_case = BULKHEAD__CONTROL__TO_BROKER__KIND_IOMMU_UNMAP;
        wire.iommu_unmap = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_iommu_make_answer(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__IommuAnswer body = BULKHEAD__CONTROL__IOMMU_ANSWER__INIT;

        body.id = message->iommu_answer.id;
        body.status = status_from_errno(message->iommu_answer.error);
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_IOMMU_ANSWER;
        wire.iommu_answer = &body;
        return wire_pack(&wire.base, buf, size);
}

ssize_t control_iommu_make_fault(const struct control_to_worker *message, uint8_t *buf, size_t size)
{
        Bulkhead__Control__ToWorker wire = BULKHEAD__CONTROL__TO_WORKER__INIT;
        Bulkhead__Control__IommuFault body = BULKHEAD__CONTROL__IOMMU_FAULT__INIT;

        body.endpoint = message->iommu_fault.endpoint;
        body.iova = message->iommu_fault.iova;
        body.rights = message->iommu_fault.rights;
        wire.kind_case = BULKHEAD__CONTROL__TO_WORKER__KIND_IOMMU_FAULT;
        wire.iommu_fault = &body;
        return wire_pack(&wire.base, buf, size);
}

/* Kinds have the numbers of their oneof cases. */
_Static_assert((int)CONTROL_IOMMU_UNMAP == (int)BULKHEAD__CONTROL__TO_BROKER__KIND_IOMMU_UNMAP &&
                   (int)CONTROL_IOMMU_FAULT == (int)BULKHEAD__CONTROL__TO_WORKER__KIND_IOMMU_FAULT,
               "kinds are cases");
