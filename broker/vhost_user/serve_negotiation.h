/* Handlers: features, ownership, config space, back-end channel, reset. Signatures as struct rpc_row asks;
 * context is the session, message a struct vhost_user_message.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

int serve_get_features(void *context, const void *message);
int serve_set_features(void *context, const void *message);
int serve_ignored(void *context, const void *message); /* SET_OWNER, RESET_OWNER: nothing hangs on them */
int serve_get_protocol_features(void *context, const void *message);
int serve_set_protocol_features(void *context, const void *message);
int serve_get_queue_num(void *context, const void *message);
int serve_get_shmem_config(void *context, const void *message);
int serve_set_backend_req_fd(void *context, const void *message);
int serve_get_config(void *context, const void *message);
int serve_set_config(void *context, const void *message);
int serve_reset_device(void *context, const void *message);
