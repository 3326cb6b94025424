/* The channel on which the back-end speaks first (SET_BACKEND_REQ_FD). All it says is "the config space has
 * changed".
 *
 * Nothing ever waits for the front end here: it may first ask for the new config space on the main channel,
 * and newer ones do not look at this channel while they wait on that one. One message is outstanding at a
 * time; what changes meanwhile is told in one further message.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct backend_channel;

/* Takes fd, also on failure; it must be a stream socket (-EBADF). `with_replies`: REPLY_ACK was agreed, so a
 * reply is asked for and read. */
int backend_channel_new(uv_loop_t *loop, int fd, bool with_replies, struct backend_channel **ret_channel);

/* Closes at once; memory goes with the loop's close callback. Accepts NULL, returns NULL. */
struct backend_channel *backend_channel_close(struct backend_channel *channel);

/* Tells, now or after the reply that is outstanding. NULL or a channel that the peer has closed: nothing
 * happens. */
void backend_channel_config_changed(struct backend_channel *channel);
