/* Bytes to the broker behind the runtime's back, and waiting without a clock: every call here is one that a good
 * worker makes too, so the filter lets it pass and the broker has to judge.
 * Owns nothing; called by the attacks. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proto/frame.h"
#include "sandbox/lockdown.h"
#include "tests/hostile_worker/hostile.h"

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, bytes, len);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

int hostile_send_as(int fd, uint32_t head_header, uint32_t head_payload, const void *header,
                    size_t header_len, const void *payload, size_t payload_len)
{
        struct frame_head head = {.header_len = head_header, .payload_len = head_payload};
        uint8_t bytes[FRAME_HEAD_BYTES];
        int r;

        frame_head_make(&head, bytes);
        r = write_all(fd, bytes, sizeof(bytes));
        if (r == 0)
                r = write_all(fd, header, header_len);
        return r == 0 ? write_all(fd, payload, payload_len) : r;
}

int hostile_send(int fd, const void *header, size_t header_len, const void *payload, size_t payload_len)
{
        return hostile_send_as(fd, (uint32_t)header_len, (uint32_t)payload_len, header, header_len, payload,
                               payload_len);
}

int64_t hostile_linger(int ms)
{
        struct pollfd fds[] = {{.fd = WORKER_FD_CONTROL}, {.fd = worker_fd_lane_in(0)}};
        struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

        return ppoll(fds, 2, &timeout, NULL) < 0 ? -errno : 0;
}
