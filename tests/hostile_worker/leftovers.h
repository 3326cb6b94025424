/* What a VM's processes might leave to the next owner of their uids and control groups.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LEFTOVERS_PROCESSES 8u

struct leftovers {
        struct {
                pid_t pid;
                uid_t uid;
                char group[256]; /* its control group's folder; empty: none of its own */
        } processes[LEFTOVERS_PROCESSES];
        unsigned n;
};

/* The children of a spawner, as long as they are there. */
void leftovers_note(struct leftovers *leftovers, pid_t spawner);

/* After the VM of this name has ended: is anything of it there? A clause in `why`. uids that are our own say
 * nothing. */
bool leftovers_found(const struct leftovers *leftovers, const char *vm, char *why, size_t why_size);
