/* The answer that is a status alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "workers/runtime/request.h"

/* OK for 0, unsupported for -EOPNOTSUPP, an I/O error for any other negative errno. */
uint8_t blk_status(int error);

/* Ends the request with that status. */
void blk_answer(struct request *request, int error);
