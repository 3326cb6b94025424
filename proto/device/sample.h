/* The options of the sample device, and what its driver says to it: a stream of records, by messages or by a ring of them in a
 * shared memory region. It shows plug-in authors both, and serves their comparison.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "proto/device_option.h"
#include "proto/device_region.h"

enum sample_option {
        SAMPLE_OPTION_SIZE = 0,
        SAMPLE_OPTION_COUNT_,
};

extern const struct option_row sample_option_rows[SAMPLE_OPTION_COUNT_];

struct sample_options {
        uint64_t size; /* bytes of its region: a power of two */
};

struct sample_options sample_options_read(const struct option_set *set);
unsigned sample_regions(const struct option_set *set,
                        struct device_region ret_regions[static LIMIT_SHMEM_REGIONS]);

/* A request: its readable part is one of these and, for SAMPLE_APPEND, records behind it; its writable part is
 * sample_answer. All numbers are little endian. */
enum sample_op {
        SAMPLE_APPEND = 1, /* the records that follow */
        SAMPLE_APPENDED,   /* the ring's records, up to `head` */
};
struct sample_request {
        uint32_t op;
        uint32_t reserved; /* 0 */
        uint64_t head;     /* bytes of records that the driver has ever put into the ring */
};

enum sample_status {
        SAMPLE_OK = 0,
        SAMPLE_FAILED = 1,  /* what a dead device's requests end with */
        SAMPLE_REFUSED = 2, /* the request makes no sense, or a record of it */
};
struct sample_answer {
        uint8_t status; /* enum sample_status */
        uint8_t reserved[7];
        uint64_t records; /* that it has ever taken */
        uint64_t sum; /* of all their words, heads too: the sum so far shifted round by one bit, and added */
};

/* A record: its length, and so many bytes; the next one begins at a multiple of 8. What is taken is taken in words of 8 bytes. */
#define SAMPLE_RECORD_MAX 4096u
struct sample_record {
        uint32_t len; /* 1 .. SAMPLE_RECORD_MAX */
        uint32_t reserved;
};

/* How the region begins. The ring is all the rest of it behind SAMPLE_RING_AT; a record that does not fit before its end
 * goes on at its beginning. A driver puts records there and says SAMPLE_APPENDED; it never has more in the ring than fit. */
#define SAMPLE_SHMID   0u
#define SAMPLE_MAGIC   UINT64_C(0x646165686b6c7562) /* "bulkhead" */
#define SAMPLE_RING_AT 4096u
struct sample_region {
        uint64_t magic;    /* the worker's, ... */
        uint64_t ring_len; /* ... likewise */
        uint64_t tail;     /* ... likewise: bytes of records that it has ever taken out of the ring */
};
