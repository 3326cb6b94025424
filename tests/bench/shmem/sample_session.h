/* A driver of a sample device over vhost-user, that appends records by messages or by the ring in the device's region.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "tests/bench/shmem/records.h"
#include "tests/harness/front_end.h"

#define SESSION_DEPTH     8u  /* requests on their way, at most */
#define SESSION_BATCH_MAX 64u /* records of a request, at most */

enum session_way {
        SESSION_BY_MESSAGES = 0,
        SESSION_BY_REGION,
        SESSION_WAY_COUNT_,
};

/* A request, and what its answer must say. */
struct session_slot {
        uint64_t request, answer; /* offsets in the ram */
        uint64_t count, sum;
};

struct sample_session {
        struct front_end front;
        struct wire backend; /* the channel that mappings come by */
        struct guest_ram ram;
        struct split_ring ring;
        bool by_messages; /* its device has no region */
        unsigned depth;   /* requests on their way, at most; 1 .. SESSION_DEPTH */
        uint8_t *region;  /* mapped */
        uint64_t region_len;
        struct records records;
        struct records_place place; /* in the region's ring */
        uint64_t head;              /* bytes ever put there */
        struct session_slot slots[SESSION_DEPTH];
        unsigned posted, done;          /* requests, ever */
        bool spoil[SESSION_WAY_COUNT_]; /* a byte of the next request that way is not what was summed up */
};

/* All functions: 0 or negative errno. -EBADMSG: an answer's count or sum is not ours. A session that failed is to be closed
 * too. */

/* Connects, starts the queue, maps what SHMEM_MAP brings, and learns where the device's stream is. */
int sample_session_open(struct sample_session *session, const char *path);
/* The same with a device that has no region: by messages alone. */
int sample_session_open_plain(struct sample_session *session, const char *path);
void sample_session_close(struct sample_session *session);

/* Posts one request of n records of `len` bytes, waiting for an older one's answer where `depth` are on their way. */
int sample_session_append(struct sample_session *session, enum session_way way, uint32_t len, unsigned n);

/* Waits for the answers of all. */
int sample_session_finish(struct sample_session *session);
