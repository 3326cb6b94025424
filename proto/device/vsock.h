/* The options of a vsock device.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/device_option.h"

enum vsock_option {
        VSOCK_OPTION_CID = 0,
        VSOCK_OPTION_PATH,
        VSOCK_OPTION_COUNT_,
};

#define VSOCK_CID_MIN 3u          /* 0 and 1 are reserved, 2 is the host (virtio 1.3, 5.10.4) */
#define VSOCK_CID_MAX 0xfffffffeu /* the highest of 32 bits stands for any, and the upper half is reserved */

extern const struct option_row vsock_option_rows[VSOCK_OPTION_COUNT_];

/* The same as what they mean. Texts are the set's. */
struct vsock_options {
        uint64_t cid;
        const char *path; /* of the socket that clients of the host connect to; "" to a worker */
};

#define VSOCK_NAME_MAX                                                                                       \
        96u /* bytes of the last part of `path`: a socket's address has 107, and _4294967295 comes behind */

int vsock_options_judge(const struct option_set *set, char *why, size_t why_size);

struct vsock_options vsock_options_read(const struct option_set *set);
