/* Messages out of a stream: header, payload and descriptors put together, bytes of a message never mixed with
 * the next.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/vhost_user/message.h"

struct assembly {
        struct vhost_user_message message;
        size_t have;  /* bytes of header and payload that have come */
        bool replies; /* this stream carries replies (the back-end channel), else requests */
};

void assembly_init(struct assembly *assembly, bool replies);

/* Closes the descriptors that nobody took and makes room for the next message. Also the destructor. */
void assembly_clear(struct assembly *assembly);

/* Reads what a non-blocking socket has, up to the end of one message. 1: `message` is whole and its header's
 * version, flags and size are judged; 0: more must come; -EPIPE: end of file between two messages;
 * -ECONNRESET: end of file inside one; -EPROTO: bad header, or descriptors that did not come with the first
 * byte; -EMSGSIZE: larger than LIMIT_VHOST_USER_PAYLOAD; or what recvmsg said. After a negative value only
 * assembly_clear may follow. */
int assembly_receive(struct assembly *assembly, int fd);
