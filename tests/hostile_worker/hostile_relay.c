/* From a worker to its companion, which attacks in its place, and back.
 * Owns nothing; called by hostile_ops.c. TRUST: the companion is in league with us.
 *
 * One that dies of its attack takes the socket with it, and the spawner then kills the worker: so who hears of its end waits
 * for its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "proto/vsock_frame.h"
#include "tests/hostile_worker/hostile.h"
#include "tests/hostile_worker/hostile_call.h"

#define ANSWER_MS 10000 /* of an attack; and until the spawner kills */

static uint8_t message[VSOCK_FRAME_MAX + 1];

/* Frames that were meant for the device are lost, which is nothing to one whose guest only attacks. */
static bool receive(struct hostile_report *ret_report)
{
        struct pollfd pfd = {.fd = hostile_resource, .events = POLLIN};
        struct timespec wait = {.tv_sec = ANSWER_MS / 1000};
        uint64_t magic = COMMAND_MAGIC;

        for (;;) {
                int64_t n = CALL(SYS_ppoll, &pfd, 1ul, &wait, NULL, 0ul);

                if (n <= 0)
                        return false;
                n = CALL(SYS_read, hostile_resource, message, sizeof(message));
                if (n <= 0 && n != -EAGAIN)
                        return false;
                if (n < (int64_t)sizeof(*ret_report) || memcmp(message, &magic, sizeof(magic)) != 0)
                        continue;
                memcpy(ret_report, message, sizeof(*ret_report));
                return true;
        }
}

void hostile_relay(const struct hostile_command *command, struct hostile_report *ret_report)
{
        struct iovec iov = {(void *)command, sizeof(*command)};

        if (CALL(SYS_writev, hostile_resource, &iov, 1ul) < 0 || !receive(ret_report)) {
                hostile_linger(ANSWER_MS);
                *ret_report = (struct hostile_report){.state = REPORT_UNKNOWN};
        }
}
