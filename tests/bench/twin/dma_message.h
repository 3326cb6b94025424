/* Guest memory by messages: one access is one message and its answer, in the shape of vfio-user's VFIO_USER_DMA_READ and
 * VFIO_USER_DMA_WRITE (vfio-user protocol 0.9.2; numbers are the host's): a header of 16 bytes, address and count, and the bytes with
 * the request of a write or the answer of a read. The one that asks waits.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/guest_memory.h"

#define DMA_MESSAGE_BYTES (1u << 20) /* most of one message, as by libvfio-user's default */

/* The side without memory: one message, of at most DMA_MESSAGE_BYTES. 0; -EFAULT: the other side has not got these bytes; else what the socket said. */
int dma_read(int sock, gpa_t at, void *bytes, uint32_t len);
int dma_write(int sock, gpa_t at, const void *bytes, uint32_t len);

/* The side with memory: waits for one message and answers it. NULL: nothing is there. 0; -EPIPE: the other side has gone;
 * -EPROTO: it does not keep to the above; else what the socket said. */
int dma_serve(int sock, const struct guest_memory *memory);
