/* How the proxy of a vsock device is started.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "sandbox/companion.h"

extern const struct companion_row companion_vsock;

/* Command line and folder: the directory of `path` is its root. companion->uid and gid are its own, and become the folder's
 * owner's where those cannot be exchanged. 0, or negative errno with one sentence and its remedy in `why`. */
int companion_vsock_prepare(struct companion *companion, const struct resource_owner *owner,
                            const struct device_config *device, char *why, size_t why_size);
