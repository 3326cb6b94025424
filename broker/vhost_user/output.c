/* Bytes on their way to a peer that may not read.
 * Owns its buffer only; called by the session and by the back-end channel. TRUST: sees our own bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int output_put(struct output *output, const void *header, size_t header_len, const void *payload,
               size_t payload_len)
{
        if (header_len + payload_len > sizeof(output->bytes) - output->len)
                return -ENOBUFS;
        memcpy(output->bytes + output->len, header, header_len);
        output->len += header_len;
        if (payload_len > 0)
                memcpy(output->bytes + output->len, payload, payload_len);
        output->len += payload_len;
        return 0;
}

int output_flush(struct output *output, int fd)
{
        while (output->len > 0) {
                /* Not by O_NONBLOCK: of a channel that the peer gave, the peer can clear it. */
                ssize_t n = send(fd, output->bytes, output->len, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                output->len -= (size_t)n;
                memmove(output->bytes, output->bytes + n, output->len);
        }
        return 0;
}
