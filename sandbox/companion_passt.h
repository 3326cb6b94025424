/* The command line of passt.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sandbox/companion.h"

extern const struct companion_row companion_passt;

/* `forward`: texts like "tcp/2222:22" or "udp/53", joined by ','; "": none. 0, or -EINVAL or -E2BIG with `why`. */
int companion_passt_args(struct companion_args *args, const char *forward, uint32_t mtu, char *why,
                         size_t why_size);
