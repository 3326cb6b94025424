/* The device tree of an arm64 machine.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/boot.h"

#define DEVICE_TREE_BYTES 65536u /* room for LIMIT_DEVICES devices and LIMIT_VCPUS processors */

/* Makes it (Devicetree 0.4). `initrd_len` 0: none. Returns its length, or -E2BIG. */
int device_tree_make(const struct boot_options *options, uint64_t initrd, uint64_t initrd_len, uint8_t *bytes,
                     size_t size);
