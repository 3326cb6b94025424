/* The admin socket: answers `bulkhead ps` and `bulkhead audit`, and hands on what `bulkhead set` wants. Clients can ask, and
 * set what an operator may set of a running device (control.h); no more.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <uv.h>

#include "proto/admin.h"

#define ADMIN_CLIENTS 8u /* connected at once; further ones wait in the backlog */

struct admin_server;

struct admin_ops {
        /* Fills in the answer to GetStatus. */
        void (*status)(void *context, struct admin_status *ret_status);
        /* A judged setting for the device of this name. 0: `done` comes, once, from the loop, perhaps after admin_server_free.
         * -ENOENT: there is no such device; else as device_set (core/device.h). */
        int (*set)(void *context, const char *device, const struct control_setting *setting,
                   void (*done)(void *done_context, int error), void *done_context);
        /* What lies in the device's shared memory regions. -ENOENT. */
        int (*shmem)(void *context, const char *device, struct admin_shmem *ret_shmem);
};

/* Takes the listening socket, also on failure. `ops` must outlive it. */
int admin_server_new(uv_loop_t *loop, int listen_fd, const struct admin_ops *ops, void *context,
                     struct admin_server **ret_server);

/* Drops every client; the memory goes from the loop. Accepts NULL, returns NULL. */
struct admin_server *admin_server_free(struct admin_server *server);
