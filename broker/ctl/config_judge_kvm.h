/* The values of a VM of the broker's own, judged where they stand.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "broker/ctl/config_step.h"

/* Puts the front end in first, because the rules of all other values depend on it; then vcpus, memory, kernel
 * and their like, each of which is a mistake with another front end. With context->host it looks at the files
 * and at what this host has. */
void judge_kvm(struct judge *judge, const yaml_node_t *root);

/* Windows of devices, which have to lie in the VM's memory, where that is on this host. After everything else, and only where
 * nothing else is wrong. `devices`: the list, or NULL. */
void judge_kvm_windows(struct judge *judge, const yaml_node_t *devices);
