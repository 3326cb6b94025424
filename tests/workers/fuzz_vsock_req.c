/* libFuzzer target: any bytes as a packet of the guest. The input is u32 readable, u8 writable, u8 SEQPACKET agreed, the header.
 * What is served must be sound.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "workers/vsock/vsock_req.h"

#define FUZZ_PREFIX 6u
#define FUZZ_CID    UINT64_C(3)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool sound)
{
        if (!sound)
                abort();
}

static void require_sound(const struct vsock_self *self, uint32_t readable, const struct vsock_req *req)
{
        require(req->host_cid == VSOCK_CID_HOST);
        require(req->op >= VSOCK_OP_REQUEST && req->op < VSOCK_OP_COUNT_);
        require(req->type == VSOCK_TYPE_STREAM || (req->type == VSOCK_TYPE_SEQPACKET && self->seqpacket));
        require(req->len == 0 || req->op == VSOCK_OP_RW);
        require(range_inside(VSOCK_HEADER_BYTES, req->len, readable));
        require((req->flags & ~3u) == 0);
        require(req->flags == 0 || req->op == VSOCK_OP_SHUTDOWN || req->type == VSOCK_TYPE_SEQPACKET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vsock_self self = {.guest_cid = FUZZ_CID};
        struct vsock_req req;
        uint32_t readable;
        uint8_t *bytes;
        size_t len;

        if (size < FUZZ_PREFIX)
                return 0;
        memcpy(&readable, data, 4);
        self.seqpacket = data[5] & 1;
        len = MIN(size - FUZZ_PREFIX, (size_t)VSOCK_HEADER_BYTES);
        bytes = malloc(len + 1); /* its own block, so that one byte too far is seen */
        if (!bytes)
                return 0;
        memcpy(bytes, data + FUZZ_PREFIX, len);
        switch (vsock_req_check(&self, readable, data[4], bytes, len, &req)) {
        case VSOCK_SERVE:
                require(data[4] == 0 && len == VSOCK_HEADER_BYTES);
                require_sound(&self, readable, &req);
                break;
        case VSOCK_RESET:
                require(req.len <= readable);
                break;
        case VSOCK_IGNORE:
        case VSOCK_REFUSE:
                break;
        }
        free(bytes);
        return 0;
}
