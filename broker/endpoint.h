/* The places where a VM's broker can be reached: RUNDIR/<vm>/<device>.sock for front ends (none of a VM of the
 * broker's own) and RUNDIR/<vm>/admin.sock for the operator. Made by the spawner while there is a right to do so.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "proto/vm_config.h"

struct endpoints {
        int lock_fd; /* RUNDIR/<vm>/lock, flocked: one broker a VM */
        int admin_fd;
        int device_fds[LIMIT_DEVICES]; /* listening, non-blocking, in the configuration's order */
        size_t n_devices;
};

/* Makes RUNDIR when it is missing. 0, or negative errno with one sentence and its remedy in `why`. */
int endpoints_make_run_dir(const struct vm_config *config, char *why, size_t why_size);

/* Makes the VM's folder and sockets; sockets of a dead predecessor are replaced, which the lock makes safe.
 * The broker's uid owns them. 0, or negative errno with `why`; then nothing is held. */
int endpoints_open(const struct vm_config *config, uid_t owner, struct endpoints *ret_endpoints, char *why,
                   size_t why_size);

/* Closes all descriptors; removes nothing. */
void endpoints_close(struct endpoints *endpoints);

/* Writes the path of a socket of this VM (a device's or "admin"). */
void endpoints_path(const struct vm_config *config, const char *name, char *ret_path, size_t size);
