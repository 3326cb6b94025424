/* How a disk of the twin reaches guest memory: where it is mapped, or, in the twin that is cut in two, by messages.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/guest_memory.h"
#include "broker/core/request_table.h"
#include "tests/bench/twin/dma_message.h"

struct twin_reach {
        const struct guest_memory *memory; /* NULL: by messages */
        int dma;                           /* the socket of those */
        uint8_t *bounce; /* by messages: DMA_MESSAGE_BYTES, where bytes are between the guest and the image */
};

/* Bytes [offset, offset + len) of the readable part out of guest memory; into the writable part. 0, -EFAULT, or what the socket said. */
int twin_reach_load(const struct twin_reach *reach, const struct request *request, uint32_t offset,
                    void *bytes, uint32_t len);
int twin_reach_store(const struct twin_reach *reach, const struct request *request, uint32_t offset,
                     const void *bytes, uint32_t len);

/* One byte. */
int twin_reach_store_byte(const struct twin_reach *reach, gpa_t at, uint8_t byte);
