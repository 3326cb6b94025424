/* A driver's requests to its IOMMU (virtio 1.3, 5.13.6), judged by their form.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define IOMMU_PAGE        UINT64_C(4096) /* granule: config's page_size_mask has this bit and all above */
#define IOMMU_PROBE_BYTES 64u            /* of properties; there is none to tell */
#define IOMMU_TAIL_BYTES  4u             /* struct virtio_iommu_req_tail: status, and three reserved bytes */
#define IOMMU_REQ_BYTES   72u            /* readable bytes of the longest request, PROBE */
#define IOMMU_FAULT_BYTES 24u            /* struct virtio_iommu_fault */

enum iommu_status { /* VIRTIO_IOMMU_S_ */
                    IOMMU_OK = 0,
                    IOMMU_IOERR = 1,
                    IOMMU_UNSUPP = 2,
                    IOMMU_DEVERR = 3,
                    IOMMU_INVAL = 4,
                    IOMMU_RANGE = 5,
                    IOMMU_NOENT = 6,
                    IOMMU_FAULT = 7,
                    IOMMU_NOMEM = 8,
};

enum iommu_op { /* VIRTIO_IOMMU_T_ */
                IOMMU_ATTACH = 1,
                IOMMU_DETACH = 2,
                IOMMU_MAP = 3,
                IOMMU_UNMAP = 4,
                IOMMU_PROBE = 5,
};

#define IOMMU_MAP_READ  1u /* VIRTIO_IOMMU_MAP_F_ */
#define IOMMU_MAP_WRITE 2u

struct iommu_req {
        enum iommu_op op;
        uint32_t domain;     /* of all but PROBE */
        uint32_t endpoint;   /* of ATTACH, DETACH and PROBE; any number */
        uint64_t start, end; /* of MAP and UNMAP: first and last address, start < end; whole IOMMU_PAGE */
        uint64_t phys;       /* of MAP: whole IOMMU_PAGE; phys + (end - start) + 1 does not wrap */
        uint32_t flags;      /* of MAP: some of IOMMU_MAP_READ, IOMMU_MAP_WRITE */
};

/* The readable bytes, at most IOMMU_REQ_BYTES of them, and how many writable ones there are: at least IOMMU_TAIL_BYTES. IOMMU_OK
 * and *ret; or the status that it is to be answered with. */
enum iommu_status iommu_req_check(const uint8_t *bytes, uint32_t len, uint32_t writable,
                                  struct iommu_req *ret);

/* struct virtio_iommu_fault (5.13.6.9). `attached`: to a domain, which does not map it. */
void iommu_fault_make(uint8_t bytes[static IOMMU_FAULT_BYTES], uint32_t endpoint, uint64_t address,
                      unsigned rights, bool attached);
