/* A judged descriptor chain: what the guest posted, in guest addresses.
 * Made only by queue_pop (broker/core/queue.c). virtio 1.3, 2.7.4.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "broker/core/gpa.h"

struct segment {
        gpa_t at;
        uint32_t len; /* > 0 */
};

struct chain {
        uint16_t head;
        uint16_t place;                  /* where it was taken, ... */
        uint64_t n_before;               /* ... and after how many others: for queue_unpop */
        uint16_t n_readable, n_writable; /* segments: the readable ones first */
        uint32_t readable, writable;     /* bytes; their sum is at most LIMIT_CHAIN_BYTES */
        uint16_t max_segments;           /* room in `segments`, set by the owner */
        struct segment *segments;        /* the owner's */
};
