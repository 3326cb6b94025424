/* A VM's configuration that the judge has nothing against, for tests to spoil.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "proto/vm_config.h"

#define GOOD_VM_CONFIG(rows, n)                                                                              \
        {                                                                                                    \
                .name = "demo", .frontend = VM_FRONTEND_VHOST_USER, .run_dir = "/run/bulkhead",              \
                .worker_dir = "/usr/libexec/bulkhead", .socket_mode = 0660, .socket_gid = VM_CONFIG_NO_GID,  \
                .uid_first = VM_CONFIG_UID_FIRST, .uid_count = VM_CONFIG_UID_COUNT,                          \
                .worker_memory_max = VM_CONFIG_MEMORY_MAX, .devices = (rows), .n_devices = (n)               \
        }
