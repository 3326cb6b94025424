/* The devices of one VM, as far as one must know of the others: a front end tells each device what the others show its guest, as if it
 * were the guest's memory.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/vhost_user/memory_table.h"
#include "proto/base/limits.h"

struct device;
struct vhost_user_listener;

/* Of a VM with shared memory regions; zero is right at first. Outlives its listeners, which enter themselves and leave. */
struct vhost_user_family {
        size_t n;
        struct vhost_user_listener *members[LIMIT_DEVICES];
};

void vhost_user_family_add(struct vhost_user_family *family, struct vhost_user_listener *listener);
void vhost_user_family_remove(struct vhost_user_family *family, const struct vhost_user_listener *listener);

/* What this file is to `device`: in a region of its own or another's, or nothing of ours. */
enum memory_kind vhost_user_family_kind(const struct vhost_user_family *family, const struct device *device,
                                        uint64_t dev, uint64_t ino);
