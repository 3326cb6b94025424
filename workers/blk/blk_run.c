/* Which requests make a run, and where its bytes are.
 * Owns nothing; called by blk.c. TRUST: requests are judged (struct blk_req); their bytes are not looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_run.h"

const uint8_t *blk_run_bytes(const struct request *request)
{
        uint32_t len;
        const uint8_t *bytes = request_inlined(request, &len);

        return len == request_readable(request) ? bytes : NULL;
}

bool blk_run_can_hold(const struct request *request, const struct blk_req *req)
{
        return (req->op == BLK_OP_READ || req->op == BLK_OP_WRITE) && req->range.len <= BLK_RUN_BYTES &&
               blk_run_bytes(request);
}

static bool blk_run_continues(const struct blk_run *run, const struct blk_req *req)
{
        return run->n < BLK_RUN_REQUESTS && req->op == run->op &&
               req->range.offset == run->offset + run->len && req->range.len <= BLK_RUN_BYTES - run->len;
}

bool blk_run_add(struct blk_run *run, struct request *request, const struct blk_req *req)
{
        if (run->n == 0) {
                run->op = req->op;
                run->offset = req->range.offset;
                run->len = 0;
        } else if (!blk_run_continues(run, req)) {
                return false;
        }
        run->requests[run->n] = request;
        run->lens[run->n] = (uint32_t)req->range.len;
        run->len += (uint32_t)req->range.len;
        run->n++;
        return true;
}

struct blk_range blk_run_range(const struct blk_run *run, uint32_t i)
{
        struct blk_range range = {.offset = run->offset, .len = run->lens[i]};

        for (uint32_t before = 0; before < i; before++)
                range.offset += run->lens[before];
        return range;
}

void blk_run_gather(const struct blk_run *run, struct iovec *ret_iov)
{
        for (uint32_t i = 0; i < run->n; i++) {
                uint32_t len;
                const uint8_t *bytes = request_inlined(run->requests[i], &len);

                ret_iov[i] =
                    (struct iovec){.iov_base = (uint8_t *)bytes + BLK_HEADER_BYTES, .iov_len = run->lens[i]};
        }
}

/* Bytes of read i that do not have a place. */
static uint32_t blk_run_unplaced(const struct blk_run *run, uint32_t i)
{
        return request_place(run->requests[i]) ? 0 : run->lens[i];
}

uint32_t blk_run_room(const struct blk_run *run)
{
        uint32_t room = 0;

        for (uint32_t i = 0; i < run->n; i++)
                room += blk_run_unplaced(run, i) + 1;
        return room;
}

void blk_run_scatter(const struct blk_run *run, uint8_t *room, struct iovec *ret_iov)
{
        for (uint32_t i = 0; i < run->n; i++) {
                uint8_t *place = request_place(run->requests[i]);

                ret_iov[i] = (struct iovec){.iov_base = place ? place : room, .iov_len = run->lens[i]};
                room += blk_run_unplaced(run, i) + 1;
        }
}
