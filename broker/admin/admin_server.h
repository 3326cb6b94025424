/* The admin socket: answers `bulkhead ps` and `bulkhead audit`. Clients can ask, never change.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <uv.h>

#include "proto/admin.h"

#define ADMIN_CLIENTS 8u /* connected at once; further ones wait in the backlog */

struct admin_server;

/* Takes the listening socket, also on failure. `status` fills in the answer to GetStatus. */
int admin_server_new(uv_loop_t *loop, int listen_fd,
                     void (*status)(void *context, struct admin_status *ret_status), void *context,
                     struct admin_server **ret_server);

/* Drops every client; the memory goes from the loop. Accepts NULL, returns NULL. */
struct admin_server *admin_server_free(struct admin_server *server);
