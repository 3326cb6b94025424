/* The broker of one VM: its loop, its devices and their front ends. Runs confined.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "broker/endpoint.h"
#include "broker/kvm/kvm_front.h"
#include "proto/vm_config.h"

struct broker_start {
        const struct vm_config *config;
        struct endpoints *endpoints; /* the sockets are taken */
        int spawner_fd;              /* taken */
        uid_t uid;
        bool rootless;
        struct kvm_front *kvm; /* prepared, taken; NULL: vhost-user */
};

/* Confines itself, starts the devices, serves until it is told to end. Returns the exit code. */
int broker_run(const struct broker_start *start);
