/* The memory service: a worker's (request, offset) becomes bytes of the guest's buffers, in the direction
 * that the guest posted them. Offsets count in the readable part for reads and in the writable part for
 * writes, so a wrong direction cannot even be said. `memory` may be NULL: the front end has taken it away,
 * and nothing is there.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/core/guest_memory.h"
#include "broker/core/request_table.h"

/* Is [offset, offset + len) inside the readable part / the writable part? */
bool memory_service_may_read(const struct request *request, uint32_t offset, uint32_t len);
bool memory_service_may_write(const struct request *request, uint32_t offset, uint32_t len);

/* Does a byte of the request lie in a shared memory region, where it may come and go (guest_memory_with_shmem)? */
bool memory_service_has_shmem(const struct guest_memory *memory, const struct request *request);

/* Appends host spans of a permitted range for one system call. Returns the bytes appended (fewer when the
 * iovec is full), or -EFAULT when memory is gone: then none were. */
int64_t memory_service_iovec_readable(const struct guest_memory *memory, const struct request *request,
                                      uint32_t offset, uint32_t len, struct iovec *iov, size_t max,
                                      size_t *n);
int64_t memory_service_iovec_writable(const struct guest_memory *memory, const struct request *request,
                                      uint32_t offset, uint32_t len, struct iovec *iov, size_t max,
                                      size_t *n);

/* Copies out of and into a permitted range. -EFAULT when memory is gone. */
int memory_service_read(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                        void *bytes, uint32_t len);
int memory_service_write(const struct guest_memory *memory, const struct request *request, uint32_t offset,
                         const void *bytes, uint32_t len);

/* To be called before bytes land at `offset`: what lies between the high-water mark and it becomes zero, so
 * that the used length never covers bytes that nobody wrote. */
int memory_service_close_gap(const struct guest_memory *memory, struct request *request, uint32_t offset);

/* To be called after bytes have landed at [offset, offset + len). */
void memory_service_written(struct request *request, uint32_t offset, uint32_t len);
