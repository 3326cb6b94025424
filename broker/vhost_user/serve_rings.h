/* Handlers: memory regions and rings. Signatures as struct rpc_row asks; context is the session, message a
 * struct vhost_user_message.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

int serve_set_mem_table(void *context, const void *message);
int serve_get_max_mem_slots(void *context, const void *message);
int serve_add_mem_reg(void *context, const void *message);
int serve_rem_mem_reg(void *context, const void *message);
int serve_set_vring_num(void *context, const void *message);
int serve_set_vring_addr(void *context, const void *message);
int serve_set_vring_base(void *context, const void *message);
int serve_get_vring_base(void *context, const void *message);
int serve_set_vring_kick(void *context, const void *message);
int serve_set_vring_call(void *context, const void *message);
int serve_set_vring_err(void *context, const void *message);
int serve_set_vring_enable(void *context, const void *message);
