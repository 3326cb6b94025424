/* The queues of a tap interface.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#define TAP_HEADER_BYTES 12 /* virtio 1.3, 5.1.6: struct virtio_net_hdr with num_buffers */

/* Opens `n` queues of the interface, non-blocking and CLOEXEC, with a header of TAP_HEADER_BYTES before each frame and those
 * offloads that a worker can finish; more than one needs an interface that was made with multi_queue, or is made by us: what is
 * not there is made, if we may, and vanishes with its last descriptor. 0, or negative errno with one sentence and its remedy
 * in `why`, and none is open. */
int resource_open_tap(const char *name, unsigned n, int *ret_fds, char *why, size_t why_size);
