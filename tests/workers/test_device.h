/* A device made for the tests of the runtime, and a broker that has started it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/workers/fake_broker.h"

enum {
        QUEUE_COPY = 0, /* the writable part becomes the readable part */
        QUEUE_HOLD,     /* not answered until a QUEUE_RELEASE comes */
        QUEUE_RELEASE,  /* answers all held ones, the youngest first, and itself */
        QUEUE_TELL,     /* answers features (8 bytes) and the written field (1) */
        QUEUE_PLACE,    /* as QUEUE_COPY of what is inlined, in the request's place, if there is one */
        QUEUE_COUNT = LIMIT_LANES, /* one a lane, as many lanes as there may be */
};

#define CREDIT_REQUESTS 8u
#define CREDIT_BYTES    (160u * 1024u)
#define MAX_INLINE      (128u * 1024u)

extern const struct device_ops test_device_ops;
extern const struct control_configure test_device_configure;

/* The broker of the running test. */
extern struct fake_broker broker;

/* A worker with the device, its queues started. */
void start_lanes(unsigned n_lanes);

/* malloc. */
uint8_t *noise(size_t len);

/* One request through QUEUE_COPY, checked byte for byte. */
void copy_one(unsigned lane, uint32_t len, uint32_t inlined);
