/* The raw end of a vhost-user socket: any bytes, any descriptors, every wait with a deadline. For hostile
 * tests and as the ground that front_end.h stands on.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/fd.h"

#define WIRE_PAYLOAD_MAX 4096u
#define WIRE_FDS_MAX     8u
#define WIRE_DEADLINE_MS 2000

#define WIRE_VERSION    1u
#define WIRE_REPLY      4u
#define WIRE_NEED_REPLY 8u

struct wire {
        int sock; /* -1: closed */
        void (*pump)(
            void *context); /* in-process back-ends: lets the other side run while we wait; else NULL */
        void *pump_context;
        int deadline_ms;
};

struct wire_message {
        uint32_t request, flags, size;
        uint8_t payload[WIRE_PAYLOAD_MAX];
};

/* All functions: 0 or a count, or negative errno; -ETIMEDOUT past the deadline. */
int wire_connect(struct wire *wire, const char *path);
void wire_close(struct wire *wire);

/* Descriptors ride on the first byte and stay the caller's. */
int wire_send_bytes(struct wire *wire, const void *bytes, size_t len, const int *fds, unsigned n_fds);
int wire_send(struct wire *wire, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
              const int *fds, unsigned n_fds);

/* -EPIPE at end of file. */
int wire_receive_bytes(struct wire *wire, void *to, size_t len);
int wire_receive(struct wire *wire, struct wire_message *message);
/* The same with the descriptors that ride on it: the caller's. */
int wire_receive_fds(struct wire *wire, struct wire_message *message, struct fd_set_owned *ret_fds);

/* Waits until the other side has closed, discarding what it still says. 0 or -ETIMEDOUT. */
int wire_wait_closed(struct wire *wire, int timeout_ms);

/* Waits for an event descriptor. 0 and its count, or -ETIMEDOUT. */
int wire_wait_event(struct wire *wire, int fd, int timeout_ms, uint64_t *ret_count);

/* Is there nothing to read for this long? */
bool wire_silent(struct wire *wire, int ms);
