/* Answers that are a status, and no other bytes but those that lie in a place.
 * Owns nothing; called by blk.c and blk_direct.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_answer.h"

#include <errno.h>

#include "workers/blk/blk_req.h"

uint8_t blk_status(int error)
{
        if (error == 0)
                return BLK_STATUS_OK;
        return error == -EOPNOTSUPP ? BLK_STATUS_UNSUPP : BLK_STATUS_IOERR;
}

void blk_answer(struct request *request, int error)
{
        *request_reserve(request, 1) = blk_status(error);
        request_complete(request, request_writable(request) - 1, 1);
}

void blk_answer_placed(struct request *request, uint32_t len)
{
        *request_reserve(request, 1) = BLK_STATUS_OK;
        request_complete_placed(request, len, 1);
}
