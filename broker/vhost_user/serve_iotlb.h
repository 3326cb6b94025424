/* Handler: translations. Signature as struct rpc_row asks; context is the session, message a struct vhost_user_message.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

int serve_iotlb_msg(void *context, const void *message);
