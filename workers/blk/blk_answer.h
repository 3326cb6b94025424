/* Answers that are a status, and no other bytes but those that lie in a place.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "workers/runtime/request.h"

/* OK for 0, unsupported for -EOPNOTSUPP, an I/O error for any other negative errno. */
uint8_t blk_status(int error);

/* Ends the request with that status. */
void blk_answer(struct request *request, int error);

/* Ends a read well, all of whose `len` bytes are in its place. */
void blk_answer_placed(struct request *request, uint32_t len);
