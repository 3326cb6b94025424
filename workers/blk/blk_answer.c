/* The answer that is a status alone.
 * Owns nothing; called by blk.c and blk_direct.c. TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/blk/blk_answer.h"

#include <errno.h>

#include "workers/blk/blk_req.h"

void blk_answer(struct request *request, int error)
{
        uint8_t *status = request_reserve(request, 1);

        if (error == 0)
                *status = BLK_STATUS_OK;
        else
                *status = error == -EOPNOTSUPP ? BLK_STATUS_UNSUPP : BLK_STATUS_IOERR;
        request_complete(request, request_writable(request) - 1, 1);
}
