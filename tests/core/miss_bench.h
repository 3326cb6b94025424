/* A bench whose lane's memory is translated: the test plays the device, which collects, answers, and shows snapshots.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/core/lane_fail.h"
#include "tests/core/iova_space.h"
#include "tests/core/lane_bench.h"

#define PAGE   LIMIT_IOTLB_PAGE
#define K      UINT32_C(1024)
#define RW     (IOTLB_READ | IOTLB_WRITE)
#define STATUS IOVA_BUFFERS                          /* a page of its own */
#define AT(i)  (IOVA_BUFFERS + UINT64_C(4096) * (i)) /* page i */
#define IOERR  0x5e /* what a request is answered with if its bytes are missing */

extern struct lane_bench bench;
extern struct iova_space space;
extern struct iotlb table;
extern uint8_t bytes[256 * K]; /* no two pages are alike */

/* The device's table, and what the lane sees of it. */
void miss_show(void);
void miss_tell_as(uint64_t iova, uint64_t len, unsigned rights);
void miss_tell(uint64_t iova, uint64_t len);
void miss_tell_rings(void);
void miss_forget(uint64_t iova, uint64_t len);
void miss_forget_all(void);

/* What the lane wants: these pages, in any order, with these rights, and no others. */
struct miss_list miss_wanted(void);
void miss_wants_nothing(void);
void miss_wants(uint64_t iova, unsigned n, unsigned rights);
/* Everything that is wanted is translated, until nothing is. */
void miss_answer_all(void);

/* Two queues, the second an innocent neighbour. Nothing is translated; or the rings are, and the status byte. */
void miss_begin_with(const struct bench_options *options);
void miss_bare(void);
void miss_begin_as(enum queue_kind kind, bool direct);
void miss_begin(void);
/* Neither the neighbour has noticed anything, nor the worker; or the worker. */
void miss_end(void);
void miss_end_alone(void);

/* A request as a disk has it, bytes one way or the other and a status; the one that has come to the worker; its answer. */
uint16_t miss_post(unsigned queue, uint64_t at, uint32_t len, bool write);
const struct bench_request *miss_one(void);
void miss_answer(const struct bench_request *request);
