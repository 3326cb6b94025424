/* A worker that costs its broker as much as it can without breaking a rule of the protocol, or only the one
 * of quantity. It says Hello as an entropy device; what it does with a request follows from the request's
 * length (quota_attacks.h).
 * Owns nothing; called by the runtime, which is the real one. TRUST: it is the attacker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/limits.h"
#include "proto/frame.h"
#include "sandbox/lockdown.h"
#include "tests/wire/quota_attacks.h"
#include "workers/runtime/device_ops.h"
#include "workers/runtime/inbox.h"
#include "workers/runtime/trap.h"

#define INLINE_BYTES 16384u

static int attacker_init(void *state, const struct control_configure *configure, const int *resources,
                         unsigned n_resources, struct control_hello *ret_hello)
{
        (void)state;
        (void)configure;
        (void)resources;
        (void)n_resources;
        *ret_hello = (struct control_hello){
            .device_type = device_types[DEVICE_TYPE_RNG].virtio_id,
            .n_queues = 1,
            .queue_kind = {QUEUE_WORK},
            .queue_replay = {REPLAY_IDEMPOTENT},
            .max_segments = LIMIT_CHAIN_SEGMENTS,
            .credit_requests = 64,
            .credit_bytes = 64 * INLINE_BYTES / 2,
            .max_inline = INLINE_BYTES,
        };
        return 0;
}

static void never_read(struct request *request)
{
        (void)request;
        for (;;)
                ppoll(NULL, 0, NULL, NULL);
}

static void write_one_byte(struct request *request)
{
        *request_reserve(request, 1) = 1;
        request_write(request, 0, 1);
        request_push(request);
}

static void flood(struct request *request)
{
        for (unsigned i = 0; i < LIMIT_QUOTA_FRAMES - 1; i++)
                write_one_byte(request);
        request_complete(request, 0, 0);
        request_push(request);
}

static void flood_over(struct request *request)
{
        for (;;)
                write_one_byte(request);
}

static void send_all(int fd, const uint8_t *bytes, size_t len, size_t step)
{
        for (size_t at = 0; at < len; at += step)
                if (write(fd, bytes + at, step) < 0)
                        worker_gone();
}

static void drip(struct request *request)
{
        const uint32_t offset = 0, len = 1;
        const struct lane_to_broker message = {
            .kind = LANE_MEM_WRITE,
            .mem_write = {.n = 1, .id = &request->id, .offset = &offset, .len = &len}};
        uint8_t bytes[FRAME_HEAD_BYTES + 256];
        ssize_t header_len = lane_make_to_broker(&message, bytes + FRAME_HEAD_BYTES, 255);
        size_t whole = FRAME_HEAD_BYTES + (size_t)header_len + 1;

        frame_head_make(&(struct frame_head){.header_len = (uint32_t)header_len, .payload_len = 1}, bytes);
        for (unsigned i = 0; i < LIMIT_QUOTA_FRAMES - 1; i++)
                send_all(worker_fd_lane_out(0), bytes, whole, 1);
        request_complete(request, 0, 0);
        request_push(request);
}

/* The same control message without end. */
static void flood_with(const struct control_to_broker *message)
{
        uint8_t bytes[FRAME_HEAD_BYTES + 2048];
        ssize_t len = control_make_to_broker(message, bytes + FRAME_HEAD_BYTES, 2048);

        frame_head_make(&(struct frame_head){.header_len = (uint32_t)len}, bytes);
        for (;;)
                send_all(WORKER_FD_CONTROL, bytes, FRAME_HEAD_BYTES + (size_t)len,
                         FRAME_HEAD_BYTES + (size_t)len);
}

static void flood_control(struct request *request)
{
        (void)request;
        flood_with(&(struct control_to_broker){.kind = CONTROL_STATS});
}

static void flood_logs(struct request *request)
{
        char text[LIMIT_LOG_LINE];

        (void)request;
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        flood_with(&(struct control_to_broker){.kind = CONTROL_LOG, .log = {.level = 1, .text = text}});
}

static void spin(struct request *request)
{
        (void)request;
        for (volatile unsigned n = 0;;)
                n++;
}

static void complete(struct request *request)
{
        request_complete(request, 0, 0);
        request_push(request);
}

static void crash(struct request *request)
{
        complete(request);
        worker_trap();
}

static void (*const attacks[ATTACK_COUNT_])(struct request *request) = {
    [ATTACK_NONE] = complete,   [ATTACK_NEVER_READS] = never_read,
    [ATTACK_FLOODS] = flood,    [ATTACK_FLOODS_OVER] = flood_over,
    [ATTACK_DRIPS] = drip,      [ATTACK_FLOODS_CONTROL] = flood_control,
    [ATTACK_LOGS] = flood_logs, [ATTACK_SPINS] = spin,
    [ATTACK_CRASHES] = crash,
};

static void attacker_handle(void *state, struct request *request)
{
        uint32_t attack = request_writable(request) - ATTACK_LEN;

        (void)state;
        attacks[attack < ATTACK_COUNT_ ? attack : ATTACK_NONE](request);
}

const struct device_ops device_ops = {
    .type = DEVICE_TYPE_RNG,
    .init = attacker_init,
    .handle = attacker_handle,
};
