/* Windows that devices are held to, in a VM of the broker's own: where they may lie, and what its guest is told of them. Pure.
 *
 * A window lies in what the VM has: in one piece of its RAM, or in its shared memory regions; so the address width that the layout
 * needs is theirs, too. On arm64 a guest can be told where devices look (restricted-dma-pool in the device tree): the first window of each
 * device is its pool. Devices may share one.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "broker/kvm/layout.h"
#include "proto/boot.h"
#include "proto/vm_config.h"

/* 0, or -EINVAL: `why` says in one clause which window lies where it must not, and what to do; *ret_device is its device. The configuration
 * is judged. Pools lie in RAM, in whole BOOT_POOL_ALIGN, and are the same or apart. */
int kvm_windows_judge(const struct vm_config *config, const struct kvm_layout *layout, size_t *ret_device,
                      char *why, size_t size);

/* Fills in the pools of judged windows: n_pools, pool, device_pool. x86_64: none. */
void kvm_windows_pools(const struct vm_config *config, const struct kvm_layout *layout,
                       struct boot_options *options);
