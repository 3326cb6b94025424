/* libFuzzer target: any bytes as a frame between a vsock worker and its proxy, for both sides. What is accepted must be sound,
 * and is made again the same.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "proto/vsock_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

static void require_lost(const uint8_t *payload, uint32_t len)
{
        require(len > 0 && len % VSOCK_LOST_BYTES == 0 && len / VSOCK_LOST_BYTES <= VSOCK_LOST_MAX);
        for (uint32_t at = 0; at < len; at += VSOCK_LOST_BYTES) {
                uint8_t again[VSOCK_LOST_BYTES];
                struct vsock_lost lost;

                if (vsock_lost_check(payload + at, &lost) < 0)
                        continue;
                vsock_lost_make(&lost, again);
                require(memcmp(again, payload + at, sizeof(again)) == 0);
        }
}

static void judge(enum vsock_frame_side to, const uint8_t *bytes, size_t size)
{
        uint8_t again[VSOCK_FRAME_BYTES];
        struct vsock_frame frame;

        if (vsock_frame_check(to, bytes, size, &frame) < 0)
                return;
        require(frame.kind > 0 && frame.kind < VSOCK_FRAME_KIND_COUNT_);
        require(frame.len == size - VSOCK_FRAME_BYTES && frame.len <= VSOCK_FRAME_PAYLOAD);
        require(frame.stream < VSOCK_FRAME_IDS);
        require(frame.kind != VSOCK_FRAME_DATA || frame.len > 0);
        if (frame.kind == VSOCK_FRAME_LOST)
                require_lost(bytes + VSOCK_FRAME_BYTES, frame.len);
        vsock_frame_make(&frame, again);
        require(memcmp(again, bytes, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *bytes = malloc(size + 1); /* its own block, so that one byte too far is seen */

        if (!bytes)
                return 0;
        if (size > 0)
                memcpy(bytes, data, size);
        judge(VSOCK_SIDE_WORKER, bytes, size);
        judge(VSOCK_SIDE_PROXY, bytes, size);
        free(bytes);
        return 0;
}
