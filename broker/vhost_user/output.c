/* Bytes on their way to a peer that may not read.
 * Owns its buffer only; called by the session and by the back-end channel. TRUST: sees our own bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/output.h"

#include <errno.h>
#include <string.h>

#include "proto/base/fd.h"

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
                struct iovec iov = {.iov_base = output->bytes, .iov_len = output->len};
                ssize_t n = fd_pass_send(fd, &iov, 1, NULL, 0);

                if (n == -EAGAIN)
                        return 0;
                if (n < 0)
                        return (int)n;
                output->len -= (size_t)n;
                memmove(output->bytes, output->bytes + n, output->len);
        }
        return 0;
}
