/* A driver's requests to its IOMMU, judged by their form. Pure.
 * Owns nothing; called by iommu.c. TRUST: bytes are the guest's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/iommu/iommu_req.h"

#include <stddef.h>
#include <string.h>

#include "proto/base/bytes.h"

#define FAULT_DOMAIN  1u        /* VIRTIO_IOMMU_FAULT_R_DOMAIN: it is in none */
#define FAULT_MAPPING 2u        /* ... _MAPPING: it is, and that has no such page, or not with these rights */
#define FAULT_ADDRESS (1u << 8) /* VIRTIO_IOMMU_FAULT_F_ADDRESS: the address counts */

static bool all_zero(const uint8_t *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (bytes[i] != 0)
                        return false;
        return true;
}

/* le32 domain, le32 endpoint, le32 flags (ATTACH alone), reserved. None of the flags is served: BYPASS_CONFIG is not offered. */
static enum iommu_status check_attach(const uint8_t *body, struct iommu_req *ret)
{
        ret->domain = bytes_load32(body);
        ret->endpoint = bytes_load32(body + 4);
        return all_zero(body + 8, 8) ? IOMMU_OK : IOMMU_INVAL;
}

/* 5.13.6.5, 5.13.6.6: le64 virt_start, le64 virt_end, of which the latter is the last byte. */
static enum iommu_status check_range(const uint8_t *at, struct iommu_req *ret)
{
        ret->start = bytes_load64(at);
        ret->end = bytes_load64(at + 8);
        if (ret->start % IOMMU_PAGE != 0 || ret->end % IOMMU_PAGE != IOMMU_PAGE - 1 || ret->end < ret->start)
                return IOMMU_RANGE;
        return IOMMU_OK;
}

/* le32 domain, the range, le64 phys_start, le32 flags. Memory of devices (MMIO) is not served. */
static enum iommu_status check_map(const uint8_t *body, struct iommu_req *ret)
{
        const uint32_t known = IOMMU_MAP_READ | IOMMU_MAP_WRITE;
        enum iommu_status status;

        ret->domain = bytes_load32(body);
        ret->phys = bytes_load64(body + 20);
        ret->flags = bytes_load32(body + 28);
        if (ret->flags == 0 || (ret->flags & ~known))
                return IOMMU_INVAL;
        status = check_range(body + 4, ret);
        if (status != IOMMU_OK)
                return status;
        if (ret->phys % IOMMU_PAGE != 0 || ret->end - ret->start >= UINT64_MAX - ret->phys)
                return IOMMU_RANGE;
        return IOMMU_OK;
}

/* le32 domain, the range, reserved. */
static enum iommu_status check_unmap(const uint8_t *body, struct iommu_req *ret)
{
        ret->domain = bytes_load32(body);
        return all_zero(body + 20, 4) ? check_range(body + 4, ret) : IOMMU_INVAL;
}

static enum iommu_status check_probe(const uint8_t *body, struct iommu_req *ret)
{
        ret->endpoint = bytes_load32(body);
        return all_zero(body + 4, 64) ? IOMMU_OK : IOMMU_INVAL;
}

static const struct {
        uint32_t readable,
            writable; /* bytes that the driver gives at least: the head is four of the former */
        enum iommu_status (*check)(const uint8_t *body, struct iommu_req *ret);
} rows[] = {
    [IOMMU_ATTACH] = {20, IOMMU_TAIL_BYTES, check_attach},
    [IOMMU_DETACH] = {20, IOMMU_TAIL_BYTES, check_attach},
    [IOMMU_MAP] = {36, IOMMU_TAIL_BYTES, check_map},
    [IOMMU_UNMAP] = {28, IOMMU_TAIL_BYTES, check_unmap},
    [IOMMU_PROBE] = {72, IOMMU_PROBE_BYTES + IOMMU_TAIL_BYTES, check_probe},
};

enum iommu_status iommu_req_check(const uint8_t *bytes, uint32_t len, uint32_t writable,
                                  struct iommu_req *ret)
{
        struct iommu_req req = {0};
        enum iommu_status status;

        if (len < 4)
                return IOMMU_INVAL;
        if (bytes[0] < IOMMU_ATTACH || bytes[0] > IOMMU_PROBE)
                return IOMMU_UNSUPP;
        req.op = (enum iommu_op)bytes[0];
        if (len < rows[req.op].readable || writable < rows[req.op].writable)
                return IOMMU_INVAL;
        status = rows[req.op].check(bytes + 4, &req);
        if (status == IOMMU_OK)
                *ret = req;
        return status;
}

void iommu_fault_make(uint8_t bytes[static IOMMU_FAULT_BYTES], uint32_t endpoint, uint64_t address,
                      unsigned rights, bool attached)
{
        memset(bytes, 0, IOMMU_FAULT_BYTES);
        bytes[0] = attached ? FAULT_MAPPING : FAULT_DOMAIN;
        bytes_store32(bytes + 4,
                      rights | FAULT_ADDRESS); /* to read is bit 0, to write bit 1, there as here */
        bytes_store32(bytes + 8, endpoint);
        bytes_store64(bytes + 16, address);
}
